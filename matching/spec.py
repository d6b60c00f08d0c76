"""What is compared and how pairs are found: plain configuration."""

from dataclasses import dataclass

from matching.comparing import COMPARATORS, Comparator


@dataclass(frozen=True, kw_only=True)
class Field:
    """One comparison. `columns` are what it reads, its own name where none is given.

    `frequencies`: agreeing in a rare value counts for more than in a common one; `counted`, where it is set, is the column
    whose values are counted. `beside` names a field without which agreeing says nothing: two people of different names who
    work for the same company are colleagues.
    """

    name: str
    comparator: str
    columns: tuple[str, ...] = ()
    frequencies: bool = False
    counted: str = ""
    beside: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        return self.columns or (self.name,)

    @property
    def counts(self) -> str:
        return self.counted or self.reads[0]

    @property
    def compares(self) -> Comparator:
        return COMPARATORS[self.comparator]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """A way of finding candidates: the records that hold the same values in `columns`. Larger blocks are cut by `then`, in turn."""

    columns: tuple[str, ...]
    then: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Spec:
    fields: tuple[Field, ...]
    passes: tuple[Pass, ...]
    largest_block: int = 250
    # Records of a block that stays larger meet only so many of its others.
    window: int = 10


def passes_over(fields: tuple[Field, ...]) -> tuple[Pass, ...]:
    """A pass over every field but those of few values, each cut by all others where its blocks are large."""
    telling = [item for item in fields if item.comparator != "exact"]
    names = [item.reads[0] for item in telling]
    return tuple(Pass(columns=(name,), then=tuple(other for other in names if other != name)) for name in names)
