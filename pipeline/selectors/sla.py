"""Service levels as people look at them: a lead's clocks, what breaches next, how well promises are kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Count, Q, QuerySet

from crm.actors import Actor
from crm.identity.models import User
from crm.listing import Listing, Sort
from crm.listing import Page as KeysetPage
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from leads.permissions import SEE_ALL, VIEW
from leads.selectors import name_of, owner_name_of, rows_in_order
from pipeline.enums import SlaKind, SlaState
from pipeline.models import SlaClock, SlaPolicy
from pipeline.selectors.figures import Period
from pipeline.selectors.metrics import percent

SOON = timedelta(minutes=30)
WHICH = ("soon", "breached", "running", "paused")


def clocks_of(lead: Lead) -> list[SlaClock]:
    """The running and paused clocks of a lead, the first due first."""
    return list(SlaClock.objects.select_related("policy").filter(lead=lead, ended_at=None).order_by("due_at", "pk"))


def clock_out(clock: SlaClock, now: datetime) -> dict[str, Any]:
    left = round((clock.due_at - now).total_seconds()) if clock.due_at is not None and clock.paused_at is None else None
    return {
        "policy_id": clock.policy_id,
        "policy": clock.policy.name,
        "kind": clock.kind,
        "state": clock.state,
        "started_at": clock.started_at,
        "due_at": clock.due_at if clock.paused_at is None else None,
        "seconds_left": left,
        "paused_at": clock.paused_at,
    }


def clocks_visible_to(by: Actor) -> QuerySet[SlaClock]:
    """The clocks under way that somebody may look at: all, or those of one's own leads."""
    clocks = SlaClock.objects.filter(ended_at=None)
    if not by.can(VIEW):
        return clocks.none()
    # The lead decides; the clock's own note of its owner is what an index leads to.
    return clocks if by.can(SEE_ALL) else clocks.filter(owner_id=by.user_id, lead__owner_id=by.user_id)


def _narrowed(clocks: QuerySet[SlaClock], which: str, now: datetime) -> QuerySet[SlaClock]:
    match which:
        case "soon":
            return clocks.filter(paused_at=None, due_at__gt=now, due_at__lte=now + SOON)
        case "breached":
            return clocks.filter(paused_at=None, due_at__lte=now)
        case "paused":
            return clocks.filter(paused_at__isnull=False)
    return clocks.filter(paused_at=None, due_at__isnull=False)


def clock_page(*, which: str, now: datetime, limit: int, cursor: str | None = None, by: Actor) -> KeysetPage:
    """A page of clocks under way, the first due first; of breached ones the latest first."""
    sort = Sort(name="due_at", column="due_at", label="Due")
    listing = Listing(branches=[_narrowed(clocks_visible_to(by), which, now)], sort=sort, descending=which == "breached")
    return listing.page(limit=limit, cursor=cursor)


def clock_rows(ids: list[int], now: datetime) -> list[dict[str, Any]]:
    """The clocks of a page with their leads, in order."""
    clocks = SlaClock.objects.select_related("policy").in_bulk(ids)
    found = [clocks[pk] for pk in ids if pk in clocks]
    leads = {row["id"]: row for row in rows_in_order(list({clock.lead_id for clock in found}))}
    return [
        {
            "clock_id": clock.pk,
            "lead_id": clock.lead_id,
            "lead_name": name_of(leads[clock.lead_id]),
            "company": leads[clock.lead_id]["company"],
            "status_name": leads[clock.lead_id]["status__code"],
            "status_label": leads[clock.lead_id]["status__label"],
            "assigned_user_id": leads[clock.lead_id]["owner_id"],
            "assigned_to_name": owner_name_of(leads[clock.lead_id]) if leads[clock.lead_id]["owner_id"] else None,
            **clock_out(clock, now),
        }
        for clock in found
        if clock.lead_id in leads
    ]


@dataclass(frozen=True, kw_only=True)
class Counts:
    running: int
    soon: int
    breached: int
    paused: int


@dataclass(frozen=True, kw_only=True)
class Board:
    """The clocks under way: in all, and by owner, the most breached first."""

    counts: Counts
    by_owner: list[dict[str, Any]]


_NUMBERS = ("running", "soon", "breached", "paused")


