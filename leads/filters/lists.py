"""A list of leads as somebody asks for it: sorts, visibility and filters put together, and its exact numbers."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

from django.db.models import Count, DecimalField, Q, Sum, TextField, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.functions import Cast, Coalesce

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import Narrowing
from crm.listing import Listing, Position, Sort
from leads.filters.fields import LeadFilters
from leads.models import LeadCount
from leads.permissions import SEE_ALL, VIEW
from leads.selectors import branches_visible_to, shared_branches

SORTS = {
    sort.name: sort
    for sort in (
        Sort(name="created_at", column="created_at", label="Created"),
        Sort(name="updated_at", column="updated_at", label="Changed"),
        Sort(name="score", column="score", label="Score"),
        Sort(name="conversion_probability", column="conversion_probability", label="Probability", nullable=True),
        Sort(name="next_follow_up", column="next_follow_up_at", label="Next follow-up", nullable=True),
        Sort(name="last_contact", column="last_contact_at", label="Last contact", nullable=True),
        Sort(name="name", column="name_key", label="Name"),
        Sort(name="company", column="company_key", label="Company"),
        Sort(name="priority", column="priority", label="Priority"),
    )
}
# Offered to nobody: the order in which work goes through a list.
_BY_ID = Sort(name="id", column="id", label="")

# The facets the ledger of counts knows, and the column of it each filter means.
_COUNTED = {"status", "priority", "assigned_to", "lead_source"}
_LEDGER_COLUMNS = {"status_id", "priority", "owner_id", "lead_source"}


class LeadList:
    """A list of leads as asked for: visible to the actor, filtered, sorted; paged by cursor or number, counted exactly."""

    def __init__(
        self, *, params: Mapping[str, str], actor: Actor, sort: str = "created_at", descending: bool = True, with_deleted: bool = False
    ) -> None:
        self.actor = actor
        self.filters = LeadFilters.seen_by(actor)
        self.narrowing: Narrowing = self.filters.read(params, me=actor.user_id)
        self.with_deleted = with_deleted
        owners: list[str] | None = self.narrowing.values.get("assigned_to")
        self.listing = Listing(
            branches=[branch.filter(self.narrowing.q) for branch in branches_visible_to(actor, with_deleted=with_deleted, owners=owners)],
            sort=SORTS[sort],
            descending=descending,
            texts=self.narrowing.texts,
        )

    @classmethod
    def for_work(cls, *, params: Mapping[str, str], actor: Actor) -> "LeadList":
        """The list that work goes through. Raises InvalidInput for what is no filter.

        A list on a page passes over what it does not know; here that would mean more leads than were asked for.
        """
        leads = cls(params=params, actor=actor)
        unknown = leads.filters.unknown(params)
        if unknown:
            raise InvalidInput({name: ["There is no such filter."] for name in unknown})
        return leads

    def ids_after(self, after: int, most: int) -> list[int]:
        """The ids of the list that are greater, in their order: how work goes through it, each row once."""
        listing = replace(self.listing, sort=_BY_ID, descending=False)
        return [pk for _, pk in listing.rows(most, Position(value=after, pk=after, in_nulls=False))]

    @property
    def in_ledger(self) -> bool:
        """Whether the ledger knows all the facets asked for, so that the total costs next to nothing."""
        plain = not self.narrowing.texts and not self.with_deleted and "lost_reason" not in str(self.narrowing.q)
        return plain and set(self.narrowing.values) <= _COUNTED

    def counts_by(self, column: str) -> dict[Any, int]:
        """The exact number of the list's leads for each value of a column, from the ledger where it can tell."""
        counted: dict[Any, int] = {}
        if self.in_ledger and column in _LEDGER_COLUMNS and self.actor.can(VIEW):
            condition, counting = self._ledger_condition(), shared_branches(self.actor)
            if self.actor.can(SEE_ALL):
                counting = []
            else:
                condition &= Q(owner_id=self.actor.user_id) | Q(owner_id=None)
            ledger = LeadCount.objects.filter(condition).values_list(column).annotate(n=Sum("leads")).order_by()
            counted = {value: number for value, number in ledger if number}
            branches: list[Any] = [branch.filter(self.narrowing.q) for branch in counting]
        else:
            branches = self.listing.narrowed()
        for branch in branches:
            for value, number in branch.order_by().values_list(column).annotate(n=Count("pk")):
                counted[value] = counted.get(value, 0) + number
        return counted

    def sums_by_status(self, key: str, *, is_money: bool = False) -> dict[int, dict[str, Decimal]]:
        """What a custom field's numbers add up to for each status, by currency ("" where there is none). Reads every lead of the list."""
        value: Any = KeyTransform(key, "custom_fields")
        blank = Value("", output_field=TextField())
        held = KeyTextTransform("amount", value) if is_money else KeyTextTransform(key, "custom_fields")
        currency = Coalesce(KeyTextTransform("currency", value), blank) if is_money else blank
        summed: dict[int, dict[str, Decimal]] = {}
        for branch in self.listing.narrowed():
            rows = branch.order_by().filter(custom_fields__has_key=key).annotate(of=currency).values_list("status_id", "of")
            for status_id, code, total in rows.annotate(total=Sum(Cast(held, DecimalField(max_digits=30, decimal_places=6)))):
                mine = summed.setdefault(status_id, {})
                mine[code] = mine.get(code, Decimal()) + (total or Decimal())
        return summed

    def total(self) -> int:
        """The exact number: from the ledger where it can tell, else counted."""
        if self.in_ledger:
            return self._total_from_ledger()
        only_a_text = len(self.narrowing.texts) == 1 and len(self.narrowing.values) == 1
        if only_a_text and not self.with_deleted and self.actor.can(VIEW):
            mine = None if self.actor.can(SEE_ALL) else self.actor.user_id
            return self.narrowing.texts[0].count(mine) + self._shared_total()
        return self.listing.count()

    def _total_from_ledger(self) -> int:
        """The ledger counts by owner, so it knows a rep's own and the unassigned; what is shared is counted beside it."""
        if not self.actor.can(VIEW):
            return 0
        condition = self._ledger_condition()
        if not self.actor.can(SEE_ALL):
            condition &= Q(owner_id=self.actor.user_id) | Q(owner_id=None)
        return (LeadCount.objects.filter(condition).aggregate(n=Sum("leads"))["n"] or 0) + self._shared_total()

    def _shared_total(self) -> int:
        """How many leads of the list an actor sees only because they are shared. They are few."""
        if self.actor.can(SEE_ALL):
            return 0
        branches = [branch.filter(self.narrowing.q) for branch in shared_branches(self.actor)]
        for text in self.narrowing.texts:
            branches = [branch.filter(text.rows) for branch in branches]
        return sum(branch.order_by().count() for branch in branches)

    def _ledger_condition(self) -> Q:
        """The same condition on the ledger's columns: they bear the lead's own names but for the owner's."""
        return _renamed(self.narrowing.q)


def _renamed(condition: Q) -> Q:
    children: list[Any] = []
    for child in condition.children:
        if isinstance(child, Q):
            children.append(_renamed(child))
        else:
            column, value = cast("tuple[str, Any]", child)
            children.append((column.replace("owner", "owner_id", 1), value))
    return Q(*children, _connector=condition.connector, _negated=condition.negated)
