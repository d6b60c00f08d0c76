"""Every page, in both themes: nothing serious for axe, nothing blocked by the content policy, no error in the console."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.core.files.base import ContentFile
from django.utils import timezone

from crm.actors import Door
from crm.identity.models import ApiKey, Invitation, Role
from crm.identity.services.passwords import reset_token
from crm.operations import runner
from leads.models import Lead, LeadShare
from leads.services.imports import check_import, draft_import, start_import
from tests.contract.walk import all_routes
from tests.factories import acting, make_form, make_lead, make_team, make_tenant, make_user
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
)
LEADS = (
    "/", "/leads", "/leads?status=new&search=a", "/leads?search=nobody-at-all", "/leads?status=dreaming", "/leads/new", "/leads/import", "/leads/import/{draft}/map",
    "/leads/import/{draft}/options", "/leads/import/{draft}/check", "/leads/import/{draft}/check?rows=first", "/leads/import/{draft}/rows/{row}",
    "/leads/bin",
    "/leads/{lead}", "/leads/{lead}?show=changes", "/leads/{lead}/edit", "/search?q=ann", "/operations", "/operations/{operation}",
    "/arrivals", "/arrivals?state=failed", "/arrivals?state=merged", "/arrivals/{arrival}", "/no-such-page",
)  # fmt: skip
SETTINGS = (
    "/settings", "/settings/profile", "/settings/profile/password", "/settings/sessions", "/settings/tenant", "/settings/users", "/settings/users/{user}",
    "/settings/invitations", "/settings/teams", "/settings/teams/new", "/settings/teams/{team}", "/settings/roles", "/settings/roles/new",
    "/settings/roles/{role}", "/settings/api-keys", "/settings/sources", "/settings/sources/new", "/settings/sources/{form}", "/settings/audit",
    "/settings/connections", "/settings/connections/new?kind=facebook", "/settings/connections/new?kind=webhook", "/settings/connections/new?kind=email",
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
    "/search/palette": "answers the palette's script",
    "/leads/count": "a piece of the list",
    "/leads/import/{pk}/run": "takes a post",
    "/leads/import/{pk}/discard": "takes a post",
    "/leads/{pk}/peek": "a piece beside the list",
    "/leads/{pk}/move": "takes a post",
    "/leads/{pk}/follow-up": "takes a post",
    "/leads/{pk}/delete": "takes a post",
    "/leads/{pk}/restore": "takes a post",
    "/leads/{pk}/fields/{name}": "a piece of the lead's page",
    "/settings/sources/{pk}/action": "takes a post",
    "/arrivals/replay": "takes a post",
    "/arrivals/{pk}/replay": "takes a post",
    "/settings/connections/{pk}/action": "takes a post",
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
    "/sign-out": "takes a post",
    "/events/stream": "a stream",
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
    make_lead(tenant, first_name="Ann", email="ann@acme.example")
    make_lead(tenant, first_name="Gone", deleted_at=now)
    team, form = make_team(tenant, rep), make_form(tenant, tags=["fair"])
    source, mailbox = make_source(tenant), make_source(tenant, kind="email", name="Sales")
    failed = make_arrival(tenant, source, processing_status="failed", error="Nobody to know.", attempts=3)
    make_arrival(tenant, source, number=2, lead=lead, processing_status="processed")
    make_arrival(tenant, number=3)
    with acting(admin) as by:
        Lead.objects.filter(pk=lead.pk).update(company="Northwind Labs")
        LeadShare.objects.create(lead=lead, team=team)
        role = Role.objects.get(code="sales_rep")
        Invitation.objects.create(email="new@acme.example", role=role, invited_by=admin, expires_at=now)
        ApiKey.objects.create(tenant=tenant, user=admin, name="Sync", prefix="smk_abcdefgh", secret_hash="x")
        operation = start_import(
            file=ContentFile(b"Name,Email\nZoe,zoe@acme.example\nBad,bad\n", name="people.csv"), by=by.through(Door.PAGE)
        )
        draft = draft_import(
            file=ContentFile(b"Name,Email,Budget\nYan,yan@acme.example,1\nBad,bad,\nWorse,@,3\n", name="more.csv"), by=by.through(Door.PAGE)
        )
        draft.params["edits"] = {"4": {"Email": "worse@acme.example"}}
        draft.save()
        check = check_import(operation=draft, by=by.through(Door.PAGE))
        draft.params["edits"] = {"2": None, "4": {"Email": "worst@acme.example"}}
        draft.save()
    runner.run(operation.pk)
    runner.run(check.pk)
    ids = {
        "lead": lead.pk,
        "operation": operation.pk,
        "draft": draft.pk,
        "row": 3,
        "user": rep.pk,
        "team": team.pk,
        "role": role.pk,
        "form": form.pk,
        "source": source.pk,
        "mailbox": mailbox.pk,
        "arrival": failed.pk,
        "token": reset_token(rep),
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
