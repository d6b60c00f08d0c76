"""Every page, in both themes: nothing serious for axe, nothing blocked by the content policy, no error in the console."""

from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.files.base import ContentFile
from django.utils import timezone

from activities.models import Activity
from crm.actors import Actor, Door
from crm.identity.models import ApiKey, Invitation, Role, User
from crm.identity.services.passwords import reset_token
from crm.operations import runner
from crm.operations.models import Operation
from crm.savedviews.services import ViewSettings, save_view
from crm.tenancy.models import Tenant
from dialer.models import DialSession
from dialer.services.do_not_call import add_number
from dialer.services.sessions import start_session
from duplicates.models import DuplicateGroup
from duplicates.services.checking import refresh_leads
from duplicates.services.scanning import scanned_by
from enrichment.models import ProviderSettings
from enrichment.services.settings import Wanted, save_provider
from leads.models import Lead, LeadShare, LeadTransition
from leads.services.imports import check_import, draft_import, start_import
from pipeline.models import SlaPolicy
from pipeline.services.clocks import refresh_clocks
from tests.assignments.parts import make_pool, make_rule
from tests.contract.walk import all_routes
from tests.customobjects.parts import make_field
from tests.dialer.api_parts import make_agent, make_call, make_entry
from tests.enrichment.parts import enrich_leads
from tests.factories import acting, inside, make_form, make_lead, make_team, make_tenant, make_user
from tests.webhooks.inbox_parts import make_arrival, make_source

VISITOR = (
    "/sign-in",
    "/register",
    "/verify",
    "/verify/resend",
    "/forgot-password",
    "/mailbox",
    "/ui/",
    "/reset-password/{token}",
    "/join/{token}",
    "/unsubscribe/{token}",
)
LEADS = (
    "/", "/leads", "/pipeline", "/pipeline?status=new,lost&sort=-score", "/leads?status=new&search=a", "/leads?search=nobody-at-all", "/leads?status=dreaming", "/leads/new", "/leads/import", "/leads/import/{draft}/map",
    "/leads/import/{draft}/options", "/leads/import/{draft}/check", "/leads/import/{draft}/check?rows=first", "/leads/import/{draft}/rows/{row}",
    "/leads/bin", "/leads/filter", "/duplicates/merge?lead={lead}&lead={other}", "/leads?group=status", "/leads?col=score&col=cf_deal_heat&col=company&w=company:220&group=priority", "/views/{list}/new?state=status%3Dnew", "/views/{view}/edit", "/leads/export", "/leads/export?status=new&priority=high",
    "/leads/{lead}", "/leads/{lead}?show=changes", "/leads/{lead}/timeline", "/leads/{lead}/activities?type=meeting", "/activities/{activity}", "/activities/{activity}/move", "/calendar", "/calendar?view=week", "/calendar?view=day", "/leads/{lead}/edit", "/search?q=ann", "/operations", "/operations/{operation}",
    "/arrivals", "/arrivals?state=failed", "/arrivals?state=merged", "/arrivals/{arrival}", "/notifications", "/notifications?show=new", "/no-such-page",
)  # fmt: skip
SETTINGS = (
    "/settings", "/settings/notifications", "/settings/calendar", "/settings/hours", "/settings/hours/teams/{team}", "/settings/hours/users/{user}", "/settings/profile", "/settings/profile/password", "/settings/sessions", "/settings/tenant", "/settings/users", "/settings/users/{user}",
    "/settings/invitations", "/settings/teams", "/settings/teams/new", "/settings/teams/{team}", "/settings/roles", "/settings/roles/new",
    "/settings/roles/{role}", "/settings/api-keys", "/settings/sources", "/settings/sources/new", "/settings/sources/{form}", "/settings/audit",
    "/settings/connections", "/settings/connections/new?kind=facebook", "/settings/connections/new?kind=webhook", "/settings/connections/new?kind=email",
    "/settings/custom-fields", "/settings/custom-fields/new?kind=text", "/settings/custom-fields/new?kind=choice", "/settings/custom-fields/{custom_field}",
    "/settings/enrichment", "/settings/enrichment/new", "/settings/enrichment/{provider}", "/settings/enrichment/{inference}",
    "/assignments", "/assignments/people/{user}", "/assignments/queue", "/assignments/rules", "/assignments/rules/new", "/assignments/rules/{assignment_rule}",
    "/assignments/rules/{assignment_rule}/conditions", "/assignments/pools", "/assignments/pools/new", "/assignments/pools/{pool}", "/assignments/fairness", "/assignments/simulate",
    "/duplicates", "/duplicates?show=later", "/duplicates/{group}", "/duplicates/auto-merge", "/settings/duplicates",
    "/dialer", "/dialer/work", "/dialer/queues/{agent}", "/dialer/queues/{agent}?which=done", "/dialer/queues/{agent}/add", "/dialer/queues/{agent}/import", "/dialer/calls",
    "/dialer/calls/{call}", "/dialer/leads/{lead}", "/dialer/numbers", "/dialer/coaching", "/settings/dialer", "/settings/agents", "/settings/agents/new",
    "/settings/agents/{agent}", "/settings/do-not-call", "/settings/do-not-call/import",
    "/sla", "/sla?which=breached", "/settings/sla", "/settings/sla/new", "/settings/sla/{sla_policy}", "/settings/sla/{sla_policy}/conditions",
    "/settings/statuses", "/settings/statuses/new", "/settings/statuses/{stage_number}", "/settings/transitions/{move}",
    "/settings/connections/{source}", "/settings/connections/{mailbox}", "/settings/connections/{source}/mapping",
)  # fmt: skip
ADMIN = ("/admin/", "/admin/identity/user/", "/admin/leads/lead/")
GROUPS = {"visitor": VISITOR, "leads": LEADS, "settings": SETTINGS, "admin": ADMIN}

