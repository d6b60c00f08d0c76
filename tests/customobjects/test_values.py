"""Values of custom fields on their way in."""

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crm.errors import InvalidInput
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import shown
from customobjects.services.kinds import read_value
from customobjects.services.values import clean_values
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_user

PEOPLE = {"jane@acme.example": 7, "7": 7}
CHOICES = [{"value": "hot", "label": "Hot", "color": "red"}, {"value": "luke_warm", "label": "Luke warm", "color": ""}, {"value": "c0", "label": "Cold", "color": ""}]  # fmt: skip


def field(kind: str) -> FieldDefinition:
    return FieldDefinition(key="x", label="X", kind=kind, currency="USD", choices=CHOICES)


@pytest.mark.parametrize(
    ("kind", "given", "stored"),
    [
        ("text", "  two\r\nlines ", "two\nlines"),
        ("text", 42, "42"),
        ("number", "1,234.50", 1234.5),
        ("number", "1.234,50", 1234.5),
        ("number", "12,5", 12.5),
        ("number", "1,234", 1234),
        ("number", "−3", -3),
        ("number", 12.0, 12),
        ("number", 0.1 + 0.2, 0.3),
        ("money", "$1,250.5", {"amount": "1250.50", "currency": "USD"}),
        ("money", "USD 12", {"amount": "12.00", "currency": "USD"}),
        ("money", "12.30 usd", {"amount": "12.30", "currency": "USD"}),
        ("money", {"amount": 12.5}, {"amount": "12.50", "currency": "USD"}),
        ("money", -0.0, {"amount": "0.00", "currency": "USD"}),
        ("date", "2024-01-31", "2024-01-31"),
        ("date", "2024-01-31T09:00:00Z", "2024-01-31"),
        ("date", "31.01.2024", "2024-01-31"),
        ("date", "Jan 31, 2024", "2024-01-31"),
        ("date", dt.date(2024, 1, 31), "2024-01-31"),
        ("choice", "LUKE-WARM", "luke_warm"),
        ("choice", "cold", "c0"),
        ("multi_choice", "Cold; hot", ["hot", "c0"]),
        ("multi_choice", ["c0", "Cold"], ["c0"]),
        ("user", "JANE@acme.example", 7),
        ("user", 7, 7),
        ("url", "www.acme.example/a", "https://www.acme.example/a"),
        ("url", "http://acme.example:8080/?q=1", "http://acme.example:8080/?q=1"),
        ("checkbox", "Yes", True),
        ("checkbox", "x", True),
        ("checkbox", 0, False),
    ],
)
def test_value_is_stored_in_the_form_of_its_kind(kind, given, stored):
    read = read_value(field(kind), given, people=PEOPLE)
    assert (read, type(read)) == (stored, type(stored))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("text", {"a": 1}),
        ("text", True),
        ("text", "x" * 1001),
        ("number", "twelve"),
        ("number", "1,23,4"),
        ("number", True),
        ("number", "nan"),
        ("number", float("inf")),
        ("number", "1e300"),
        ("money", "€12"),
        ("money", "12.345"),
        ("money", {"amount": "1", "currency": "EUR"}),
        ("money", {"amount": "1", "more": 1}),
        ("money", {"currency": "USD"}),
        ("date", "31/01/2024"),
        ("date", "2024-02-30"),
        ("date", 20240131),
        ("choice", "Tepid"),
        ("choice", ["hot"]),
        ("multi_choice", ["hot", "Tepid"]),
        ("multi_choice", 7),
        ("user", "bob@acme.example"),
        ("user", True),
        ("url", "javascript:alert(1)"),
        ("url", "ftp://acme.example"),
        ("url", "not an address"),
        ("checkbox", "perhaps"),
        ("checkbox", 2),
    ],
)
def test_value_of_another_kind_is_refused_with_a_sentence(kind, given):
    with pytest.raises(ValueError, match=r"\.$"):
        read_value(field(kind), given, people=PEOPLE)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
