"""Who is told of which leads, how often, and with which number."""

from datetime import timedelta

from django.utils import timezone

from assignments.models import Assignment
from assignments.services.capture import assign_captured
from assignments.services.giving import assign_lead, unassign_lead
from assignments.services.telling import tell_owners
from crm.events.services import deliver_outbox
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from notifications.models import Notification
from tests.assignments.parts import make_rule
from tests.factories import acting, inside, make_lead


def make_import(tenant, by) -> Operation:
    with inside(tenant.pk):
        return Operation.objects.create(kind="leads.import", title="File", state="done", created_by=by)


def captured(tenant, operation: Operation, number: int) -> list[int]:
    made = timezone.now() - timedelta(seconds=10)
    ids = [make_lead(tenant, operation_id=operation.pk, created_at=made).pk for _ in range(number)]
    with tenant_scope(tenant.pk):
        assign_captured(lead_ids=ids)
    deliver_outbox()
    return ids


def titles(tenant) -> list[str]:
    with inside(tenant.pk):
        return list(Notification.objects.filter(kind="lead_assigned").order_by("pk").values_list("title", flat=True))


def test_an_import_is_told_with_its_number_and_again_when_it_doubled(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    operation = make_import(tenant, alice)
    first = captured(tenant, operation, 4)
    assert titles(tenant) == ["4 leads of an import were given to you"]
    captured(tenant, operation, 2)
    with tenant_scope(tenant.pk):
        assert tell_owners(lead_ids=first, owner_id=bob.pk) == 0
    captured(tenant, operation, 2)
    assert titles(tenant) == ["4 leads of an import were given to you", "8 leads of an import were given to you"]


def test_leads_of_an_import_given_again_are_told_again(tenant, alice, bob):
    make_rule(alice, user_id=bob.pk)
    ids = captured(tenant, make_import(tenant, alice), 3)
    for _ in range(2):
        with acting(alice) as by:
            unassign_lead(lead_id=ids[0], by=by)
            assign_lead(lead_id=ids[0], user_id=bob.pk, by=by)
        deliver_outbox()
    with inside(tenant.pk):
        name = Lead.objects.get(pk=ids[0]).display_name
        # Days later the rules find somebody for what waited.
        Lead.objects.filter(pk__in=ids[1:]).update(created_at=timezone.now() - timedelta(days=3))
        Lead.objects.filter(pk__in=ids[1:]).update(owner=None)
        assign_captured(lead_ids=ids[1:])
    deliver_outbox()
    given = f"{name} was given to you"
    assert titles(tenant) == ["3 leads of an import were given to you", given, given, "2 leads were given to you"]


def test_leads_of_an_import_given_by_hand_are_not_called_an_import(tenant, alice, bob):
    operation = make_import(tenant, alice)
    ids = [make_lead(tenant, operation_id=operation.pk, created_at=timezone.now() - timedelta(minutes=1)).pk for _ in range(2)]
    with acting(alice):
        Lead.objects.filter(pk__in=ids).update(owner=bob)
    with tenant_scope(tenant.pk):
        assert tell_owners(lead_ids=ids, owner_id=bob.pk) == 1
        assert tell_owners(lead_ids=ids, owner_id=bob.pk) == 0
        assert set(Assignment.objects.values_list("assigned_by_id", flat=True)) == {alice.pk}
    assert titles(tenant) == ["2 leads were given to you"]
