"""Settings: which fields tell duplicates, from where on, and the nightly scan."""

from typing import Any

from django import forms
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.web.settings_pages import SettingsFormPage
from duplicates.permissions import CONFIGURE
from duplicates.selectors import COMPARABLE, COMPARATOR_LABELS, CUSTOM, latest_scan, settings_of_tenant
from duplicates.services.settings import save_settings

_MORE_CUSTOM = 2
_NO = ("", _("Not compared"))
_ANY = [(code, label) for code, label in COMPARATOR_LABELS.items() if code not in ("person", "organisation")]


class DuplicateSettingsForm(forms.Form):
    """A choice for each field of a lead, and rows for custom fields."""

    threshold = forms.IntegerField(
        label=_("Similar from (percent)"),
        min_value=50,
        max_value=99,
        help_text=_("How probable it must be that two leads are one before they are offered. 80 suits most."),
    )
    nightly = forms.BooleanField(label=_("Look through all leads every night"), required=False)

    auto_merge = forms.BooleanField(
        label=_("Merge the sure ones by themselves"),
        required=False,
        help_text=_("Every night, after all leads have been looked through."),
    )
    auto_merge_from = forms.IntegerField(
        label=_("Sure from (percent)"),
        min_value=90,
        max_value=100,
        help_text=_("The percentage is an estimate: of a hundred pairs at 95 %, about five are two people after all."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = settings_of_tenant()
        now = {row["name"]: row["comparator"] for row in settings.fields}
        self.initial = {"threshold": round(settings.threshold * 100), "nightly": settings.nightly}
        self.initial |= {"auto_merge": settings.auto_merge, "auto_merge_from": round(settings.auto_merge_from * 100)}
        for name, (label, usual) in COMPARABLE.items():
            ways = [(usual, COMPARATOR_LABELS[usual])] if usual in ("person", "organisation") else _ANY
            if name == "company":
                ways = [*ways, ("text", COMPARATOR_LABELS["text"])]
            self.fields[f"field-{name}"] = forms.ChoiceField(label=label, choices=[_NO, *ways], required=False)
            self.initial[f"field-{name}"] = now.get(name, "")
        custom = [(name.removeprefix(CUSTOM), how) for name, how in now.items() if name.startswith(CUSTOM)]
        self.rows = len(custom) + _MORE_CUSTOM
        for place in range(self.rows):
            name, how = custom[place] if place < len(custom) else ("", "text")
            self.fields[f"custom-{place}"] = forms.CharField(label=_("Custom field"), max_length=60, required=False)
            self.fields[f"custom-how-{place}"] = forms.ChoiceField(label=_("Compared as"), choices=_ANY, required=False)
            self.initial |= {f"custom-{place}": name, f"custom-how-{place}": how}

    def clean(self) -> dict[str, Any]:
        data = dict(super().clean() or {})
        if data.get("auto_merge") and not data.get("nightly"):
            self.add_error("auto_merge", _("This needs the look through all leads every night."))
        return data

    @property
    def built_in(self) -> list[forms.BoundField]:
        return [self[f"field-{name}"] for name in COMPARABLE]

    @property
    def custom(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"custom-{place}"], self[f"custom-how-{place}"]) for place in range(self.rows)]

    def chosen(self) -> list[dict[str, str]]:
        """The fields to compare, as the service takes them."""
        data = self.cleaned_data
        rows = [{"name": name, "comparator": data[f"field-{name}"]} for name in COMPARABLE if data.get(f"field-{name}")]
        for place in range(self.rows):
            name = data.get(f"custom-{place}", "").strip()
            if name:
                rows.append({"name": f"{CUSTOM}{name.removeprefix(CUSTOM)}", "comparator": data.get(f"custom-how-{place}") or "text"})
        return rows


class DuplicateSettingsPage(SettingsFormPage):
    """How duplicates are found. Other fields mean a new look through all leads, which starts at once."""

    capability = CONFIGURE
    template = "duplicates/settings.html"
    form_class = DuplicateSettingsForm
    success_message = _("Saved.")

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "scan": latest_scan()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        data = form.cleaned_data
        save_settings(
            fields=form.chosen(),
            threshold=data["threshold"] / 100,
            nightly=data["nightly"],
            auto_merge=data["auto_merge"],
            auto_merge_from=data["auto_merge_from"] / 100,
            by=self.actor,
        )
        return redirect("duplicates:settings")
