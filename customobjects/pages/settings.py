"""Settings: custom fields, their kinds, choices, order, and who sees them."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.errors import Forbidden
from crm.identity.models import Role
from crm.tenancy.models import current_tenant
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from customobjects.enums import CAN_BE_UNIQUE, COLOURS, FieldKind
from customobjects.models import FieldDefinition
from customobjects.pages.inputs import form_field, initial_of
from customobjects.permissions import CONFIGURE
from customobjects.selectors import SETTINGS as BASE
from customobjects.selectors import all_definitions, extensible_models, may_see
from customobjects.services.definitions import (
    FieldSettings,
    delete_definition,
    find_definition,
    move_definition,
    save_definition,
    switch_definition,
)

ICONS = {
    FieldKind.TEXT: "type",
    FieldKind.NUMBER: "hash",
    FieldKind.MONEY: "banknote",
    FieldKind.DATE: "calendar",
    FieldKind.CHOICE: "circle-dot",
    FieldKind.MULTI_CHOICE: "list-checks",
    FieldKind.USER: "user",
    FieldKind.URL: "link",
    FieldKind.CHECKBOX: "square-check",
}
ABOUT = {
    FieldKind.TEXT: gettext_lazy("A word, a number as typed, a few lines."),
    FieldKind.NUMBER: gettext_lazy("Compared and sorted as a number."),
    FieldKind.MONEY: gettext_lazy("An amount in one currency."),
    FieldKind.DATE: gettext_lazy("A day without a time."),
    FieldKind.CHOICE: gettext_lazy("One of a list of your own."),
    FieldKind.MULTI_CHOICE: gettext_lazy("Any number of a list of your own."),
    FieldKind.USER: gettext_lazy("One of your colleagues."),
    FieldKind.URL: gettext_lazy("A link to another site."),
    FieldKind.CHECKBOX: gettext_lazy("Yes or no."),
}


def read_choices(text: str) -> list[dict[str, str]]:
    """Choices as typed: one a line, with its colour and its stored value behind bars where they are given."""
    choices = []
    for line in text.splitlines():
        label, *rest = (part.strip() for part in line.split("|"))
        choice = {"label": label}
        for part in rest:
            if part:
                choice["color" if part.lower() in COLOURS and "color" not in choice else "value"] = (
                    part.lower() if part.lower() in COLOURS else part
                )
        if label:
            choices.append(choice)
    return choices


def typed_choices(choices: list[dict[str, Any]]) -> str:
    """The same the other way round. The value is shown, so that a choice can be renamed and keep it."""
    return "\n".join(" | ".join(part for part in (item["label"], item.get("color", ""), item["value"]) if part) for item in choices)


class FieldForm(forms.Form):
    """What a field is set to; what its kind has no use for is left out."""

    label = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    key = forms.CharField(
        label=gettext_lazy("Key"),
        max_length=50,
        required=False,
        help_text=gettext_lazy("What the API and files call it. Left empty, it is made from the name."),
    )
    help_text = forms.CharField(
        label=gettext_lazy("Help"), max_length=200, required=False, help_text=gettext_lazy("Shown below the input.")
    )
    choices = forms.CharField(
        label=gettext_lazy("Choices"),
        max_length=40_000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=gettext_lazy("One a line. A colour may follow a bar: Hot | red. Colours: grey, red, yellow, green, blue, violet."),
    )
    currency = forms.CharField(label=gettext_lazy("Currency"), max_length=3)
    default = forms.CharField(required=False)
    required = forms.BooleanField(
        label=gettext_lazy("Required"), required=False, help_text=gettext_lazy("Asked for wherever a person or program adds a record.")
    )
    unique = forms.BooleanField(label=gettext_lazy("Unique"), required=False, help_text=gettext_lazy("No two records hold the same value."))
    visible_to = forms.MultipleChoiceField(
        label=gettext_lazy("Who sees it"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: everybody. Admins see every field."),
    )
    editable_by = forms.MultipleChoiceField(
        label=gettext_lazy("Who changes it"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=gettext_lazy("None ticked: everybody who sees it."),
    )
    in_forms = forms.BooleanField(label=gettext_lazy("Shown in forms"), required=False, initial=True)
    in_list = forms.BooleanField(label=gettext_lazy("Offered as a column of lists"), required=False, initial=True)

    def __init__(self, *args: Any, kind: FieldKind, item: FieldDefinition | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kind, self.item = kind, item
        roles = list(Role.objects.exclude(code="admin").values_list("code", "name"))
        for name in ("visible_to", "editable_by"):
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            # Admins see everything, so naming them alone means: nobody else.
            field.choices = [("admin", _("Admins alone")), *roles]
        unused = {
            "choices": kind not in (FieldKind.CHOICE, FieldKind.MULTI_CHOICE),
            "currency": kind != FieldKind.MONEY,
            "unique": kind not in CAN_BE_UNIQUE,
            "required": kind == FieldKind.CHECKBOX,
            "key": item is not None,
            # Choices are not known before they are saved.
            "default": item is None and kind in (FieldKind.CHOICE, FieldKind.MULTI_CHOICE),
        }
        for name, is_unused in unused.items():
            if is_unused:
                del self.fields[name]
        if "default" in self.fields:
            probe = item or FieldDefinition(kind=kind, currency=current_tenant().currency)
            field = form_field(probe, probe.default, required=False)
            field.label, field.help_text = _("Default"), _("What a new record gets where nothing is given.")
            self.fields["default"] = field

    def wanted(self) -> FieldSettings:
        data = self.cleaned_data
        before = self.item
        return FieldSettings(
            label=data["label"],
            kind=self.kind,
            key=data.get("key", ""),
            help_text=data["help_text"],
            choices=read_choices(data.get("choices", "")),
            currency=data.get("currency", ""),
            required=data.get("required", False),
            unique=data.get("unique", False),
            # A box that is not ticked says nothing here.
            default=data.get("default") or None,
            visible_to=data["visible_to"],
            editable_by=data["editable_by"],
            in_list=data["in_list"],
            in_forms=data["in_forms"],
            is_active=before.is_active if before else True,
        )


class FieldsPage(SettingsFrame):
    """All fields in their order, by kind of record, and the kinds one can add."""

    capability = CONFIGURE
    template = "customobjects/fields.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        names = extensible_models()
        by_model: dict[str, list[FieldDefinition]] = {label: [] for label in names}
        for item in all_definitions():
            by_model.setdefault(item.model, []).append(item)
        roles = dict(Role.objects.values_list("code", "name"))
        groups = [
            {
                "label": names.get(label, label),
                "rows": [
                    {
                        "item": item,
                        "icon": ICONS[FieldKind(item.kind)],
                        "seen_by": ", ".join(roles.get(code, code) for code in item.visible_to),
                        "may_change": may_see(item, self.actor),
                    }
                    for item in items
                ],
            }
            for label, items in by_model.items()
        ]
        kinds = [{"kind": kind.value, "label": kind.label, "icon": ICONS[kind], "about": ABOUT[kind]} for kind in FieldKind]
        return self.show({"groups": groups, "kinds": kinds, "base": BASE, "any": any(group["rows"] for group in groups)})


class FieldPage(SettingsFormPage):
    """A field: a new one of the kind asked for, or what one is set to."""

    capability = CONFIGURE
    template = "customobjects/field.html"
    success_message = gettext_lazy("Saved.")

    @cached_property
    def item(self) -> FieldDefinition | None:
        if "pk" not in self.kwargs:
            return None
        found = find_definition(definition_id=self.kwargs["pk"], lock=self.request.method == "POST")
        if not may_see(found, self.actor):
            raise Forbidden("Your role may not see this field, and so may not change it.")
        return found

    @cached_property
    def kind(self) -> FieldKind:
        asked = self.request.GET.get("kind", "")
        return FieldKind(self.item.kind if self.item else asked if asked in FieldKind.values else FieldKind.TEXT)

    @cached_property
    def model(self) -> str:
        known = list(extensible_models())
        asked = self.request.GET.get("model", "")
        return self.item.model if self.item else asked if asked in known else known[0]

    def form(self, *data: Any) -> forms.Form:
        item = self.item
        initial: dict[str, Any] = {"currency": current_tenant().currency}
        if item is not None:
            same = ("label", "help_text", "currency", "required", "unique", "visible_to", "editable_by", "in_list", "in_forms")
            initial = {name: getattr(item, name) for name in same}
            initial |= {"choices": typed_choices(item.choices), "default": initial_of(item, item.default)}
        return FieldForm(*data, kind=self.kind, item=item, initial=initial)

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, FieldForm)
        save_definition(definition=self.item, model=self.model, wanted=form.wanted(), by=self.actor)
        return redirect(BASE)

    def context(self, form: forms.Form) -> dict[str, Any]:
        kind = self.kind
        # As stored, not as a refused form would have it.
        name, seen_by = (
            FieldDefinition.objects.values_list("label", "visible_to").get(pk=self.item.pk) if self.item is not None else ("", [])
        )
        return {
            "form": form,
            "seen_by_all": not seen_by,
            "item": self.item,
            "item_name": name,
            "kind": kind.value,
            "kind_label": kind.label,
            "about": ABOUT[kind],
            "base": BASE,
        }


class FieldActionPage(SettingsFrame):
    """Move a field, switch it off or on, delete it."""

    capability = CONFIGURE
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        item = find_definition(definition_id=pk, lock=True)
        self.act(request.POST.get("action", ""), item, by=self.actor)
        return redirect(BASE)

    def act(self, action: str, item: FieldDefinition, *, by: Actor) -> None:
        if action in ("up", "down"):
            move_definition(definition=item, up=action == "up", by=by)
        elif action in ("off", "on"):
            switch_definition(definition=item, on=action == "on", by=by)
            text = _("%(name)s is in use again.") if action == "on" else _("%(name)s is switched off. Its values are kept.")
            messages.success(self.request, text % {"name": item.label})
        elif action == "delete":
            delete_definition(definition=item, by=by)
            messages.success(self.request, _("%(name)s is deleted. Its values stay with their records.") % {"name": item.label})
