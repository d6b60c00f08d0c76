"""Definitions of custom fields: keys, choices, limits, order."""

import pytest

from crm.errors import Forbidden, InvalidInput
from customobjects.enums import FieldKind
from customobjects.errors import KeyTaken, KindIsFixed, NotUnique, TooManyFields
from customobjects.models import FieldDefinition, UniqueValue
from customobjects.selectors import definitions
from customobjects.services import definitions as services
from customobjects.services.definitions import FieldSettings, delete_definition, order_definitions, save_definition, switch_definition
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead


def save(user, item=None, **settings):
    settings = {"label": "Seats", "kind": FieldKind.NUMBER, **settings}
    with acting(user) as by:
        return save_definition(definition=item, model="leads.Lead", wanted=FieldSettings(**settings), by=by)


@pytest.mark.parametrize(
    ("label", "key"),
    [("Shoe size", "shoe_size"), ("Größe (cm)", "groe_cm"), ("2nd phone", "field_2nd_phone"), ("予算", "field"), ("A" * 80, "a" * 44)],
)
def test_key_is_made_from_the_name(alice, label, key):
    assert save(alice, label=label).key == key


def test_made_key_that_is_taken_is_numbered(tenant, alice):
    make_field(tenant, label="Size")
    assert save(alice, label="Size!").key == "size_2"


@pytest.mark.parametrize(("label", "key"), [("Budget", "x"), ("Other", "budget"), ("Budget from", "budget_min")])
def test_name_or_key_that_would_be_mistaken_is_refused(tenant, alice, label, key):
    make_field(tenant, "money", label="Budget")
    with pytest.raises(KeyTaken):
        save(alice, label=label, key=key)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"label": "  "}, "label"),
        ({"key": "Not a key"}, "key"),
        ({"kind": FieldKind.CHOICE}, "choices"),
        ({"kind": FieldKind.CHOICE, "choices": ["A", "a"]}, "choices"),
        ({"kind": FieldKind.CHOICE, "choices": ["A, B"]}, "choices"),
        ({"kind": FieldKind.CHOICE, "choices": [{"label": "A", "color": "pink"}]}, "choices"),
        ({"kind": FieldKind.MONEY, "currency": "dollars"}, "currency"),
        ({"kind": FieldKind.MONEY, "unique": True}, "unique"),
        ({"kind": FieldKind.CHECKBOX, "required": True}, "required"),
        ({"default": "many"}, "default"),
        ({"default": 5, "unique": True}, "default"),
        ({"visible_to": ["kings"]}, "visible_to"),
    ],
)
def test_wrong_setting_is_refused_by_name(alice, wrong, field):
    with pytest.raises(InvalidInput) as refused:
        save(alice, **wrong)
    assert list(refused.value.problems) == [field]


def test_only_who_configures_may_define(bob):
    with pytest.raises(Forbidden):
        save(bob)


def test_renamed_choice_keeps_its_value_and_unchanged_ones_theirs(tenant, alice):
    item = make_field(tenant, "choice", label="Heat")
    assert [choice["value"] for choice in item.choices] == ["hot", "luke_warm", "c0"]
    saved = save(alice, item, label="Heat", kind=FieldKind.CHOICE, choices=["Cold", {"label": "Boiling", "value": "hot"}])
    assert [(choice["value"], choice["label"]) for choice in saved.choices] == [("c0", "Cold"), ("hot", "Boiling")]


def test_kind_and_key_stay(tenant, alice):
    item = make_field(tenant, "text", label="Seats")
    with pytest.raises(KindIsFixed):
        save(alice, item)
    with pytest.raises(KindIsFixed):
        save(alice, item, kind=FieldKind.TEXT, key="chairs")


def test_number_of_fields_in_use_is_limited(tenant, alice, monkeypatch):
    monkeypatch.setattr(services, "MOST_ACTIVE", 2)
    make_field(tenant)
    off = make_field(tenant)
    with acting(alice) as by:
        switch_definition(definition=off, on=False, by=by)
    make_field(tenant)
    with pytest.raises(TooManyFields):
        save(alice)
    with pytest.raises(TooManyFields), acting(alice) as by:
        switch_definition(definition=off, on=True, by=by)


def test_order_is_what_was_asked_for_and_the_rest_follows(tenant, alice):
    first, second, third = (make_field(tenant, label=label) for label in ("A", "B", "C"))
    with acting(alice) as by:
        order_definitions(model="leads.Lead", ids=[third.pk, first.pk], by=by)
        assert [item.label for item in definitions("leads.Lead").every] == ["C", "A", "B"]
        for wrong in ([first.pk, first.pk], [second.pk, 0]):
            with pytest.raises(InvalidInput):
                order_definitions(model="leads.Lead", ids=wrong, by=by)


def test_deleting_keeps_the_values(tenant, alice):
    item = make_field(tenant, "text", label="Contract", unique=True)
    lead = make_lead(tenant, custom_fields={"contract": "A-1"})
    with acting(alice) as by:
        delete_definition(definition=item, by=by)
        lead.refresh_from_db()
        assert lead.custom_fields == {"contract": "A-1"}
        assert not UniqueValue.objects.exists()


def test_changes_of_a_definition_have_a_history(tenant, alice):
    item = make_field(tenant, "text", label="Contract")
    save(alice, item, label="Contract no.", kind=FieldKind.TEXT)
    with inside(tenant.pk):
        assert [row.label for row in item.history.all()] == ["Contract"]


# --- becoming unique ---


def test_field_with_repeated_values_cannot_become_unique(tenant, alice):
    item = make_field(tenant, "text", label="Contract")
    for value in ("A-1", "a-1", "B"):
        make_lead(tenant, custom_fields={"contract": value})
    with pytest.raises(NotUnique, match="1 values"):
        save(alice, item, label="Contract", kind=FieldKind.TEXT, unique=True)
    with inside(tenant.pk):
        assert not FieldDefinition.objects.get().unique


def test_field_that_becomes_unique_claims_what_is_there(tenant, alice):
    item = make_field(tenant, "text", label="Contract")
    lead = make_lead(tenant, custom_fields={"contract": "A-1"})
    make_lead(tenant, custom_fields={"contract": {"not": "a text"}})
    make_lead(tenant, custom_fields={})
    item = save(alice, item, label="Contract", kind=FieldKind.TEXT, unique=True)
    with inside(tenant.pk):
        assert list(UniqueValue.objects.values_list("value", "record_id")) == [("a-1", lead.pk)]
    save(alice, item, label="Contract", kind=FieldKind.TEXT, unique=False)
    with inside(tenant.pk):
        assert not UniqueValue.objects.exists()
