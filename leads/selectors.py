"""Reads of leads."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from django.db import connection
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext

from audit.selectors import tracked_models
from crm.actors import Actor
from crm.normal import email_key
from crm.tenancy.scope import current_scope, current_tenant_id
from crm.words import word_key
from leads.enums import COARSE_STATUSES, StatusCategory
from leads.models import (
    Arrival,
    Lead,
    LeadCount,
    LeadQuerySet,
    LeadShare,
    LeadStatus,
    LeadTransition,
)
from leads.permissions import SEE_ALL, VIEW


def branches_visible_to(actor: Actor, *, with_deleted: bool = False, owners: Collection[str] | None = None) -> list[LeadQuerySet]:
    """The leads an actor sees, as disjoint branches that each walk an index of their own.

    All of the tenant's with the permission; else one's own, the unassigned, and what is shared with one or one's teams.
    `owners` are the owners a filter asks for (ids as text, `none` for nobody): branches that cannot hold any are left
    out, which the database would not notice by itself.
    """
    leads: LeadQuerySet = Lead.objects.all()
    if not actor.can(VIEW):
        return [leads.none()]
    whole = [leads.live(), leads.filter(deleted_at__isnull=False)] if with_deleted else [leads.live()]
    if actor.can(SEE_ALL):
        return whole
    me = str(actor.user_id)
    branches = []
    for base in whole:
        if owners is None or me in owners:
            branches.append(base.filter(owner_id=actor.user_id))
        if owners is None or "none" in owners:
            branches.append(base.filter(owner_id=None))
        if owners is None or set(owners) - {me, "none"}:
            branches.append(_shared_with(actor, base))
    return branches


def shared_branches(actor: Actor) -> list[LeadQuerySet]:
    """Of the live leads, those an actor without the permission to see all sees only because they are shared."""
    return [_shared_with(actor, Lead.objects.live())]


def _shared_with(actor: Actor, leads: LeadQuerySet) -> LeadQuerySet:
    shared = LeadShare.objects.filter(Q(user_id=actor.user_id) | Q(team_id__in=actor.team_ids)).values("lead_id")
    return leads.filter(owner__isnull=False, pk__in=shared).exclude(owner_id=actor.user_id)


def leads_visible_to(actor: Actor, *, with_deleted: bool = False) -> LeadQuerySet:
    """The same leads as one queryset, for reading single records and set-based work."""
    leads: LeadQuerySet = Lead.objects.all()
    if not actor.can(VIEW):
        return leads.none()
    if not with_deleted:
        leads = leads.live()
    if actor.can(SEE_ALL):
        return leads
    shared = LeadShare.objects.filter(Q(user_id=actor.user_id) | Q(team_id__in=actor.team_ids), lead=OuterRef("pk"))
    return leads.filter(Q(owner_id=actor.user_id) | Q(owner_id=None) | Exists(shared))


def lock_leads(ids: Iterable[int]) -> None:
    """Hold these leads until the transaction ends, in the order in which everybody locks them; read them afterwards.

    Alone, since beside a join a wait ends badly: the database looks again for the row as it is now beside the joined one as it was,
    and a lead that was moved to another status meanwhile would seem not to be there.
    """
    list(Lead.objects.filter(pk__in=list(ids)).order_by("pk").select_for_update().values_list("pk", flat=True))


def leads_in_order(ids: Sequence[int]) -> list[Lead]:
    """Load a page of ids with everything a page shows, in their order."""
    if not ids:
        return []
    found = {lead.pk: lead for lead in Lead.objects.with_list_columns().filter(pk__in=ids)}
    return [found[pk] for pk in ids if pk in found]


# What a list shows and answers of a lead, of its status and of its owner.
LIST_COLUMNS = (
    "id", "tenant_id", "first_name", "last_name", "company", "email", "phone", "title", "industry", "company_size", "lost_reason", "priority",
    "lead_source", "platform_key", "score", "quality_grade", "lifecycle_stage", "conversion_probability", "tags", "owner_id", "created_at",
    "updated_at", "status_changed_at", "last_contact_at", "next_follow_up_at", "deleted_at", "status__code", "status__label", "status__category",
    "owner__first_name", "owner__last_name",
)  # fmt: skip
_LIST_FROM = """
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, place)
JOIN leads_lead AS lead ON lead.tenant_id = %s AND lead.id = wanted.id
JOIN leads_leadstatus AS status ON status.tenant_id = lead.tenant_id AND status.id = lead.status_id
LEFT JOIN identity_user AS owner ON owner.tenant_id = lead.tenant_id AND owner.id = lead.owner_id
ORDER BY wanted.place
"""
_LIST_SQL = f"SELECT {', '.join(name.replace('__', '.') if '__' in name else f'lead.{name}' for name in LIST_COLUMNS)}"
_CUSTOM = "custom_fields"


def rows_in_order(ids: Sequence[int], *, custom_fields: bool = False) -> list[dict[str, Any]]:
    """The same as plain rows of LIST_COLUMNS: compiling the query and making model instances would take half of a list's time.

    Custom fields are read where somebody looks at them.
    """
    if not ids:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"{_LIST_SQL}{f', lead.{_CUSTOM}' if custom_fields else ''}{_LIST_FROM}", [list(ids), current_tenant_id()])
        rows = cursor.fetchall()
    if not custom_fields:
        return [dict(zip(LIST_COLUMNS, row, strict=True)) for row in rows]
    return [{**dict(zip(LIST_COLUMNS, row[:-1], strict=True)), _CUSTOM: json.loads(row[-1])} for row in rows]


def rows_by_status(leads: QuerySet[Lead], *, column: str, descending: bool, most: int) -> dict[int, list[tuple[Any, int]]]:
    """Of each status the first so many (value of the sort, id), those without a value last, as a listing has them."""
    value, pk = F(column), F("pk")
    order = [value.desc(nulls_last=True), pk.desc()] if descending else [value.asc(nulls_last=True), pk.asc()]
    placed = leads.order_by().annotate(place=Window(RowNumber(), partition_by=[F("status_id")], order_by=order))
    found: dict[int, list[tuple[Any, int]]] = {}
    for status_id, at, lead_id in placed.filter(place__lte=most).order_by("status_id", "place").values_list("status_id", column, "pk"):
        found.setdefault(status_id, []).append((at, lead_id))
    return found


def row_of(lead: Lead) -> dict[str, Any]:
    """A loaded lead as such a row."""
    status, owner = lead.status, lead.owner
    row = {name: getattr(lead, name) for name in LIST_COLUMNS if "__" not in name}
    row |= {f"status__{name}": getattr(status, name) for name in ("code", "label", "category")}
    return row | {f"owner__{name}": getattr(owner, name, None) for name in ("first_name", "last_name")}


def name_of(row: Mapping[str, Any]) -> str:
    """What a list shows for a row of LIST_COLUMNS, as `Lead.display_name` does for a lead."""
    full_name = f"{row['first_name']} {row['last_name']}".strip()
    return full_name or row["company"] or row["email"] or row["phone"] or gettext("Unnamed lead")


def owner_name_of(row: Mapping[str, Any]) -> str:
    """The owner's name of a row that has an owner."""
    return f"{row['owner__first_name']} {row['owner__last_name']}".strip()


