"""The filters and sorts of leads: one set for the page, the API, and whatever else lists leads."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from django.db import connection
from django.db.models import BooleanField, F, Func, Q, Sum, Value

from audit.selectors import changed_by_operation
from crm.actors import Actor
from crm.conditions import ConditionField
from crm.filters import (
    ChoiceFilter,
    DateFilter,
    Filter,
    FilterSet,
    FlagFilter,
    IdFilter,
    MatchFilter,
    Narrowing,
    NumberFilter,
    TextFilter,
    UserFilter,
    split_words,
)
from crm.identity.selectors import active_users
from crm.listing import Listing, Position, Sort, TextCondition
from crm.normal import clean_text
from crm.words import word_key
from leads.enums import COMPANY_SIZES, Platform, Priority, canonical_source, read_priority
from leads.models import Lead, LeadCount, LeadStatus
from leads.permissions import SEE_ALL, VIEW
from leads.selectors import branches_visible_to, distinct_values, shared_branches, vocabulary

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


# --- search ---


def search_query(text: str) -> str | None:
    """Turn what somebody types into a tsquery: every word a prefix, a phone in any notation its digits. None: nothing to find."""
    text = clean_text(text)[:200]
    digits = re.sub(r"[^0-9]", "", text)
    if len(digits) >= 3 and not re.sub(r"[0-9\s().+/-]", "", text):
        # A leading zero is a trunk prefix that the stored form lacks, or the beginning of the last digits.
        return " | ".join(f"{part}:*" for part in dict.fromkeys((digits.lstrip("0"), digits)) if part)
    terms = []
    for word in text.split()[:12]:
        if "@" in word and not word.startswith("@"):
            terms.append(_quoted(word.lower()))
        else:
            terms.extend(_quoted(part) for part in re.findall(r"\w+", _fold(word)))
    return " & ".join(terms) or None


def _quoted(lexeme: str) -> str:
    safe = lexeme.replace("\\", "").replace("'", "''")[:200]
    return f"'{safe}':*"


def _fold(word: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT crm_fold(%s)", [word])
        return str(cursor.fetchone()[0])


def search_condition(text: str) -> TextCondition | None:
    query = search_query(text)
    if query is None:
        return None
    rows = Func(F("search"), Value(query), template="(%(expressions)s::tsquery)", arg_joiner=" @@ ", output_field=BooleanField())
    return TextCondition(
        rows=rows,
        candidates=lambda most: _ask("SELECT leads_search_ids(%s::tsquery, %s)", [query, most]),
        count=lambda owner_id: _ask("SELECT leads_search_count(%s::tsquery, %s)", [query, owner_id]),
    )


def tag_condition(tags: list[str]) -> TextCondition | None:
    if not tags:
        return None
    return TextCondition(
        rows=Q(tags__contains=tags),
        candidates=lambda most: _ask("SELECT leads_tagged_ids(%s::varchar[], %s)", [tags, most]),
        count=lambda owner_id: _ask("SELECT leads_tagged_count(%s::varchar[], %s)", [tags, owner_id]),
    )


def _ask(sql: str, params: list[Any]) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()[0]


# --- filters ---


def _read_priority(word: str) -> int:
    return int(read_priority(word))


def _read_platform(word: str) -> str:
    key = word_key(word)
    if key not in Platform.values:
        raise ValueError(f"Must be one of {', '.join(Platform.values)}.")
    return key


def _status_choices() -> list[tuple[str, str]]:
    return [(status.code, status.label) for status in LeadStatus.objects.filter(is_active=True)]


def _people() -> list[tuple[str, str]]:
    return [("me", "Me"), ("none", "Nobody"), *((str(user.pk), user.full_name) for user in active_users())]


class StatusFilter(Filter):
    """Statuses by code, label, number, or document 0's coarse word; `not_interested` and `lost` differ by the reason."""

    def parse(self, text: str) -> Q:
        words, condition = vocabulary(), Q(pk__in=[])
        for word in split_words(text):
            ids = words.coarse_ids(word)
            if not ids:
                raise ValueError(f"Unknown status: {word[:40]}.")
            part = Q(status_id__in=ids) if len(ids) > 1 else Q(status_id=ids[0])
            if word_key(word) == "not_interested":
                part &= Q(lost_reason="not_interested")
            condition = part if condition == Q(pk__in=[]) else condition | part
        return condition

    def q(self, value: Q) -> Q:
        return value