# What axe holds against the framework's own markup, by path, with the reason to leave it.
LEFT = {("/admin/leads/lead/", "label-title-only"): "the label is an image with an alternative text, which this rule does not read"}

# A theme changes colours only, so the dark one is asked about colours.
RULES = {
    "light": {"resultTypes": ["violations"]},
    "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast", "link-in-text-block"]},
}

# Addresses that show no page of their own.
NO_PAGE = {
    "/leads/enrich": "takes a post",
    "/duplicates/merges/{pk}/undo": "takes a post",
    "/leads/bulk/edit": "takes a post",
    "/leads/bulk/delete": "takes a post",
    "/leads/bulk/export": "takes a post",
    "/views/{pk}/save": "takes a post",
    "/views/{pk}/delete": "takes a post",
    "/search/palette": "answers the palette's script",
    "/leads/count": "a piece of the list",
    "/pipeline/counts": "a piece of the board",
    "/leads/import/{pk}/run": "takes a post",
    "/leads/import/{pk}/discard": "takes a post",
    "/leads/{pk}/peek": "a piece beside the list",
    "/leads/{pk}/enrich": "takes a post",
    "/settings/enrichment/{pk}/action": "takes a post",
    "/leads/exports/{pk}/download": "a file",
    "/assignments/people/{pk}/leave": "takes a post",
    "/assignments/people/{pk}/leave/{leave}/delete": "takes a post",
    "/assignments/people/{pk}/give": "takes a post",
    "/assignments/queue/{pk}": "takes a post",
    "/assignments/place": "takes a post",
    "/assignments/rules/{pk}/action": "takes a post",
    "/assignments/pools/{pk}/delete": "takes a post",
    "/duplicates/decide": "takes a post",
    "/duplicates/scan": "takes a post",
    "/leads/{pk}/move": "takes a post",
    "/leads/{pk}/sla": "takes a post",
    "/settings/sla/{pk}/delete": "takes a post",
    "/settings/statuses/{number}/delete": "takes a post",
    "/leads/{pk}/follow-up": "takes a post",
    "/activities/{pk}/done": "takes a post",
    "/activities/{pk}/cancel": "takes a post",
    "/activities/{pk}/put-off": "takes a post",
    "/activities/{pk}/snooze": "takes a post",
    "/activities/{pk}/reopen": "takes a post",
    "/calendar/feed/{token}.ics": "answers calendar programs",
    "/activities/people": "answers the composer's script",
    "/leads/{pk}/delete": "takes a post",
    "/leads/{pk}/restore": "takes a post",
    "/leads/{pk}/fields/{name}": "a piece of the lead's page",
    "/leads/{pk}/fields/status": "a piece of the lead's page",
    "/settings/sources/{pk}/action": "takes a post",
    "/arrivals/replay": "takes a post",
    "/arrivals/{pk}/replay": "takes a post",
    "/settings/connections/{pk}/action": "takes a post",
    "/settings/custom-fields/{pk}/action": "takes a post",
    "/settings/sessions/others/end": "takes a post",
    "/settings/sessions/{id}/end": "takes a post",
    "/settings/users/{id}/change": "takes a post",
    "/settings/invitations/{id}/withdraw": "takes a post",
    "/settings/teams/{id}/delete": "takes a post",
    "/settings/roles/{id}/delete": "takes a post",
    "/settings/api-keys/{id}/revoke": "takes a post",
    "/operations/{id}/cancel": "takes a post",
    "/operations/{id}/failed.csv": "a file",
    "/operations/{id}/undo": "takes a post",
    "/notifications/bell": "a piece of every page",
    "/notifications/read": "takes a post",
    "/notifications/{pk}/open": "takes a post",
    "/settings/hours/holidays/{id}/remove": "takes a post",
    "/dialer/fill": "takes a post",
    "/dialer/work/beat": "takes a post",
    "/dialer/work/{act}": "takes a post",
    "/dialer/entries/{entry}/{act}": "takes a post",
    "/dialer/calls/{call}/recording": "a file",
    "/dialer/calls/{call}/{act}": "takes a post",
    "/dialer/call": "takes a post",
    "/settings/agents/{agent}/delete": "takes a post",
    "/settings/do-not-call/{pk}/remove": "takes a post",
    "/hooks/voice/{key}/{public_id}/{kind}": "answers the telephone company",
    "/sign-out": "takes a post",
    "/health/live": "for machines",
    "/health/ready": "for machines",
    "/metrics": "for machines",
}


