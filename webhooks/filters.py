"""Filters of the inbox of arrivals, for its page and the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.filters import ChoiceFilter, DateFilter, Filter, FilterSet, TextFilter
from crm.words import word_key
from leads.enums import Platform, ProcessingStatus
from leads.models import Arrival
from webhooks.enums import SourceKind

STATES = {
    "waiting": _("Waiting"),
    "failed": _("Failed"),
    "created": _("Created"),
    "merged": _("Merged"),
}
DOORS = {"website": _("Web form"), **{kind.value: kind.label for kind in SourceKind}, "social": _("Social contact")}
_WHERE = {
    "waiting": Q(processing_status=ProcessingStatus.RECEIVED),
    "failed": Q(processing_status=ProcessingStatus.FAILED),
    "created": Q(processing_status=ProcessingStatus.PROCESSED, was_duplicate=False),
    "merged": Q(processing_status=ProcessingStatus.PROCESSED, was_duplicate=True),
}


def state_of(arrival: Arrival) -> str:
    """What became of an arrival, in one of the words of STATES."""
    return "waiting" if arrival.outcome == "received" else arrival.outcome


def _state(word: str) -> str:
    key = word_key(word)
    key = "waiting" if key == "received" else key
    if key not in STATES:
        raise ValueError(f"Must be one of {', '.join(STATES)}.")
    return key


def _door(word: str) -> str:
    key = word_key(word)
    if key not in DOORS:
        raise ValueError(f"Must be one of {', '.join(DOORS)}.")
    return key


def _platform(word: str) -> str:
    key = word_key(word)
    if key not in Platform.values:
        raise ValueError(f"Must be one of {', '.join(Platform.values)}.")
    return key


@dataclass(frozen=True, kw_only=True)
class StateFilter(Filter):
    """What became of an arrival."""

    control: str = "choice"

    def parse(self, text: str) -> str:
        return _state(text)

    def q(self, value: str) -> Q:
        return _WHERE[value]


@dataclass(frozen=True, kw_only=True)
class SourceFilter(Filter):
    """The connection an arrival came in by. Web forms have ids of their own, so the door is part of the question."""

    def parse(self, text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise ValueError("Must be a connection's id.")
        return int(text)

    def q(self, value: int) -> Q:
        return Q(door__in=SourceKind.values, door_id=value)


@dataclass(frozen=True, kw_only=True)
class OriginFilter(Filter):
    """A door with the form or connection behind it, as `website:3` or `webhook:5`: what one list of a page offers."""

    control: str = "choice"

    def parse(self, text: str) -> tuple[str, int]:
        door, _colon, number = text.partition(":")
        if door not in DOORS or not (number.isascii() and number.isdigit() and len(number) <= 18):
            raise ValueError("Must be a door and an id, such as webhook:5.")
        return door, int(number)

    def q(self, value: tuple[str, int]) -> Q:
        return Q(door=value[0], door_id=value[1])


class ArrivalFilters(FilterSet):
    """What the inbox can be narrowed by."""

    filters: ClassVar[Mapping[str, Filter]] = {
        "state": StateFilter(label=_("State")),
        "door": ChoiceFilter(label=_("Door"), column="door", read=_door, choices=DOORS.items),
        "source_id": SourceFilter(label=_("Connection")),
        "origin": OriginFilter(label=_("Came in by")),
        "platform": ChoiceFilter(label=_("Channel"), column="platform_key", read=_platform, choices=lambda: Platform.choices),
        "received_after": DateFilter(label=_("Received from"), column="received_at", lookup="gte"),
        "received_before": DateFilter(label=_("Received until"), column="received_at", lookup="lt"),
        "search": TextFilter(label=_("The source's id"), column="source_lead_id", max_length=128),
    }
