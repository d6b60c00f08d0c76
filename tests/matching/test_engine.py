"""The engine alone: comparators, candidates, weights, clusters."""

import numpy as np
import pytest

from matching.blocking import blocks_of, candidates, pairs_of
from matching.clustering import clusters
from matching.columns import Column, coalesced, fold, mapped, paired
from matching.comparing import COMPARATORS
from matching.keys import company_key, own_domain, phonetic_words
from matching.linking import search
from matching.spec import Field, Pass, Spec, passes_over
from matching.weights import Model


def level(comparator: str, one: str, other: str) -> int:
    column = Column.of([one, other])
    return int(COMPARATORS[comparator].levels([column], np.array([0]), np.array([1]))[0])


def person(one: tuple[str, str], other: tuple[str, str]) -> int:
    columns = [Column.of([one[place], other[place]]) for place in (0, 1)]
    return int(COMPARATORS["person"].levels(columns, np.array([0]), np.array([1]))[0])


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("O'Brien-Łuć", "obrien luc"),
        ("  ACME   GmbH ", "acme gmbh"),
        ("Straße", "strasse"),
        ("Çelik", "celik"),
        ("李 明", "李 明"),
        ("", ""),
    ],
)
def test_fold_leaves_letters_and_single_spaces(text, folded):
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("company", "key"),
    [
        ("ACME Robotics GmbH & Co. KG", "acme robotics"),
        ("The Acme Robotics, Inc.", "acme robotics"),
        ("Acme Robotics S.A.", "acme robotics"),
        ("Company", "company"),
        ("Ltd", "ltd"),
        ("", ""),
    ],
)
def test_company_key_drops_the_legal_form(company, key):
    assert company_key(company) == key


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("ann@acme.example", "acme.example"),
        ("https://www.acme.example/about", "acme.example"),
        ("ann@gmail.com", ""),
        ("acme", ""),
        ("", ""),
    ],
)
def test_own_domain_is_never_a_mail_providers(text, domain):
    assert own_domain(text) == domain


def test_phonetic_words_do_not_depend_on_order():
    assert phonetic_words("jon smith") == phonetic_words("smyth john")


@pytest.mark.parametrize(
    ("comparator", "one", "other", "wanted"),
    [
        ("name", "katharina", "katharina", 4),
        ("name", "katharina", "katarina", 3),
        ("name", "ja yde", "jayde", 3),
        ("name", "k", "katharina", 2),
        ("name", "peter", "susan", 1),
        ("name", "", "susan", 0),
        ("text", "12 high street", "street high 12", 3),
        ("text", "12 high street", "9 low road", 1),
        ("code", "2152", "2125", 2),
        ("code", "2", "3", 1),
        ("date", "19280722", "19282207", 3),
        ("date", "19280722", "19280723", 3),
        ("date", "19280722", "19280711", 2),
        ("date", "19280722", "20010101", 1),
        ("email", "ann.lee@acme.example", "anm.lee@acme.example", 2),
        ("email", "ngreen@acme.example", "jgreen@acme.example", 1),
        ("email", "ann1@acme.example", "ann2@acme.example", 1),
        ("phone", "4930123456", "004930123456", 2),
        ("phone", "4930123456", "4930999999", 1),
    ],
)
def test_comparators_grade_agreement(comparator, one, other, wanted):
    assert level(comparator, one, other) == level(comparator, other, one) == wanted


@pytest.mark.parametrize(
    ("one", "other", "wanted"),
    [
        (("ann", "lee"), ("ann", "lee"), 5),
        (("ann", "leigh"), ("anne", "leigh"), 4),
        (("lee", "ann"), ("ann", "lee"), 4),
        (("a", "lee"), ("ann", "lee"), 3),
        (("lee", "a"), ("ann", "lee"), 3),
        (("", "lee"), ("ann", "lee"), 3),
        (("bob", "lee"), ("ann", "lee"), 2),
        (("bob", "ray"), ("ann", "lee"), 1),
        (("", ""), ("ann", "lee"), 0),
    ],
)
def test_person_looks_at_both_halves_together(one, other, wanted):
    assert person(one, other) == person(other, one) == wanted


def test_columns_keep_missing_values_missing():
    column = mapped(Column.of(["A", "", "b"]), str.lower)
    assert [column.values[code] if code >= 0 else None for code in column.codes] == ["a", None, "b"]
    both = coalesced(column, Column.of(["x", "y", "z"]))
    assert [both.values[code] for code in both.codes] == ["a", "y", "b"]
    names = paired(Column.of(["ann", "lee", ""]), Column.of(["lee", "ann", "lee"]))
    assert [names.values[code] for code in names.codes] == ["ann lee", "ann lee", "lee"]