def shape(path: str) -> str:
    return "/".join("{}" if part.startswith("{") else part for part in path.partition("?")[0].split("/"))


def test_table_of_pages_is_complete():
    pages = {shape(path) for group in GROUPS.values() for path in group}
    routes = {route.path for route in all_routes() if not route.path.startswith(("/api/", "/v1/", "/admin/"))}
    assert {path for path in routes if shape(path) not in pages} == set(NO_PAGE) & routes
    assert set(NO_PAGE) <= routes


def make_providers(lead: Lead, by: Actor) -> tuple[ProviderSettings, ProviderSettings]:
    """A service that is not in use, the built-in provider, and what it found about a lead."""
    options = {"url": "https://people.example/?email={email}", "rules": "industry -> industry"}
    provider = save_provider(provider=None, wanted=Wanted(name="People", is_active=False, options=options), by=by)
    enrich_leads(lead_ids=[lead.pk], by=by)
    return provider, ProviderSettings.objects.get(kind="inference")


def similar_pair(tenant: Tenant) -> int:
    """Two leads that are one, and the id of their group."""
    twins = [make_lead(tenant, first_name=name, last_name="Leighton", email="leighton@acme.example") for name in ("Annabel", "Anabel")]
    with inside(tenant.pk):
        refresh_leads(lead_ids=[lead.pk for lead in twins], by=scanned_by(tenant.pk))
        return DuplicateGroup.objects.get().pk


def make_imports(by: Actor) -> tuple[Operation, Operation, Operation]:
    """An import that is begun, a draft with mended rows, and the draft's check."""
    operation = start_import(file=ContentFile(b"Name,Email\nZoe,zoe@acme.example\nBad,bad\n", name="people.csv"), by=by)
    draft = draft_import(file=ContentFile(b"Name,Email,Budget\nYan,yan@acme.example,1\nBad,bad,\nWorse,@,3\n", name="more.csv"), by=by)
    draft.params["edits"] = {"4": {"Email": "worse@acme.example"}}
    draft.save()
    check = check_import(operation=draft, by=by)
    draft.params["edits"] = {"2": None, "4": {"Email": "worst@acme.example"}}
    draft.save()
    return operation, draft, check


def make_clocks() -> dict[str, int]:
    """A service level with its clocks; the ids of it, of a stage and of a move between stages."""
    policy = SlaPolicy.objects.create(name="Answer", kind="time_in_stage", target_minutes=60)
    refresh_clocks(lead_ids=list(Lead.objects.values_list("pk", flat=True)), now=timezone.now())
    move = LeadTransition.objects.get(source__code="new", target__code="qualified")
    return {"sla_policy": policy.pk, "stage_number": 2, "move": move.pk}


def make_assigning(admin: User, rep: User) -> dict[str, int]:
    """The ids of a rule and a pool."""
    rule = make_rule(admin, fallback="wait", conditions={"field": "city", "op": "is", "value": "Boston"})
    return {"assignment_rule": rule.pk, "pool": make_pool(admin, rep).pk}


