"""Custom fields in the forms of other apps' pages."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _

from crm.identity.selectors import active_users
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.selectors import money_text, user_names
from customobjects.services.kinds import MOST_TEXT, MOST_URL

# Wide ones take a line of their own, and are saved by a button where they are edited in place.
WIDE = (FieldKind.MULTI_CHOICE,)


def form_field(item: FieldDefinition, value: Any = None, *, required: bool | None = None, in_place: bool = False) -> forms.Field:
    """The input for a custom field that holds `value`. What is typed is read by the service, not here.

    `in_place` it stands alone, where a box says neither that it was left alone nor that it holds nothing.
    """
    must = item.required if required is None else required
    common: dict[str, Any] = {"label": item.label, "help_text": item.help_text, "required": must}
    match item.kind:
        case FieldKind.CHOICE:
            return forms.ChoiceField(choices=[("", "—"), *_choices(item, [value])], **common)
        case FieldKind.MULTI_CHOICE:
            chosen = value if isinstance(value, list) else [value]
            return forms.MultipleChoiceField(choices=_choices(item, chosen), widget=forms.CheckboxSelectMultiple, **common)
        case FieldKind.USER:
            return forms.ChoiceField(choices=[("", _("Nobody")), *_people(value)], **common)
        case FieldKind.CHECKBOX if in_place:
            return forms.ChoiceField(choices=[("", "—"), ("true", _("Yes")), ("false", _("No"))], **common)
        case FieldKind.CHECKBOX:
            return forms.BooleanField(**{**common, "required": False})
        case FieldKind.DATE:
            return forms.CharField(max_length=60, widget=forms.DateInput(attrs={"type": "date"}), **common)
        case FieldKind.NUMBER | FieldKind.MONEY:
            widget = forms.TextInput(attrs={"inputmode": "decimal"})
            if item.kind == FieldKind.MONEY:
                common["label"] = f"{item.label} ({item.currency})"
            return forms.CharField(max_length=60, widget=widget, **common)
        case FieldKind.URL:
            return forms.CharField(max_length=MOST_URL, widget=forms.TextInput(attrs={"inputmode": "url"}), **common)
    return forms.CharField(max_length=MOST_TEXT, **common)


def initial_of(item: FieldDefinition, value: Any, *, in_place: bool = False) -> Any:
    """What the input shows for a value. A value of another shape is shown as text, for somebody to mend."""
    if value is None:
        return "" if item.kind != FieldKind.MULTI_CHOICE else []
    match item.kind:
        case FieldKind.MONEY if isinstance(value, dict):
            return str(value.get("amount", "")) if value.get("currency") == item.currency else money_text(value)
        case FieldKind.USER | FieldKind.NUMBER:
            return str(value)
        case FieldKind.MULTI_CHOICE:
            return [str(one) for one in value] if isinstance(value, list) else [str(value)]
        case FieldKind.CHECKBOX if in_place:
            return str(value).lower()
        case FieldKind.CHECKBOX:
            return value is True
    return value if isinstance(value, str) else str(value)


def typed_value(item: FieldDefinition, typed: Any, before: Any) -> Any:
    """What the form says the value is: the value that is there where the input was left alone."""
    return before if before is not None and typed == initial_of(item, before) else typed


def _choices(item: FieldDefinition, present: list[Any]) -> list[tuple[str, str]]:
    """The choices, and what the record holds although it is none of them any more."""
    known = [(str(choice["value"]), str(choice["label"])) for choice in item.choices]
    values = {value for value, _label in known}
    return known + [(str(value), str(value)) for value in present if value not in (None, "") and str(value) not in values]


def _people(present: Any) -> list[tuple[str, str]]:
    people = [(str(user.pk), user.full_name) for user in active_users()]
    if present is not None and str(present) not in dict(people):
        name = user_names().get(present, str(present)) if isinstance(present, int) else str(present)
        people.append((str(present), name))
    return people