def fresh_leads(actor: Actor, *, since: datetime, most: int) -> list[dict[str, Any]]:
    """New leads since then, the actor's own or nobody's, with whom nobody has spoken and which nobody put off.

    The newest `most` of each, the best of them first.
    """
    if not actor.can(VIEW):
        return []
    new_ids = [status.pk for status in vocabulary().statuses if status.code == "new"]
    ids: list[int] = []
    for owner in ({"owner_id": actor.user_id}, {"owner_id": None}):
        leads = Lead.objects.live().filter(**owner, status_id__in=new_ids, last_contact_at=None, created_at__gte=since)
        leads = leads.exclude(next_follow_up_at__gt=timezone.now())
        ids += leads.order_by("-created_at", "-pk").values_list("pk", flat=True)[:most]
    return sorted(rows_in_order(ids), key=itemgetter("priority", "score", "created_at"), reverse=True)[:most]


# --- vocabularies ---


def open_status_ids() -> list[int]:
    """The statuses of leads that are neither won nor lost."""
    return [status.pk for status in vocabulary().statuses if status.category == StatusCategory.OPEN]


@dataclass(frozen=True)
class Vocabulary:
    """The tenant's statuses, loaded once for a piece of work."""

    statuses: tuple[LeadStatus, ...]

    @property
    def starting(self) -> LeadStatus:
        """Where a lead begins: `new`, or the first status in use where the tenant has switched that off."""
        return next((status for status in self.statuses if status.code == "new"), self.statuses[0])

    def find(self, word: str) -> tuple[LeadStatus, str] | None:
        """The status a word names, with the reason that document 0's word carries: code, label, number, or coarse word."""
        key = word_key(word)
        for status in self.statuses:
            if key in (status.code, word_key(status.label), str(status.number)):
                return status, ""
        codes = COARSE_STATUSES.get(key, ())
        found = next((status for code in codes for status in self.statuses if status.code == code), None)
        return (found, key if found.category == "lost" else "") if found else None

    def coarse_ids(self, word: str) -> list[int]:
        """The statuses that a word means in a filter."""
        key = word_key(word)
        codes = COARSE_STATUSES.get(key)
        if codes:
            return [status.pk for status in self.statuses if status.code in codes]
        match = self.find(word)
        return [match[0].pk] if match else []


