"""From columns to pairs with probabilities: candidates, levels, weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matching.blocking import Places, candidates
from matching.columns import Column
from matching.spec import Field, Spec
from matching.weights import Model, Patterns, chance_of, learn

Columns = Mapping[str, Column]
Told = Callable[[int], None]
Levels = NDArray[np.uint8]
_RANDOM_PAIRS = 500_000
# Beyond so many records, pairs so far below the chance of any two records (in log-odds) are counted and forgotten.
_MANY = 50_000
_HOPELESS = 5.0
# Up to this level a field contradicts what stands beside it.
_CONTRADICTS = 2
# What is known beforehand counts as so many random pairs.
_KNOWN_PAIRS = 2_000
# What is known of true pairs counts as so many of them, and as so many for each record: it keeps the learning from
# settling on another likeness that many records share, such as having the same name.
_KNOWN_LEAST, _KNOWN_SHARE = 40.0, 0.01
# How much the average frequency weighs beside a value's own.
_AVERAGE = 0.1


@dataclass(frozen=True)
class Pairs:
    """Pairs of places with the probability that they are the same, and the levels of the fields."""

    one: Places
    other: Places
    probability: NDArray[np.float64]
    levels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.one)


def levels_of(columns: Columns, fields: Sequence[Field], one: Places, other: Places) -> list[Levels]:
    """The fields' levels of each pair."""
    found = {item.name: item.compares.levels([columns[name] for name in item.reads], one, other) for item in fields}
    for item in fields:
        if item.beside in found:
            said = found[item.beside]
            found[item.name][(said >= 1) & (said <= _CONTRADICTS) & (found[item.name] > 1)] = 0
    return list(found.values())


@dataclass(frozen=True)
class Found:
    """What looking through all records answers: the learnt model and the pairs at or above the threshold."""

    model: Model
    pairs: Pairs
    candidates: int


def search(
    columns: Columns,
    spec: Spec,
    *,
    threshold: float,
    known: Model | None = None,
    learning: bool = True,
    seed: int = 1,
    told: Told | None = None,
) -> Found:
    """Find the pairs of all records with weights learnt from the same records; few records lean on what is `known`.

    Every candidate is compared once. Without `learning` the known weights are taken as they are. `told` hears how many
    candidates were compared.
    """
    size = len(next(iter(columns.values())))
    chance = _chance(columns, spec, known, seed)
    patterns = Patterns.of(spec.fields)
    first = known or Model({item.name: item.compares.prior for item in spec.fields}, chance, min(0.5, 0.1 / max(2, size)))
    hopeless = first.start + _HOPELESS
    kept: list[tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]] = []
    number = 0
    for one, other in candidates(columns, spec.passes, largest=spec.largest_block, window=spec.window):
        levels = levels_of(columns, spec.fields, one, other)
        codes = patterns.add(levels)
        odds = first.start + sum(weights[level] for weights, level in zip(first.weights(spec.fields), levels, strict=True))
        likely = np.flatnonzero(odds > hopeless) if size > _MANY else slice(None)
        kept.append((one[likely].astype(np.int32), other[likely].astype(np.int32), codes[likely]))
        number += len(one)
        if told:
            told(number)
    model = _learnt(columns, spec, patterns, chance, known) if learning or known is None else known
    one, other = (np.concatenate([part[side] for part in kept] or [np.zeros(0, dtype=np.int32)]).astype(np.int64) for side in (0, 1))
    codes = np.concatenate([part[2] for part in kept] or [np.zeros(0, dtype=np.int64)])
    return Found(model, _chosen(columns, spec, model, patterns, one, other, codes, threshold), number)


def _chance(columns: Columns, spec: Spec, known: Model | None, seed: int) -> dict[str, tuple[float, ...]]:
    size = len(next(iter(columns.values())))
    dice = np.random.default_rng(seed)
    one, other = dice.integers(0, max(1, size), _RANDOM_PAIRS), dice.integers(0, max(1, size), _RANDOM_PAIRS)
    apart = one != other
    # Few records make few pairs, however often they are drawn.
    weight = _KNOWN_PAIRS * _RANDOM_PAIRS / max(1, min(_RANDOM_PAIRS, size * (size - 1) // 2)) if known else 0.0
    levels = levels_of(columns, spec.fields, one[apart], other[apart])
    return chance_of(spec.fields, levels, known=known.u if known else None, weight=weight)


def _learnt(columns: Columns, spec: Spec, patterns: Patterns, chance: dict[str, tuple[float, ...]], known: Model | None) -> Model:
    size = len(next(iter(columns.values())))
    equal = {item.name: equal_pairs(columns[item.reads[0]]) for item in spec.fields if not item.compares.alternative}
    if known is None:
        return learn(patterns, chance=chance, all_pairs=size * (size - 1) // 2, equal=equal)
    return learn(
        patterns,
        chance=chance,
        all_pairs=size * (size - 1) // 2,
        equal=equal,
        prior=known.m,
        prior_pairs=max(_KNOWN_LEAST, size * _KNOWN_SHARE),
        share=known.share,
    )


def _chosen(
    columns: Columns,
    spec: Spec,
    model: Model,
    patterns: Patterns,
    one: Places,
    other: Places,
    codes: NDArray[np.int64],
    threshold: float,
) -> Pairs:
    """Weigh pairs by their patterns; only those that rare values could lift are looked at one by one."""
    distinct, inverse = np.unique(codes, return_inverse=True)
    rows = patterns.rows_of(distinct)
    odds = np.full(len(distinct), model.start)
    for place, weights in enumerate(model.weights(spec.fields)):
        odds += weights[rows[:, place]]
    lift = sum(np.log((1 + _AVERAGE) / _AVERAGE) for item in spec.fields if item.frequencies)
    wanted = np.log(threshold / (1 - threshold))
    near = np.flatnonzero(odds[inverse] >= wanted - lift)
    one, other, levels, sums = one[near], other[near], rows[inverse[near]].astype(np.uint8), odds[inverse[near]]
    for place, item in enumerate(spec.fields):
        if item.frequencies:
            sums += _rarity(columns[item.counts], item, model, one, levels[:, place])
    probability = 1 / (1 + np.exp(-sums))
    chosen = probability >= threshold
    return Pairs(one[chosen], other[chosen], probability[chosen], levels[chosen])


def equal_pairs(column: Column) -> int:
    """How many pairs of records hold the same value."""
    counts = column.counts
    return int((counts * (counts - 1) // 2).sum())


def probabilities(
    columns: Columns, fields: Sequence[Field], model: Model, one: Places, other: Places
) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    """The probability of each pair to be the same, and its levels, one row a pair."""
    levels = levels_of(columns, fields, one, other)
    odds = np.full(len(one), model.start)
    for item, level, weights in zip(fields, levels, model.weights(fields), strict=True):
        odds += weights[level]
        if item.frequencies:
            odds += _rarity(columns[item.counts], item, model, one, level)
    return 1 / (1 + np.exp(-odds)), np.stack(levels, axis=1)


def _rarity(column: Column, item: Field, model: Model, one: Places, level: Levels) -> NDArray[np.float64]:
    """What an equal value's own frequency changes: the model knows only the chance of agreeing in any value.

    The two that are compared hold the value themselves and say nothing about it; the average weighs in a little.
    """
    gained = np.zeros(len(one))
    equal = np.flatnonzero(level == item.compares.top)
    if len(equal):
        average = model.u[item.name][-1]
        others = column.shares[column.codes[one[equal]]]
        gained[equal] = np.log(average * (1 + _AVERAGE) / (others + _AVERAGE * average))
    return gained