def _grade(word: str) -> str:
    letter = word.upper()
    if letter not in "ABCD" or len(letter) != 1:
        raise ValueError("Must be one of A, B, C, D.")
    return letter


class LeadFilters(FilterSet):
    """Every filter of S0-01 and S1-04, under both documents' names."""

    filters: ClassVar[Mapping[str, Filter]] = {
        "search": MatchFilter(label="Search", read=str, build=search_condition),
        "status": StatusFilter(label="Status", choices=_status_choices, control="choice"),
        "priority": ChoiceFilter(
            label="Priority",
            column="priority",
            read=_read_priority,
            choices=lambda: [(item.name.lower(), item.label) for item in reversed(Priority)],
        ),
        "assigned_to": UserFilter(label="Owner", column="owner", choices=_people),
        "lead_source": ChoiceFilter(
            label="Source",
            column="lead_source",
            read=lambda word: canonical_source(clean_text(word)),
            choices=lambda: [(value, value) for value in distinct_values("lead_source")],
        ),
        "platform": ChoiceFilter(label="Channel", column="platform_key", read=_read_platform, choices=lambda: Platform.choices),
        "industry": TextFilter(
            label="Industry", column="industry", control="choice", choices=lambda: [(value, value) for value in distinct_values("industry")]
        ),
        "company_size": TextFilter(
            label="Company size", column="company_size", control="choice", choices=lambda: [(value, value) for value in COMPANY_SIZES]
        ),
        "score_min": NumberFilter(label="Score from", column="score", lookup="gte"),
        "score_max": NumberFilter(label="Score to", column="score", lookup="lte"),
        "grade": ChoiceFilter(label="Grade", column="quality_grade", read=_grade, choices=lambda: [(letter, letter) for letter in "ABCD"]),
        "tags": MatchFilter(label="Tags", read=split_words, build=tag_condition),
        "created_after": DateFilter(label="Created from", column="created_at", lookup="gte"),
        "created_before": DateFilter(label="Created until", column="created_at", lookup="lt"),
        "follow_up": FlagFilter(label="Follow-up due", when_true=Q(next_follow_up_at__isnull=False)),
        "operation": IdFilter(label="Made by operation", column="operation_id"),
        "changed_by": IdFilter(label="Changed by operation", condition=lambda pk: Q(pk__in=changed_by_operation(Lead, pk))),
        "follow_up_before": DateFilter(label="Follow-up until", column="next_follow_up_at", lookup="lt"),
    }
    aliases: ClassVar[Mapping[str, str]] = {
        "assigned_user_id": "assigned_to",
        "platform_key": "platform",
        "q": "search",
        "owner": "assigned_to",
    }

    @classmethod
    def condition_fields(cls) -> Mapping[str, ConditionField]:
        return _CONDITION_FIELDS


def _statuses_named(words: Sequence[Any]) -> Q:
    """Several statuses by their words; each is read as the filter of the same name reads it."""
    condition = Q(pk__in=[])
    for word in words:
        condition |= StatusFilter(label="").parse(word)
    return condition


def _status_word(value: Any) -> str:
    word = str(value)
    if not vocabulary().coarse_ids(word):
        raise ValueError(f"Unknown status: {word[:40]}.")
    return word.replace(",", " ")


def _choice(label: Any, column: str, read: Callable[[str], Any], filter_name: str) -> ConditionField:
    choices = LeadFilters.filters[filter_name].choices
    return ConditionField(
        label=label, kind="choice", column=column, read=lambda word: read(str(word)), choices=choices, blank=Q(**{column: ""})
    )


def _text(label: Any, column: str, *, folded: bool = False) -> ConditionField:
    return ConditionField(label=label, kind="text", column=column, read=_fold if folded else None, blank=Q(**{column: ""}))