def vocabulary() -> Vocabulary:
    """The open tenant's active statuses, read once for the work in progress."""
    memo = current_scope().memo
    if "leads.vocabulary" not in memo:
        memo["leads.vocabulary"] = Vocabulary(tuple(LeadStatus.objects.filter(is_active=True)))
    found: Vocabulary = memo["leads.vocabulary"]
    return found


def next_statuses(status: LeadStatus) -> list[LeadStatus]:
    """The statuses that the rules allow next, of those in use, from what was read once."""
    return [target for target in vocabulary().statuses if is_allowed(status, target)]


def is_allowed(source: LeadStatus, target: LeadStatus) -> bool:
    """Whether the rules allow a move."""
    return move_between(source, target) is not None


def move_between(source: LeadStatus, target: LeadStatus) -> LeadTransition | None:
    """The allowed move from one status to another; all of them are read once for the work in progress."""
    memo = current_scope().memo
    if "leads.moves" not in memo:
        memo["leads.moves"] = {(move.source_id, move.target_id): move for move in LeadTransition.objects.order_by()}
    move: LeadTransition | None = memo["leads.moves"].get((source.pk, target.pk))
    return move


_HOP = """
(WITH RECURSIVE hop AS (
    (SELECT {column} AS value FROM leads_lead WHERE tenant_id = %(tenant)s AND deleted_at IS NULL ORDER BY {column} LIMIT 1)
    UNION ALL
    SELECT (SELECT {column} FROM leads_lead WHERE tenant_id = %(tenant)s AND deleted_at IS NULL AND {column} > hop.value
            ORDER BY {column} LIMIT 1)
    FROM hop WHERE hop.value IS NOT NULL
)
SELECT '{column}' AS of_column, value FROM hop WHERE value <> '' LIMIT %(most)s)
"""


