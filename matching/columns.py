"""Columns of text, each distinct value kept once: comparing and blocking work on codes."""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int32]
MISSING = -1
# Letters that do not decompose into a plain one and a mark.
_LETTERS = str.maketrans({"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"})


def fold(text: str) -> str:
    """Case, marks and punctuation do not count: "O'Brien-Łuć" and "obrien luc" are compared as the same letters."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text.casefold()).translate(_LETTERS)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    else:
        text = text.lower()
    if text.isalnum():
        return text
    return " ".join("".join(letter if letter.isalnum() else "" if letter in "'’`." else " " for letter in text).split())


@dataclass(frozen=True)
class Column:
    """Values of one field: `codes[i]` says which of `values` the i-th record holds, MISSING where it holds none."""

    codes: Codes
    values: Sequence[str]
    # What comparators derive of the distinct values, kept for the column's life.
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> "Column":
        builder = ColumnBuilder()
        for text in texts:
            builder.add(text)
        return builder.done()

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def objects(self) -> NDArray[np.object_]:
        """The distinct values as an array, for taking many at once."""
        if "objects" not in self.derived:
            array = np.empty(len(self.values), dtype=object)
            array[:] = self.values
            self.derived["objects"] = array
        found: NDArray[np.object_] = self.derived["objects"]
        return found

    @property
    def counts(self) -> NDArray[np.int64]:
        """How many records hold each distinct value."""
        if "counts" not in self.derived:
            self.derived["counts"] = np.bincount(self.codes[self.codes >= 0], minlength=max(1, len(self.values)))
        found: NDArray[np.int64] = self.derived["counts"]
        return found

    @property
    def shares(self) -> NDArray[np.float64]:
        """For each value the share of records, beside a pair that holds it, that hold it too."""
        if "shares" not in self.derived:
            self.derived["shares"] = np.maximum(self.counts - 2, 0) / max(1, self.held)
        found: NDArray[np.float64] = self.derived["shares"]
        return found

    @property
    def held(self) -> int:
        """How many records hold a value."""
        return int(self.counts.sum())


class ColumnBuilder:
    """Fill a column record by record; a value costs memory once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._chunks: list[Codes] = []
        self._open: list[int] = []

    def add(self, text: str) -> None:
        self._open.append(self._places.setdefault(text, len(self._places)) if text else MISSING)
        if len(self._open) >= 65_536:
            self._close()

    def extend(self, texts: Iterable[str]) -> None:
        places = self._places
        self._open.extend([places.setdefault(text, len(places)) if text else MISSING for text in texts])
        self._close()

    def _close(self) -> None:
        self._chunks.append(np.array(self._open, dtype=np.int32))
        self._open = []

    def done(self) -> Column:
        self._close()
        return Column(codes=np.concatenate(self._chunks), values=list(self._places))


def mapped(column: Column, make: Callable[[str], str]) -> Column:
    """The column with every distinct value made into another; what becomes empty is missing."""
    made = Column.of(make(value) for value in column.values)
    # The last place serves MISSING, which is -1.
    return Column(codes=np.append(made.codes, np.int32(MISSING))[column.codes], values=made.values)


def coalesced(first: Column, second: Column) -> Column:
    """The first column's values, and where it holds none the second's."""
    values = list(first.values)
    places = {value: place for place, value in enumerate(values)}
    for value in second.values:
        if places.setdefault(value, len(values)) == len(values):
            values.append(value)
    translated = np.array([*(places[value] for value in second.values), MISSING], dtype=np.int32)
    return Column(codes=np.where(first.codes == MISSING, translated[second.codes], first.codes).astype(np.int32), values=values)


def paired(first: Column, second: Column) -> Column:
    """Both values as one, whatever their order; one alone where the other is missing."""
    width = np.int64(len(second.values)) + 1
    together = (first.codes.astype(np.int64) + 1) * width + second.codes + 1
    distinct, inverse = np.unique(together, return_inverse=True)
    left, right = ["", *first.values], ["", *second.values]
    made = Column.of(" ".join(sorted(f"{left[pair // width]} {right[pair % width]}".split())) for pair in distinct.tolist())
    return Column(codes=made.codes[inverse], values=made.values)
