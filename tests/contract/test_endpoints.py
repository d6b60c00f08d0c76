"""Every documented endpoint that is built answers as documented: `docs/api/endpoints.tsv` is the list."""

import csv
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.urls import Resolver404, resolve
from django.utils import timezone

from activities.enums import ActivityPriority, ActivityStatus, ActivityType
from activities.services.logging import ActivityDraft, log_activity
from assignments.services.giving import assign_lead, reassign_lead
from assignments.services.rules import RuleSettings, save_rule
from crm.identity.enums import SessionKind
from crm.identity.models import Registration, Role, RoleGrant, User
from crm.identity.services.passwords import reset_token
from crm.identity.services.registration import make_code
from crm.identity.services.signin import Client as Sender
from crm.identity.services.signin import issue_tokens, open_session
from crm.tenancy.models import Tenant
from duplicates.services.checking import refresh_leads
from duplicates.services.scanning import scanned_by
from leads.models import Lead
from pipeline.models import LeadStage
from tests.dialer import documented
from tests.factories import PASSWORD, acting, inside, make_lead, make_session, make_team, make_tenant, make_user

TABLE = Path(__file__).resolve().parents[2] / "docs" / "api" / "endpoints.tsv"
# Their leaves may be missing while the value itself is null: predictions and recommendations come with scoring.
MAY_BE_NULL = (
    "conversion_probability", "next_action_recommended",
    # The first owner of a lead had none before.
    "previous_user_id",
    # A stay that goes on, or that no person began; a status that nobody left.
    "exited_at", "duration_hours", "user_email", "avg_duration_hours", "min_duration_hours", "max_duration_hours",
    # A lead that is still to be called.
    "disposition",
)  # fmt: skip
PUBLIC = {"S1-01", "S1-02", "S1-03", "S1-52", "S1-53", "S1-54", "S4-196", "S4-199", "S4-201", "S4-202", "S4-203", "S4-204"}


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A row of the table."""

    id: str
    document: int
    method: str
    path: str
    query: list[str]
    body: list[str]
    answer: list[str]
    done: bool

    @property
    def mounts(self) -> list[str]:
        """Where it answers: document 4 names /v1; all of them answer below both, but for document 2, which has a place of its own."""
        if self.document == 2:
            return [self.path]
        return [self.path, re.sub("^/(api|v1)/", lambda match: {"api": "/v1/", "v1": "/api/"}[match[1]], self.path)]


def read_table() -> list[Endpoint]:
    with TABLE.open(newline="") as file:
        return [
            Endpoint(
                id=row["id"],
                document=int(row["document"]),
                method=row["method"],
                path=row["path"],
                query=[name for name in row["query_params"].split(",") if name],
                body=[name for name in row["body_fields"].split(",") if name],
                answer=[name for name in row["response_keys"].split(",") if name],
                done=row["status"] == "done",
            )
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        ]


ENDPOINTS = read_table()
DONE = [endpoint for endpoint in ENDPOINTS if endpoint.done]
IN_ENVELOPE = [endpoint for endpoint in DONE if endpoint.document != 2]


def by_id(endpoint: Endpoint) -> str:
    return endpoint.id


@dataclass
class World:
    """What the requests are about."""

    tenant: Tenant
    admin: User
    colleague: User
    lead: Lead
    double: Lead
    others: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def world(db, settings) -> World:
    settings.FB_APP_SECRET, settings.FB_VERIFY_TOKEN = "app-secret", "verify-me"
    tenant = make_tenant("documented", open_form=True)
    admin = make_user(tenant, role="admin")
    colleague = make_user(tenant, role="sales_rep")
    soon = timezone.now()
    common = {
        "company": "Tech Corp",
        "industry": "Technology",
        "company_size": "50-200",
        "lead_source": "Website",
        "priority": 3,
        "score": 75,
        "tags": ["decision-maker"],
        "platform_key": "facebook",
        "source_page_id": "123456",
        "raw_field_data": {"company": "Tech Corp"},
        "last_contact_at": soon,
        "next_follow_up_at": soon + timedelta(days=1),
    }
    lead = make_lead(
        tenant, first_name="John", last_name="Smith", email="john@techcorp.example", phone="(212) 555-0123", owner=admin, **common
    )
    double = make_lead(tenant, first_name="Johnny", last_name="Smith", email="john@techcorp.example", **common)
    return World(tenant=tenant, admin=admin, colleague=colleague, lead=lead, double=double)


# --- how each is called: its parameters, query and body ---


@dataclass(frozen=True)
class Call:
    ids: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def _register(world: World) -> Call:
    body = {"username": "john_doe", "email": "john@example.com", "password": "SecurePass123!", "first_name": "John", "last_name": "Doe"}
    return Call(body={**body, "phone": "+15551234567"})


def _verify(world: World) -> Call:
    registration = Registration.objects.create(username="jane", email="jane@example.com", password="!", first_name="Jane")
    return Call(body={"email": "jane@example.com", "otp": make_code(registration)})


def _refresh(world: World) -> Call:
    session = open_session(user=world.admin, kind=SessionKind.API, client=Sender())
    return Call(body={"refresh_token": issue_tokens(session=session).refresh})


def _confirm(world: World) -> Call:
    return Call(body={"token": reset_token(world.admin), "password": "another-horse-battery"})


def _team(world: World) -> Call:
    team = make_team(world.tenant, world.colleague)
    return Call(ids={"id": team.pk, "userId": world.colleague.pk}, body={"name": "Renamed", "user_id": world.admin.pk})


def _further_role(world: World) -> Call:
    with acting(world.admin):
        support = Role.objects.get(code="support")
        RoleGrant.objects.create(user=world.colleague, role=support)
    return Call(ids={"id": world.colleague.pk, "roleId": support.pk})


def _similar(world: World) -> Call:
    make_lead(world.tenant, first_name="Jon", last_name="Peterson", email="jp@home.example", company="Brightwater Labs")
    make_lead(world.tenant, first_name="John", last_name="Peterson", email="peterson@mail.example", company="Brightwaters Labs")
    with inside(world.tenant.pk):
        leads = list(Lead.objects.order_by("pk").values_list("pk", flat=True))
        refresh_leads(lead_ids=leads, by=scanned_by(world.tenant.pk))
    return Call(query={"threshold": "0.8", "limit": "100", "auto_merge_threshold": "0.95", "include_suggestions": "true"})


def _given_before(world: World) -> Call:
    with acting(world.admin) as by:
        assign_lead(lead_id=world.double.pk, user_id=world.admin.pk, reason="Initial assignment", by=by)
        reassign_lead(lead_id=world.double.pk, user_id=world.colleague.pk, reason="Workload rebalancing", by=by)
    return Call(ids={"lead_id": world.double.pk})


def _by_rules(world: World) -> Call:
    with acting(world.admin) as by:
        save_rule(wanted=RuleSettings(name="Everybody"), by=by)
    return Call(body={})


def _lead(**body: Any) -> Callable[[World], Call]:
    return lambda world: Call(ids={"id": world.lead.pk}, body=body)


def _colleague(**body: Any) -> Callable[[World], Call]:
    return lambda world: Call(ids={"id": world.colleague.pk}, body=body)


def _own_tenant(**body: Any) -> Callable[[World], Call]:
    return lambda world: Call(ids={"id": world.tenant.pk}, body=body)


def _facebook(world: World) -> Call:
    value = {
        "leadgen_id": "LEAD_ID",
        "form_id": "FORM_ID",
        "page_id": "PAGE_ID",
        "ad_id": "AD_ID",
        "campaign_id": "CAMPAIGN_ID",
        "created_time": 1718032990,
    }
    body = {"object": "page", "entry": [{"id": "PAGE_ID", "time": 1718033000000, "changes": [{"field": "leadgen", "value": value}]}]}
    digest = hmac.new(settings.FB_APP_SECRET.encode(), orjson.dumps(body), hashlib.sha256).hexdigest()
    return Call(body=body, headers={"HTTP_X_HUB_SIGNATURE_256": f"sha256={digest}"})


def _enrich(world: World) -> Call:
    options = {"maxConcurrent": 5, "skipIfRecentlyEnriched": True, "enrichmentCacheHours": 24}
    return Call(body={"lead_ids": [world.lead.pk], "options": options})


def _plain(**body: Any) -> Callable[[World], Call]:
    return lambda world: Call(body=body)


def _in_june() -> Callable[[World], Call]:
    return lambda world: Call(query={"date_from": "2024-06-01", "date_to": "2024-06-30"})


def _stage_notes(world: World) -> Call:
    with inside(world.tenant.pk):
        stage = LeadStage.objects.get(lead=world.lead)
    return Call(body={"stageId": stage.pk, "notes": "Updated notes for the stage", "nextActionRequired": "Updated next action"})


_LOGIN = lambda world: Call(body={"email": world.admin.email, "password": PASSWORD})  # noqa: E731
_NEW_LEAD = {
    "name": "Sarah Johnson",
    "company": "Innovation Labs",
    "email": "sarah@innovationlabs.example",
    "phone": "+1-555-0124",
    "title": "CTO",
    "industry": "Software",
    "company_size": "200-500",
    "lead_source": "LinkedIn",
    "priority": "High",
    "tags": ["decision-maker", "tech-stack-match"],
    "address": {"city": "San Francisco", "state": "CA", "country": "USA"},
    "custom_fields": {"budget_range": "$50K-100K", "timeline": "Q1 2024"},
    "skip_enrichment": False,
    "ignore_duplicates": False,
}


def _activity(world: World, **draft: Any) -> int:
    due = {"due_at": timezone.now() + timedelta(hours=20), "priority": ActivityPriority.URGENT, **draft}
    with acting(world.admin) as by:
        return log_activity(
            lead_id=world.lead.pk, draft=ActivityDraft(activity_type=ActivityType.CALL, description="Call back", **due), by=by
        ).pk


def _with_activities(
    query: dict[str, Any] | None = None, body: Callable[[int], dict[str, Any]] | None = None, **ids: Any
) -> Callable[[World], Call]:
    """A call about activities: one planned, one done, and a submitted form."""

    def made(world: World) -> Call:
        pk = _activity(world)
        _activity(world, status=ActivityStatus.COMPLETED, due_at=None, duration=15, outcome="Positive")
        named = dict.fromkeys(("id", "lead_id"), world.lead.pk)
        filled = {name: world.admin.pk if value == "me" else value for name, value in (query or {}).items()}
        return Call(ids=named, query=filled, body=body(pk) if body else None)

    return made


_THIS_YEAR = {"date_from": "2024-06-01", "date_to": "2099-06-30"}
CALLS: dict[str, Callable[[World], Call]] = {
    "S0-01": lambda world: Call(
        query={
            "status": "New,Qualified",
            "priority": "High",
            "industry": "Technology",
            "company_size": "50-200",
            "lead_source": "Website",
            "assigned_to": str(world.admin.pk),
            "score_min": "70",
            "score_max": "100",
            "tags": "decision-maker",
            "created_after": "2024-01-01",
            "created_before": "2099-12-31",
            "search": "john",
            "sort_by": "score",
            "sort_order": "desc",
            "page": "1",
            "limit": "25",
            "include_deleted": "false",
        }
    ),
    "S0-02": lambda world: Call(ids={"id": world.lead.pk}, query={"include_timeline": "true", "include_duplicates": "true"}),
    "S0-03": lambda world: Call(body={**_NEW_LEAD, "assigned_to": world.colleague.pk}),
    "S0-07": lambda world: Call(
        body={
            "lead_ids": [world.lead.pk],
            "updates": {"status": "Qualified", "priority": "High", "assigned_to": world.colleague.pk},
            "options": {"skip_validation": False, "recalculate_scores": True},
        }
    ),
    "S0-08": lambda world: Call(
        body={"lead_ids": [world.lead.pk], "options": {"hard_delete": False, "reason": "Data cleanup - outdated leads"}}
    ),
    "S0-09": _similar,
    "S0-10": lambda world: Call(
        body={
            "source_lead_id": world.double.pk,
            "target_lead_id": world.lead.pk,
            "preview": False,
            "merge_rules": {
                "prefer_source": ["tags", "notes"],
                "prefer_target": ["created_at"],
                "combine": ["tags", "notes"],
                "max_value": ["score", "conversion_probability"],
            },
        }
    ),
    "S0-06": lambda world: Call(
        body={
            "leads": [
                {
                    "name": "Alice Johnson",
                    "email": "alice@company.com",
                    "company": "Tech Innovations",
                    "phone": "+1-555-111-2222",
                    "title": "Product Manager",
                    "industry": "Technology",
                },
                {
                    "name": "Bob Wilson",
                    "email": "no address",
                    "company": "Enterprise Solutions",
                    "phone": "+1-555-333-4444",
                    "title": "CTO",
                    "industry": "",
                },
            ],
            "options": {"skip_duplicates": False, "merge_duplicates": True, "auto_enrich": True, "batch_size": 100},
        }
    ),
    "S0-04": _lead(
        status="Qualified", priority="Critical", notes="Very interested", conversion_probability=0.75, next_follow_up="2024-01-20T14:00:00Z"
    ),
    "S0-13": lambda world: Call(
        query={
            "format": "json",
            "filters": '{"status": ["new", "qualified"], "priority": "High"}',
            "fields": "id,name,email",
            "include_deleted": "true",
            "include_activities": "true",
            "max_records": "10000",
        }
    ),
    "S0-12": _with_activities(
        {
            "limit": "50",
            "activity_types": "call_made",
            "start_date": "2024-01-01",
            "end_date": "2099-01-01",
            "include_system": "true",
            "category": "communication",
        }
    ),
    "S0-14": _enrich,
    "S1-01": _register,
    "S1-02": _LOGIN,
    "S1-03": _verify,
    "S1-04": lambda world: Call(
        query={
            "status": "new",
            "platform": "facebook",
            "assigned_user_id": world.admin.pk,
            "search": "smith",
            "limit": 50,
            "offset": 0,
        }
    ),
    "S1-05": _lead(),
    "S1-06": _lead(first_name="Jane", last_name="Smith", phone="+15559876543"),
    "S1-08": lambda world: Call(query={"limit": 50}),
    "S1-09": lambda world: Call(query={"limit": 50}),
    "S1-11": lambda world: Call(
        body={
            "leadId": world.double.pk,
            "assignedUserId": world.colleague.pk,
            "reason": "New lead assignment",
            "notes": "High priority prospect",
        }
    ),
    "S1-12": lambda world: Call(
        body={
            "leadId": world.lead.pk,
            "newAssignedUserId": world.colleague.pk,
            "reason": "Workload rebalancing",
            "notes": "Moving to senior sales rep",
        }
    ),
    "S1-13": lambda world: Call(body={"leadId": world.lead.pk, "reason": "Lead requires special handling"}),
    "S1-14": _plain(reason="Weekly bulk assignment", max_leads_per_user=25),
    "S1-15": lambda world: Call(ids={"lead_id": world.lead.pk}),
    "S1-16": _given_before,
    "S1-17": lambda world: Call(query={"assigned_user_id": world.admin.pk, "lead_status": "new", "limit": 50}),
    "S1-18": lambda world: Call(query={"limit": 20}),
    "S4-051": _by_rules,
    "S1-20": lambda world: Call(
        body={
            "leadId": world.lead.pk,
            "statusId": 2,
            "notes": "Lead qualified after initial contact",
            "nextActionRequired": "Schedule follow-up call",
        }
    ),
    "S1-21": lambda world: Call(ids={"lead_id": world.lead.pk}),
    "S1-22": lambda world: Call(ids={"lead_id": world.lead.pk}),
    "S1-23": lambda world: Call(ids={"lead_id": world.lead.pk}),
    "S1-24": _stage_notes,
    "S1-25": _in_june(),
    "S1-26": lambda world: Call(query={"user_id": world.admin.pk, "date_from": "2024-06-01", "date_to": "2024-06-30"}),
    "S1-27": _in_june(),
    "S1-28": lambda world: Call(query={"sla_hours": 24}),
    "S1-29": _in_june(),
    "S1-31": lambda world: Call(query={"limit": 20}),
    "S1-32": _in_june(),
    "S1-33": lambda world: Call(query={"sla_hours": 24}),
    "S1-34": _in_june(),
    "S1-35": _in_june(),
    "S1-36": lambda world: Call(
        body={
            "leadId": world.lead.pk,
            "activityType": "call",
            "description": "Initial call made to prospect",
            "nextFollowUpDate": "2024-06-15T10:00:00Z",
            "priority": "high",
            "status": "pending",
        }
    ),
    "S1-37": _with_activities(
        {"activity_type": "call", "user_id": "me", "priority": "urgent", "status": "pending", **_THIS_YEAR, "limit": 20, "offset": 0}
    ),
    "S1-38": _with_activities({"limit": 50}),
    "S1-39": _with_activities({"user_id": "me", "priority": "urgent", "limit": 50}),
    "S1-40": _with_activities({"activity_type": "call", "priority": "urgent", "limit": 20}),
    "S1-41": _with_activities({"priority": "urgent", "limit": 20}),
    "S1-42": _with_activities({"user_id": "me"}),
    "S1-43": _with_activities(),
    "S1-44": _with_activities(body=lambda pk: {"activityId": pk, "status": "completed", "notes": "Call completed successfully"}),
    "S1-45": _with_activities(
        body=lambda pk: {"activityId": pk, "nextFollowUpDate": "2024-06-20T10:00:00Z", "notes": "Rescheduled for next week"}
    ),
    "S1-46": _with_activities(
        body=lambda pk: {
            "activityIds": [pk],
            "nextFollowUpDate": "2024-06-25T10:00:00Z",
            "notes": "Bulk reschedule due to team availability",
        }
    ),
    "S1-47": _with_activities(_THIS_YEAR),
    "S1-48": _with_activities({"user_id": "me", **_THIS_YEAR}),
    "S1-49": _with_activities(_THIS_YEAR),
    "S1-50": _with_activities({"limit": 20}),
    "S1-51": _with_activities(),
    "S1-52": lambda world: Call(
        query={"hub.mode": "subscribe", "hub.verify_token": settings.FB_VERIFY_TOKEN, "hub.challenge": "1158201444"}
    ),
    "S1-53": _facebook,
    "S1-54": lambda world: Call(
        body={
            "platform": "website",
            "entity_id": world.tenant.pk,
            "page_url": "https://example.com/landing-page",
            "page_id": "landing_page_001",
            "utm": {"source": "google", "medium": "cpc", "campaign": "summer_sale"},
            "answers": {"email": "user@example.com", "phone": "+15551234567", "first_name": "John", "last_name": "Doe"},
        }
    ),
    "S4-036": _plain(**_NEW_LEAD),
    "S4-037": _lead(),
    "S4-038": _lead(company="Renamed"),
    "S4-039": _lead(),
    "S4-041": _lead(),
    "S4-045": lambda world: Call(body={"lead_ids": [world.lead.pk, world.double.pk]}),
    "S4-047": _plain(page_url="https://example.com/p", answers={"name": "Jane Roe", "email": "jane@web.example"}),
    "S4-048": _plain(**{"from": "Jane Roe <jane@mail.example>", "subject": "Prices", "text": "Please call me."}),
    "S4-049": _plain(network="linkedin", handle="jane.roe", message="Interesting!"),
    "S4-050": _enrich,
    "S4-196": _refresh,
    "S4-199": _LOGIN,
    "S4-201": _register,
    "S4-202": lambda world: Call(body={"email": world.admin.email}),
    "S4-203": _confirm,
    "S4-204": _verify,
    "S4-206": lambda world: Call(ids={"id": make_session(world.admin).pk}),
    "S4-214": _plain(email="new@documented.example", role="sales_rep"),
    "S4-215": _colleague(),
    "S4-216": _colleague(first_name="Renamed"),
    "S4-217": _colleague(),
    "S4-219": _colleague(),
    "S4-220": _colleague(),
    "S4-221": _colleague(role="support"),
    "S4-222": _further_role,
    "S4-223": _colleague(),
    "S4-224": _colleague(),
    "S4-225": _colleague(),
    "S4-226": _colleague(first_name="Renamed"),
    "S4-228": lambda world: Call(ids={"id": world.admin.pk}),
    "S4-229": lambda world: Call(ids={"id": world.admin.pk}, body={"theme": "dark"}),
    "S4-230": _plain(name="North"),
    "S4-231": _team,
    "S4-232": _team,
    "S4-233": _team,
    "S4-234": _team,
    "S4-235": _team,
    "S4-237": _own_tenant(),
    "S4-238": _own_tenant(display_name="Documented"),
    "S4-067": lambda world: Call(ids={"id": _activity(world)}),
    "S4-241": _own_tenant(),
    "S4-267": _plain(quiet_from="22:00", quiet_to="07:00"),
    "S4-242": _own_tenant(currency="EUR"),
}


def called(endpoint: Endpoint, world: World) -> Call:
    if endpoint.document == 2:
        return Call(**documented.REQUESTS[endpoint.id](world))
    return CALLS.get(endpoint.id, lambda _: Call())(world)


def address(path: str, ids: dict[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: str(ids[match[1]]), path)


def leaves(body: Any, path: str) -> list[str]:
    """Where the body lacks the documented key; empty when all is there."""
    return _missing(body, path.split("."), "")


def _missing(value: Any, parts: list[str], seen: str) -> list[str]:
    if not parts:
        return []
    part, rest = parts[0], parts[1:]
    here = f"{seen}.{part}".strip(".")
    if part.startswith("{"):
        name = part.removesuffix("[]")
        filled = [item for item in value.values() if item] if isinstance(value, dict) else []
        return [m for item in filled for m in _each(item, part != name, rest, here)] if filled else [here]
    name = part.removesuffix("[]")
    if not isinstance(value, dict) or name not in value:
        return [here]
    inner = value[name]
    if inner is None and (not rest or name in MAY_BE_NULL):
        return [] if name in MAY_BE_NULL else [f"{here} is null"]
    return _each(inner, part.endswith("[]"), rest, here)


def _each(inner: Any, is_list: bool, rest: list[str], here: str) -> list[str]:
    if not is_list:
        return _missing(inner, rest, here)
    if not isinstance(inner, list) or not inner:
        return [f"{here} is no list, or empty"]
    return [missing for item in inner for missing in _missing(item, rest, here)]


# --- the table ---


def test_table_lists_every_documented_endpoint_once():
    assert len({endpoint.id for endpoint in ENDPOINTS}) == len(ENDPOINTS) == 486
    assert {endpoint.document for endpoint in ENDPOINTS} == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=by_id)
def test_status_says_what_the_routes_answer(endpoint):
    assert _answers(endpoint) == endpoint.done, "set its status in docs/api/endpoints.tsv"


def _answers(endpoint: Endpoint) -> bool:
    try:
        match = resolve(re.sub(r"\{\w+\}", "1", endpoint.path))
    except Resolver404:
        return False
    if not endpoint.path.startswith(("/api/", "/v1/")) or ("{" not in endpoint.path and match.kwargs):
        return False
    view = getattr(match.func, "view_class", None) or getattr(match.func, "cls", None)
    return hasattr(view, endpoint.method.lower())


@pytest.mark.parametrize("endpoint", DONE, ids=by_id)
def test_every_address_answers_with_and_without_a_slash(endpoint):
    views = {resolve(re.sub(r"\{\w+\}", "1", path).rstrip("/") + slash).func for path in endpoint.mounts for slash in ("", "/")}
    assert len(views) == 1


# --- real requests ---


@pytest.mark.parametrize("slash", ["", "/"], ids=["plain", "slash"])
@pytest.mark.parametrize("endpoint", DONE, ids=by_id)
def test_documented_request_is_answered_with_the_documented_keys(endpoint, slash, world, api):
    call = called(endpoint, world)
    missing_inputs = {name.split("=")[0] for name in endpoint.query} - set(call.query)
    missing_inputs |= {name for name in endpoint.body if leaves(call.body, name)}
    assert missing_inputs == set(), "the test must send every documented input"
    client = api() if endpoint.id in PUBLIC else api(world.admin)
    path = address(endpoint.path, call.ids).rstrip("/") + slash
    query = "&".join(f"{key}={value}" for key, value in call.query.items())
    if endpoint.id == "S2-06":
        parts = encode_multipart(BOUNDARY, call.body)
        answer = client.generic(endpoint.method, path, parts, content_type=MULTIPART_CONTENT, QUERY_STRING=query)
    else:
        answer = client.send(endpoint.method, path, call.body, QUERY_STRING=query, **call.headers)
    assert 200 <= answer.status_code < 300, answer.content
    if endpoint.id == "S1-52":
        # Facebook's own rule: its challenge, and nothing else.
        assert (answer.content, answer.headers["Content-Type"]) == (b"1158201444", "text/plain; charset=utf-8")
        return
    body = orjson.loads(b"".join(answer.streaming_content)) if answer.streaming else answer.json()
    assert endpoint.document == 2 or body["success"] is True
    if endpoint.document != 2 and endpoint.id not in ("S1-53", "S1-54"):
        assert set(body["meta"]) >= {"timestamp", "version", "requestId"}
        assert body["meta"]["requestId"] == answer.headers["X-Request-ID"]
    assert [missing for leaf in endpoint.answer for missing in leaves(body, leaf)] == []


@pytest.mark.parametrize("endpoint", [row for row in IN_ENVELOPE if row.id not in PUBLIC], ids=by_id)
def test_nobody_gets_401_in_the_envelope(endpoint, api, db):
    answer = api().send(endpoint.method, re.sub(r"\{\w+\}", "1", endpoint.path), {})
    body = answer.json()
    assert answer.status_code == 401
    assert set(body) == {"success", "message", "error", "errors", "meta"}
    assert (body["success"], body["error"]["code"]) == (False, "UNAUTHORIZED")


@pytest.mark.parametrize("endpoint", [row for row in IN_ENVELOPE if "{" in row.path], ids=by_id)
def test_ids_that_are_none_are_refused(endpoint, world, api):
    client = api(world.admin)
    body = called(endpoint, world).body
    for bad, status in (("abc", 400), ("1.5", 400), ("%00", 400), ("-1", 400), ("9" * 30, 404), ("999999999", 404)):
        answer = client.send(endpoint.method, re.sub(r"\{\w+\}", bad, endpoint.path), body)
        assert answer.status_code == status, (bad, answer.content)
        assert answer.json()["error"]["code"] == {400: "VALIDATION_ERROR", 404: "NOT_FOUND"}[status]


# --- document 2's own surface ---


@pytest.mark.parametrize("endpoint", [row for row in DONE if row.document == 2], ids=by_id)
def test_nobody_gets_401_with_a_detail(endpoint, api, db):
    answer = api().send(endpoint.method, re.sub(r"\{\w+\}", "1", endpoint.path), {})
    assert (answer.status_code, set(answer.json())) == (401, {"detail"})


@pytest.mark.parametrize("endpoint", [row for row in DONE if row.document == 2 and "{" in row.path], ids=by_id)
def test_ids_that_are_no_uuids_are_422_and_unknown_ones_404(endpoint, world, api):
    client, body = api(world.admin), called(endpoint, world).body
    for bad, status in (("abc", 422), ("%00", 422), ("7", 422), ("9" * 40, 422), ("123e4567-e89b-12d3-a456-426614174000", 404)):
        answer = client.send(endpoint.method, re.sub(r"\{\w+\}", bad, endpoint.path), body)
        assert answer.status_code == status, (bad, answer.content)
        if status == 404:
            assert answer.json() == {"detail": "Lead not found"}


# --- the shape of refusals ---


def test_error_is_one_shape_for_three_documents(world, api):
    answer = api(world.admin).post("/api/leads", {"name": "X", "email": "no-address", "priority": "soon"}, HTTP_X_REQUEST_ID="req-7")
    body = answer.json()
    assert answer.status_code == 400
    assert set(body) == {"success", "message", "error", "errors", "meta"}
    assert body["success"] is False
    assert set(body["error"]) == {"code", "message", "details"}
    assert body["error"]["code"] == "VALIDATION_ERROR"
    assert body["error"]["message"] == body["message"] != ""
    assert body["error"]["details"] == {"priority": ["Must be one of low, medium, high, critical."]}
    assert body["errors"] == [{"code": "VALIDATION_ERROR", "message": "Must be one of low, medium, high, critical.", "field": "priority"}]
    assert body["meta"]["requestId"] == "req-7"
    assert body["meta"]["version"] == "1.0"


def test_duplicate_is_409_with_the_candidates(world, api):
    answer = api(world.admin).post("/api/leads", {"name": "John Again", "email": "JOHN+x@techcorp.example"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "DUPLICATE_LEAD")
    assert error["details"]["candidates"][0] == {
        "id": world.lead.pk,
        "similarity_score": 1.0,
        "matched_on": ["email"],
        "name": "John Smith",
        "company": "Tech Corp",
        "assigned_to": world.admin.pk,
    }


def test_refused_transition_is_409_with_the_allowed_ones(world, api):
    answer = api(world.admin).put(f"/api/leads/{world.lead.pk}", {"status": "won"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (409, "INVALID_TRANSITION")
    assert [status["name"] for status in error["details"]["allowed"]] == ["qualified", "lost"]


def test_unknown_paths_and_methods_of_the_api_answer_in_the_envelope(world, api):
    client = api(world.admin)
    answer = client.send("PATCH", "/api/leads/counts", {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "METHOD_NOT_ALLOWED")
    answer = client.get("/api/no-such-thing")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"


def test_bug_is_answered_without_its_internals(world, api, monkeypatch):
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("the secret is xyzzy")

    monkeypatch.setattr("leads.api.views.counts_by_status", broken)
    answer = api(world.admin).get("/api/leads/counts")
    assert (answer.status_code, answer.json()["error"]) == (
        500,
        {"code": "INTERNAL_ERROR", "message": "Something went wrong on our side.", "details": {}},
    )
    assert b"xyzzy" not in answer.content


def test_put_and_patch_are_the_same_partial_update(world, api):
    client = api(world.admin)
    for method, company in (("PUT", "One"), ("PATCH", "Two")):
        assert client.send(method, f"/api/leads/{world.lead.pk}", {"company": company}).status_code == 200
        with inside(world.tenant.pk):
            lead = Lead.objects.get(pk=world.lead.pk)
        assert (lead.company, lead.email) == (company, "john@techcorp.example")
