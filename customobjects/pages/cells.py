"""Custom fields as cells of a list: drawn by functions, as a list's other cells are."""

from collections.abc import Mapping
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from crm.web.templatetags.ui import icon
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import shown

_NOTHING = SafeString("")
_NUMERIC = (FieldKind.NUMBER, FieldKind.MONEY)


def cell(item: FieldDefinition, values: Mapping[str, Any]) -> SafeString:
    """How a list shows one field of a record, of whose `custom_fields` it is given all."""
    value = values.get(item.key)
    if value is None or value in ("", [], {}):
        return _NOTHING
    text = shown(item, value)
    match item.kind:
        case FieldKind.URL if isinstance(value, str) and value.startswith(("http://", "https://")):
            label = value.removeprefix("https://").removeprefix("http://").rstrip("/")
            return format_html('<a class="inline-edit" href="{}" rel="noopener noreferrer" target="_blank">{}</a>', value, label)
        case FieldKind.CHECKBOX if value is True:
            return format_html('{}<span class="sr-only">{}</span>', icon("check"), text)
        case FieldKind.CHECKBOX if value is False:
            return format_html('<span class="faint">{}</span>', text)
        case FieldKind.CHOICE if isinstance(value, str):
            return choice_badge(item, value)
        case FieldKind.MULTI_CHOICE if isinstance(value, list):
            return format_html(
                '<span class="tags">{}</span>', format_html_join("", "{}", ((choice_badge(item, str(one)),) for one in value))
            )
    return format_html("{}", text)


def cell_attributes(item: FieldDefinition) -> SafeString:
    """What the cell's element bears."""
    return SafeString(' class="num"') if item.kind in _NUMERIC else SafeString(' class="cell-trunc"')


_TONES = {"red": "tone-danger", "yellow": "tone-warning", "green": "tone-success", "blue": "tone-info", "violet": "tone-accent"}


def choice_badge(item: FieldDefinition, value: str) -> SafeString:
    found = next((choice for choice in item.choices if choice["value"] == value), None)
    label, tone = (found["label"], _TONES.get(found.get("color", ""), "")) if found else (value, "")
    return format_html('<span class="badge {}">{}</span>', tone, label)
