"""Groups and similar leads as far as somebody may see them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput
from duplicates.enums import Verdict
from duplicates.models import Decision, DuplicateGroup, DuplicatePair
from leads.models import Lead
from leads.permissions import SEE_ALL
from leads.selectors import exact_duplicates, leads_visible_to, rows_in_order

_MOST_PAIRS = 500
# How sure a similarity is.
HIGH, MEDIUM = 0.9, 0.8
# What says the more about a lead the more of it there is.
WEIGHTY = (
    "first_name",
    "last_name",
    "email",
    "phone",
    "company",
    "title",
    "industry",
    "company_size",
    "last_contact_at",
    "next_follow_up_at",
)


@dataclass(frozen=True)
class Member:
    """A lead of a group: its row of LIST_COLUMNS, how similar it is to the primary, and how far each field agrees."""

    row: Mapping[str, Any]
    similarity: float
    levels: Mapping[str, int]
    matched_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """Leads that may be one, as far as the actor sees them: the one that knows most, and the others by similarity."""

    id: int
    similarity: float
    primary: Mapping[str, Any]
    duplicates: Sequence[Member]
    found_at: datetime
    later_until: datetime | None = None

    @property
    def size(self) -> int:
        return len(self.duplicates) + 1

    @property
    def lead_ids(self) -> list[int]:
        return sorted([self.primary["id"], *(item.row["id"] for item in self.duplicates)])


def confidence_of(similarity: float) -> str:
    return "high" if similarity >= HIGH else "medium" if similarity >= MEDIUM else "low"


def groups_visible_to(actor: Actor, *, threshold: float, later: bool = False) -> QuerySet[DuplicateGroup]:
    """Groups with a pair at or above the threshold of which the actor sees both leads; put off ones, or the others."""
    groups = DuplicateGroup.objects.filter(similarity__gte=threshold)
    now = timezone.now()
    groups = groups.filter(later_until__gt=now) if later else groups.exclude(later_until__gt=now)
    if actor.can(SEE_ALL):
        return groups
    return groups.filter(Exists(_pairs_visible_to(actor).filter(group=OuterRef("pk"), similarity__gte=threshold)))


def _pairs_visible_to(actor: Actor) -> QuerySet[DuplicatePair]:
    # A correlated look at each lead: written as a list of ids, all of the actor's leads would be read for one pair.
    seen = leads_visible_to(actor).order_by()
    return DuplicatePair.objects.filter(Exists(seen.filter(pk=OuterRef("first_id"))), Exists(seen.filter(pk=OuterRef("second_id"))))


def groups_after(actor: Actor, *, threshold: float, later: bool = False, cursor: str = "", limit: int) -> tuple[list[Group], str | None]:
    """A page of groups, the likeliest first, and the cursor of the next one."""
    groups = groups_visible_to(actor, threshold=threshold, later=later)
    if cursor:
        similarity, pk = _read_cursor(cursor)
        groups = groups.filter(Q(similarity__lt=similarity) | Q(similarity=similarity, pk__lt=pk), similarity__lte=similarity)
    found = list(groups.order_by("-similarity", "-pk")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    following = f"{found[-1].similarity!r}_{found[-1].pk}" if more else None
    return load_groups(found, actor, threshold=threshold), following


def _read_cursor(text: str) -> tuple[float, int]:
    similarity, _, pk = text.partition("_")
    try:
        return float(similarity), int(pk)
    except ValueError:
        raise InvalidInput({"cursor": ["Not a cursor of this list."]}) from None


def find_group(actor: Actor, *, group_id: int, threshold: float) -> Group | None:
    """One group, if the actor sees two or more of its leads."""
    found = load_groups(list(DuplicateGroup.objects.filter(pk=group_id)), actor, threshold=threshold)
    return found[0] if found else None


def load_groups(groups: Sequence[DuplicateGroup], actor: Actor, *, threshold: float) -> list[Group]:
    """Groups with the leads that the actor sees of them; those of which too few are left are dropped. Four queries for all."""
    held: dict[int, list[DuplicatePair]] = defaultdict(list)
    for pair in DuplicatePair.objects.filter(group__in=[group.pk for group in groups], similarity__gte=threshold):
        if pair.group_id is not None:
            held[pair.group_id].append(pair)
    ids = {lead for pairs in held.values() for pair in pairs for lead in (pair.first_id, pair.second_id)}
    seen = set(leads_visible_to(actor).filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
    rows = {row["id"]: row for row in rows_in_order(sorted(seen))}
    made = []
    for group in groups:
        pairs = [pair for pair in held[group.pk] if pair.first_id in rows and pair.second_id in rows]
        if pairs:
            made.append(_group(group, pairs, rows))
    return made


def _group(group: DuplicateGroup, pairs: Sequence[DuplicatePair], rows: Mapping[int, Mapping[str, Any]]) -> Group:
    members = {lead for pair in pairs for lead in (pair.first_id, pair.second_id)}
    primary = max(members, key=lambda lead: (_known(rows[lead]), -lead))
    best: dict[int, DuplicatePair] = {}
    for pair in sorted(pairs, key=lambda pair: (primary not in (pair.first_id, pair.second_id), -pair.similarity)):
        for lead in (pair.first_id, pair.second_id):
            best.setdefault(lead, pair)
    duplicates = [Member(rows[lead], best[lead].similarity, best[lead].levels) for lead in members - {primary}]
    duplicates.sort(key=lambda item: (-item.similarity, item.row["id"]))
    return Group(group.pk, max(pair.similarity for pair in pairs), rows[primary], duplicates, group.found_at, group.later_until)


def _known(row: Mapping[str, Any]) -> int:
    """How much a lead's row says."""
    return sum(1 for name in WEIGHTY if row[name])