def make_calling(admin: User, lead: Lead) -> dict[str, UUID]:
    """A queue with a lead in front of the admin, one that is done, and a call; the ids of the queue and the call."""
    agent = make_agent(lead.tenant, name="New leads", script="Hi {first_name}")
    entry = make_entry(agent, lead=lead, phone=lead.phone, first_name="Ann")
    call = make_call(make_entry(agent, status="done", disposition="completed"), user=admin, summary="Wants a demo.", notes="Likes tea.")
    with acting(admin) as by:
        add_number(phone="+14155550177", reason="Asked us", now=timezone.now(), by=by)
        session = start_session(agent_id=agent.pk, now=timezone.now(), by=by)
        DialSession.objects.filter(pk=session.pk).update(entry=entry, state="preview")
    return {"agent": agent.public_id, "call": call.public_id}


@pytest.fixture
def world(committed_db):
    """A tenant with something on every page."""
    tenant = make_tenant("Acme")
    admin = make_user(tenant, role="admin", first_name="Ada", last_name="Adams")
    rep = make_user(tenant, role="sales_rep", first_name="Bob", last_name="Baker")
    now = timezone.now()
    lead = make_lead(tenant, first_name="Ann", last_name="Archer", company="Northwind", email="ann@acme.example", phone="(415) 555-0134", score=72,
                     quality_grade="B", tags=["vip", "hot"], owner=admin, next_follow_up_at=now, notes="Likes tea.", priority=4)  # fmt: skip
    for number, status in enumerate(("new", "qualified", "contacted", "won", "lost")):
        make_lead(
            tenant, first_name=f"Lead{number}", status=status, owner=(rep, None)[number % 2], priority=number % 4 + 1, score=number * 20
        )
    other = make_lead(tenant, first_name="Ann", email="ann@acme.example")
    make_lead(tenant, first_name="Gone", deleted_at=now)
    team, form = make_team(tenant, rep), make_form(tenant, tags=["fair"])
    source, mailbox = make_source(tenant), make_source(tenant, kind="email", name="Sales")
    failed = make_arrival(tenant, source, processing_status="failed", error="Nobody to know.", attempts=3)
    make_arrival(tenant, source, number=2, lead=lead, processing_status="processed")
    make_arrival(tenant, number=3)
    with acting(admin) as by:
        Lead.objects.filter(pk=lead.pk).update(company="Northwind Labs")
        task = Activity.objects.create(
            lead=lead, user=lead.owner, activity_type="task", description="Send the offer", due_at=timezone.now()
        )
        LeadShare.objects.create(lead=lead, team=team)
        provider, inference = make_providers(lead, by)
        view = save_view(view=None, list_name="leads", wanted=ViewSettings(name="Hot", query={"status": "new"}), by=by)
        stage_ids = make_clocks()
        role = Role.objects.get(code="sales_rep")
        Invitation.objects.create(email="new@acme.example", role=role, invited_by=admin, expires_at=now)
        ApiKey.objects.create(tenant=tenant, user=admin, name="Sync", prefix="smk_abcdefgh", secret_hash="x")
        operation, draft, check = make_imports(by.through(Door.PAGE))
    runner.run(operation.pk)
    runner.run(check.pk)
    ids = {
        "lead": lead.pk,
        "activity": task.pk,
        "other": other.pk,
        **stage_ids,
        "view": view.pk,
        "list": "leads",
        "operation": operation.pk,
        "draft": draft.pk,
        "row": 3,
        "user": rep.pk,
        "team": team.pk,
        "role": role.pk,
        "form": form.pk,
        "source": source.pk,
        "provider": provider.pk,
        "inference": inference.pk,
        "custom_field": make_field(tenant, "choice", label="Deal heat", visible_to=["manager"]).pk,
        "mailbox": mailbox.pk,
        "arrival": failed.pk,
        "group": similar_pair(tenant),
        "token": reset_token(rep),
        **make_assigning(admin, rep),
        **make_calling(admin, lead),
    }
    return admin, ids


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("group", GROUPS)
def test_axe_finds_nothing_serious(site, world, group, theme):
    admin, ids = world
    site.page.emulate_media(color_scheme=theme)
    if group != "visitor":
        site.sign_in(admin)
    found = {}
    for path in GROUPS[group]:
        page = site.open(path.format(**ids))
        violations = Axe().run(page, options=RULES[theme]).response["violations"]
        serious = [
            f"{item['id']}: {node['target']} {node['html'][:120]}"
            for item in violations
            if item["impact"] in ("serious", "critical") and (path, item["id"]) not in LEFT
            for node in item["nodes"]
        ]
        if serious:
            found[path] = serious
    assert found == {}
    # Most of axe's rules paint inline styles of their own, which the policy rightly blocks.
    if theme == "dark":
        assert site.complaints == []