def found_pairs(columns, passes, **bounds):
    return [pair for one, other in candidates(columns, passes, **bounds) for pair in zip(one.tolist(), other.tolist(), strict=True)]


def test_candidates_come_once_whatever_passes_propose_them():
    columns = {"a": Column.of(["x", "x", "x", "y", ""]), "b": Column.of(["p", "p", "q", "q", ""])}
    pairs = found_pairs(columns, [Pass(columns=("a",)), Pass(columns=("b",))], largest=10)
    assert sorted(pairs) == [(0, 1), (0, 2), (1, 2), (2, 3)]


def test_a_large_block_is_cut_and_then_walked():
    columns = {"a": Column.of(["x"] * 40), "b": Column.of([str(place // 4) for place in range(40)])}
    assert len(found_pairs(columns, [Pass(columns=("a",), then=("b",))], largest=5)) == 10 * 6
    walked = found_pairs(columns, [Pass(columns=("a",))], largest=5, window=2)
    assert len(walked) == 39 + 38
    assert all(other - one <= 2 for one, other in walked)


def test_candidates_of_small_parts_are_the_same():
    dice = np.random.default_rng(5)
    columns = {"a": Column.of(map(str, dice.integers(0, 30, 300))), "b": Column.of(map(str, dice.integers(0, 40, 300)))}
    blocks = blocks_of(columns, Pass(columns=("a",)), largest=8, window=2)
    parts = [{pair for one, other in pairs_of(blocks, at_once=size) for pair in zip(one, other, strict=True)} for size in (1, 7, 10_000)]
    assert parts[0] == parts[1] == parts[2]


def test_clusters_make_no_chain_of_links():
    assert clusters([(1, 2, 0.99), (2, 3, 0.99)], agreement=0.5) == [[1, 2]]
    assert clusters([(1, 2, 0.99), (2, 3, 0.99), (1, 3, 0.3)], agreement=0.5) == [[1, 2, 3]]
    assert clusters([(1, 2, 0.9), (3, 4, 0.9), (2, 3, 0.7)], agreement=0.5) == [[1, 2], [3, 4]]
    assert clusters([], agreement=0.5) == []


def _people(number: int, copies: int) -> tuple[dict[str, Column], set[tuple[int, int]]]:
    """Made-up records with copies that have one letter more in the city."""
    dice = np.random.default_rng(11)
    rows = [
        (f"first{dice.integers(200)}", f"last{dice.integers(400)}", f"{dice.integers(10**8):08d}", f"city{dice.integers(50)}")
        for _ in range(number)
    ]
    truth = set()
    for place in range(copies):
        truth.add((place, len(rows)))
        rows.append((*rows[place][:3], rows[place][3] + "x"))
    names = ("first", "last", "code", "city")
    return {name: Column.of(row[place] for row in rows) for place, name in enumerate(names)}, truth


FIELDS = (
    Field(name="first", comparator="name", frequencies=True),
    Field(name="last", comparator="name", frequencies=True),
    Field(name="code", comparator="code"),
    Field(name="city", comparator="text"),
)


def test_search_learns_without_labels():
    columns, truth = _people(800, 60)
    found = search(columns, Spec(fields=FIELDS, passes=passes_over(FIELDS)), threshold=0.8)
    pairs = set(zip(found.pairs.one.tolist(), found.pairs.other.tolist(), strict=True))
    assert pairs == truth
    # About as many pairs are the same as there are copies.
    assert 50 <= found.model.share * 860 * 859 / 2 <= 75


def test_search_of_one_record_or_none_finds_nothing():
    for number in (0, 1):
        columns, _truth = _people(number, 0)
        assert len(search(columns, Spec(fields=FIELDS, passes=passes_over(FIELDS)), threshold=0.8).pairs) == 0


def test_model_survives_json():
    model = Model({"a": (0.1, 0.9)}, {"a": (0.99, 3.2e-13)}, 0.001, 5)
    assert Model.from_json(model.as_json()) == model


def test_what_stands_beside_a_contradiction_says_nothing():
    fields = (
        Field(name="name", comparator="person", columns=("first", "last")),
        Field(name="company", comparator="exact", beside="name"),
    )
    columns = {"first": Column.of(["ann", "bob"]), "last": Column.of(["lee", "ray"]), "company": Column.of(["acme", "acme"])}
    from matching.linking import levels_of

    assert [level.tolist() for level in levels_of(columns, fields, np.array([0]), np.array([1]))] == [[1], [0]]
