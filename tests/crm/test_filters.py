"""Filters read the text of query parameters, or say what is wrong with it."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.db.models import Q
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm.errors import InvalidInput
from crm.filters import (
    ChoiceFilter,
    DateFilter,
    Filter,
    FilterSet,
    FlagFilter,
    MatchFilter,
    NumberFilter,
    TextFilter,
    UserFilter,
    parse_flag,
    split_words,
)


def read_colour(word: str) -> str:
    if word not in ("red", "blue"):
        raise ValueError("Must be red or blue.")
    return word


class Sweets(FilterSet):
    filters = {
        "colour": ChoiceFilter(label="Colour", column="colour", read=read_colour),
        "shop": TextFilter(label="Shop", column="shop"),
        "grams": NumberFilter(label="Grams", column="grams", lookup="gte", minimum=0, maximum=1000),
        "since": DateFilter(label="Since", column="made_at", lookup="gte"),
        "until": DateFilter(label="Until", column="made_at", lookup="lt"),
        "eater": UserFilter(label="Eater", column="eater"),
        "sold": FlagFilter(label="Sold", when_true=Q(sold_at__isnull=False)),
        "words": MatchFilter(label="Words", read=split_words, build=lambda words: words or None),
        "name": Filter(label="Name", column="name"),
    }
    aliases = {"color": "colour"}


def q(**params: str) -> Q:
    return Sweets.read(params, me=7).q


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"colour": "red"}, Q(colour="red")),
        ({"color": " red , blue ,"}, Q(colour__in=["red", "blue"])),
        ({"shop": "a,b"}, Q(shop__in=["a", "b"])),
        ({"grams": "1.5"}, Q(grams__gte=1.5)),
        ({"since": "2024-01-31"}, Q(made_at__gte=datetime(2024, 1, 31, tzinfo=UTC))),
        ({"until": "2024-01-31"}, Q(made_at__lt=datetime(2024, 2, 1, tzinfo=UTC))),
        ({"until": "2024-01-31T09:00:00Z"}, Q(made_at__lt=datetime(2024, 1, 31, 9, tzinfo=UTC))),
        ({"since": "2024-01-31T09:00:00+02:00"}, Q(made_at__gte=datetime(2024, 1, 31, 7, tzinfo=UTC))),
        ({"since": "2024-01-31T09:00"}, Q(made_at__gte=datetime(2024, 1, 31, 9, tzinfo=UTC))),
        ({"eater": "3"}, Q(eater=3)),
        ({"eater": "me"}, Q(eater=7)),
        ({"eater": "none"}, Q(eater__isnull=True)),
        ({"eater": "me,3"}, Q(eater__in=[7, 3])),
        ({"eater": "none,3"}, Q(eater=3) | Q(eater__isnull=True)),
        ({"sold": "Yes"}, Q(sold_at__isnull=False)),
        ({"sold": "0"}, ~Q(sold_at__isnull=False)),
        ({"name": "x"}, Q(name="x")),
        ({"colour": " ", "unknown": "x"}, Q()),
        ({"colour": "red", "name": "x"}, Q(colour="red") & Q(name="x")),
    ],
)
def test_parameters_become_a_condition(params, expected):
    assert q(**params) == Q() & expected


def test_day_is_the_users_own():
    with timezone.override("America/New_York"):
        assert q(since="2024-01-31") == Q() & Q(made_at__gte=datetime(2024, 1, 31, 5, tzinfo=UTC))


def test_last_day_there_is_has_no_next_one():
    assert q(until="9999-12-31").children[0][1].year == 9999


def test_what_was_applied_is_told_as_it_was_given():
    found = Sweets.read({"color": "red, blue", "grams": "", "words": "a,b", "page": "2"})
    assert (found.applied, found.values) == ({"color": "red, blue", "words": "a,b"}, {"colour": ["red", "blue"], "words": ["a", "b"]})
    assert found.texts == [["a", "b"]]


def test_all_that_is_wrong_is_named_at_once():
    with pytest.raises(InvalidInput) as refusal:
        Sweets.read(
            {"color": "green", "grams": "2000", "since": "soon", "eater": "bob", "sold": "maybe", "name": "a\x00", "shop": "x" * 5000}
        )
    assert refusal.value.problems == {
        "color": ["Must be red or blue."],
        "grams": ["Must lie between 0 and 1000."],
        "since": ["Must be a date such as 2024-01-31, 2024-01-31T09:00:00Z, today or -7d."],
        "eater": ["Must be a user's id, me or none."],
        "sold": ["Must be true or false."],
        "name": ["Must not hold a NUL character."],
        "shop": ["Too long."],
    }


@pytest.mark.parametrize(("text", "value"), [("true", True), ("ON", True), ("1", True), ("no", False), (" False ", False)])
def test_flags(text, value):
    assert parse_flag(text) is value


def test_words_are_split_and_bounded():
    assert split_words(" a, ,b,") == ["a", "b"]
    assert len(split_words(",".join("x" * 500))) == 100


@time_machine.travel("2024-01-31")
@hypothesis_settings(max_examples=100, deadline=None, database=None, derandomize=True)
@given(
    params=st.dictionaries(
        st.sampled_from([*Sweets.filters, "color"]),
        st.text(max_size=30) | st.from_regex(r"\d{4}-\d\d-\d\d(T\d\d:\d\d)?", fullmatch=True),
        max_size=4,
    )
)
def test_any_text_is_read_or_refused_by_name(params):
    try:
        Sweets.read(params, me=1)
    except InvalidInput as refusal:
        assert set(refusal.problems) <= set(params)  # noqa: PT017
