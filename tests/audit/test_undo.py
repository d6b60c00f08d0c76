"""Taking operations back: from history, set-wise, past nobody's later change; and taking that back."""

import pytest
from django.core.files.base import ContentFile

from audit.services import undo
from audit.services.undo import NotUndoable, undo_operation
from crm.errors import Forbidden
from crm.operations import runner
from crm.operations.enums import State
from crm.operations.models import Operation, OperationRow
from crm.operations.runner import Chunk
from crm.operations.services import start_operation
from leads.models import Lead
from leads.services.bin import delete_leads
from leads.services.editing import edit_lead
from leads.services.import_rows import ImportOptions
from leads.services.imports import start_import
from leads.services.upsert import OnDuplicate
from tests.factories import acting, inside, make_lead, make_user


@pytest.fixture(autouse=True)
def _kinds(monkeypatch):
    """An operation that tags all leads, and one that puts all of them into the bin."""

    def tag(operation, actor):
        number = Lead.objects.live().update(tags=["bulk"], company="Bulk")
        return Chunk(cursor={}, finished=True, updated=number)

    def remove(operation, actor):
        number = len(delete_leads(lead_ids=list(Lead.objects.live().values_list("pk", flat=True)), by=actor))
        return Chunk(cursor={}, finished=True, updated=number)

    monkeypatch.setitem(runner._kinds, "test.tag", runner.Kind(step=tag, undoable=True))
    monkeypatch.setitem(runner._kinds, "test.remove", runner.Kind(step=remove, undoable=True))
    monkeypatch.setitem(runner._kinds, "test.look", runner.Kind(step=lambda operation, actor: Chunk(cursor={}, finished=True, skipped=1)))


