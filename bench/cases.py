"""The cases: each prints its figures beside what is to be reached, and answers them."""

import json
import random
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from bench.load import Caller, Timing, hammer, timed
from crm.identity.models import User
from crm.identity.services.signin import Client, issue_tokens, open_session
from leads.filters import SORTS

FILTERS: dict[str, dict[str, str]] = {
    "none": {},
    "status common": {"status": "new"},
    "status coarse": {"status": "Follow-up"},
    "status rare": {"status": "won"},
    "priority": {"priority": "critical"},
    "owner me": {"assigned_to": "me"},
    "unassigned": {"assigned_to": "none"},
    "source": {"lead_source": "Referral"},
    "source unknown": {"lead_source": "Nowhere"},
    "platform": {"platform": "facebook"},
    "industry": {"industry": "Energy"},
    "industry unknown": {"industry": "Nowhere"},
    "size": {"company_size": "500-1000"},
    "score range": {"score_min": "40", "score_max": "45"},
    "score nothing": {"score_min": "99"},
    "tags": {"tags": "vip"},
    "tags unknown": {"tags": "nowhere"},
    "created range": {"created_after": "2026-01-01", "created_before": "2026-02-01"},
    "created nothing": {"created_after": "2031-01-01"},
    "two": {"status": "qualified", "priority": "high"},
    "three": {"status": "won", "lead_source": "Referral", "industry": "Legal"},
    "contradiction": {"status": "new", "lead_source": "Nowhere", "priority": "low"},
}
SEARCHES = (
    "olivia",
    "oli",
    "o",
    "j",
    "x",
    "smith",
    "smith oli",
    "company39999",
    "olivia.smith.100@company",
    "2125551234",
    "call back",
    "zzzzqq",
    "josé",
    "a b",
)


@dataclass
class Bench:
    """A server under test, and sign-ins of the big tenant, which is only read, or of the one for what writes."""

    port: int
    tenant_id: int
    written_id: int

    def token(self, login: str, tenant_id: int | None = None) -> str:
        user = User.identities.select_related("tenant").get(username=f"{login}.{tenant_id or self.tenant_id}")
        return issue_tokens(session=open_session(user=user, kind="api", client=Client())).access

    def api(self, login: str) -> Caller:
        return Caller(self.port, {"Authorization": f"Bearer {self.token(login)}"})

    def floor(self) -> Timing:
        return timed(Caller(self.port), "/bench/leads", rounds=60)


def show_line(name: str, timing: Timing, goal: str = "") -> None:
    print(f"  {name:<58} p50 {timing.p50:7.1f} ms   p95 {timing.p95:7.1f} ms   {goal}", flush=True)


def lists(bench: Bench) -> dict[str, Any]:
    """Every filter and every sort, as manager and as rep, first page and deep."""
    print("lead list API, 50 rows by cursor (to reach: p95 ≤ 40 ms, ≤ 2.5 × floor)")
    floor = bench.floor()
    show_line("floor: bare DRF list of the same rows", floor)
    worst: list[tuple[float, str]] = []
    everything: list[float] = []
    for login in ("manager", "rep0"):
        caller = bench.api(login)
        for name, query in FILTERS.items():
            sorts = SORTS if name == "none" else ("created_at", "score", "next_follow_up", "name")
            for sort in sorts:
                for order in ("desc", "asc"):
                    base = {**query, "sort_by": sort, "sort_order": order, "limit": "50"}
                    first = timed(caller, f"/api/leads?{urlencode({**base, 'cursor': ''})}", rounds=8, warm=1)
                    worst.append((first.p95, f"{login} {name} {sort} {order}"))
                    everything.extend(first.samples)
    deep = _deep(bench)
    everything.extend(deep.samples)
    total = Timing(samples=everything)
    show_line(f"all {len(worst)} filters × sorts × roles, first page", total, f"{total.p95 / floor.p50:.1f} × floor p50")
    show_line("20,000 pages walked in, at random depths", deep)
    plain = timed(bench.api("manager"), "/api/leads?cursor=&limit=50", rounds=60)
    show_line("plain list", plain, f"{plain.p50 / floor.p50:.2f} × floor")
    for took, name in sorted(worst, reverse=True)[:8]:
        print(f"    slowest: {took:7.1f} ms  {name}")
    return {
        "floor_p50": floor.p50,
        "floor_p95": floor.p95,
        "plain_p50": plain.p50,
        "plain_p95": plain.p95,
        "all_p95": total.p95,
        "deep_p95": deep.p95,
        "worst": sorted(worst, reverse=True)[:20],
    }


def _deep(bench: Bench) -> Timing:
    """Pages from cursors in the middle of the list, as a long walk would come upon them."""
    from crm.tenancy.scope import tenant_scope
    from leads.filters import LeadFilters  # noqa: F401
    from leads.models import Lead

    caller = bench.api("manager")
    samples = []
    dice = random.Random(1)
    with tenant_scope(bench.tenant_id):
        low, high = (
            Lead.objects.order_by("pk").values_list("pk", flat=True)[0],
            Lead.objects.order_by("-pk").values_list("pk", flat=True)[0],
        )
        picks = list(Lead.objects.filter(pk__in=[dice.randint(low, high) for _ in range(60)]))
    import base64

    import orjson

    for number, lead in enumerate(picks):
        sort = list(SORTS.values())[number % len(SORTS)]
        cursor = base64.urlsafe_b64encode(orjson.dumps([sort.name, True, getattr(lead, sort.column), lead.pk])).decode().rstrip("=")
        samples.append(caller.ask("GET", f"/api/leads?{urlencode({'sort_by': sort.name, 'cursor': cursor, 'limit': 50})}")[0])
    return Timing(samples=samples)


