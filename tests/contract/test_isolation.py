"""No tenant sees or touches another's rows: every table, every key, every route."""

from typing import Any
from uuid import UUID

import pytest
from django.apps import apps
from django.db import IntegrityError, ProgrammingError, connection, models, transaction
from django.urls import Resolver404, resolve
from psycopg import sql

from activities.models import Activity
from assignments.models import AssignmentRule, Leave, Pool
from crm.identity.enums import SessionKind
from crm.identity.models import ApiKey, Holiday, Invitation, Role, Team, User
from crm.operations.models import Operation
from crm.savedviews.models import SavedView
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.inspection import inspect_walls, unled_indexes
from crm.tenancy.managers import TenantManager
from crm.tenancy.scope import NoTenantOpen, WrongTenant, tenant_scope
from crm.tenancy.walls import CONDITION, POLICY, UNPOLICED, policed_models, tenant_models
from dialer.services.do_not_call import add_number
from duplicates.models import DuplicateGroup, Merge
from enrichment.models import ProviderSettings
from leads.models import Arrival, Lead, LeadStatus, LeadTransition
from notifications.models import Notification
from pipeline.models import SlaPolicy
from tests.contract.rows import RowMaker
from tests.contract.walk import Route, all_routes
from tests.customobjects.parts import make_field
from tests.dialer.api_parts import make_agent, make_call, make_entry
from tests.factories import acting, make_form, make_lead, make_session, make_team, make_user
from webhooks.models import Source

OWN_APPS = (
    "crm.",
    "activities",
    "assignments",
    "dialer",
    "audit",
    "customobjects",
    "notifications",
    "enrichment",
    "pipeline",
    "leads",
    "duplicates",
    "scoring",
    "webhooks",
    "demo",
)

# Models of the product that belong to no tenant.
TENANTLESS = {
    "tenancy.Tenant": "it is the tenant",
    "identity.Registration": "somebody who signed up belongs to no tenant until verified",
}
# Models of a tenant whose default manager does not bind it.
UNBOUND = {
    "identity.AuthSession": "found before any tenant is known",
    "events.OutboxEntry": "delivered across tenants",
    "operations.Claim": "found across tenants",
    "leads.FormKey": "the tenant is found by it",
    "webhooks.SourceKey": "the tenant is found by it",
    "dialer.VoiceKey": "the tenant is found by it",
    "dialer.AgentJob": "found across tenants",
    "dialer.SimulatedStep": "found across tenants",
    "dialer.RecordingJob": "found across tenants",
    "webhooks.ArrivalJob": "workers look across tenants",
}
# Keys between rows of a tenant that do not span the tenant.
PLAIN_KEYS = {
    "identity.AuthSession.user": "read by sign-in before any tenant is open",
    "identity.ApiKey.user": "read by sign-in before any tenant is open",
    "leads.FormKey.form": "the key's own tenant is the form's: both are written by one service",
    "webhooks.SourceKey.source": "the key's own tenant is the source's: both are written by one service",
}
# Indexes of tenant-owned tables that do not lead with the tenant, by model.
UNLED = {
    "events.OutboxEntry": "workers look for what is due across tenants",
    "identity.ApiKey": "a key is found by its hash, before any tenant is known",
    "identity.AuthSession": "cleared by expiry across tenants; found by user",
    "identity.User": "a person is found by e-mail or username before any tenant is known",
    "leads.FormKey": "a form is found by its public key",
    "webhooks.SourceKey": "a source is found by its key",
    "webhooks.ArrivalJob": "due arrivals are found across tenants",
    "operations.Claim": "workers look for what is due across tenants",
    "dialer.VoiceKey": "looked up before the tenant is known",
    "dialer.AgentJob": "workers look across tenants",
    "dialer.SimulatedStep": "workers look across tenants",
    "dialer.RecordingJob": "workers look across tenants",
}

