"""Comparators: how far two records agree in a field, as a small level. 0 is "nothing to compare", 1 disagreement, the highest equality."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import OSA, JaroWinkler
from rapidfuzz.process import cpdist

from matching.columns import MISSING, Codes, Column

Levels = NDArray[np.uint8]
Places = NDArray[np.int64]
Score = NDArray[np.float32]
Compare = Callable[[Sequence[Column], Places, Places], Levels]


@dataclass(frozen=True)
class Comparator:
    """A way of comparing.

    `labels` name the levels from 1 on, worst first; `prior` is how often records of the same person reach each of them and
    `chance` how often any two records do, where nothing has been learnt yet. `compare` is asked only for pairs that both
    hold a value and are not equal, which is the highest level; an `alternative` comparator looks at all of them itself.
    """

    labels: tuple[str, ...]
    prior: tuple[float, ...]
    chance: tuple[float, ...]
    compare: Compare
    alternative: bool = False

    @property
    def top(self) -> int:
        return len(self.labels)

    def levels(self, columns: Sequence[Column], one: Places, other: Places) -> Levels:
        """The level of each pair of places."""
        if self.alternative:
            return self.compare(columns, one, other)
        column = columns[0]
        left, right = column.codes[one], column.codes[other]
        found = np.zeros(len(one), dtype=np.uint8)
        there = (left != MISSING) & (right != MISSING)
        found[there & (left == right)] = self.top
        rest = np.flatnonzero(there & (left != right))
        if len(rest):
            found[rest] = self.compare(columns, one[rest], other[rest])
        return found


def similarity(column: Column, left: Codes, right: Codes, scorer: Any) -> Score:
    values = column.objects
    return cast("Score", cpdist(values[left].tolist(), values[right].tolist(), scorer=scorer, dtype=np.float32))


def graded(score: Score, bounds: Sequence[float]) -> Levels:
    """Level 1 below all bounds, one more for each bound reached; bounds ascend."""
    return (np.searchsorted(np.asarray(bounds, dtype=np.float32), score, side="right") + 1).astype(np.uint8)


def _exact(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    return np.ones(len(one), dtype=np.uint8)


def _name(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """Jaro-Winkler, as names differ in their ends; beside it single slips, initials, and spaces that come and go.

    With a second column, the other half of the name, a pair that has the two halves turned round is nearly the same.
    """
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    found = graded(similarity(column, left, right, JaroWinkler.normalized_similarity), (0.82, 0.9))
    lengths, initials = lengths_of(column), _derive(column, "initials", lambda own: Column.of(value[:1] for value in own.values).codes)
    slips = similarity(column, left, right, OSA.distance)
    found[(slips <= 1) & (np.minimum(lengths[left], lengths[right]) >= 4)] = 3
    joined = _derive(column, "joined", lambda own: Column.of(value.replace(" ", "") for value in own.values).codes)
    found[joined[left] == joined[right]] = 3
    initial = (np.minimum(lengths[left], lengths[right]) == 1) & (initials[left] == initials[right])
    found[initial] = np.maximum(found[initial], 2)
    if len(columns) > 1:
        half = _in_terms_of(column, columns[1])
        turned = (half[columns[1].codes[other]] == left) & (half[columns[1].codes[one]] == right)
        there = (columns[1].codes[one] != MISSING) & (columns[1].codes[other] != MISSING)
        found[turned & there] = 3
    return found


def _text(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """Edits of the whole, whatever the words' order."""
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    turned = _derive(column, "sorted", lambda own: Column.of(" ".join(sorted(value.split())) for value in own.values))
    straight = similarity(column, left, right, OSA.normalized_similarity)
    sorted_words = similarity(turned, turned.codes[left], turned.codes[right], OSA.normalized_similarity)
    return graded(np.maximum(straight, sorted_words), (0.6, 0.8))


