"""The list of leads by groups: of each value of a field its exact number and its first leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.identity.selectors import active_users
from leads.enums import Platform, Priority
from leads.filters import LeadList
from leads.selectors import vocabulary

# Of so many groups the first leads are shown; of the others their number.
MOST_OPEN, ROWS_EACH, MOST_GROUPS = 8, 10, 60


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """A field to group by: its column, and the filter that shows one group."""

    label: Any
    column: str
    filter: str


GROUPINGS = {
    "status": Grouping(label=gettext_lazy("Status"), column="status_id", filter="status"),
    "priority": Grouping(label=gettext_lazy("Priority"), column="priority", filter="priority"),
    "owner": Grouping(label=gettext_lazy("Owner"), column="owner_id", filter="assigned_to"),
    "source": Grouping(label=gettext_lazy("Source"), column="lead_source", filter="lead_source"),
    "platform": Grouping(label=gettext_lazy("Channel"), column="platform_key", filter="platform"),
    "grade": Grouping(label=gettext_lazy("Grade"), column="quality_grade", filter="grade"),
}


def groups_of(code: str, leads: LeadList, params: Mapping[str, str], *, sort: str, descending: bool, actor: Actor) -> list[dict[str, Any]]:
    """The groups in their field's order: label, number, the ids of the first leads, and what the list's address takes to show all."""
    grouping = GROUPINGS[code]
    counted = leads.counts_by(grouping.column)
    ordered = [item for item in _named(code, counted) if counted.get(item[0])][:MOST_GROUPS]
    groups = []
    for place, (value, word, label) in enumerate(ordered):
        narrowed = {**params, grouping.filter: word} if word else dict(params)
        ids = []
        if place < MOST_OPEN and word:
            ids = LeadList(params=narrowed, actor=actor, sort=sort, descending=descending).listing.page(limit=ROWS_EACH).ids
        groups.append({"label": label, "number": counted[value], "ids": ids, "filter": grouping.filter, "word": word})
    return groups


def _named(code: str, counted: Mapping[Any, int]) -> list[tuple[Any, str, Any]]:
    """Value, the filter's word for it, and label."""
    match code:
        case "status":
            return [(status.pk, status.code, status.label) for status in vocabulary().statuses]
        case "priority":
            return [(item.value, item.name.lower(), item.label) for item in reversed(Priority)]
        case "owner":
            people = [(user.pk, str(user.pk), user.full_name) for user in active_users().filter(pk__in=[pk for pk in counted if pk])]
            return [(None, "none", _("Unassigned")), *people]
        case "platform":
            return [(value, value, label) for value, label in Platform.choices]
        case "grade":
            return [(letter, letter, letter) for letter in "ABCD"]
    biggest = sorted((value for value in counted if value), key=lambda value: -counted[value])
    # A filter reads commas as several words; such a source, and none, can be counted but not opened.
    return [*((value, "" if "," in value else value, value) for value in biggest), ("", "", _("None"))]
