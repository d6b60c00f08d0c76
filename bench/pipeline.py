"""The cases of stages and service levels: every metric over a year, the control room, and what the triggers cost."""

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
from django.db import transaction

from bench.cases import Bench, _browser_session, show_line
from bench.load import Caller, timed
from crm.events.services import MOST_VALUES
from crm.tenancy.scope import tenant_scope
from leads.models import Lead, LeadStatus
from pipeline.models import LeadStage, SlaClock, SlaPolicy
from pipeline.services.clocks import refresh_clocks
from pipeline.services.ledger import compact_figures, figures_that_differ

CHUNK = 50_000
_PATHS = {
    "new": ("new",),
    "qualified": ("new", "qualified"),
    "contacted": ("new", "qualified", "contacted"),
    "meeting_scheduled": ("new", "qualified", "contacted", "meeting_scheduled"),
    "proposal_sent": ("new", "qualified", "contacted", "meeting_scheduled", "proposal_sent"),
    "negotiation": ("new", "qualified", "contacted", "proposal_sent", "negotiation"),
    "won": ("new", "qualified", "contacted", "meeting_scheduled", "proposal_sent", "negotiation", "won"),
    "lost": ("new", "qualified", "contacted", "lost"),
}
_DATED = (
    "performance-metrics",
    "transition-matrix",
    "conversion-rates",
    "status-statistics",
    "workflow-efficiency",
    "bottleneck-analysis",
    "user-performance",
)
_PLAIN = ("summary", "recent-changes", "sla-violations?sla_hours=24", "sla-compliance?sla_hours=24")
# Every lead's way through the stages to where it is, begun somewhere in the last year.
_WAYS = """
INSERT INTO pipeline_leadstage
    (tenant_id, lead_id, status_id, came_from_id, left_to_id, entered_at, exited_at, user_id, notes, next_action_required, rules_skipped, is_counted)
SELECT %(tenant)s, lead.id, step.status, step.came, step.went, lead.began + (step.place - 1) * lead.pace,
       CASE WHEN step.went IS NOT NULL THEN lead.began + step.place * lead.pace END, lead.owner_id, '', '', false, lead.deleted_at IS NULL
FROM (
    SELECT id, status_id, owner_id, deleted_at, now() - (9 + random() * 356) * interval '1 day' AS began, (1 + random() * 29) * interval '1 hour' AS pace
    FROM leads_lead WHERE tenant_id = %(tenant)s AND id >= %(first)s AND id < %(last)s
) AS lead
JOIN unnest(%(ends)s::bigint[], %(places)s::int[], %(statuses)s::bigint[], %(came)s::bigint[], %(went)s::bigint[])
    AS step (ending, place, status, came, went) ON step.ending = lead.status_id
ORDER BY lead.began + (step.place - 1) * lead.pace
"""


def stages(bench: Bench) -> dict[str, Any]:
    """S1-25 to S1-35 over a year, as manager and as rep, and the control room."""
    number = _fill(bench.tenant_id)
    print(f"stages, {number:,} stays (to reach: each metric of a year p95 ≤ 300 ms)")
    floor = bench.floor()
    show_line("floor: bare DRF list", floor)
    today = datetime.now(UTC).date()
    year = urlencode({"date_from": (today - timedelta(days=365)).isoformat(), "date_to": today.isoformat()})
    out: dict[str, Any] = {"stays": number, "floor_p95": floor.p95}
    for login in ("manager", "rep0"):
        api = bench.api(login)
        for name in (*(f"{name}?{year}" for name in _DATED), *_PLAIN):
            timing = timed(api, f"/api/stages/{name}", rounds=20, warm=2)
            show_line(f"{login} {name.partition('?')[0]}", timing, "≤ 300 ms")
            out[f"{login} {name.partition('?')[0]}"] = timing.p95
        _control_room(bench, login, out)
    started = time.perf_counter()
    with tenant_scope(bench.tenant_id):
        out["differ"] = len(figures_that_differ())
    print(f"  the kept figures against the stays: {out['differ']} differ ({time.perf_counter() - started:.1f} s)")
    out["clocks_per_second"] = _clocks_per_second(bench.tenant_id)
    out["move_ms"] = _moves(bench.written_id)
    return out


