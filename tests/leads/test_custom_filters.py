"""Custom fields in lists of leads: as filters, and in nested conditions."""

import json

import pytest
from django.db import connection

from crm.conditions import OPERATORS
from crm.errors import InvalidInput
from leads.filters import LeadFilters, LeadList
from leads.models import Lead
from tests.customobjects.parts import make_field
from tests.factories import acting, make_lead

# Shapes that a key may hold although its field is of another kind.
OTHERS = (None, True, "soon", "1e400", -7, 10**30, 1e300, [], ["x", 5], {}, {"amount": "many"}, {"amount": ["1"]}, [["2024-01-31"]], "2024-99-99x")  # fmt: skip
USD = "USD"


def names(user, params: dict[str, str]) -> str:
    """The first names of a list, in order of the alphabet; its total must say the same number."""
    with acting(user) as by:
        leads = LeadList(params=params, actor=by)
        ids = leads.listing.page(limit=100).ids
        assert leads.total() == len(ids)
        return ",".join(sorted(Lead.objects.filter(pk__in=ids).values_list("first_name", flat=True)))


def matching(user, *conditions: dict) -> str:
    tree = conditions[0] if len(conditions) == 1 else {"all": list(conditions)}
    return names(user, {"filter": json.dumps(tree)})


def leads_with(tenant, values: dict[str, object]) -> None:
    for name, value in values.items():
        make_lead(tenant, first_name=name, custom_fields={"f": value})
    make_lead(tenant, first_name="none", custom_fields={})


def condition(op: str, value: object = None) -> dict:
    return {"field": "cf_f", "op": op} if value is None else {"field": "cf_f", "op": op, "value": value}


# --- filters ---


@pytest.mark.parametrize(
    ("kind", "values", "asked"),
    [
        ("text", {"a": "Gold", "b": "gold plan"}, {"cf_f=GOLD": "a", "cf_f_contains=gold": "a,b", "cf_f_empty=yes": "none"}),
        ("number", {"a": 9, "b": 10.5}, {"cf_f=10.50": "b", "cf_f_min=9.5": "b", "cf_f_max=9": "a", "cf_f=9": "a"}),
        ("money", {"a": {"amount": "9.00", "currency": USD}, "b": {"amount": "100.00", "currency": USD}}, {"cf_f=9": "a", "cf_f_min=10": "b"}),
        ("date", {"a": "2024-01-31", "b": "2024-02-01"}, {"cf_f=2024-01-31": "a", "cf_f_after=2024-02-01": "b"}),
        ("choice", {"a": "hot", "b": "c0"}, {"cf_f=Hot": "a", "cf_f=hot,cold": "a,b", "cf_f=none": "none"}),
        ("multi_choice", {"a": ["hot", "c0"], "b": ["c0"]}, {"cf_f=cold": "a,b", "cf_f=hot": "a"}),
        ("checkbox", {"a": True, "b": False}, {"cf_f=yes": "a", "cf_f=no": "b,none"}),
    ],
)  # fmt: skip
def test_list_is_filtered_by_custom_fields(tenant, alice, kind, values, asked):
    make_field(tenant, kind, label="F", key="f")
    leads_with(tenant, values)
    for question, wanted in asked.items():
        assert names(alice, dict([question.split("=")])) == wanted, question


def test_users_are_found_by_me_and_by_number(tenant, alice, bob):
    make_field(tenant, "user", label="F", key="f")
    leads_with(tenant, {"a": alice.pk, "b": bob.pk})
    assert names(alice, {"cf_f": "me"}) == "a"
    assert names(alice, {"cf_f": f"{bob.pk},none"}) == "b,none"
    assert matching(alice, condition("is", ["me"])) == "a"
    assert matching(alice, condition("is_not", "me")) == "b,none"
    assert matching(alice, condition("is", ["none", bob.pk])) == "b,none"


