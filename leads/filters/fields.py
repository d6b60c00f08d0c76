"""The filters of leads, and what nested conditions over them may name: one set for the page, the API and whatever else lists leads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import Q

from audit.selectors import changed_by_operation
from crm.actors import Actor
from crm.conditions import ConditionField
from crm.filters import (
    CONDITIONS,
    ChoiceFilter,
    DateFilter,
    Filter,
    FilterSet,
    FlagFilter,
    IdFilter,
    IdsFilter,
    MatchFilter,
    Narrowing,
    NumberFilter,
    TextFilter,
    UserFilter,
    split_words,
)
from crm.identity.selectors import active_users
from crm.listing import TextCondition
from crm.normal import clean_text
from crm.words import word_key
from leads.enums import COMPANY_SIZES, Platform, Priority, canonical_source, read_priority
from leads.filters.custom import CustomFilters, custom_condition_fields, with_custom_fields
from leads.filters.matching import fold, search_condition, tag_condition
from leads.models import Lead, LeadStatus
from leads.selectors import distinct_values, vocabulary


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


_OFFERED: dict[str, Filter] = {}


def offer_filter(name: str, rule: Filter) -> None:
    """Add a filter of what a higher app knows of leads, from its `extensions.py`; the menu over the list shows it."""
    _OFFERED[name] = rule


def offered_filters() -> Mapping[str, Filter]:
    return _OFFERED


class LeadFilters(FilterSet):
    """Every filter of S0-01 and S1-04, under both documents' names, those that higher apps offer, and those of custom fields.

    `seen_by` makes it those of an actor; by itself it knows the custom fields that everybody may see.
    """

    actor: ClassVar[Actor | None] = None
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
        "ids": IdsFilter(label="Selected", column="pk"),
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
    def seen_by(cls, actor: Actor) -> "type[LeadFilters]":
        """These filters with those of the custom fields that an actor may see."""
        return type("LeadFilters", (cls,), {"actor": actor})

    @classmethod
    def all_filters(cls) -> Mapping[str, Filter]:
        return CustomFilters({**cls.filters, **_OFFERED}, cls.actor)

    @classmethod
    def condition_fields(cls) -> Mapping[str, ConditionField]:
        return {**_CONDITION_FIELDS, **custom_condition_fields(cls.actor)}

    @classmethod
    def read(cls, data: Mapping[str, str], *, me: int | None = None) -> Narrowing:
        narrowing = super().read(data, me=me)
        if CONDITIONS in narrowing.applied:
            narrowing.q = with_custom_fields(narrowing.q, cls.actor)
        return narrowing


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
    return ConditionField(label=label, kind="text", column=column, read=fold if folded else None, blank=Q(**{column: ""}))


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
