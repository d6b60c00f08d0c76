"""What stands over the list of leads: the filter menu's inputs, and the filters in force in words."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.actors import Actor
from crm.conditions import describe
from crm.filters import CONDITIONS, Filter
from crm.operations.selectors import operations_visible_to
from customobjects.enums import FieldKind
from customobjects.selectors import visible_definitions
from leads.filters import LeadFilters, offered_filters
from leads.selectors import distinct_values_of
from leads.services.drafts import RECORDS

# The filter menu, a row a group.
_IN_MENU: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (gettext_lazy("Sales"), ("status", "assigned_to", "priority", "tags")),
    (gettext_lazy("Score"), ("grade", "score_min", "score_max")),
    (gettext_lazy("Dates"), ("follow_up_before", "created_after", "created_before")),
    (gettext_lazy("Origin and company"), ("lead_source", "platform", "industry", "company_size")),
)
# Of a custom field's filters, those the menu offers: the endings of their names by kind.
_OF_KIND: dict[str, tuple[str, ...]] = {
    FieldKind.TEXT: ("_contains",), FieldKind.URL: ("_contains",), FieldKind.NUMBER: ("_min", "_max"), FieldKind.MONEY: ("_min", "_max"),
    FieldKind.DATE: ("_after", "_before"), FieldKind.CHOICE: ("",), FieldKind.MULTI_CHOICE: ("",), FieldKind.USER: ("",),
    FieldKind.CHECKBOX: ("",),
}  # fmt: skip
# Filters that come from an operation's page: shown by the operation's title.
_OF_OPERATIONS = ("operation", "changed_by")
# Columns whose values in use the menu offers, read together.
_IN_USE = ("lead_source", "industry")
# Bounds of numbers that have some.
_RANGES = {"score_min": (0, 100), "score_max": (0, 100)}


class Controls:
    """The filters of a list as its page shows them. `filters` are those the actor has, `params` the address."""

    def __init__(self, filters: type[LeadFilters], params: Mapping[str, str], actor: Actor) -> None:
        self.filters, self.params, self.actor = filters, params, actor
        self.rules = filters.all_filters()
        self._people: list[tuple[str, Any]] = []
        self._in_use: dict[str, list[str]] = {}

    def menu(self) -> list[tuple[Any, list[dict[str, Any]]]]:
        """The groups of the filter menu with their inputs."""
        self._in_use = distinct_values_of(_IN_USE)
        (sales, first), *others = _IN_MENU
        menu = ((sales, (*first, *offered_filters())), *others)
        groups = [(title, [self._control(name) for name in names]) for title, names in menu]
        own = [self._control(item.name + ending) for item in visible_definitions(RECORDS, self.actor) for ending in _OF_KIND[item.kind]]
        return [*groups, (_("Custom fields"), own)] if own else groups

    def chips(self, applied: Mapping[str, str]) -> list[dict[str, Any]]:
        """The filters in force but for the search, which has an input of its own."""
        return [self._chip(name, text) for name, text in applied.items() if self._real(name) != "search"]

    def besides(self, applied: Mapping[str, str], groups: Iterable[tuple[Any, list[dict[str, Any]]]]) -> list[tuple[str, str]]:
        """What is in force and has no input: the form over the list passes it on."""
        inputs = {"search", *(field["name"] for _title, fields in groups for field in fields)}
        return [(name, text) for name, text in applied.items() if name not in inputs]

    def _real(self, name: str) -> str:
        return self.filters.aliases.get(name, name)

    def _control(self, name: str) -> dict[str, Any]:
        rule, value = self.rules[name], self.params.get(name, "")
        # A calendar cannot show "today" or "-7d".
        control = "text" if rule.control == "date" and value and not value[0].isdigit() else rule.control
        return {
            "name": name,
            "label": rule.label,
            "control": control,
            "value": value,
            "choices": self._choices(rule),
            "range": _RANGES.get(name),
        }

    def _choices(self, rule: Filter) -> list[tuple[str, Any]]:
        if rule.control == "flag":
            return [("true", _("Yes")), ("false", _("No"))]
        if rule.column in self._in_use:
            return [(value, value) for value in self._in_use[rule.column]]
        if rule.control != "user":
            return list(rule.choices()) if rule.choices else []
        # Read once, however many fields name people.
        if not self._people and rule.choices:
            self._people = list(rule.choices())
        return self._people

    def _chip(self, given: str, text: str) -> dict[str, Any]:
        name = self._real(given)
        if name == CONDITIONS:
            return {"name": given, "label": _("Conditions"), "op": "", "value": describe(json.loads(text), self.filters.condition_fields())}
        rule = self.rules[name]
        says_it_all = rule.control in ("number", "date") or name.endswith(("_contains", "_empty"))
        return {"name": given, "label": rule.label, "op": "" if says_it_all else _("is"), "value": self._shown(name, rule, text)}

    def _shown(self, name: str, rule: Filter, text: str) -> str:
        if name == "ids":
            return ngettext("%d lead", "%d leads", text.count(",") + 1) % (text.count(",") + 1)
        if name in _OF_OPERATIONS:
            return self._operation(text)
        labels = {str(code): str(label) for code, label in self._choices(rule)}
        if rule.control == "flag":
            return labels["true" if rule.parse(text) else "false"]
        return ", ".join(labels.get(word.strip(), word.strip()) for word in text.split(","))

    def _operation(self, text: str) -> str:
        """An operation by its title, where the actor may see it."""
        found = operations_visible_to(self.actor).filter(pk=int(text)).first()
        return found.title if found else f"#{text}"
