"""The cases of activities: figures over a year, Today, and the timeline of a lead with a long story."""

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg

from activities.models import Activity
from activities.services.counts import compact_counts, wrong_counts
from bench.cases import Bench, _browser_session, show_line
from bench.load import Caller, timed
from crm.identity.models import User
from crm.tenancy.scope import tenant_scope
from leads.models import Lead

ACTIVITIES, CHUNK, STORY = 5_000_000, 100_000, 5_000
_TYPES = ("call", "email", "note", "meeting", "sms", "task")
_COLUMNS = (
    "tenant_id, lead_id, user_id, activity_type, description, priority, status, occurred_at, completed_at, duration, outcome, notes, location, "
    "attendees, recurrence, created_via, created_at, updated_at"
)


def activities(bench: Bench) -> dict[str, Any]:
    """Statistics, Today and the timeline of a tenant with five activities for each lead."""
    number = _fill(bench)
    lead_id = _long_story(bench)
    print(f"activities, {number:,} of them (to reach: figures of a year p95 ≤ 300 ms, Today ≤ 120 ms, timeline of 5,000 entries ≤ 40 ms)")
    today = datetime.now(UTC).date()
    year = urlencode({"date_from": (today - timedelta(days=365)).isoformat(), "date_to": today.isoformat()})
    out: dict[str, Any] = {}
    for login in ("manager", "rep0"):
        api = bench.api(login)
        for name in ("statistics", "user-performance", "priority-distribution", "summary"):
            out[f"{login} {name}"] = _measure(api, f"{login} {name}, a year", f"/api/activities/{name}?{year}", "≤ 300 ms")
        for name in ("entity", "user", "recent", "follow-ups/pending", "follow-ups/overdue", "follow-ups/summary"):
            out[f"{login} {name}"] = _measure(api, f"{login} {name}", f"/api/activities/{name}")
        page = Caller(bench.port, {"Cookie": f"sessionid={_browser_session(bench, login)}"})
        out[f"{login} today"] = _measure(page, f"{login} Today", "/", "≤ 120 ms")
    api = bench.api("manager")
    out["timeline"] = _measure(api, "timeline of 5,000 entries, first page", f"/api/activities/lead/{lead_id}/timeline?limit=50", "≤ 40 ms")
    out["timeline with statistics"] = _measure(api, "the same with statistics of the whole story", f"/api/leads/{lead_id}/timeline")
    page = Caller(bench.port, {"Cookie": f"sessionid={_browser_session(bench, 'manager')}"})
    out["lead page"] = _measure(page, "the lead's page", f"/leads/{lead_id}")
    started = time.perf_counter()
    with tenant_scope(bench.tenant_id):
        out["wrong_counts"] = wrong_counts()
    print(f"  the ledger against a plain count: {out['wrong_counts']} cells differ ({time.perf_counter() - started:.1f} s)")
    return out


def _measure(caller: Caller, name: str, path: str, goal: str = "") -> float:
    timing = timed(caller, path, rounds=20, warm=2)
    show_line(name, timing, goal)
    return timing.p95


def _fill(bench: Bench) -> int:
    """Five activities a lead, by COPY, spread over two years. Once."""
    with tenant_scope(bench.tenant_id):
        leads = Lead.objects.count()
        wanted = leads * ACTIVITIES // 1_000_000
        there = Activity.objects.count()
        lowest = Lead.objects.order_by("pk").values_list("pk", flat=True)[0]
        people = list(User.objects.order_by("pk").values_list("pk", flat=True))
    if there >= wanted:
        return there
    started = time.perf_counter()
    dice = random.Random(5)
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        for start in range(there, wanted, CHUNK):
            with owner.transaction(), owner.cursor() as cursor, cursor.copy(f"COPY activities_activity ({_COLUMNS}) FROM STDIN") as copy:
                for row in _rows(bench.tenant_id, lowest, leads, people, min(CHUNK, wanted - start), dice):
                    copy.write_row(row)
        owner.execute("VACUUM ANALYZE activities_activity")
    compact_counts()
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE activities_typecount")
        owner.execute("VACUUM ANALYZE activities_prioritycount")
    print(f"built {wanted - there:,} activities in {time.perf_counter() - started:.0f} s")
    return wanted


def _rows(tenant: int, lowest: int, leads: int, people: list[int], number: int, dice: random.Random) -> Iterator[tuple[Any, ...]]:
    now = datetime.now(UTC)
    for _ in range(number):
        at = now - timedelta(seconds=dice.randint(0, 730 * 86400))
        status = dice.choices(("completed", "pending", "cancelled"), (80, 15, 5))[0]
        done = at if status == "completed" else None
        yield (
            tenant, lowest + dice.randrange(leads), dice.choice(people), dice.choice(_TYPES), "Talked about the offer and the next steps.",
            dice.choices((1, 2, 3, 4), (20, 50, 22, 8))[0], status, at, done, dice.randint(1, 40), "", "", "", "{}", "", "page", at, at,
        )  # fmt: skip


def _long_story(bench: Bench) -> int:
    """A lead with five thousand entries: half activities, half changes of its fields."""
    with tenant_scope(bench.tenant_id):
        lead = Lead.objects.order_by("-pk")[0]
        missing = STORY - Activity.objects.filter(lead=lead).count()
    if missing > STORY // 2:
        with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as owner:
            # As the scope of a request sets it; each change is a statement of its own, so each has its row of history.
            owner.execute("SELECT set_config('crm.tenant_id', %s, false)", [str(bench.tenant_id)])
            for number in range(STORY // 2):
                owner.execute("UPDATE leads_lead SET company = %s WHERE id = %s", [f"Company {number}", lead.pk])
            owner.execute(
                "INSERT INTO activities_activity (tenant_id, lead_id, user_id, activity_type, description, priority, status, occurred_at, completed_at, "
                "outcome, notes, location, attendees, recurrence, created_via, created_at, updated_at) "
                "SELECT tenant_id, id, owner_id, 'note', 'Note ' || n, 2, 'completed', now() - n * interval '1 hour', now() - n * interval '1 hour', "
                "'', '', '', '{}', '', 'page', now() - n * interval '1 hour', now() FROM leads_lead, generate_series(1, %s) AS n WHERE id = %s",
                [STORY // 2, lead.pk],
            )
            owner.execute("ANALYZE activities_activity")
            owner.execute("ANALYZE leads_leadhistory")
    return lead.pk