@dataclass(frozen=True)
class Totals:
    """Of all groups that somebody sees: how many, the leads beyond one for each, the highest similarity, the very likely ones."""

    groups: int
    duplicates: int
    highest: float
    certain: int


def totals(actor: Actor, *, threshold: float, certain_from: float) -> Totals:
    """Counted over the visible pairs in one statement."""
    pairs = DuplicatePair.objects.all() if actor.can(SEE_ALL) else _pairs_visible_to(actor)
    open_groups = DuplicateGroup.objects.exclude(later_until__gt=timezone.now())
    wanted = pairs.filter(Exists(open_groups.filter(pk=OuterRef("group_id"))), group__isnull=False, similarity__gte=threshold)
    inner, params = wanted.order_by().values("group_id", "first_id", "second_id", "similarity").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*), coalesce(sum(leads - 1), 0), coalesce(max(highest), 0), count(*) FILTER (WHERE highest >= %s)
            FROM (
                SELECT group_id, count(DISTINCT lead) AS leads, max(similarity) AS highest
                FROM ({inner}) AS pair CROSS JOIN LATERAL (VALUES (first_id), (second_id)) AS side (lead)
                GROUP BY group_id
            ) AS found
            """,  # noqa: S608 -- the inner statement is compiled above, its values are parameters
            [certain_from, *params],
        )
        groups, duplicates, highest, certain = cursor.fetchone() or (0, 0, 0.0, 0)
    return Totals(int(groups), int(duplicates), float(highest), int(certain))


def similar_to(lead: Lead, actor: Actor, *, threshold: float, most: int = 20) -> list[Member]:
    """The visible leads like this one, the likeliest first: stored pairs, and whoever has the same e-mail or phone just now."""
    pairs = DuplicatePair.objects.filter(Q(first=lead) | Q(second=lead), similarity__gte=threshold).order_by("-similarity", "pk")
    found: dict[int, tuple[float, Mapping[str, int], tuple[str, ...]]] = {}
    # A lead has few pairs; those out of sight must not push the others out.
    for pair in pairs[:_MOST_PAIRS]:
        found[pair.second_id if pair.first_id == lead.pk else pair.first_id] = (pair.similarity, pair.levels, ())
    for candidate in exact_duplicates(email=lead.email, phone=lead.phone, exclude_id=lead.pk):
        similarity, levels, _same = found.get(candidate.lead.pk, (candidate.similarity, {}, ()))
        found[candidate.lead.pk] = (similarity, levels, candidate.matched_on)
    if not found:
        return []
    separate = Decision.objects.filter(Q(first=lead, second__in=found) | Q(second=lead, first__in=found), verdict=Verdict.SEPARATE)
    apart = {other for decided in separate for other in (decided.first_id, decided.second_id)}
    seen = leads_visible_to(actor).filter(pk__in=set(found) - apart).values_list("pk", flat=True)
    members = [Member(row, *found[row["id"]]) for row in rows_in_order(sorted(seen))]
    return sorted(members, key=lambda item: (-item.similarity, item.row["id"]))[:most]