def _date(label: Any, column: str) -> ConditionField:
    return ConditionField(label=label, kind="date", column=column, blank=Q(**{f"{column}__isnull": True}))


def _tags_found(operator: str, value: Any) -> TextCondition | None:
    tags = value if isinstance(value, list) else [value]
    return tag_condition(tags) if operator == "has_all" or (operator == "has_any" and len(tags) == 1) else None


_CONDITION_FIELDS: dict[str, ConditionField] = {
    "status": ConditionField(
        label="Status", kind="choice", read=_status_word, where=_statuses_named, choices=_status_choices, blank=Q(pk__in=[])
    ),
    "priority": _choice("Priority", "priority", _read_priority, "priority"),
    "assigned_to": ConditionField(label="Owner", kind="user", column="owner", choices=_people, blank=Q(owner__isnull=True)),
    "lead_source": _choice("Source", "lead_source", lambda word: canonical_source(clean_text(word)), "lead_source"),
    "platform": _choice("Channel", "platform_key", _read_platform, "platform"),
    "industry": _choice("Industry", "industry", clean_text, "industry"),
    "company_size": _choice("Company size", "company_size", clean_text, "company_size"),
    "grade": _choice("Grade", "quality_grade", _grade, "grade"),
    "score": ConditionField(label="Score", kind="number", column="score", blank=Q(pk__in=[])),
    "conversion_probability": ConditionField(
        label="Probability", kind="number", column="conversion_probability", blank=Q(conversion_probability__isnull=True)
    ),
    "tags": ConditionField(label="Tags", kind="tags", column="tags", blank=Q(tags=[]), indexed=_tags_found),
    "name": _text("Name", "name_key", folded=True),
    "company": _text("Company", "company_key", folded=True),
    "email": _text("E-mail", "email"),
    "phone": _text("Phone", "phone"),
    "title": _text("Job title", "title"),
    "website": _text("Website", "website"),
    "city": _text("City", "city"),
    "state": _text("State", "state"),
    "country": _text("Country", "country"),
    "notes": _text("Notes", "notes"),
    "lost_reason": _text("Reason lost", "lost_reason"),
    "created_at": _date("Created", "created_at"),
    "updated_at": _date("Changed", "updated_at"),
    "last_contact": _date("Last contact", "last_contact_at"),
    "next_follow_up": _date("Next follow-up", "next_follow_up_at"),
    "status_changed_at": _date("In this status since", "status_changed_at"),
    "assigned_at": _date("Assigned", "assigned_at"),
}

# The facets the ledger of counts knows, and the column of it each filter means.
_COUNTED = {"status", "priority", "assigned_to", "lead_source"}


class LeadList:
    """A list of leads as asked for: visible to the actor, filtered, sorted; paged by cursor or number, counted exactly."""

    def __init__(
        self, *, params: Mapping[str, str], actor: Actor, sort: str = "created_at", descending: bool = True, with_deleted: bool = False
    ) -> None:
        self.actor = actor
        self.narrowing: Narrowing = LeadFilters.read(params, me=actor.user_id)
        self.with_deleted = with_deleted
        owners: list[str] | None = self.narrowing.values.get("assigned_to")
        self.listing = Listing(
            branches=[branch.filter(self.narrowing.q) for branch in branches_visible_to(actor, with_deleted=with_deleted, owners=owners)],
            sort=SORTS[sort],
            descending=descending,
            texts=self.narrowing.texts,
        )

    def ids_after(self, after: int, most: int) -> list[int]:
        """The ids of the list that are greater, in their order: how work goes through it, each row once."""
        listing = replace(self.listing, sort=_BY_ID, descending=False)
        return [pk for _, pk in listing.rows(most, Position(value=after, pk=after, in_nulls=False))]

    @property
    def in_ledger(self) -> bool:
        """Whether the ledger knows all the facets asked for, so that the total costs next to nothing."""
        plain = not self.narrowing.texts and not self.with_deleted and "lost_reason" not in str(self.narrowing.q)
        return plain and set(self.narrowing.values) <= _COUNTED

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