def clock_board(*, now: datetime, most: int = 50, by: Actor) -> Board:
    """Count the clocks once for both. Whose they are is as the clocks know it, a moment after a lead was given away."""
    on = Q(paused_at=None)
    grouped: Any = clocks_visible_to(by).order_by().values("owner_id")
    rows = list(
        grouped.annotate(
            running=Count("tenant_id", filter=on),
            soon=Count("tenant_id", filter=on & Q(due_at__gt=now, due_at__lte=now + SOON)),
            breached=Count("tenant_id", filter=on & Q(due_at__lte=now)),
            paused=Count("tenant_id", filter=~on),
        )
    )
    counts = Counts(**{name: sum(row[name] for row in rows) for name in _NUMBERS})
    rows.sort(key=lambda row: (-row["breached"], -row["soon"], -row["running"], row["owner_id"] or 0))
    people = User.objects.in_bulk([row["owner_id"] for row in rows[:most] if row["owner_id"] is not None])
    by_owner = [
        {
            "user_id": row["owner_id"],
            "user_name": people[row["owner_id"]].full_name if row["owner_id"] in people else None,
            **{name: row[name] for name in _NUMBERS},
        }
        for row in rows[:most]
    ]
    return Board(counts=counts, by_owner=by_owner)


def compliance_by_policy(period: Period, *, by: Actor) -> list[dict[str, Any]]:
    """Of the clocks that began in a period and are decided: how many were met. A clock that ran out is decided, ended or not."""
    clocks = SlaClock.objects.all() if by.can(SEE_ALL) else SlaClock.objects.filter(lead__owner_id=by.user_id)
    if not by.can(VIEW):
        clocks = clocks.none()
    if period.start is not None:
        clocks = clocks.filter(started_at__gte=period.start)
    if period.end is not None:
        clocks = clocks.filter(started_at__lt=period.end)
    found: Any = (
        clocks.order_by()
        .values("policy_id")
        .annotate(
            met=Count("tenant_id", filter=Q(state=SlaState.MET)),
            breached=Count("tenant_id", filter=Q(state=SlaState.BREACHED)),
            open=Count("tenant_id", filter=Q(state__in=[SlaState.ON_TRACK, SlaState.DUE_SOON, SlaState.PAUSED])),
        )
    )
    rows = {row["policy_id"]: row for row in found}
    return [
        {
            "policy_id": policy.pk,
            "policy": policy.name,
            "kind": policy.kind,
            "target_minutes": policy.target_minutes,
            "total": row["met"] + row["breached"],
            "within_sla": row["met"],
            "exceeded_sla": row["breached"],
            "pending": row["open"],
            "compliance_rate": round(percent(row["met"], row["met"] + row["breached"]), 1),
        }
        for policy in SlaPolicy.objects.order_by("position", "pk")
        if (row := rows.get(policy.pk))
    ]


BUCKETS = (("within_5_minutes", 5), ("within_1_hour", 60), ("within_1_day", 24 * 60), ("later", None))
_RESPONSES = """
SELECT width_bucket(extract(epoch FROM clock.ended_at - clock.started_at), ARRAY[300.000001, 3600.000001, 86400.000001]::double precision[]) AS bucket,
       count(*), count(*) FILTER (WHERE status.category = 'won'),
       count(*) FILTER (WHERE status.category = 'lost')
FROM pipeline_slaclock AS clock
JOIN leads_lead AS lead ON lead.tenant_id = clock.tenant_id AND lead.id = clock.lead_id
JOIN leads_leadstatus AS status ON status.tenant_id = lead.tenant_id AND status.id = lead.status_id
WHERE clock.tenant_id = %(tenant)s AND clock.kind = %(kind)s AND clock.ended_at IS NOT NULL AND clock.started_at >= %(since)s
    AND lead.deleted_at IS NULL AND (%(owner)s::bigint IS NULL OR lead.owner_id = %(owner)s)
GROUP BY 1
"""


def response_and_conversion(*, since: datetime, by: Actor) -> list[dict[str, Any]]:
    """How many of the leads that came since then were won, by how soon they were answered: by the clock on the wall."""
    given: dict[str, Any] = {
        "tenant": current_tenant_id(), "kind": SlaKind.FIRST_RESPONSE, "since": since, "owner": None if by.can(SEE_ALL) else by.user_id,
    }  # fmt: skip
    found: dict[int, tuple[int, int, int]] = {}
    if by.can(VIEW):
        with connection.cursor() as cursor:
            cursor.execute(_RESPONSES, given)
            found = {bucket: (leads, won, lost) for bucket, leads, won, lost in cursor.fetchall()}
    rows = []
    for number, (name, minutes) in enumerate(BUCKETS):
        leads, won, lost = found.get(number, (0, 0, 0))
        rows.append(
            {
                "response_time": name,
                "max_minutes": minutes,
                "leads": leads,
                "won": won,
                "lost": lost,
                "conversion_rate": percent(won, leads),
            }
        )
    return rows
