"""Filters over custom fields: compared by kind, at ease with whatever else stands under a key."""

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customobjects.filters import field_filters
from leads.models import Lead
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_lead

# Shapes that a key may hold although its field is of another kind.
OTHERS = (None, True, "soon", "1e400", -7, 10**30, 1e300, [], ["x", 5], {}, {"amount": "many"}, {"amount": None}, {"amount": ["1"]}, [["2024-01-31"]], "2024-99-99x")  # fmt: skip


def found(user, name: str, text: str) -> list[str]:
    with acting(user) as by:
        rule = field_filters("leads.Lead", by)[name]
        value = rule.parse(text)
        if rule.control == "user":
            value = [str(user.pk) if word == "me" else word for word in value]
        return sorted(Lead.objects.filter(rule.q(value)).values_list("first_name", flat=True))


def leads_with(tenant, values: dict[str, object], *, key: str = "f") -> None:
    for name, value in values.items():
        make_lead(tenant, first_name=name, custom_fields={key: value})
    make_lead(tenant, first_name="none", custom_fields={})


@pytest.mark.parametrize(
    ("kind", "values", "asked"),
    [
        (
            "text",
            {"a": "Gold", "b": "gold plan", "c": "100%"},
            {"": ("GOLD,silver", "a"), "_contains": ("gold", "ab"), "_empty": ("true", "none")},
        ),
        ("text", {"a": "Gold", "b": "x"}, {"": ("gold,none", "a,none"), "_contains": ("%", ""), "_empty": ("no", "ab")}),
        ("number", {"a": 9, "b": 10.5, "c": 100}, {"": ("10.50", "b"), "_min": ("10", "bc"), "_max": ("10.5", "ab")}),
        (
            "money",
            {name: {"amount": amount, "currency": "USD"} for name, amount in (("a", "9.00"), ("b", "10.50"), ("c", "100.00"))},
            {"": ("10.5", "b"), "_min": ("10", "bc"), "_max": ("10.5", "ab")},
        ),
        (
            "date",
            {"a": "2023-12-31", "b": "2024-01-31", "c": "2024-02-01"},
            {"": ("2024-01-31", "b"), "_after": ("2024-01-31", "bc"), "_before": ("2024-01-31", "ab")},
        ),
        ("choice", {"a": "hot", "b": "c0", "c": "luke_warm"}, {"": ("Hot, cold", "ab"), "_empty": ("1", "none")}),
        ("multi_choice", {"a": ["hot", "c0"], "b": ["c0"], "c": ["luke_warm"]}, {"": ("cold", "ab")}),
        ("multi_choice", {"a": ["hot"], "b": ["c0"]}, {"": ("hot,none", "a,none")}),
        ("checkbox", {"a": True, "b": False}, {"": ("yes", "a"), "_empty": ("no", "ab")}),
        ("checkbox", {"a": True, "b": False}, {"": ("no", "b,none")}),
        ("url", {"a": "https://acme.example/x"}, {"_contains": ("ACME", "a")}),
    ],
)
def test_filter_compares_by_kind(tenant, alice, kind, values, asked):
    make_field(tenant, kind, label="F", key="f")
    leads_with(tenant, values)
    for ending, (text, names) in asked.items():
        wanted = sorted(part for word in names.split(",") for part in ([word] if word == "none" else word))
        assert found(alice, f"cf_f{ending}", text) == wanted, (ending, text)


def test_user_filter_knows_me_and_none(tenant, alice, bob):
    make_field(tenant, "user", label="F", key="f")
    leads_with(tenant, {"a": alice.pk, "b": bob.pk})
    assert found(alice, "cf_f", "me") == ["a"]
    assert found(alice, "cf_f", f"{bob.pk},none") == ["b", "none"]


@pytest.mark.parametrize("kind", ["text", "number", "money", "date", "choice", "multi_choice", "user", "url", "checkbox"])
def test_rows_of_another_shape_never_make_a_filter_fail(tenant, alice, kind):
    make_field(tenant, kind, label="F", key="f")
    leads_with(tenant, {f"x{place}": value for place, value in enumerate(OTHERS)})
    texts = {"choice": "hot", "multi_choice": "hot", "date": "2024-01-31", "checkbox": "true", "user": "5"}
    with acting(alice) as by:
        for name, rule in field_filters("leads.Lead", by).items():
            text = "true" if name.endswith("_empty") else texts.get(kind, "5")
            condition = rule.q(rule.parse(text))
            # What a list does with a condition: rows, a count, its opposite.
            assert Lead.objects.filter(condition).count() + Lead.objects.filter(~condition).count() <= len(OTHERS) + 1
            list(Lead.objects.filter(condition | Q(pk=0)).order_by("-created_at", "-pk"))


def test_keys_named_like_lookups_are_keys(tenant, alice):
    for key in ("in", "gte", "contains", "isnull"):
        make_field(tenant, "number", label=f"Is {key}", key=key)
        make_lead(tenant, first_name=key, custom_fields={key: 5})
        assert found(alice, f"cf_{key}_min", "5") == [key]


def test_filters_are_offered_to_who_sees_the_field(tenant, alice, bob):
    make_field(tenant, "number", label="Margin", visible_to=["manager"])
    make_field(tenant, "date", label="Renewal", is_active=False)
    with acting(alice) as by:
        assert sorted(field_filters("leads.Lead", by)) == ["cf_margin", "cf_margin_empty", "cf_margin_max", "cf_margin_min"]
    with acting(bob) as by:
        assert field_filters("leads.Lead", by) == {}


@pytest.mark.parametrize(
    ("kind", "name", "text", "contained"),
    [
        ("number", "cf_f", "5.0", {"f": 5}),
        ("number", "cf_f_min", "5", None),
        ("choice", "cf_f", "cold", {"f": "c0"}),
        ("choice", "cf_f", "cold,hot", None),
        ("multi_choice", "cf_f", "cold", {"f": ["c0"]}),
        ("date", "cf_f", "2024-01-31", {"f": "2024-01-31"}),
        ("user", "cf_f", "7", {"f": 7}),
        ("user", "cf_f", "none", None),
        ("checkbox", "cf_f", "yes", {"f": True}),
        ("text", "cf_f", "Gold", None),
    ],
)
def test_filter_says_what_an_index_can_look_for(tenant, alice, kind, name, text, contained):
    make_field(tenant, kind, label="F", key="f")
    with acting(alice) as by:
        rule = field_filters("leads.Lead", by)[name]
        assert rule.contained(rule.parse(text)) == contained


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(number=st.decimals(min_value=-(10**9), max_value=10**9, places=3), bound=st.decimals(min_value=-(10**9), max_value=10**9, places=3))
def test_numbers_are_compared_as_numbers(shared_lead, number, bound):
    user, lead = shared_lead
    with acting(user) as by:
        Lead.objects.filter(pk=lead.pk).update(custom_fields={"f": float(number)})
        rules = field_filters("leads.Lead", by)
        matches = {ending: Lead.objects.filter(rules[f"cf_f_{ending}"].q(bound)).exists() for ending in ("min", "max")}
    assert matches == {"min": number >= bound, "max": number <= bound}


@pytest.fixture
def shared_lead(tenant, alice):
    make_field(tenant, "number", label="F", key="f")
    with inside(tenant.pk):
        return alice, make_lead(tenant)