def test_equality_is_found_by_the_index_and_counted_by_the_owner(tenant, alice):
    make_field(tenant, "choice", label="F", key="f")
    leads_with(tenant, {"a": "hot", "b": "c0"})
    for params in ({"cf_f": "hot"}, {"filter": json.dumps(condition("is", "Hot"))}):
        with acting(alice) as by:
            leads = LeadList(params=params, actor=by)
            asked: list[str] = []

            def note(execute, sql, values, many, context, asked=asked):
                asked.append(str(sql))
                return execute(sql, values, many, context)

            with connection.execute_wrapper(note):
                assert len(leads.listing.page(limit=10).ids) == leads.total() == 1
        assert any("leads_custom_ids" in sql for sql in asked)
        assert any("leads_custom_count" in sql for sql in asked)


def test_a_list_without_custom_fields_reads_no_definitions(tenant, alice):
    make_field(tenant, "number", label="F", key="f")
    asked: list[str] = []

    def note(execute, sql, values, many, context):
        asked.append(str(sql))
        return execute(sql, values, many, context)

    with acting(alice) as by, connection.execute_wrapper(note):
        LeadList(params={"status": "new", "sort": "name", "col": "company", "filter": ""}, actor=by).listing.page(limit=10)
    assert asked
    assert not [sql for sql in asked if "customobjects" in sql]


def test_a_hidden_field_is_no_filter(tenant, alice, bob):
    make_field(tenant, "number", label="F", key="f", visible_to=["manager"])
    make_lead(tenant, first_name="a", owner=bob, custom_fields={"f": 5})
    make_lead(tenant, first_name="b", owner=bob, custom_fields={"f": 7})
    assert names(alice, {"cf_f": "5"}) == "a"
    assert names(bob, {"cf_f": "5"}) == "a,b"
    with acting(bob) as by:
        assert LeadList(params={"cf_f": "5"}, actor=by).narrowing.applied == {}
        assert "cf_f" not in LeadFilters.seen_by(by).condition_fields()
        with pytest.raises(InvalidInput, match="Unknown field"):
            LeadList(params={"filter": json.dumps(condition("at_least", 5))}, actor=by)
        assert "cf_f" not in LeadFilters.all_filters()


def test_wrong_values_are_told_by_parameter(tenant, alice):
    make_field(tenant, "number", label="N", key="n")
    make_field(tenant, "choice", label="C", key="c")
    with acting(alice) as by, pytest.raises(InvalidInput) as refusal:
        LeadList(params={"cf_n_min": "much", "cf_c": "tepid"}, actor=by)
    assert refusal.value.problems == {"cf_n_min": ["Must be a number."], "cf_c": ["Unknown choice: tepid."]}


# --- conditions ---


@pytest.mark.parametrize(
    ("kind", "values", "asked"),
    [
        (
            "text",
            {"a": "Gold", "b": "gold plan", "c": "none"},
            [
                (("is", "GOLD"), "a"), (("is", ["gold", "none"]), "a,c"), (("is_not", "gold"), "b,c,none"), (("contains", "plan"), "b"),
                (("starts_with", "GO"), "a,b"), (("not_contains", "gold"), "c,none"), (("empty",), "none"), (("not_empty",), "a,b,c"),
            ],
        ),
        (
            "number",
            {"a": 9, "b": 10.5, "c": 100},
            [
                (("is", 10.5), "b"), (("is_not", 9), "b,c,none"), (("less", 10.5), "a"), (("at_most", 10.5), "a,b"), (("more", 10.5), "c"),
                (("at_least", 10.5), "b,c"), (("between", [9, 10.5]), "a,b"), (("is", [9, 100]), "a,c"), (("empty",), "none"),
            ],
        ),
        (
            "money",
            {name: {"amount": amount, "currency": USD} for name, amount in (("a", "9.00"), ("b", "10.50"))},
            [(("is", 10.5), "b"), (("more", 9), "b"), (("between", [1, 9]), "a"), (("is_not", 9), "b,none")],
        ),
        (
            "date",
            {"a": "2024-01-31", "b": "2024-02-01", "c": "2999-01-01"},
            [
                (("on", "2024-01-31"), "a"), (("before", "2024-02-01"), "a"), (("after", "2024-01-31"), "b,c"), (("older_than", "7d"), "a,b"),
                (("between", ["2024-01-31", "2024-02-01"]), "a,b"), (("within_next", "30d"), ""), (("not_empty",), "a,b,c"),
            ],
        ),
        (
            "choice",
            {"a": "hot", "b": "c0"},
            [(("is", "Hot"), "a"), (("is", ["hot", "cold"]), "a,b"), (("is_not", "hot"), "b,none"), (("empty",), "none")],
        ),
        (
            "multi_choice",
            {"a": ["hot", "c0"], "b": ["c0"]},
            [
                (("has_any", ["hot"]), "a"), (("has_any", ["hot", "cold"]), "a,b"), (("has_all", ["Hot", "Cold"]), "a"),
                (("has_none", ["hot"]), "b,none"), (("empty",), "none"),
            ],
        ),
        ("checkbox", {"a": True, "b": False}, [(("is", True), "a"), (("is", False), "b,none")]),
    ],
)  # fmt: skip
def test_conditions_compare_by_kind_alone_and_among_others(tenant, alice, kind, values, asked):
    make_field(tenant, kind, label="F", key="f")
    leads_with(tenant, values)
    everyone = {*values, "none"}
    for leaf, wanted in asked:
        assert matching(alice, condition(*leaf)) == wanted, leaf
        # Where not all rows must fulfil it no index can help, and the answer is the same.
        assert matching(alice, {"any": [condition(*leaf), {"field": "name", "op": "is", "value": "nobody"}]}) == wanted, leaf
        opposite = ",".join(sorted(everyone - set(wanted.split(","))))
        assert matching(alice, {"not": condition(*leaf)}) == opposite, leaf