# What must be set beside a key so that no other constraint speaks first.
BESIDE = {
    "leads.LeadShare.team": ", user_id = NULL",
    "duplicates.DuplicatePair.first": ", second_id = 9223372036854775807",
    "duplicates.DuplicatePair.second": ", first_id = 0",
    "duplicates.Decision.first": ", second_id = 9223372036854775807",
    "duplicates.Decision.second": ", first_id = 0",
}


def named(model: type[models.Model]) -> str:
    return model._meta.label


@pytest.fixture
def two(tenant, next_door):
    """A row of every tenant-owned model in either tenant."""
    makers = {}
    for owner in (tenant, next_door):
        with tenant_scope(owner.pk):
            makers[owner.pk] = RowMaker(owner)
            for model in tenant_models():
                makers[owner.pk].row(model)
    return makers


def raw(text: str, table: str, *params: Any) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL(text).format(sql.Identifier(table)), params)
        return cursor.fetchone()[0] if cursor.description else cursor.rowcount


# --- which tables ---


def test_every_model_of_the_product_has_a_tenant_or_a_reason():
    own = [model for model in apps.get_models() if apps.get_app_config(model._meta.app_label).name.startswith(OWN_APPS)]
    without = {model._meta.label for model in own if not any(field.name == "tenant" for field in model._meta.concrete_fields)}
    assert without == set(TENANTLESS)


def test_unpoliced_tables_are_exactly_the_listed_ones_and_each_has_its_reason():
    labels = {model._meta.label for model in tenant_models()}
    assert set(UNPOLICED) <= labels
    assert all(len(reason) > 20 for reason in UNPOLICED.values())
    assert {model._meta.label for model in policed_models()} == labels - set(UNPOLICED)


def test_every_tenant_is_required_and_kept():
    loose = [model._meta.label for model in policed_models() if model._meta.get_field("tenant").null]
    assert loose == []


def test_every_default_manager_binds_the_tenant():
    unbound = {model._meta.label for model in tenant_models() if not isinstance(model._default_manager, TenantManager)}
    assert unbound == set(UNBOUND)


def test_no_model_hides_a_table_of_links():
    """An automatic table of a many-to-many field has no tenant and no policy."""
    hidden = [
        f"{model._meta.label}.{field.name}"
        for model in tenant_models()
        for field in model._meta.many_to_many
        if field.remote_field.through._meta.auto_created
    ]
    assert hidden == []


# --- the database's wall ---