def totals(bench: Bench) -> dict[str, Any]:
    """The list with its exact total."""
    print("the same with its exact total (to reach: p95 ≤ 60 ms common facets, ≤ 300 ms any)")
    out = {}
    common = {"none", "status common", "status coarse", "status rare", "priority", "owner me", "unassigned", "source", "two"}
    for login in ("manager", "rep0"):
        caller = bench.api(login)
        for kind in ("common", "any"):
            samples: list[float] = []
            slowest = (0.0, "")
            for name, query in FILTERS.items():
                if (name in common) == (kind == "common"):
                    timing = timed(caller, f"/api/leads?{urlencode({**query, 'page': 1, 'limit': 50})}", rounds=8, warm=1)
                    samples.extend(timing.samples)
                    slowest = max(slowest, (timing.p95, name))
            timing = Timing(samples=samples)
            show_line(f"{login}, {kind} facets", timing, f"slowest {slowest[1]} {slowest[0]:.0f} ms")
            out[f"{login} {kind}"] = timing.p95
    return out


def search(bench: Bench) -> dict[str, Any]:
    """Search as typed."""
    print("search as typed, first page (to reach: p95 ≤ 120 ms)")
    samples: list[float] = []
    out = {}
    for login in ("manager", "rep0"):
        caller = bench.api(login)
        for query in SEARCHES:
            timing = timed(caller, f"/api/leads?{urlencode({'search': query, 'cursor': '', 'limit': 50})}", rounds=8, warm=1)
            show_line(f"{login} {query!r}", timing)
            out[f"{login} {query}"] = timing.p95
            samples.extend(timing.samples)
    show_line("all", Timing(samples=samples))
    return {**out, "all": Timing(samples=samples).p95}


def create(bench: Bench) -> dict[str, Any]:
    """Create leads by API with 8 clients, beside a bare DRF insert of the same row."""
    print("create a lead by API, 8 clients (to reach: ≥ 0.3 of a bare DRF insert)")
    token = bench.token("manager", bench.written_id)
    run = uuid.uuid4().hex[:8]
    # Numbers of their own for each run, or the second run would meet the first one's leads.
    phones = int(run, 16)

    def body(number: int) -> bytes:
        return json.dumps(
            {
                "first_name": "Bench", "last_name": f"Person {number}", "email": f"bench{number}@{run}.example", "phone": f"+447{(phones + number) % 10**9:09d}",
                "company": "Bench Works", "title": "CTO", "industry": "Technology", "company_size": "200-500", "lead_source": "Website", "tags": ["vip"],
            }
        ).encode()  # fmt: skip

    def bare(number: int) -> bytes:
        return json.dumps({**json.loads(body(number)), "entity_id": bench.written_id}).encode()

    rounds = []
    for _ in range(3):
        # In turns, so that a slow minute of the machine or its disk falls on both.
        floor, _timing = hammer(lambda: Caller(bench.port), "/bench/leads", bare, clients=8, seconds=6)
        rate, timing = hammer(lambda: Caller(bench.port, {"Authorization": f"Bearer {token}"}), "/api/leads", body, clients=8, seconds=8)
        rounds.append((rate / floor, floor, rate, timing.p95))
        run, phones = uuid.uuid4().hex[:8], phones + 50_000
        print(f"  floor {floor:,.0f} a second, create {rate:,.0f} a second, {rate / floor:.2f} of the floor", flush=True)
        show_line("create", timing)
    ratio, floor, rate, p95 = sorted(rounds)[1]
    return {"floor": floor, "rate": rate, "ratio": ratio, "p95": p95}


def pages(bench: Bench) -> dict[str, Any]:
    """The pages a team lives in."""
    print("pages, 1 M leads (to reach: p95 ≤ 150 ms)")
    from crm.tenancy.scope import tenant_scope
    from leads.models import Lead

    out = {}
    with tenant_scope(bench.tenant_id):
        newest = Lead.objects.order_by("-pk").values_list("pk", flat=True)[0]
    for login in ("manager", "rep0"):
        caller = Caller(bench.port, {"Cookie": f"sessionid={_browser_session(bench, login)}"})
        paths = ["/", "/leads", "/leads?status=new&sort=-score", "/leads?search=smith", "/leads/new", "/settings", "/operations"]
        paths += ["/pipeline", "/pipeline?assigned_to=me&sort=-score", "/notifications"]
        if login == "manager":
            paths += [f"/leads/{newest}?from=", "/assignments", "/sla"]
        for path in paths:
            timing = timed(caller, path, rounds=10, warm=2)
            show_line(f"{login} {path}", timing)
            out[f"{login} {path}"] = timing.p95
    return out


def _browser_session(bench: Bench, login: str) -> str:
    from importlib import import_module

    from django.conf import settings

    from crm.identity.middleware import SESSION_KEY

    user = User.identities.get(username=f"{login}.{bench.tenant_id}")
    store = import_module(settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = open_session(user=user, kind="page", client=Client()).pk
    store.create()
    return str(store.session_key)
