"""Unique fields of leads: one at a time, at once, in files, and what gives a value up."""

import threading

import pytest
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.actors import Actor, Door
from crm.errors import InvalidInput
from crm.operations import runner
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from customobjects.models import UniqueValue
from leads.models import Arrival, Lead
from leads.services.bin import delete_lead, restore_lead
from leads.services.drafts import LeadDraft
from leads.services.editing import edit_lead
from leads.services.import_rows import ImportOptions
from leads.services.imports import check_import, draft_import, start_import
from leads.services.intake import capture_lead, receive_arrival
from leads.services.upsert import OnDuplicate
from tests.customobjects.parts import make_field
from tests.factories import acting, inside

TAKEN = {"custom_fields.contract": ["Another record has this “Contract” already."]}


@pytest.fixture
def contract(tenant):
    return make_field(tenant, "text", label="Contract", unique=True)


def file_of(text: str) -> ContentFile:
    return ContentFile(text.encode(), name="people.csv")


def capture(user, name: str, contract: str = "", **fields):
    values = {"contract": contract} if contract else {}
    with acting(user) as by:
        return capture_lead(draft=LeadDraft(name=name, custom_fields=values, **fields), by=by).lead


def refused(act) -> dict:
    with pytest.raises(InvalidInput) as refusal:
        act()
    return refusal.value.problems


def held(tenant) -> dict[str, str]:
    with inside(tenant.pk):
        names = dict(Lead.objects.values_list("pk", "first_name"))
        return {value: names.get(pk, "") for value, pk in UniqueValue.objects.values_list("value", "record_id")}


def names(tenant) -> list[str]:
    with inside(tenant.pk):
        return sorted(Lead.objects.live().values_list("first_name", flat=True))


def edit(user, lead, **values):
    with acting(user) as by:
        return edit_lead(lead_id=lead.pk, data={"custom_fields": values}, by=by)


# --- singles ---


def test_value_that_another_lead_holds_is_refused_whatever_its_case(tenant, contract, alice):
    capture(alice, "Ann", "A-1")
    assert refused(lambda: capture(alice, "Ben", "a-1")) == TAKEN
    assert (names(tenant), held(tenant)) == (["Ann"], {"a-1": "Ann"})


def test_changed_lead_claims_its_new_value_and_gives_up_the_old(tenant, contract, alice):
    ann, ben = capture(alice, "Ann", "A-1"), capture(alice, "Ben", "B-1")
    assert refused(lambda: edit(alice, ben, contract="A-1")) == TAKEN
    edit(alice, ann, contract="A-2")
    edit(alice, ben, contract="A-1")
    assert held(tenant) == {"a-2": "Ann", "a-1": "Ben"}
    edit(alice, ben, contract=None)
    assert held(tenant) == {"a-2": "Ann"}


def test_lead_in_the_bin_gives_its_value_to_who_wants_it(tenant, contract, alice):
    ann = capture(alice, "Ann", "A-1")
    with acting(alice) as by:
        delete_lead(lead_id=ann.pk, by=by)
    capture(alice, "Ben", "A-1")
    assert held(tenant) == {"a-1": "Ben"}
    with acting(alice) as by:
        restore_lead(lead_id=ann.pk, by=by)
    assert (names(tenant), held(tenant)) == (["Ann", "Ben"], {"a-1": "Ben"})


def test_other_field_of_a_lead_can_be_changed_whoever_holds_its_value(tenant, contract, alice):
    """An arrival brought a value that was taken; nothing was lost, and nobody is stopped by it later."""
    capture(alice, "Ann", "A-1")
    by = Actor.system(tenant_id=tenant.pk, door=Door.WEBHOOK)
    with tenant_scope(tenant.pk, by=by):
        draft = LeadDraft(name="Ben", custom_fields={"Contract": "A-1"})
        arrival, _new = receive_arrival(arrival=Arrival(platform_key="website", source_lead_id="1"), draft=draft, by=by)
    ben = arrival.lead
    assert ben.custom_fields == {"contract": "A-1"}
    edit(alice, ben, free="x")
    assert held(tenant) == {"a-1": "Ann"}


def test_other_tenants_values_do_not_count(tenant, contract, next_door, alice, mallory):
    make_field(next_door, "text", label="Contract", unique=True)
    capture(alice, "Ann", "A-1")
    capture(mallory, "Mal", "A-1")
    assert (held(tenant), held(next_door)) == ({"a-1": "Ann"}, {"a-1": "Mal"})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("given_up", [False, True])