def _code(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """One slip, two neighbours turned included, in a number that has more than one place."""
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    lengths = lengths_of(column)
    slips = similarity(column, left, right, OSA.distance)
    return np.where((slips <= 1) & (np.minimum(lengths[left], lengths[right]) >= 2), 2, 1).astype(np.uint8)


def _date(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """Level 3 for a slip, or day and month turned round; 2 where two of year, month and day agree."""
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    parts = _derive(column, "dates", _date_parts)
    mine, theirs = parts[left], parts[right]
    slips = similarity(column, left, right, OSA.distance)
    found = np.ones(len(one), dtype=np.uint8)
    found[(mine == theirs).sum(axis=1) == 2] = 2
    found[(slips <= 1) | (mine == theirs[:, [0, 2, 1]]).all(axis=1)] = 3
    return found


def _person(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """First and last name together, as either half tells little of the other half's disagreement.

    5: the same; 4: alike, or the halves turned round; 3: one half agrees and the other is an initial or missing;
    2: one half agrees and the other does not; 1: neither.
    """
    first, last = columns
    straight = (_half(first, first, one, other), _half(last, last, one, other))
    turned = (_half(first, last, one, other), _half(last, first, one, other))
    found = _together(*straight)
    low, high = np.minimum(*turned), np.maximum(*turned)
    crossed = np.where(low >= 3, 4, np.where((low == 2) & (high >= 3), 3, 0))
    return np.maximum(found, crossed).astype(np.uint8)


def _half(mine: Column, theirs: Column, one: Places, other: Places) -> Levels:
    """0 missing, 1 different, 2 an initial, 3 alike, 4 the same."""
    left, right = mine.codes[one], theirs.codes[other]
    held = (left != MISSING) & (right != MISSING)
    if theirs is not mine:
        # Only few pairs are worth the look at halves turned round: those that begin alike.
        starts = _derive(mine, "start", _starts)[left] == _derive(theirs, "start", _starts)[right]
        found = held.astype(np.uint8)
        rest = np.flatnonzero(held & starts)
    else:
        found = np.where(held, np.where(left == right, 4, 1), 0).astype(np.uint8)
        rest = np.flatnonzero(held & (left != right))
    if len(rest):
        values, others = mine.objects[left[rest]].tolist(), theirs.objects[right[rest]].tolist()
        score = cpdist(values, others, scorer=JaroWinkler.normalized_similarity, dtype=np.float32)
        slips = cpdist(values, others, scorer=OSA.distance, dtype=np.float32)
        lengths = np.minimum(lengths_of(mine)[left[rest]], lengths_of(theirs)[right[rest]])
        initial = (lengths == 1) & (_derive(mine, "start", _starts)[left[rest]] == _derive(theirs, "start", _starts)[right[rest]])
        alike = (score >= 0.9) | ((slips <= 1) & (lengths >= 3))
        found[rest] = np.where(slips == 0, 4, np.where(initial, 2, np.where(alike & (lengths > 1), 3, 1)))
    return found


def _together(first: Levels, last: Levels) -> Levels:
    low, high = np.minimum(first, last), np.maximum(first, last)
    return np.select(
        [high == 0, low == 4, low >= 3, (high >= 3) & ((low == 2) | (low == 0)), high >= 3, (low == 0) & (high == 2)],
        [0, 5, 4, 3, 2, 0],
        default=1,
    ).astype(np.uint8)


def _starts(column: Column) -> NDArray[np.int64]:
    return np.array([*(ord(value[0]) for value in column.values), -1], dtype=np.int64)


def _email(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """Level 2: one slip apart, but neither in the first letter nor in a digit, which tell colleagues apart.

    The part before the @ is no evidence of its own: namesakes share it as they share the name.
    """
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    found = np.ones(len(one), dtype=np.uint8)
    near = np.flatnonzero(
        (similarity(column, left, right, OSA.distance) <= 1) & (np.minimum(lengths_of(column)[left], lengths_of(column)[right]) >= 10)
    )
    for place in near.tolist():
        mine, theirs = column.values[left[place]], column.values[right[place]]
        slip = mine[0] == theirs[0] and [letter for letter in mine if letter.isdigit()] == [letter for letter in theirs if letter.isdigit()]
        found[place] = 2 if slip else 1
    return found


def _phone(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """Level 2: one digit apart, or the same number without its prefix."""
    column = columns[0]
    left, right = column.codes[one], column.codes[other]
    ends = _derive(column, "ends", lambda own: Column.of(value[-7:] if len(value) > 7 else value for value in own.values).codes)
    slips = similarity(column, left, right, OSA.distance)
    return np.where((slips <= 1) | (ends[left] == ends[right]), 2, 1).astype(np.uint8)


def _organisation(columns: Sequence[Column], one: Places, other: Places) -> Levels:
    """The same in any of the columns (a company's name, its domain) is the same; alike in the first is alike."""
    found = np.zeros(len(one), dtype=np.uint8)
    for place, column in enumerate(columns):
        left, right = column.codes[one], column.codes[other]
        there = (left != MISSING) & (right != MISSING)
        found[there] = np.maximum(found[there], 1)
        found[there & (left == right)] = 3
        if place == 0:
            rest = np.flatnonzero(there & (left != right))
            alike = graded(similarity(column, left[rest], right[rest], JaroWinkler.normalized_similarity), (0.93,))
            found[rest] = np.maximum(found[rest], alike)
    return found


def _derive(column: Column, name: str, make: Callable[[Column], Any]) -> Any:
    if name not in column.derived:
        column.derived[name] = make(column)
    return column.derived[name]


def lengths_of(column: Column) -> NDArray[np.int32]:
    return cast("NDArray[np.int32]", _derive(column, "lengths", lambda own: np.array([len(value) for value in own.values], dtype=np.int32)))


def _in_terms_of(column: Column, other: Column) -> NDArray[np.int64]:
    """For each value of the other column its code in this one; -2 where this one never holds it."""

    def translate(own: Column) -> NDArray[np.int64]:
        places = {value: place for place, value in enumerate(own.values)}
        return np.array([*(places.get(value, -2) for value in other.values), -2], dtype=np.int64)

    found = column.derived.get("turned")
    if found is None or found[0] is not other:
        column.derived["turned"] = found = (other, translate(column))
    return cast("NDArray[np.int64]", found[1])


def _date_parts(column: Column) -> NDArray[np.int32]:
    """Year, month and day of ISO dates with or without dashes; what is no date has parts that equal no other's."""
    found = np.empty((len(column.values), 3), dtype=np.int32)
    for place, value in enumerate(column.values):
        digits = "".join(letter for letter in value if letter.isdigit())
        good = len(digits) == 8 and digits.isascii()
        found[place] = (int(digits[:4]), int(digits[4:6]), int(digits[6:])) if good else (-place - 1,) * 3
    return found


_FOUR = ("different", "somewhat alike", "nearly the same", "same")
COMPARATORS: dict[str, Comparator] = {
    "exact": Comparator(("different", "same"), (0.06, 0.94), (0.8, 0.2), _exact),
    "name": Comparator(_FOUR, (0.05, 0.02, 0.08, 0.85), (0.988, 0.005, 0.002, 0.005), _name),
    "text": Comparator(_FOUR, (0.08, 0.04, 0.1, 0.78), (0.963, 0.03, 0.003, 0.004), _text),
    "code": Comparator(("different", "one slip apart", "same"), (0.06, 0.06, 0.88), (0.98, 0.015, 0.005), _code),
    "date": Comparator(
        ("different", "partly the same", "one slip apart", "same"), (0.05, 0.02, 0.05, 0.88), (0.9945, 0.004, 0.001, 0.0005), _date
    ),
    "person": Comparator(
        ("different", "one half the same", "the same with an initial", "nearly the same", "same"),
        (0.005, 0.025, 0.07, 0.25, 0.65),
        (0.9829, 0.015, 0.0005, 0.0006, 0.001),
        _person,
        alternative=True,
    ),
    "email": Comparator(("different", "one slip apart", "same"), (0.3, 0.05, 0.65), (0.9999979, 2e-6, 1e-7), _email),
    "phone": Comparator(("different", "nearly the same", "same"), (0.24, 0.06, 0.7), (0.99989, 0.0001, 1e-5), _phone),
    "organisation": Comparator(
        ("different", "nearly the same", "same"), (0.1, 0.1, 0.8), (0.9975, 0.0015, 0.001), _organisation, alternative=True
    ),
}