def run(operation: Operation) -> Operation:
    runner.run(operation.pk)
    with inside(operation.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def do(user, kind: str) -> Operation:
    with acting(user) as by:
        operation = start_operation(kind=kind, title="Bulk", by=by)
    return run(operation)


def bring(user, content: bytes, **options) -> Operation:
    with acting(user) as by:
        return run(start_import(file=ContentFile(content, name="a.csv"), options=ImportOptions(**options), by=by))


def take_back(user, operation: Operation) -> Operation:
    with acting(user) as by:
        return run(undo_operation(operation=operation, by=by))


def leads(tenant) -> dict[str, Lead]:
    with inside(tenant.pk):
        return {lead.first_name: lead for lead in Lead.objects.all()}


def listed(operation: Operation) -> list[tuple[int, str]]:
    with inside(operation.tenant_id):
        return [(row.row, row.message) for row in OperationRow.objects.filter(operation=operation, outcome="failed")]


def test_changed_records_get_their_values_back_and_their_scores(alice, tenant):
    for name in "ABC":
        make_lead(tenant, first_name=name, company="", tags=[name])
    undone = take_back(alice, do(alice, "test.tag"))
    assert (undone.state, undone.updated, undone.failed) == ("done", 3, 0)
    assert {name: (lead.company, lead.tags) for name, lead in leads(tenant).items()} == {name: ("", [name]) for name in "ABC"}
    assert {lead.score for lead in leads(tenant).values()} == {leads(tenant)["A"].score}


def test_what_was_changed_since_stays_and_is_listed(alice, bob, tenant):
    kept, other = make_lead(tenant, first_name="Kept", owner=bob), make_lead(tenant, first_name="Other")
    operation = do(alice, "test.tag")
    with acting(bob) as by:
        edit_lead(lead_id=kept.pk, data={"company": "By hand"}, by=by)
    undone = take_back(alice, operation)
    assert (undone.updated, undone.failed) == (1, 1)
    assert listed(undone) == [(kept.pk, f"{bob.full_name} changed it since.")]
    assert (leads(tenant)["Kept"].company, leads(tenant)["Other"].company) == ("By hand", other.company)


def test_an_import_is_taken_back_whole(alice, tenant):
    known = make_lead(tenant, first_name="Known", email="known@x.example", company="Old", tags=["old"])
    content = b"Name,Email,Company\nKnown,known@x.example,New\nFresh,fresh@x.example,New\nFresher,fresher@x.example,New\n"
    operation = bring(alice, content, on_duplicate=OnDuplicate.UPDATE, tags=["fair"])
    assert (operation.created, operation.updated) == (2, 1)
    undone = take_back(alice, operation)
    assert (undone.state, undone.updated, undone.result) == ("done", 3, {"restored": 1, "discarded": 2})
    now = leads(tenant)
    assert (now["Known"].company, now["Known"].tags, now["Known"].pk) == ("Old", ["old"], known.pk)
    assert now["Fresh"].deleted_at is not None


def test_an_imported_lead_that_somebody_worked_on_is_kept(alice, bob, tenant):
    operation = bring(alice, b"Name,Email\nA,a@x.example\nB,b@x.example\n")
    with acting(bob) as by:
        edit_lead(lead_id=leads(tenant)["A"].pk, data={"notes": "Called."}, by=by)
    undone = take_back(alice, operation)
    assert (undone.updated, undone.failed) == (1, 1)
    assert (leads(tenant)["A"].deleted_at, leads(tenant)["B"].deleted_at is None) == (None, False)


def test_binned_leads_come_back(alice, tenant):
    make_lead(tenant, first_name="A")
    make_lead(tenant, first_name="B")
    undone = take_back(alice, do(alice, "test.remove"))
    assert undone.updated == 2
    assert all(lead.deleted_at is None for lead in leads(tenant).values())


def test_taking_back_can_be_taken_back(alice, tenant):
    make_lead(tenant, first_name="A", company="Old")
    first = do(alice, "test.tag")
    redone = take_back(alice, take_back(alice, first))
    assert (redone.updated, leads(tenant)["A"].company, leads(tenant)["A"].tags) == (1, "Bulk", ["bulk"])


def test_undo_goes_on_chunk_by_chunk(alice, tenant, monkeypatch):
    monkeypatch.setattr(undo, "CHUNK_RECORDS", 2)
    content = b"Name\n" + b"".join(b"N%d\n" % number for number in range(7))
    undone = take_back(alice, bring(alice, content))
    assert (undone.updated, undone.result["discarded"]) == (7, 7)


def test_undo_is_on_record(alice, tenant):
    make_lead(tenant, first_name="A")
    operation = do(alice, "test.tag")
    undone = take_back(alice, operation)
    with inside(tenant.pk):
        from audit.models import AuditEvent

        event = AuditEvent.objects.get(action="operation_undone")
        changes = Lead.objects.get().history.order_by("-pgh_id")
        assert changes[0].pgh_operation == undone.pk
    assert event.details == {"operation": operation.pk, "undo": undone.pk}


@pytest.mark.parametrize("kind", ["test.look", "leads.import_check"])
def test_what_changed_nothing_cannot_be_taken_back(alice, kind):
    with acting(alice) as by:
        operation = start_operation(kind="test.look", title="Look", by=by)
    operation = run(operation)
    with acting(alice) as by, pytest.raises(NotUndoable):
        undo_operation(operation=operation, by=by)


def test_it_is_taken_back_once_and_not_while_it_runs(alice, tenant):
    make_lead(tenant)
    operation = do(alice, "test.tag")
    with inside(tenant.pk):
        Operation.objects.filter(pk=operation.pk).update(state=State.RUNNING)
        operation.refresh_from_db()
    with acting(alice) as by, pytest.raises(NotUndoable, match="running"):
        undo_operation(operation=operation, by=by)
    with inside(tenant.pk):
        Operation.objects.filter(pk=operation.pk).update(state=State.CANCELLED)
        operation.refresh_from_db()
    take_back(alice, operation)
    with acting(alice) as by, pytest.raises(NotUndoable, match="already"):
        undo_operation(operation=operation, by=by)


def test_only_its_author_or_who_sees_all_may(alice, bob, tenant):
    make_lead(tenant, owner=bob)
    operation = do(alice, "test.tag")
    with acting(bob) as by, pytest.raises(Forbidden):
        undo_operation(operation=operation, by=by)
    assert take_back(make_user(tenant), operation).updated == 1


def test_page_offers_undo_and_the_api_does_it(alice, bob, tenant, pages, api):
    make_lead(tenant, first_name="A", company="Old")
    operation = do(alice, "test.tag")
    web = pages(alice)
    assert f"/operations/{operation.pk}/undo" in web.get(f"/operations/{operation.pk}").content.decode()
    answer = api(alice).post(f"/api/operations/{operation.pk}/undo")
    assert (answer.status_code, answer.json()["data"]["undo_of"]) == (202, operation.pk)
    runner.run(answer.json()["data"]["id"])
    assert leads(tenant)["A"].company == "Old"
    again = api(alice).post(f"/api/operations/{operation.pk}/undo")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "NOT_UNDOABLE")
    assert "Taken back" in web.get(f"/operations/{operation.pk}").content.decode()
    assert api(bob).post(f"/api/operations/{operation.pk}/undo").status_code == 404
    second = web.post(f"/operations/{operation.pk}/undo", follow=True)
    assert "taken back already" in second.content.decode()


def test_undo_asks_as_often_for_fifty_records_as_for_five(alice, tenant, django_assert_max_num_queries):
    for number in range(50):
        make_lead(tenant, first_name=f"N{number}")
    operation = do(alice, "test.tag")
    with acting(alice) as by:
        undone = undo_operation(operation=operation, by=by)
    with django_assert_max_num_queries(90):
        runner.run(undone.pk)
    assert {lead.company for lead in leads(tenant).values()} == {""}