def test_of_two_who_want_a_value_at_once_one_gets_it(tenant, contract, alice, given_up):
    if given_up:
        with acting(alice) as by:
            delete_lead(lead_id=capture_lead(draft=LeadDraft(name="Old", custom_fields={"contract": "A-1"}), by=by).lead.pk, by=by)
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def want(name: str) -> None:
        try:
            start.wait()
            capture(alice, name, "A-1")
            outcomes.append("made")
        except InvalidInput as refusal:
            outcomes.append(f"refused {refusal.field}")
        finally:
            connection.close()

    threads = [threading.Thread(target=want, args=(name,)) for name in ("Ann", "Ben")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused custom_fields.contract"]
    assert list(held(tenant).values()) == names(tenant)


# --- files ---


def imported(tenant, user, text: str, **options) -> tuple[Operation, list[tuple[int, str, str]]]:
    with acting(user) as by:
        operation = start_import(file=file_of(text), options=ImportOptions(**options), by=by)
    runner.run(operation.pk)
    with inside(tenant.pk):
        operation.refresh_from_db()
        rows = operation.rows.filter(outcome="failed").order_by("row")
        return operation, [(row.row, row.field, row.message) for row in rows]


def test_import_refuses_rows_whose_value_is_taken_there_or_earlier_in_the_file(tenant, contract, alice):
    capture(alice, "Ann", "A-1")
    text = "Name,Contract\nBen,A-1\nCid,C-1\nDan,c-1\nEve,\n"
    operation, failed = imported(tenant, alice, text)
    assert failed == [
        (2, "custom_fields.contract", "Another record has this “Contract” already."),
        (4, "custom_fields.contract", "Row 3 has this “Contract” already."),
    ]
    assert (operation.state, operation.created, names(tenant)) == ("done", 2, ["Ann", "Cid", "Eve"])
    assert held(tenant) == {"a-1": "Ann", "c-1": "Cid"}


def test_import_updates_a_lead_that_holds_the_value_itself(tenant, contract, alice):
    capture(alice, "Ann", "A-1", email="ann@acme.example")
    capture(alice, "Ben", "B-1", email="ben@acme.example")
    text = "Name,E-mail,Contract\nAnn,ann@acme.example,A-1\nBen,ben@acme.example,A-1\n"
    operation, failed = imported(tenant, alice, text, on_duplicate=OnDuplicate.UPDATE)
    assert failed == [(3, "custom_fields.contract", "Row 2 has this “Contract” already.")]
    one = "E-mail,Contract\nben@acme.example,A-1\n"
    operation, failed = imported(tenant, alice, one, on_duplicate=OnDuplicate.UPDATE)
    assert (operation.state, failed) == ("done", [(2, "custom_fields.contract", TAKEN["custom_fields.contract"][0])])
    assert held(tenant) == {"a-1": "Ann", "b-1": "Ben"}


def test_import_reads_by_kind_fills_defaults_and_names_the_wrong_column(tenant, alice):
    make_field(tenant, "number", label="Seats", required=True)
    make_field(tenant, "choice", label="Heat", default="Cold")
    text = 'Name,Places,HEAT\nAnn,"1,200",hot\nBen,few,\nCid,,\nDan,3,\n'
    with acting(alice) as by:
        operation = draft_import(file=file_of(text), by=by)
        operation.params["mapping"] = {"Name": "name", "Places": "custom:seats"}
        operation.save()
        check = check_import(operation=operation, by=by)
    runner.run(check.pk)
    with inside(tenant.pk):
        assert list(check.rows.filter(outcome="failed").order_by("row").values_list("row", "field", "message")) == [
            (3, "custom:seats", "Must be a number."),
            (4, "custom:seats", "This field is required."),
        ]
        assert not Lead.objects.exists()
    operation, _failed = imported(tenant, alice, text.replace("Places", "Seats"))
    with inside(tenant.pk):
        stored = dict(Lead.objects.values_list("first_name", "custom_fields"))
    assert stored == {"Ann": {"seats": 1200, "heat": "hot"}, "Dan": {"seats": 3, "heat": "c0"}}


# --- how often it is asked ---


def questions(act) -> int:
    with CaptureQueriesContext(connection) as queries:
        act()
    return sum("WITH ORDINALITY AS given" in query["sql"] for query in queries)


def updated_by_file(user, number: int):
    rows = "".join(f"p{n}@acme.example,K{n}\n" for n in range(number))
    with acting(user) as by:
        options = ImportOptions(on_duplicate=OnDuplicate.UPDATE)
        operation = start_import(file=file_of(f"E-mail,Contract\n{rows}"), options=options, by=by)
    asked = questions(lambda: runner.run(operation.pk))
    with inside(user.tenant_id):
        operation.refresh_from_db()
    assert (operation.updated, operation.failed) == (number, 0)
    return asked


def test_an_update_by_file_asks_once_for_all_its_rows(tenant, alice, contract):
    for n in range(12):
        capture(alice, f"P{n}", email=f"p{n}@acme.example")
    few = updated_by_file(alice, 3)
    assert held(tenant) == {f"k{n}": f"P{n}" for n in range(3)}
    with inside(tenant.pk):
        Lead.objects.update(custom_fields={})
    assert (few, updated_by_file(alice, 12)) == (1, 1)
    assert held(tenant) == {f"k{n}": f"P{n}" for n in range(12)}


def test_a_value_given_up_in_the_same_work_is_free(tenant, alice, contract):
    one, two = capture(alice, "Ann", "K1"), capture(alice, "Ben")
    with acting(alice) as by:
        with pytest.raises(InvalidInput):
            edit_lead(lead_id=two.pk, data={"custom_fields": {"contract": "K1"}}, by=by)
        edit_lead(lead_id=one.pk, data={"custom_fields": {"contract": None}}, by=by)
        edit_lead(lead_id=two.pk, data={"custom_fields": {"contract": "K1"}}, by=by)
    assert held(tenant) == {"k1": "Ben"}