def _control_room(bench: Bench, login: str, out: dict[str, Any]) -> None:
    page = Caller(bench.port, {"Cookie": f"sessionid={_browser_session(bench, login)}"})
    timing = timed(page, "/sla", rounds=20, warm=2)
    show_line(f"{login} control room", timing)
    out[f"{login} control room"] = timing.p95


def _fill(tenant_id: int) -> int:
    """Give the leads of the tenant their way through the stages, and clocks to a hundred thousand of them, where they have none."""
    with tenant_scope(tenant_id):
        known = LeadStage.objects.filter(exited_at__isnull=False).exists()
        codes = dict(LeadStatus.objects.values_list("code", "pk"))
        bounds = Lead.objects.order_by("pk").first(), Lead.objects.order_by("-pk").first()
    if not known and bounds[0] is not None and bounds[1] is not None:
        steps: list[tuple[int, int, int, int | None, int | None]] = []
        for end, path in _PATHS.items():
            ids = [codes[code] for code in path]
            steps += [
                (codes[end], place + 1, pk, ids[place - 1] if place else None, (*ids, None)[place + 1]) for place, pk in enumerate(ids)
            ]
        ends, places, statuses, came, went = (list(column) for column in zip(*steps, strict=True))
        given: dict[str, Any] = {"tenant": tenant_id, "ends": ends, "places": places, "statuses": statuses, "came": came, "went": went}
        owner = psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)
        owner.execute("DELETE FROM pipeline_leadstage WHERE tenant_id = %s", [tenant_id])
        for first in range(bounds[0].pk, bounds[1].pk + 1, CHUNK):
            owner.execute(_WAYS, {**given, "first": first, "last": first + CHUNK})
        for table in ("leadstage", "stageday", "stageuserday", "stagespan"):
            owner.execute(f"VACUUM ANALYZE pipeline_{table}")
        owner.close()
    compact_figures()
    _clocks(tenant_id)
    with tenant_scope(tenant_id):
        return LeadStage.objects.count()


def _clocks(tenant_id: int) -> None:
    with tenant_scope(tenant_id):
        if SlaClock.objects.exists():
            return
        SlaPolicy.objects.create(name="Bench", kind="time_in_stage", target_minutes=60 * 24 * 100, hours="always")
        ids = list(Lead.objects.live().order_by("-pk").values_list("pk", flat=True)[:100_000])
    started = time.perf_counter()
    for first in range(0, len(ids), MOST_VALUES):
        with tenant_scope(tenant_id):
            refresh_clocks(lead_ids=ids[first : first + MOST_VALUES], now=datetime.now(UTC))
    print(f"  clocks of {len(ids):,} leads worked out in {time.perf_counter() - started:.1f} s")


def _clocks_per_second(tenant_id: int) -> float:
    """How fast the clocks of leads that have none are worked out, as many at once as one delivery of the outbox brings; nothing is kept."""
    with tenant_scope(tenant_id):
        ids = list(Lead.objects.live().order_by("pk").values_list("pk", flat=True)[: 2 * MOST_VALUES])
        rates = []
        for first in range(0, len(ids), MOST_VALUES):
            with transaction.atomic():
                started = time.perf_counter()
                refresh_clocks(lead_ids=ids[first : first + MOST_VALUES], now=datetime.now(UTC))
                rates.append(min(MOST_VALUES, len(ids) - first) / (time.perf_counter() - started))
                transaction.set_rollback(True)
    print(f"  clocks of {MOST_VALUES:,} leads at once: {max(rates):,.0f} leads a second (to reach: 5,000)")
    return max(rates)


def _moves(tenant_id: int) -> float:
    """What moving a thousand leads in one statement costs."""
    with tenant_scope(tenant_id):
        codes = dict(LeadStatus.objects.values_list("code", "pk"))
        ids = list(Lead.objects.filter(status_id=codes["new"]).order_by("pk").values_list("pk", flat=True)[:1000])
        started = time.perf_counter()
        Lead.objects.filter(pk__in=ids).update(status_id=codes["qualified"], status_changed_at=datetime.now(UTC))
        took = (time.perf_counter() - started) * 1000
        Lead.objects.filter(pk__in=ids).update(status_id=codes["new"], status_changed_at=datetime.now(UTC))
    print(f"  moving {len(ids):,} leads in one statement, stays and figures included: {took:.0f} ms")
    return took
