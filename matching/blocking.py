"""Candidates: pairs that share a block. Blocks are bounded: a larger one is cut by further keys, and walked in order in the end."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matching.columns import MISSING, Column
from matching.spec import Pass

Places = NDArray[np.int64]
_NONE = np.int32(-1)


@dataclass(frozen=True)
class Blocks:
    """The blocks of one pass. Records of a block beyond the bound meet only their `window` nearest in rank."""

    block: NDArray[np.int32]
    order: NDArray[np.int32]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    rank: NDArray[np.int32]
    largest: int
    window: int

    def hold(self, one: Places, other: Places) -> NDArray[np.bool_]:
        """Whether this pass proposes these pairs."""
        mine = self.block[one]
        same = (mine == self.block[other]) & (mine != _NONE)
        if len(self.sizes) and self.sizes.max(initial=0) > self.largest:
            near = np.abs(self.rank[one] - self.rank[other]) <= self.window
            same &= near | (self.sizes[np.where(mine == _NONE, 0, mine)] <= self.largest)
        return same


def blocks_of(columns: Mapping[str, Column], wanted: Pass, *, largest: int, window: int = 10) -> Blocks:
    """Cut the records into blocks by a pass's keys. A record without a key is in none; blocks of one are left out."""
    first = columns[wanted.columns[0]]
    label = first.codes.astype(np.int64)
    for name in wanted.columns[1:]:
        label = _combined(label, columns[name].codes)
    label = _numbered(label)
    for name in wanted.then:
        counts = np.bincount(label[label >= 0]) if (label >= 0).any() else np.zeros(1, dtype=np.int64)
        large = (label >= 0) & (counts[np.maximum(label, 0)] > largest)
        if not large.any():
            break
        # What holds no further key stays together: it may be anybody's.
        finer = label * (np.int64(len(columns[name].values)) + 2) + columns[name].codes + 1
        apart = np.where(large, finer + label.max() + 1, label)
        label = _numbered(np.where(label < 0, MISSING, apart))
    return _laid_out(label, largest=largest, window=window)


def _combined(label: NDArray[np.int64], codes: NDArray[np.int32]) -> NDArray[np.int64]:
    both = (label >= 0) & (codes >= 0)
    return np.where(both, _numbered(label) * (np.int64(codes.max(initial=0)) + 1) + codes, MISSING)


def _numbered(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same blocks as numbers from 0, those of a single record dropped."""
    there = label >= 0
    numbers = np.full(len(label), MISSING, dtype=np.int64)
    if there.any():
        _values, inverse, counts = np.unique(label[there], return_inverse=True, return_counts=True)
        renumbered = np.cumsum(counts > 1) - 1
        numbers[there] = np.where(counts[inverse] > 1, renumbered[inverse], MISSING)
    return numbers


def _laid_out(label: NDArray[np.int64], *, largest: int, window: int) -> Blocks:
    members = np.flatnonzero(label >= 0)
    order = members[np.argsort(label[members], kind="stable")]
    sizes = np.bincount(label[members]) if len(members) else np.zeros(0, dtype=np.int64)
    starts = np.concatenate(([0], np.cumsum(sizes)))[:-1] if len(sizes) else np.zeros(0, dtype=np.int64)
    rank = np.zeros(len(label), dtype=np.int32)
    rank[order] = np.arange(len(order)) - np.repeat(starts, sizes)
    return Blocks(label.astype(np.int32), order.astype(np.int32), starts.astype(np.int64), sizes.astype(np.int64), rank, largest, window)


def pairs_of(blocks: Blocks, *, at_once: int) -> Iterator[tuple[Places, Places]]:
    """All pairs of the blocks, some `at_once` a time, each with the earlier record first."""
    reach = np.where(blocks.sizes <= blocks.largest, blocks.sizes, blocks.window + 1)
    # Every record meets those after it in its block, up to the block's reach.
    size, start = np.repeat(blocks.sizes, blocks.sizes), np.repeat(blocks.starts, blocks.sizes)
    place = np.arange(len(blocks.order), dtype=np.int64)
    meets = np.minimum(size - 1 - (place - start), np.repeat(reach, blocks.sizes) - 1)
    total = np.concatenate(([0], np.cumsum(meets)))
    begin = 0
    while begin < len(place):
        end = max(begin + 1, int(np.searchsorted(total, total[begin] + at_once, side="right")) - 1)
        own = meets[begin:end]
        one = np.repeat(place[begin:end], own)
        offset = np.arange(len(one), dtype=np.int64) - np.repeat(total[begin:end] - total[begin], own)
        left, right = blocks.order[one].astype(np.int64), blocks.order[one + 1 + offset].astype(np.int64)
        if len(left):
            yield np.minimum(left, right), np.maximum(left, right)
        begin = end


def candidates(
    columns: Mapping[str, Column], passes: Sequence[Pass], *, largest: int, window: int = 10, at_once: int = 1_000_000
) -> Iterator[tuple[Places, Places]]:
    """Every pair that some pass proposes, once."""
    before: list[Blocks] = []
    for wanted in passes:
        blocks = blocks_of(columns, wanted, largest=largest, window=window)
        for one, other in pairs_of(blocks, at_once=at_once):
            known = np.zeros(len(one), dtype=bool)
            for earlier in before:
                known |= earlier.hold(one, other)
            new = ~known
            if new.any():
                yield one[new], other[new]
        before.append(Blocks(blocks.block, blocks.order[:0], blocks.starts[:0], blocks.sizes, blocks.rank, blocks.largest, blocks.window))