_TYPED = st.one_of(
    _JSON,
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
    st.decimals(min_value=-(10**11), max_value=10**11, places=2).map(lambda number: f"${number:,}"),
    st.dates().map(str),
    st.sampled_from(["hot", "Luke Warm", "cold,hot", "www.acme.example", "yes", "jane@acme.example", "1 234,5"]),
)


@given(kind=st.sampled_from(FieldKind.values), value=_TYPED)
@example(kind="number", value="999999999999999.9999999")
@example(kind="money", value="999999999999.99")
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_stored_reads_as_itself_and_can_be_shown(kind, value):
    """Whatever is sent, it is refused by a ValueError or stored in a form that comes through unchanged."""
    item = field(kind)
    try:
        stored = read_value(item, value, people=PEOPLE)
    except ValueError:
        return
    again = read_value(item, stored, people=PEOPLE) if stored not in ("", []) else stored
    assert (again, type(again)) == (stored, type(stored))
    assert isinstance(shown(item, stored), str) if kind != "user" else True


@given(number=st.decimals(min_value=-(10**11), max_value=10**11, places=2))
@settings(deadline=None)
def test_money_keeps_every_cent(number):
    stored = read_value(field("money"), str(number), people={})
    assert Decimal(stored["amount"]) == number


# --- a record's values together ---


def clean(user, **arguments):
    with acting(user) as by:
        return clean_values(model="leads.Lead", by=by, **arguments)


def problems(user, **arguments):
    with pytest.raises(InvalidInput) as refused:
        clean(user, **arguments)
    return refused.value.problems


def test_unknown_keys_are_kept_as_they_are(tenant, alice):
    make_field(tenant, "number", label="Seats")
    given = {"myKey": {"deep": [1, None]}, "Other": None, "seats": "12"}
    assert clean(alice, values=given) == {"myKey": {"deep": [1, None]}, "Other": None, "seats": 12}


def test_field_is_found_by_its_name_and_its_own_key_counts(tenant, alice):
    make_field(tenant, "number", label="Shoe size")
    assert clean(alice, values={"Shoe Size": "42"}) == {"shoe_size": 42}
    assert clean(alice, values={"shoe_size": 43, "Shoe Size": "42"}) == {"shoe_size": 43}
    assert clean(alice, values={"Shoe Size": "42", "shoe-size": ""}, existing={"shoe_size": 1}, partial=True) == {}


def test_problems_are_named_by_field_and_told_together(tenant, alice):
    make_field(tenant, "number", label="Seats")
    make_field(tenant, "text", label="Contract", required=True)
    assert problems(alice, values={"seats": "many"}) == {
        "custom_fields.seats": ["Must be a number."],
        "custom_fields.contract": ["This field is required."],
    }


def test_default_fills_what_was_not_given_and_not_what_was_emptied(tenant, alice):
    make_field(tenant, "choice", label="Heat", default="cold")
    assert clean(alice, values={}) == {"heat": "c0"}
    assert clean(alice, values={"heat": ""}) == {}
    assert clean(alice, values={}, existing={"x": 1}, partial=True) == {"x": 1}


def test_required_field_cannot_be_emptied_but_may_stay_missing(tenant, alice):
    make_field(tenant, "text", label="Contract", required=True)
    assert problems(alice, values={"contract": " "}, existing={"contract": "A"}, partial=True) == {
        "custom_fields.contract": ["This field is required."]
    }
    assert clean(alice, values={"contract": ""}, existing={}, partial=True) == {}


def test_partial_change_leaves_the_others_and_none_removes(tenant, alice):
    make_field(tenant, "number", label="Seats")
    before = {"seats": 1, "free": "a", "more": 2}
    assert clean(alice, values={"seats": 5, "free": None}, existing=before, partial=True) == {"seats": 5, "more": 2}
    assert clean(alice, values={"seats": 5}, existing=before) == {"seats": 5}


