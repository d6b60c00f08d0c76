"""Forms of the import wizard."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from crm.actors import Actor
from crm.filters import split_words
from crm.identity.selectors import active_users
from crm.operations.models import Operation
from crm.words import word_key
from customobjects.enums import FieldKind
from customobjects.permissions import CONFIGURE
from customobjects.selectors import definitions, may_edit, visible_definitions
from customobjects.services.definitions import FieldSettings
from leads.permissions import ASSIGN, CHANGE
from leads.services.drafts import RECORDS
from leads.services.import_rows import ImportOptions
from leads.services.imports import CUSTOM, LEAVE_OUT
from leads.services.mending import SheetRow
from leads.services.upsert import MatchBy, OnDuplicate

MOST_TYPED = 5000

FIELD_GROUPS: tuple[tuple[Any, tuple[tuple[str, Any], ...]], ...] = (
    (
        gettext_lazy("Person"),
        (
            ("name", gettext_lazy("Full name")),
            ("first_name", gettext_lazy("First name")),
            ("last_name", gettext_lazy("Last name")),
            ("email", gettext_lazy("E-mail")),
            ("phone", gettext_lazy("Phone")),
            ("title", gettext_lazy("Job title")),
            ("city", gettext_lazy("City")),
            ("state", gettext_lazy("State")),
            ("country", gettext_lazy("Country")),
        ),
    ),
    (
        gettext_lazy("Company"),
        (
            ("company", gettext_lazy("Company")),
            ("website", gettext_lazy("Website")),
            ("industry", gettext_lazy("Industry")),
            ("company_size", gettext_lazy("Company size")),
        ),
    ),
    (
        gettext_lazy("Sales"),
        (
            ("lead_source", gettext_lazy("Source")),
            ("status", gettext_lazy("Status")),
            ("priority", gettext_lazy("Priority")),
            ("owner", gettext_lazy("Owner")),
            ("tags", gettext_lazy("Tags")),
            ("notes", gettext_lazy("Notes")),
            ("next_follow_up_at", gettext_lazy("Next follow-up")),
            ("created_at", gettext_lazy("Created")),
            ("id", gettext_lazy("Lead id")),
        ),
    ),
)
DELIMITERS = {
    ",": gettext_lazy("commas"),
    ";": gettext_lazy("semicolons"),
    "\t": gettext_lazy("tabs"),
    "|": gettext_lazy("bars"),
    ":": gettext_lazy("colons"),
}


class UploadForm(forms.Form):
    """A table to be imported."""

    file = forms.FileField(
        label=gettext_lazy("File"),
        error_messages={
            "required": gettext_lazy("Choose a file first."),
            "empty": gettext_lazy("The file is empty."),
        },
    )
    sheet = forms.CharField(
        label=gettext_lazy("Sheet"),
        max_length=200,
        required=False,
        help_text=gettext_lazy("Of a workbook with several. Empty: the first."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


# The kinds that a column can get a new custom field of; choices are made in the settings.
NEW_KINDS = tuple((kind.value, kind.label) for kind in FieldKind if not kind.value.endswith("choice"))


class MapForm(forms.Form):
    """For each column, by its place: the field it fills, or the name of one that is kept with the lead or made for it, with its kind."""

    def __init__(self, *args: Any, draft: Operation, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headers: list[str] = draft.params["layout"]["headers"]
        self.own = [item for item in visible_definitions(RECORDS, actor) if may_edit(item, actor)]
        own_codes = [f"{CUSTOM}{item.key}" for item in self.own]
        self.may_add = actor.can(CONFIGURE)
        codes = [code for _label, fields in FIELD_GROUPS for code, _text in fields]
        choices = [(code, code) for code in (*codes, *own_codes, CUSTOM, LEAVE_OUT)]
        taken = set(draft.params["mapping"].values())
        for place, header in enumerate(self.headers):
            chosen = draft.params["mapping"].get(header) or self._defined(header, taken)
            taken.add(chosen)
            name = chosen.removeprefix(CUSTOM) if chosen.startswith(CUSTOM) and chosen not in own_codes else ""
            known = chosen if not chosen.startswith(CUSTOM) or chosen in own_codes else CUSTOM
            self.fields[f"field-{place}"] = forms.ChoiceField(choices=choices, initial=known)
            self.fields[f"name-{place}"] = forms.CharField(max_length=100, required=False, initial=name or header[:100])
            self.fields[f"kind-{place}"] = forms.CharField(max_length=40, required=False)

    def _defined(self, header: str, taken: set[str]) -> str:
        """The custom field that a header names, if no other column fills it."""
        item = definitions(RECORDS).find(header)
        code = f"{CUSTOM}{item.key}" if item in self.own and item is not None else CUSTOM
        return code if code not in taken else CUSTOM

    def group(self) -> tuple[Any, tuple[tuple[str, Any], ...]]:
        """The custom fields as the select groups them."""
        return gettext_lazy("Custom fields"), tuple((f"{CUSTOM}{item.key}", item.label) for item in self.own)

    def clean(self) -> dict[str, Any]:
        taken: dict[str, str] = {}
        self.mapping: dict[str, str] = {}
        self.new: dict[str, FieldSettings] = {}
        for place, header in enumerate(self.headers):
            code = self.cleaned_data.get(f"field-{place}", "")
            name = (self.cleaned_data.get(f"name-{place}") or header)[:100]
            if code == CUSTOM:
                code = CUSTOM + name
                self._make_new(place, header, name)
            if code in taken and code != LEAVE_OUT:
                self.add_error(f"field-{place}", _("The column “%(header)s” fills this already.") % {"header": taken[code]})
            taken[code] = header
            self.mapping[header] = code
        return self.cleaned_data

    def _make_new(self, place: int, header: str, name: str) -> None:
        word = self.cleaned_data.get(f"kind-{place}", "")
        kind = next((code for code, label in NEW_KINDS if word_key(word) in (code, word_key(str(label)))), None)
        if word and (kind is None or not self.may_add):
            self.add_error(f"kind-{place}", _("Choose a kind from the list, or none."))
        elif kind is not None:
            self.new[header] = FieldSettings(label=name[:80], kind=FieldKind(kind))


class OptionsForm(forms.Form):
    """What becomes of the rows."""

    on_duplicate = forms.ChoiceField(label=gettext_lazy("Leads that are there already"), widget=forms.RadioSelect)
    match_by = forms.ChoiceField(
        label=gettext_lazy("A lead is there already if it has the same"),
        choices=[
            (MatchBy.ANY.value, gettext_lazy("E-mail or phone")),
            (MatchBy.EMAIL.value, gettext_lazy("E-mail")),
            (MatchBy.PHONE.value, gettext_lazy("Phone")),
            (MatchBy.ID.value, gettext_lazy("Lead id")),
        ],
    )
    keep_existing = forms.ChoiceField(
        label=gettext_lazy("When a lead is updated"),
        choices=[("", gettext_lazy("Overwrite its fields")), ("1", gettext_lazy("Fill its empty fields only"))],
        required=False,
        help_text=gettext_lazy("Empty cells never erase anything."),
    )
    owner = forms.ChoiceField(label=gettext_lazy("Owner"), required=False, help_text=gettext_lazy("Of rows that name none."))
    lead_source = forms.CharField(
        label=gettext_lazy("Source"), max_length=60, required=False, help_text=gettext_lazy("Of rows that name none.")
    )
    tags = forms.CharField(
        label=gettext_lazy("Tags"), max_length=500, required=False, help_text=gettext_lazy("Added to every lead, separated by commas.")
    )
    enrich = forms.BooleanField(
        label=gettext_lazy("Enrich the new leads"),
        required=False,
        help_text=gettext_lazy("In the background, after they are in. What the file says stays."),
    )

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        ways = [(OnDuplicate.SKIP.value, _("Skip them, add the others")), (OnDuplicate.CREATE.value, _("Add them all the same"))]
        if actor.can(CHANGE):
            ways += [
                (OnDuplicate.UPDATE.value, _("Update them, add the others")),
                (OnDuplicate.ONLY_UPDATE.value, _("Update them, add none")),
            ]
        self._choose("on_duplicate", ways)
        people = active_users() if actor.can(ASSIGN) else active_users().filter(pk=actor.user_id)
        self._choose("owner", [("", _("Nobody")), *((str(user.pk), user.full_name) for user in people)])

    def _choose(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def options(self) -> ImportOptions:
        data = self.cleaned_data
        return ImportOptions(
            on_duplicate=OnDuplicate(data["on_duplicate"]),
            match_by=MatchBy(data["match_by"]),
            keep_existing=bool(data["keep_existing"]),
            lead_source=data["lead_source"],
            tags=split_words(data["tags"]),
            owner_id=int(data["owner"]) if data["owner"] else None,
            enrich=data["enrich"],
        )


class RowForm(forms.Form):
    """The cells of a row by their column's place; for a cell in the grid that one alone."""

    def __init__(self, *args: Any, row: SheetRow, columns: list[tuple[int, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = columns
        for place, header in columns:
            text = row.values.get(header, "")
            long = len(text) > 80 or "\n" in text
            self.fields[f"cell-{place}"] = forms.CharField(
                label=header,
                initial=text,
                required=False,
                max_length=max(MOST_TYPED, len(text)),
                widget=forms.Textarea(attrs={"rows": 3}) if long else forms.TextInput(attrs={"autocomplete": "off"}),
            )

    def cells(self) -> dict[str, str]:
        return {header: self.cleaned_data[f"cell-{place}"].replace("\r\n", "\n") for place, header in self.columns}
