"""Nested conditions: what they read, what they refuse, and that they mean on rows what they say."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.conditions import OPERATORS, ConditionField, moment, period, read_conditions
from crm.errors import InvalidInput

FIELDS = {
    "score": ConditionField(label="Score", kind="number", column="score", blank=Q(score=None)),
    "city": ConditionField(label="City", kind="text", column="city", blank=Q(city="")),
    "seen": ConditionField(label="Seen", kind="date", column="seen", blank=Q(seen=None)),
    "tags": ConditionField(label="Tags", kind="tags", column="tags", blank=Q(tags=[])),
    "owner": ConditionField(label="Owner", kind="user", column="owner", blank=Q(owner=None)),
    "size": ConditionField(label="Size", kind="choice", column="size", blank=Q(size="")),
    "big": ConditionField(label="Big", kind="flag", column="big"),
}


def read(tree):
    condition, _found = read_conditions(tree, FIELDS, me=7)
    return condition


@pytest.mark.parametrize(
    ("tree", "condition"),
    [
        ({"field": "score", "op": "at_least", "value": 70}, Q(score__gte=70)),
        ({"field": "score", "op": "between", "value": [1, 2]}, Q(score__gte=1, score__lte=2)),
        ({"field": "score", "op": "not_empty"}, ~Q(score=None)),
        ({"field": "city", "value": "Paris"}, Q(city__in=["Paris"])),
        ({"field": "city", "op": "not_contains", "value": "a_%"}, ~Q(city__icontains="a_%")),
        ({"field": "owner", "op": "is", "value": ["me", "none", 9]}, Q(owner__in=[7, 9]) | Q(owner=None)),
        ({"field": "tags", "op": "has_none", "value": ["vip"]}, ~Q(tags__overlap=["vip"])),
        ({"field": "size", "op": "is_not", "value": ["1-10", "11-50"]}, ~Q(size__in=["1-10", "11-50"])),
        ({"field": "big", "value": True}, Q(big=True)),
        (
            {"all": [{"field": "score", "op": "less", "value": 5}, {"any": [{"field": "city", "value": "Rome"}, {"field": "tags", "op": "empty"}]}]},
            Q(score__lt=5) & (Q(city__in=["Rome"]) | Q(tags=[])),
        ),
        ({"not": {"field": "score", "op": "is", "value": 3}}, ~Q(score__in=[3])),
    ],
)  # fmt: skip
def test_trees_read_as_conditions(tree, condition):
    assert read(tree) == condition


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        ("score", "Must be an object."),
        ({}, "field: Unknown field"),
        ({"field": "score", "op": "contains", "value": "x"}, "op: Must be one of"),
        ({"field": "score", "op": "less", "value": "x"}, "value: Must be a number."),
        ({"field": "score", "op": "less", "value": True}, "value: Must be a number."),
        ({"field": "score", "op": "less", "value": float("nan")}, "value: Must be a number."),
        ({"field": "seen", "op": "older_than", "value": "9999y"}, "value: Too far away."),
        ({"field": "seen", "op": "before", "value": "-9999y"}, "value: Too far away."),
        ({"field": "seen", "op": "older_than", "value": "soon"}, "value: Must be a span"),
        ({"field": "seen", "op": "before", "value": "2024-13-01"}, "value: Must be a date"),
        ({"field": "seen", "op": "between", "value": "2024-01-01"}, "value: Must be a list of two"),
        ({"field": "city", "op": "contains", "value": ""}, "value: Must not be empty."),
        ({"field": "city", "op": "is", "value": ["a\x00"]}, "value: Must be a text"),
        ({"field": "owner", "op": "is", "value": ["nobody"]}, "value: Must be a user's id"),
        ({"all": []}, "all: Must be a list"),
        ({"all": [{"field": "city", "value": "x"}], "any": []}, "Must be one of all, any, not"),
        ({"all": [{"any": [{"field": "city", "value": 5}]}]}, "all[0].any[0].value: Must be a text"),
        ({"field": "city", "value": "x", "also": 1}, "Unknown key: also"),
        ({"any": [{"field": "city", "value": "x"}] * 61}, "At most 60 conditions."),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tree, told):
    with pytest.raises(InvalidInput) as refusal:
        read(tree)
    assert told in refusal.value.problems["filter"][0]


def test_depth_is_bounded():
    tree = {"field": "city", "value": "x"}
    for _ in range(6):
        tree = {"not": tree}
    with pytest.raises(InvalidInput, match="levels"):
        read(tree)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["7d", "today", "me", "2024-01-31"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["all", "any", "not", "field", "op", "value"]), inner),
    max_leaves=12,
)
_leaves = st.fixed_dictionaries(
    {
        "field": st.sampled_from(list(FIELDS)),
        "op": st.sampled_from(sorted({name for names in OPERATORS.values() for name in names})),
        "value": _values,
    }
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(tree=_values | _leaves | st.fixed_dictionaries({"all": st.lists(_leaves, max_size=3)}))
def test_any_tree_is_read_or_refused(tree):
    told = ["filter"]
    try:
        condition = read(tree)
    except InvalidInput as refusal:
        told, condition = list(refusal.problems), Q()
    assert isinstance(condition, Q)
    assert told == ["filter"]


def test_spans():
    assert [period("12h"), period("7d"), period("2W")] == [timedelta(hours=12), timedelta(days=7), timedelta(weeks=2)]


def test_days_are_whole_and_moments_themselves(settings):
    settings.TIME_ZONE = "Europe/Vienna"
    with time_machine.travel(datetime(2024, 3, 31, 22, 30, tzinfo=UTC), tick=False):
        start, end = moment("today")
        assert start.isoformat() == "2024-04-01T00:00:00+02:00"
        assert end - start == timedelta(days=1)
        assert moment("-1d")[0].isoformat() == "2024-03-31T00:00:00+01:00"
        assert moment("-12h")[0] == datetime(2024, 3, 31, 10, 30, tzinfo=UTC)
        assert moment("2024-01-31T09:00:00Z")[0] == datetime(2024, 1, 31, 9, tzinfo=UTC)
