"""Conditions over leads that rules of higher apps keep, for readers who may not see every custom field: what they name is kept from them, and kept as it is."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.conditions import ConditionField, describe
from customobjects.selectors import definitions, may_see
from leads.filters import LeadFilters

MODEL = "leads.Lead"


def hides_fields(*, tree: Any, by: Actor) -> bool:
    """Whether conditions name a field that is there, but not for this reader."""
    return bool(_hidden(tree, by))


def without_hidden(*, tree: Any, by: Actor) -> Any:
    """Conditions as this reader may have them: a part on a field hidden from them says only that it is there."""
    hidden = _hidden(tree, by)
    return _replaced(tree, hidden, {"hidden": True, "label": _("a field you may not see")}) if hidden else tree


def said(*, tree: Any, by: Actor) -> str:
    """Conditions in words. Raises KeyError or TypeError for those that cannot be read any more."""
    hidden, fields = _hidden(tree, by), dict(LeadFilters.seen_by(by).condition_fields())
    if hidden:
        fields[""] = ConditionField(label=_("a field you may not see"), kind="text")
        tree = _replaced(tree, hidden, {"field": "", "op": "is", "value": "…"})
    return describe(tree, fields)


def _hidden(tree: Any, by: Actor) -> set[str]:
    """The fields named that only others see; one that is switched off keeps its secret."""
    if not tree:
        return set()
    secret = {item.name for item in definitions(MODEL).every if item.visible_to and not may_see(item, by)}
    return secret & set(_fields_in(tree))


def _fields_in(tree: Any) -> Iterator[str]:
    if isinstance(tree, list):
        for part in tree:
            yield from _fields_in(part)
    elif isinstance(tree, dict):
        if isinstance(tree.get("field"), str):
            yield tree["field"]
        for name in ("all", "any", "not"):
            yield from _fields_in(tree.get(name))


def _replaced(tree: Any, names: Collection[str], by_this: Mapping[str, Any]) -> Any:
    if isinstance(tree, list):
        return [_replaced(part, names, by_this) for part in tree]
    if not isinstance(tree, dict):
        return tree
    if isinstance(tree.get("field"), str):
        return dict(by_this) if tree["field"] in names else tree
    return {name: _replaced(part, names, by_this) for name, part in tree.items()}
