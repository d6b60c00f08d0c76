"""The Fellegi–Sunter model: weights of agreement learnt by expectation maximisation, without labels.

`u`, how often two records agree by chance, is counted on random pairs. `m`, how often records of the same person agree, is
learnt on the candidates, with a prior of some pairs that keeps a small or odd set of records from running away. Pairs
that are no candidates are taken as different, so `share`, the chance that any two records are the same, comes out of the
same steps. The method: Fellegi and Sunter 1969; EM as in Winkler 1988; `u` from random pairs as in Splink.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matching.comparing import COMPARATORS
from matching.spec import Field

Floats = NDArray[np.float64]
# A level never seen among so many random pairs is still possible.
_FLOOR = 1e-6
_PRIOR_PAIRS = 40.0


@dataclass(frozen=True)
class Model:
    """`m` and `u` of each field's levels from 1 on, and the share of pairs that are the same."""

    m: dict[str, tuple[float, ...]]
    u: dict[str, tuple[float, ...]]
    share: float
    pairs: int = 0

    def weights(self, fields: Sequence[Field]) -> list[Floats]:
        """Log-odds of each level of each field; level 0, nothing to compare, says nothing."""
        return [np.concatenate(([0.0], np.log(np.array(self.m[item.name]) / np.array(self.u[item.name])))) for item in fields]

    @property
    def start(self) -> float:
        return float(np.log(self.share / (1 - self.share)))

    def as_json(self) -> dict[str, Any]:
        return {
            "m": {name: [float(f"{value:.6g}") for value in values] for name, values in self.m.items()},
            "u": {name: [float(f"{value:.6g}") for value in values] for name, values in self.u.items()},
            "share": self.share,
            "pairs": self.pairs,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Model":
        def tuples(side: dict[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
            return {name: tuple(values) for name, values in side.items()}

        return cls(tuples(data["m"]), tuples(data["u"]), float(data["share"]), int(data.get("pairs", 0)))


@dataclass
class Patterns:
    """Level patterns of candidates with how often each was met: EM needs no more, however many pairs there are."""

    fields: tuple[Field, ...]
    counts: dict[int, int]

    @classmethod
    def of(cls, fields: Sequence[Field]) -> "Patterns":
        return cls(tuple(fields), {})

    def add(self, levels: Sequence[NDArray[np.uint8]]) -> NDArray[np.int64]:
        """Count the patterns of pairs given field by field. Answers each pair's pattern."""
        codes = np.zeros(len(levels[0]), dtype=np.int64)
        for item, level in zip(self.fields, levels, strict=True):
            codes = codes * (item.compares.top + 1) + level
        for code, number in zip(*np.unique(codes, return_counts=True), strict=True):
            self.counts[int(code)] = self.counts.get(int(code), 0) + int(number)
        return codes

    def table(self) -> tuple[NDArray[np.int64], Floats]:
        """One row of levels for each pattern, and its count."""
        return self.rows_of(np.array(list(self.counts), dtype=np.int64)), np.array(list(self.counts.values()), dtype=np.float64)

    def rows_of(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """The levels behind patterns."""
        rows = np.zeros((len(codes), len(self.fields)), dtype=np.int64)
        for place in range(len(self.fields) - 1, -1, -1):
            codes, rows[:, place] = np.divmod(codes, self.fields[place].compares.top + 1)
        return rows


def chance_of(
    fields: Sequence[Field], levels: Sequence[NDArray[np.uint8]], *, known: dict[str, tuple[float, ...]] | None = None, weight: float = 0.0
) -> dict[str, tuple[float, ...]]:
    """`u` from the levels of random pairs, with what is `known` beforehand counted as so many pairs more."""
    found = {}
    for item, level in zip(fields, levels, strict=True):
        counts = np.bincount(level, minlength=item.compares.top + 1)[1:].astype(np.float64)
        before = np.array((known or {}).get(item.name) or item.compares.chance)
        before = before / before.sum()
        # Half a pair more, spread as is known beforehand: what was never met by chance is rare, not impossible.
        values = counts + (weight + 0.5) * before
        found[item.name] = tuple(np.maximum(values / values.sum(), _FLOOR).tolist())
    return found


def learn(
    patterns: Patterns,
    *,
    chance: dict[str, tuple[float, ...]],
    all_pairs: int,
    equal: dict[str, int] | None = None,
    prior: dict[str, tuple[float, ...]] | None = None,
    prior_pairs: float = _PRIOR_PAIRS,
    share: float | None = None,
    rounds: int = 200,
) -> Model:
    """Learn `m` and the share of same pairs from the candidates' patterns.

    `equal` counts all pairs that hold the same value of a field, so that agreeing by chance in a value that is nearly
    one's own, such as an e-mail, is told more exactly than random pairs can: it is what true pairs do not explain.
    `share` is the first guess.
    """
    fields = patterns.fields
    expected = {item.name: np.array((prior or {}).get(item.name) or COMPARATORS[item.comparator].prior) for item in fields}
    expected = {name: values / values.sum() for name, values in expected.items()}
    rows, counts = patterns.table() if patterns.counts else (np.zeros((0, len(fields)), dtype=np.int64), np.zeros(0))
    m = dict(expected)
    u = {name: np.array(values) for name, values in chance.items()}
    pairs = max(2, all_pairs)
    found = share or min(0.5, max(1.0, counts.sum() * 0.05) / pairs)
    for _ in range(rounds):
        odds = np.log(found / (1 - found)) + _pattern_logs(fields, rows, m) - _pattern_logs(fields, rows, u)
        same = counts / (1 + np.exp(-odds))
        new = min(0.5, max(float(same.sum()), 0.5) / pairs)
        change = abs(np.log(new / found))
        for place, item in enumerate(fields):
            seen = np.bincount(rows[:, place], weights=same, minlength=item.compares.top + 1)[1:]
            values = (seen + prior_pairs * expected[item.name]) / (seen.sum() + prior_pairs)
            change = max(change, float(np.abs(values - m[item.name]).max()))
            m[item.name] = values
            if equal and item.name in equal:
                u[item.name][-1] = max(equal[item.name] - seen[-1], 0.005 * equal[item.name], 0.01) / pairs
        found = new
        if change < 1e-6:
            break
    return Model(
        {name: tuple(values.tolist()) for name, values in m.items()},
        {name: tuple(values.tolist()) for name, values in u.items()},
        float(found),
        int(counts.sum()),
    )


def _pattern_logs(fields: Sequence[Field], rows: NDArray[np.int64], shares: dict[str, Floats]) -> Floats:
    total = np.zeros(len(rows))
    for place, item in enumerate(fields):
        total += np.concatenate(([0.0], np.log(shares[item.name])))[rows[:, place]]
    return total
