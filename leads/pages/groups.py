"""The list of leads by groups: of each value of a field its exact number and its first leads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.identity.selectors import active_users
from leads.enums import Platform, Priority
from leads.filters import LeadFilters, LeadList
from leads.models import Lead
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


def groups_of(
    code: str, leads: LeadList, params: Mapping[str, str], *, sort: str, descending: bool, actor: Actor
) -> tuple[list[dict[str, Any]], int]:
    """The groups in their field's order, and the number of leads in all of them.

    Of each group: label, number, the ids of the first leads, and what the list's address takes to show all.
    """
    grouping = GROUPINGS[code]
    counted = leads.counts_by(grouping.column)
    groups = []
    for place, (value, word, label) in enumerate(_in_order(code, counted)):
        ids = []
        if place < MOST_OPEN and word:
            ids = _group(code, word, params, sort=sort, descending=descending, actor=actor).listing.page(limit=ROWS_EACH).ids
        groups.append({"label": label, "number": counted[value], "ids": ids, "filter": grouping.filter, "word": word})
    return groups, sum(counted.values())


def beside_in_groups(
    code: str, lead: Lead, params: Mapping[str, str], *, sort: str, descending: bool, actor: Actor, backwards: bool = False
) -> int | None:
    """The lead that follows one in a list by groups, or with `backwards` goes before it: in its group, else in the next there is."""
    order = descending != backwards
    leads = LeadList(params=params, actor=actor, sort=sort, descending=order)
    groups = [(value, word) for value, word, _label in _in_order(code, leads.counts_by(GROUPINGS[code].column)) if word]
    if backwards:
        groups.reverse()
    own = getattr(lead, GROUPINGS[code].column)
    place = next((place for place, (value, _word) in enumerate(groups) if value == own), None)
    if place is None:
        return leads.listing.beside(lead)
    found = _group(code, groups[place][1], params, sort=sort, descending=order, actor=actor).listing.beside(lead)
    for _value, word in groups[place + 1 :] if found is None else []:
        found = next(iter(_group(code, word, params, sort=sort, descending=order, actor=actor).listing.page(limit=1).ids), None)
        if found is not None:
            break
    return found


def _group(code: str, word: str, params: Mapping[str, str], *, sort: str, descending: bool, actor: Actor) -> LeadList:
    """One group as a list of its own. A group lies within what a filter of the same field leaves, so it takes its place."""
    grouping = GROUPINGS[code]
    others = {name: text for name, text in params.items() if LeadFilters.aliases.get(name, name) != grouping.filter}
    return LeadList(params={**others, grouping.filter: word}, actor=actor, sort=sort, descending=descending)


def _in_order(code: str, counted: Mapping[Any, int]) -> list[tuple[Any, str, Any]]:
    """The groups that hold leads: value, the filter's word for it, and label."""
    return [item for item in _named(code, counted) if counted.get(item[0])][:MOST_GROUPS]


def _named(code: str, counted: Mapping[Any, int]) -> list[tuple[Any, str, Any]]:
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