@pytest.mark.parametrize("kind", ["text", "number", "money", "date", "choice", "multi_choice", "user", "url", "checkbox"])
def test_rows_of_another_shape_never_make_a_condition_fail(tenant, alice, kind):
    make_field(tenant, kind, label="F", key="f")
    leads_with(tenant, {f"x{place:02}": value for place, value in enumerate(OTHERS)})
    given = {
        "is": "hot" if kind == "choice" else True if kind == "checkbox" else "me" if kind == "user" else 5 if kind in ("number", "money") else "x",
        "has_any": ["hot"], "has_all": ["hot", "cold"], "has_none": ["hot"], "contains": "x", "not_contains": "x", "starts_with": "s",
        "on": "today", "before": "2024-01-31", "after": "-7d", "older_than": "1y", "within_last": "1y", "within_next": "1d", "less": 5,
        "at_most": 5, "more": 5, "at_least": 5, "between": ["2024-01-01", "2024-12-31"] if kind == "date" else [1, 5],
    }  # fmt: skip
    given["is_not"] = given["is"]
    with acting(alice) as by:
        operators = OPERATORS[LeadFilters.seen_by(by).condition_fields()["cf_f"].kind]
    for op in operators:
        leaf = condition(op, given.get(op))
        both = [matching(alice, leaf).split(","), matching(alice, {"not": leaf}).split(",")]
        assert sum(name != "" for part in both for name in part) == len(OTHERS) + 1, op


def test_unknown_choices_and_wrong_values_are_told(tenant, alice):
    make_field(tenant, "choice", label="C", key="c")
    make_field(tenant, "multi_choice", label="M", key="m")
    make_field(tenant, "number", label="N", key="n")
    wrong = [
        ({"field": "cf_c", "value": "tepid"}, "Unknown choice: tepid."),
        ({"field": "cf_m", "op": "has_any", "value": ["tepid"]}, "Unknown choice: tepid."),
        ({"any": [{"field": "cf_m", "op": "has_none", "value": ["hot", "tepid"]}]}, "Unknown choice: tepid."),
        ({"field": "cf_n", "op": "less", "value": "x"}, "Must be a number."),
    ]
    with acting(alice) as by:
        for tree, message in wrong:
            with pytest.raises(InvalidInput) as refusal:
                LeadList(params={"filter": json.dumps(tree)}, actor=by)
            assert message in refusal.value.problems["filter"][0]


def test_keys_named_like_lookups_are_keys(tenant, alice):
    for key in ("in", "gte", "a__gte"):
        make_field(tenant, "number", label=f"Is {key}", key=key)
        make_lead(tenant, first_name=key, custom_fields={key: 5})
        assert matching(alice, {"field": f"cf_{key}", "op": "at_least", "value": 5}) == key
        assert names(alice, {f"cf_{key}": "5"}) == key