def test_value_that_is_there_is_never_held_against_anybody(tenant, alice):
    """A choice was withdrawn, a colleague left, an arrival brought words for a number."""
    make_field(tenant, "choice", label="Heat")
    make_field(tenant, "number", label="Seats")
    before = {"heat": "tepid", "seats": "about ten"}
    assert clean(alice, values=before, existing=before) == before
    assert list(problems(alice, values={**before, "seats": "about 11"}, existing=before)) == ["custom_fields.seats"]


def test_sender_that_cannot_be_asked_loses_nothing(tenant, alice):
    make_field(tenant, "number", label="Seats", required=True)
    make_field(tenant, "text", label="Contract", required=True, default="standard")
    assert clean(alice, values={"Seats": "about ten"}, strict=False) == {"seats": "about ten"}


def test_switched_off_field_is_not_checked(tenant, alice):
    make_field(tenant, "number", label="Seats", required=True, is_active=False)
    assert clean(alice, values={"seats": "many"}) == {"seats": "many"}


def test_user_must_be_an_active_colleague(tenant, next_door, alice, bob, mallory):
    make_field(tenant, "user", label="Engineer")
    gone = make_user(tenant, is_active=False)
    assert clean(alice, values={"engineer": bob.email.upper()}) == {"engineer": bob.pk}
    for other in (gone.pk, mallory.pk, mallory.email):
        assert problems(alice, values={"engineer": other}) == {"custom_fields.engineer": ["No active user has this e-mail or id."]}


# --- roles ---


def test_field_of_other_roles_is_neither_changed_nor_lost(tenant, alice, bob):
    make_field(tenant, "number", label="Margin", visible_to=["manager"])
    make_field(tenant, "number", label="Discount", editable_by=["manager"])
    before = {"margin": 40, "discount": 5, "free": 1}
    assert clean(bob, values={"free": 2}, existing=before) == {"margin": 40, "discount": 5, "free": 2}
    refused = ["Your role may not change this field."]
    assert problems(bob, values={"margin": 1, "discount": 6}, existing=before) == {
        "custom_fields.margin": refused,
        "custom_fields.discount": refused,
    }
    assert clean(bob, values={"discount": 5}, existing=before, partial=True) == before
    assert clean(alice, values={"margin": 1}, existing=before, partial=True)["margin"] == 1


def test_required_field_is_not_asked_of_who_may_not_fill_it(tenant, alice, bob):
    make_field(tenant, "number", label="Margin", visible_to=["manager"], required=True)
    assert clean(bob, values={}) == {}
    assert list(problems(alice, values={})) == ["custom_fields.margin"]


def test_hidden_field_stays_hidden_when_it_is_switched_off(tenant, bob):
    make_field(tenant, "number", label="Margin", visible_to=["manager"], is_active=False)
    assert list(problems(bob, values={"Margin": 1}, existing={"margin": 40}, partial=True)) == ["custom_fields.margin"]


# --- numbers that are too large ---


def test_who_cannot_be_told_has_large_numbers_kept_as_text(tenant):
    make_field(tenant, "number", label="Rooms", key="rooms")
    given = {"rooms": 1e30, "free": 10**30, "nested": {"a": [1e300, 5, True]}, "text": "x"}
    with inside(tenant.pk):
        kept = clean_values(model="leads.Lead", values=given, strict=False, by=None)
    assert kept == {"rooms": "1e+30", "free": str(10**30), "nested": {"a": ["1e+300", 5, True]}, "text": "x"}


@pytest.mark.parametrize("value", [10**30, -(2**53) - 1, float("inf"), float("nan"), [[2**60]]])
def test_who_can_is_told(tenant, alice, value):
    make_field(tenant, "number", label="Rooms", key="rooms")
    assert list(problems(alice, values={"free": value})) == ["custom_fields.free"]