@pytest.mark.parametrize("model", policed_models(), ids=named)
def test_policy_is_on_and_exact(db, model):
    table = model._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute("SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [table])
        assert cursor.fetchone() == (True,)
        cursor.execute("SELECT policyname, permissive, roles::text, cmd, qual, with_check FROM pg_policies WHERE tablename = %s", [table])
        assert cursor.fetchall() == [(POLICY, "PERMISSIVE", "{public}", "ALL", CONDITION, CONDITION)]


@pytest.mark.slow
def test_raw_sql_finds_no_row_of_another_tenant_and_changes_none(two, tenant, next_door):
    foreign = {model: two[next_door.pk].row(model).pk for model in policed_models()}
    with tenant_scope(tenant.pk):
        for model, pk in foreign.items():
            table, key = model._meta.db_table, model._meta.pk.column
            assert raw("SELECT count(*) FROM {}", table) >= 1, table
            assert raw("SELECT count(*) FROM {} WHERE tenant_id <> %s", table, tenant.pk) == 0, table
            assert raw(f"SELECT count(*) FROM {{}} WHERE {key} = %s", table, pk) == 0, table
            assert raw(f"UPDATE {{}} SET tenant_id = tenant_id WHERE {key} = %s", table, pk) == 0, table
            assert raw(f"DELETE FROM {{}} WHERE {key} = %s", table, pk) == 0, table


@pytest.mark.slow
def test_raw_sql_can_neither_insert_for_another_tenant_nor_give_a_row_away(two, tenant, next_door):
    with tenant_scope(tenant.pk):
        for model in policed_models():
            table, key = model._meta.db_table, model._meta.pk.column
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                raw("INSERT INTO {} (tenant_id) VALUES (%s)", table, next_door.pk)
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                raw(f"UPDATE {{}} SET tenant_id = %s WHERE {key} = %s", table, next_door.pk, two[tenant.pk].row(model).pk)


@pytest.mark.slow
def test_with_no_tenant_open_nothing_is_there_and_nothing_can_be_written(two, tenant):
    for model in policed_models():
        table = model._meta.db_table
        assert raw("SELECT count(*) FROM {}", table) == 0, table
        with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
            raw("INSERT INTO {} (tenant_id) VALUES (%s)", table, tenant.pk)


def test_every_key_between_rows_of_a_tenant_spans_the_tenant():
    owned = set(tenant_models())
    plain = {
        f"{model._meta.label}.{field.name}"
        for model in owned
        if not hasattr(model, "pgh_tracked_model")
        for field in model._meta.concrete_fields
        if isinstance(field, models.ForeignKey) and field.related_model in owned and not isinstance(field, TenantForeignKey)
    }
    assert plain == set(PLAIN_KEYS)


@pytest.mark.slow
def test_the_database_refuses_a_link_across_tenants(two, tenant, next_door):
    keys = [
        (model, field)
        for model in tenant_models()
        if not hasattr(model, "pgh_tracked_model")
        for field in model._meta.concrete_fields
        if isinstance(field, TenantForeignKey)
    ]
    assert len(keys) > 15
    with tenant_scope(tenant.pk):
        for model, field in keys:
            target = two[next_door.pk].row(field.related_model).pk
            row = two[tenant.pk].row(model)
            beside = BESIDE.get(f"{model._meta.label}.{field.name}", "")
            with pytest.raises(IntegrityError, match="foreign key"), transaction.atomic():  # noqa: PT012
                raw(f"UPDATE {{}} SET {field.column} = %s {beside} WHERE id = %s", model._meta.db_table, target, row.pk)
                raw("SET CONSTRAINTS ALL IMMEDIATE -- {}", model._meta.db_table)
            raw("SET CONSTRAINTS ALL DEFERRED -- {}", model._meta.db_table)


def test_indexes_and_unique_keys_lead_with_the_tenant(db):
    assert {label for label, _index in unled_indexes()} == set(UNLED)


def test_the_inspection_of_a_live_install_finds_nothing(two, tenant, next_door):
    findings = inspect_walls(tenant_ids=[tenant.pk, next_door.pk])
    assert [(finding.subject, finding.problems) for finding in findings if finding.problems] == []
    assert sum(finding.probed for finding in findings) == len(policed_models())


# --- the ORM's wall ---


@pytest.mark.parametrize("model", [model for model in tenant_models() if model._meta.label not in UNBOUND], ids=named)
def test_the_orm_raises_with_no_tenant_open(db, model):
    rows = model._default_manager.all()
    for use in (
        rows.first,
        rows.exists,
        rows.count,
        rows.delete,
        lambda: list(rows),
        lambda: rows.update(tenant=1),
        lambda: model._default_manager.get(pk=1),
        lambda: model._default_manager.aggregate(n=models.Count("pk")),
    ):
        with pytest.raises(NoTenantOpen):
            use()


@pytest.mark.slow
def test_the_orm_refuses_to_write_rows_and_links_of_another_tenant(two, tenant, next_door):
    with tenant_scope(tenant.pk):
        for model in policed_models():
            foreign = two[next_door.pk].row(model)
            manager = model._default_manager
            assert not manager.filter(pk=foreign.pk).exists()
            assert manager.filter(pk=foreign.pk).update(tenant=tenant) == 0
            with pytest.raises(WrongTenant):
                manager.bulk_create([model(tenant=next_door)])
            with pytest.raises(WrongTenant):
                manager.bulk_update([foreign], ["tenant"])
            if not hasattr(model, "pgh_tracked_model"):
                with pytest.raises(WrongTenant):
                    foreign.save()


def test_an_open_tenant_cannot_be_swapped_for_another(tenant, next_door):
    with tenant_scope(tenant.pk), pytest.raises(WrongTenant), tenant_scope(next_door.pk):
        pass


# --- the doors ---

# Routes that need no sign-in, each with its reason (decisions, "Access and tenancy").
PUBLIC = {
    "auth/register": "sign-in itself",
    "auth/login": "sign-in itself",
    "auth/verify-otp": "sign-in itself",
    "auth/email/verify": "sign-in itself",
    "auth/resend-otp": "sign-in itself",
    "auth/refresh": "sign-in itself",
    "auth/token/refresh": "sign-in itself",
    "auth/password/reset": "sign-in itself",
    "auth/password/confirm": "sign-in itself",
    "webhooks/website": "websites post here",
    "webhooks/facebook": "Facebook posts here and signs what it posts",
    "webhooks/in/{key}": "other systems post here; the address is the secret",
    "leads/export/download/{token}": "the signed link is the secret, and expires",
    "webhooks/email/{key}": "mail providers post here; the address is the secret",
}
PUBLIC_PAGES = {
    "/health/live": "for supervisors",
    "/health/ready": "for supervisors",
    "/metrics": "for Prometheus; the proxy keeps it inside",
    "/sign-in": "sign-in itself",
    "/sign-out": "harmless to somebody signed out",
    "/register": "sign-in itself",
    "/verify": "sign-in itself",
    "/verify/resend": "sign-in itself",
    "/forgot-password": "sign-in itself",
    "/reset-password/{token}": "sign-in itself",
    "/join/{token}": "sign-in itself",
    "/calendar/feed/{token}.ics": "calendar programs ask here; the address is the secret",
    "/unsubscribe/{token}": "a signed link in a mail; it stops mails of one kind",
    "/mailbox": "the demo's outgoing mail; 404 outside the demo",
    "/hooks/voice/{key}/{public_id}/{kind}": "the telephone company reports here and signs what it reports",
    "/ui/": "the component gallery holds no data",
    "/admin/jsi18n/": "words of the scripts",
}
DESCRIPTION = ("/api/docs", "/v1/docs", "/api/schema", "/v1/schema", "/api/openapi", "/v1/openapi", "/api/v1/docs", "/api/v1/openapi")
# Document 2's surface, mounted once, with refusals of its own shape.
DIALER = "/api/v1/"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# A body that passes validation, where a handler reads it before it looks for the record.
BODIES: dict[str, dict[str, Any]] = {
    "/settings/users/{id}/change": {"is_active": "on"},
    "/api/activities/{id}/snooze": {"until": "2099-01-01T09:00:00Z"},
}


def api_routes() -> list[Route]:
    """The API's routes by their first mount; the other one has the same views."""
    return [route for route in all_routes() if route.path.startswith("/api/") and not route.path.startswith(DESCRIPTION)]


def page_routes() -> list[Route]:
    return [route for route in all_routes() if not route.path.startswith(("/api/", "/v1/"))]


def short(path: str) -> str:
    return path.removeprefix("/api/").removeprefix("/v1/").strip("/")


def stage_ids(mallory: User, lead: Lead) -> dict[str, dict[str, Any]]:
    """Stages, the moves between them, and service levels."""
    with acting(mallory):
        policy = SlaPolicy.objects.create(name="theirs", kind="first_response", target_minutes=5)
        status = LeadStatus.objects.create(number=977, code="theirs", label="Theirs", position=99)
        move = LeadTransition.objects.create(source=status, target=lead.status)
    return {
        "stages": {"lead_id": lead.pk},
        "settings/sla-policies": {"id": policy.pk},
        "settings/sla": {"pk": policy.pk},
        "settings/statuses": {"id": status.number, "number": status.number},
        "settings/transitions": {"id": move.pk, "pk": move.pk},
    }


def foreign_ids(mallory: User) -> dict[str, dict[str, Any]]:
    """For each route's beginning, its parameters filled with rows of Mallory's tenant. The longest beginning counts."""
    home = mallory.tenant
    colleague = make_user(home, role="sales_rep")
    team = make_team(home, colleague)
    lead = make_lead(home, first_name="Vic", email="vic@next-door.example")
    form = make_form(home)
    session = make_session(mallory, kind=SessionKind.API)
    with acting(mallory):
        role = Role.objects.get(code="support")
        invitation = Invitation.objects.create(email="new@next-door.example", role=role, expires_at=lead.created_at)
        key = ApiKey.objects.create(tenant=home, user=mallory, name="theirs", prefix="smk_x", secret_hash="x")
        operation = Operation.objects.create(kind="leads.import", title="theirs", created_by=mallory)
        merge = Merge.objects.create(winner=lead, loser=make_lead(home))
        view = SavedView.objects.create(list_name="leads", name="theirs", owner=mallory, audience="everyone")
        source = Source.objects.create(tenant=home, kind="webhook", name="theirs")
        arrival = Arrival.objects.create(tenant=home, platform_key="api", source_lead_id="theirs", processing_status="failed")
        group = DuplicateGroup.objects.create(tenant=home, similarity=0.9, size=2)
        provider = ProviderSettings.objects.create(tenant=home, kind="http", name="theirs")
    # A link of nobody: a real one is open to whoever holds it.
    signed = "sm_of_nobody"
    custom_field = make_field(home)
    return {
        "custom-fields": {"id": custom_field.pk},
        "settings/custom-fields": {"pk": custom_field.pk},
        "users": {"id": colleague.pk, "role_id": role.pk},
        "users/teams": {"id": team.pk, "user_id": colleague.pk},
        "roles": {"id": role.pk},
        "api-keys": {"id": key.pk},
        "tenants": {"id": home.pk},
        **stage_ids(mallory, lead),
        "leads/merges": {"id": merge.pk},
        "duplicates/merges": {"pk": merge.pk},
        "views": {"id": view.pk, "pk": view.pk, "list_name": "of-nobody"},
        "operations": {"id": operation.pk, "pk": operation.pk},
        "imports": {"id": operation.pk},
        "leads": {"id": lead.pk, "pk": lead.pk, "name": "company"},
        "leads/export": {"token": signed},
        "leads/exports": {"pk": operation.pk},
        "leads/import": {"pk": operation.pk, "row": 2},
        "auth/sessions": {"id": session.pk},
        "settings/users": {"id": colleague.pk},
        "settings/invitations": {"id": invitation.pk},
        "settings/teams": {"id": team.pk},
        "settings/roles": {"id": role.pk},
        "settings/api-keys": {"id": key.pk},
        "settings/sessions": {"id": session.pk},
        "settings/sources": {"pk": form.pk},
        "arrivals": {"id": arrival.pk, "pk": arrival.pk},
        "sources": {"id": source.pk},
        "duplicates": {"pk": group.pk},
        "settings/enrichment": {"pk": provider.pk},
        "settings/connections": {"pk": source.pk},
        "webhooks": {"key": "sms_of_nobody"},
        **ids_of_the_day(mallory, colleague, team, lead),
        **ids_of_assignment(colleague, lead),
        **ids_of_dialer(mallory, lead),
    }


def ids_of_the_day(mallory: User, person: User, team: Team, lead: Lead) -> dict[str, dict[str, Any]]:
    """The part of foreign_ids() that is about what people do and are told, and when they work."""
    with tenant_scope(lead.tenant_id):
        activity = Activity.objects.create(lead=lead, activity_type="call", due_at=lead.created_at)
        told = Notification.objects.create(user=mallory, kind="theirs", title="theirs")
        holiday = Holiday.objects.create(name="theirs", date=lead.created_at.date())
    return {
        "activities": {"id": activity.pk, "pk": activity.pk, "lead_id": lead.pk},
        "notifications": {"id": told.pk, "pk": told.pk},
        "unsubscribe": {"token": "sm_of_nobody"},
        "settings/hours": {"id": holiday.pk},
        "settings/hours/teams": {"id": team.pk},
        "settings/hours/users": {"id": person.pk},
        "settings/holidays": {"id": holiday.pk},
    }


def ids_of_assignment(person: User, lead: Lead) -> dict[str, dict[str, Any]]:
    """The part of foreign_ids() that is about giving leads."""
    day = lead.created_at.date()
    with tenant_scope(lead.tenant_id):
        pool, rule = Pool.objects.create(name="theirs"), AssignmentRule.objects.create(name="theirs")
        leave = Leave.objects.create(user=person, first_day=day, last_day=day)
    return {
        "assignments": {"lead_id": lead.pk},
        "assignments/people": {"pk": person.pk, "leave": leave.pk},
        "assignments/queue": {"pk": lead.pk},
        "assignments/rules": {"pk": rule.pk},
        "assignments/pools": {"pk": pool.pk},
        "settings/assignment-rules": {"id": rule.pk},
    }


def ids_of_dialer(mallory: User, lead: Lead) -> dict[str, dict[str, Any]]:
    """The part of foreign_ids() that is about calling."""
    agent = make_agent(lead.tenant)
    entry = make_entry(agent, lead=lead, phone="+14155552671")
    call = make_call(entry)
    with acting(mallory) as by:
        listed = add_number(phone="+14155552671", now=lead.created_at, by=by)
        operation = Operation.objects.create(kind="dialer.import", title="theirs", created_by=mallory)
    return {
        "v1/agents": {"agent_id": agent.public_id},
        "v1/leads": {"lead_id": entry.public_id},
        "v1/calls": {"call_id": call.public_id},
        "v1/imports": {"operation_id": operation.pk},
        "v1/do-not-call": {"number_id": listed.pk},
        # Words that name no act, beside ids of theirs.
        "dialer/work": {"act": "nothing"},
        "dialer/queues": {"agent": agent.public_id},
        "dialer/entries": {"entry": entry.public_id, "act": "now"},
        "dialer/calls": {"call": call.public_id, "act": "hang-up"},
        "dialer/leads": {"pk": lead.pk},
        "settings/agents": {"agent": agent.public_id},
        "settings/do-not-call": {"pk": listed.pk},
    }


def ids_for(route: Route, ids: dict[str, dict[str, Any]]) -> dict[str, Any]:
    path = short(route.path).strip("/")
    found = max((start for start in ids if path.startswith(start)), key=len, default=None)
    assert found is not None, f"{route.path}: say in foreign_ids() which record it names"
    return ids[found]


@pytest.mark.slow
def test_every_api_route_answers_404_to_ids_of_another_tenant(admin, mallory, api):
    ids, client = foreign_ids(mallory), api(admin)
    for route in api_routes():
        if route.parameters:
            answers = _answers(client, route, ids_for(route, ids))
            assert set(answers.values()) <= {404, 405}, (route.path, answers)
            assert 404 in answers.values(), (route.path, answers)


@pytest.mark.slow
def test_every_page_answers_404_to_ids_of_another_tenant(admin, mallory, pages):
    ids, client = foreign_ids(mallory), pages(admin)
    for route in page_routes():
        if route.parameters and route.path not in PUBLIC_PAGES and not route.path.startswith("/admin/"):
            answers = {method: client.generic(method, route.filled(ids_for(route, ids))).status_code for method in ("GET", "POST")}
            assert set(answers.values()) <= {404, 405}, (route.path, answers)
            assert 404 in answers.values(), (route.path, answers)


def _answers(client: Any, route: Route, values: dict[str, Any]) -> dict[str, int]:
    return {method: client.send(method, route.filled(values), BODIES.get(route.path, {})).status_code for method in METHODS}


@pytest.mark.slow
def test_admin_shows_no_row_of_another_tenant(admin, two, next_door, pages):
    from django.contrib import admin as site

    client = pages(admin)
    for model in site.site._registry:
        if model not in set(tenant_models()):
            continue
        app, name = model._meta.app_label, model._meta.model_name
        pk = two[next_door.pk].row(model).pk
        listed = client.get(f"/admin/{app}/{name}/")
        assert listed.status_code == 200, model
        assert all(row.tenant_id != next_door.pk for row in listed.context["cl"].result_list), model
        for path in (f"{pk}/change/", f"{pk}/history/", f"{pk}/delete/"):
            assert client.get(f"/admin/{app}/{name}/{path}").status_code in (302, 403, 404), (model, path)
            assert client.get(f"/admin/{app}/{name}/{path}", follow=True).redirect_chain in ([], [("/admin/", 302)]), (model, path)


@pytest.mark.slow
def test_every_api_route_refuses_who_is_not_signed_in(alice, api):
    client = api()
    for route in api_routes():
        if short(route.path) in PUBLIC:
            continue
        for method in METHODS:
            answer = client.send(method, route.filled(dict.fromkeys(route.parameters, 1)), {})
            assert answer.status_code == 401, (method, route.path, answer.status_code)
            body = answer.json()
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            if route.path.startswith(DIALER):
                assert set(body) == {"detail"}, route.path
            else:
                assert (body["success"], body["error"]["code"]) == (False, "UNAUTHORIZED"), route.path


def test_both_mounts_of_the_api_have_the_same_routes():
    one = {(route.path.removeprefix("/api/"), route.view) for route in api_routes() if not route.path.startswith(DIALER)}
    two = {(route.path.removeprefix("/v1/"), route.view) for route in all_routes() if route.path.startswith("/v1/")}
    assert one == two


def test_public_routes_are_exactly_the_listed_ones(db):
    paths = {short(route.path) for route in api_routes()}
    assert set(PUBLIC) <= paths
    assert set(PUBLIC_PAGES) <= {route.path for route in page_routes()}


def some_address(route: Route) -> str:
    """An address of the route: with numbers, or where it takes none with an id of its other kind."""
    for value in (1, UUID(int=7 << 76)):
        path: str = route.filled(dict.fromkeys(route.parameters, value))
        try:
            resolve(path)
        except Resolver404:
            continue
        return path
    raise AssertionError(f"{route.path} takes neither a number nor an id")


@pytest.mark.slow
def test_every_page_sends_who_is_not_signed_in_to_the_sign_in_page(db, pages):
    client = pages()
    for route in page_routes():
        # The stream is asynchronous and answers by itself; where a browser's loop runs, this client cannot ask it.
        if route.path in PUBLIC_PAGES:
            continue
        path = some_address(route)
        for method in ("GET", "POST"):
            answer = client.generic(method, path)
            assert answer.status_code in (302, 405), (method, path, answer.status_code)
            if answer.status_code == 302:
                assert answer.headers["Location"].startswith(("/sign-in", "/admin/")), (path, answer.headers["Location"])


@pytest.mark.slow
def test_every_capability_of_the_api_is_asked_for(tenant, api):
    """Somebody whose role holds nothing gets 403 at every method that names a capability."""
    nobody = make_user(tenant, role="support")
    with tenant_scope(tenant.pk):
        Role.objects.filter(code="support").update(capabilities=[])
    client = api(nobody)
    asked = 0
    for route in api_routes():
        capabilities = getattr(route.view_class, "capabilities", {})
        for method in capabilities:
            answer = client.send(method.upper(), route.filled(dict.fromkeys(route.parameters, 1)), {})
            assert answer.status_code == 403, (method, route.path, answer.status_code)
            asked += 1
    assert asked > 20