def distinct_values_of(columns: Sequence[str], *, most: int = 200) -> dict[str, list[str]]:
    """The values of indexed text columns in use, by hopping along their indexes rather than reading every row."""
    unknown = set(columns) - {"industry", "lead_source", "company_size", "platform_key"}
    if unknown or not columns:
        raise ValueError(sorted(unknown))
    with connection.cursor() as cursor:
        sql = " UNION ALL ".join(_HOP.format(column=column) for column in columns)
        cursor.execute(sql, {"tenant": current_tenant_id(), "most": most})
        found: dict[str, list[str]] = {column: [] for column in columns}
        for column, value in cursor.fetchall():
            found[column].append(value)
    return found


def distinct_values(column: str, *, most: int = 200) -> list[str]:
    return distinct_values_of([column], most=most)[column]


# --- counts ---


def counts_by_status(actor: Actor) -> list[tuple[LeadStatus, int]]:
    """Live leads in each status, in the tenant's order, statuses without leads included."""
    statuses = vocabulary().statuses
    ledger = LeadCount.objects.all()
    shared: list[LeadQuerySet] = []
    if not actor.can(VIEW):
        ledger = ledger.none()
    elif not actor.can(SEE_ALL):
        ledger = ledger.filter(Q(owner_id=actor.user_id) | Q(owner_id=None))
        shared = shared_branches(actor)
    counted: dict[int, int] = dict(ledger.values_list("status_id").annotate(n=Sum("leads")).order_by())
    for branch in shared:
        for status_id, number in _grouped(branch):
            counted[status_id] = counted.get(status_id, 0) + number
    return [(status, counted.get(status.pk, 0)) for status in statuses]


def _grouped(branch: QuerySet[Lead]) -> Iterable[tuple[int, int]]:
    return branch.order_by().values_list("status_id").annotate(n=Count("pk"))


# --- duplicates ---


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A lead that may be the same, and why."""

    lead: Lead
    similarity: float
    matched_on: tuple[str, ...]


def exact_duplicates(*, email: str = "", phone: str = "", exclude_id: int | None = None) -> list[Candidate]:
    """Live leads with the same canonical e-mail or the same phone, oldest first."""
    key = email_key(email)
    condition = Q()
    if key:
        condition |= Q(email_key=key)
    if phone:
        condition |= Q(phone=phone)
    if not condition:
        return []
    # Mostly there is none, so the ids alone are asked for first.
    ids = list(Lead.objects.live().filter(condition).exclude(pk=exclude_id).order_by("pk").values_list("pk", flat=True)[:50])
    return [
        Candidate(
            lead=lead,
            similarity=1.0,
            matched_on=tuple(
                name for name, same in (("email", key and lead.email_key == key), ("phone", phone and lead.phone == phone)) if same
            ),
        )
        for lead in leads_in_order(ids)
    ]


def note_statuses_before(lead: Lead, rows: Sequence[tuple[int, datetime]]) -> None:
    """Who has read a lead's whole history says so, for whoever asks what statuses it was in."""
    current_scope().memo.setdefault("leads.statuses_before", {})[lead.pk] = rows


def statuses_before(lead: Lead) -> Sequence[tuple[int, datetime]]:
    """The status that a lead had before each of its changes, and the change's moment, the oldest first; read once for the page in progress."""
    known: dict[int, Sequence[tuple[int, datetime]]] = current_scope().memo.get("leads.statuses_before", {})
    if lead.pk in known:
        return known[lead.pk]
    history = tracked_models()[Lead]._default_manager.filter(pgh_obj_id=lead.pk)
    return list(history.order_by("pgh_id").values_list("status_id", "pgh_created_at"))


def note_newest_arrival(lead: Lead, arrival: Arrival | None) -> None:
    """Who has read how a lead came in last says so, for whoever asks after them."""
    current_scope().memo.setdefault("leads.newest_arrival", {})[lead.pk] = arrival


def newest_arrival(lead: Lead) -> Arrival | None:
    """How a lead came in last, read once for the page in progress."""
    known: dict[int, Arrival | None] = current_scope().memo.get("leads.newest_arrival", {})
    return known[lead.pk] if lead.pk in known else Arrival.objects.filter(lead=lead).order_by("-pk").first()
