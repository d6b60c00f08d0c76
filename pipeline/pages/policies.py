"""Settings: service levels."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from crm.conditions import describe
from crm.filters import split_words
from crm.identity.selectors import active_users
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from leads.enums import Priority
from leads.filters import LeadFilters
from leads.models import LeadStatus
from leads.selectors import distinct_values
from pipeline.enums import SlaHours, SlaKind, StepAction
from pipeline.models import SlaPolicy
from pipeline.permissions import CONFIGURE_SLA
from pipeline.services.policies import MOST_MINUTES, PolicySettings, delete_policy, find_policy, save_policy

STEP_ROWS = 4
_UNITS = (("1", _("minutes")), ("60", _("hours")), ("1440", _("days of 24 working hours")))
_WHEN = (("-1", _("before it is due")), ("1", _("after it is due")))


class PolicyForm(forms.Form):
    """A service level. Conditions that the form cannot show are kept as they are and said in words."""

    name = forms.CharField(label=_("Name"), max_length=80)
    kind = forms.ChoiceField(label=_("What is measured"), choices=SlaKind.choices)
    status = forms.TypedChoiceField(label=_("In the stage"), required=False, coerce=int, empty_value=None)
    target = forms.IntegerField(label=_("Time allowed"), min_value=1, max_value=MOST_MINUTES, initial=60)
    unit = forms.TypedChoiceField(label=_("Unit"), choices=_UNITS, coerce=int, initial="1")
    hours = forms.ChoiceField(label=_("Which time counts"), choices=SlaHours.choices)
    due_soon_share = forms.IntegerField(label=_("Due soon after so many percent"), min_value=1, max_value=100, initial=75)
    priority = forms.MultipleChoiceField(
        label=_("Only of priority"), required=False, choices=[(item.name.lower(), item.label) for item in Priority],
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    lead_source = forms.MultipleChoiceField(label=_("Only from these sources"), required=False, widget=forms.CheckboxSelectMultiple)
    tags = forms.CharField(label=_("Only with one of these tags"), required=False, max_length=500, help_text=_("Separated by commas"))
    position = forms.IntegerField(
        label=_("Order"), required=False, min_value=0, max_value=32767, help_text=_("Of each kind the first that fits a lead counts.")
    )
    is_active = forms.BooleanField(label=_("In use"), required=False, initial=True)

    def __init__(self, *args: Any, policy: SlaPolicy | None, **kwargs: Any) -> None:
        self.policy = policy
        simple = _simple(policy.conditions) if policy else {}
        self.kept = policy.conditions if policy and simple is None else None
        kwargs.setdefault("initial", _initial(policy, simple or {}) if policy else {})
        super().__init__(*args, **kwargs)
        self.fields["status"].choices = [  # type: ignore[attr-defined]
            ("", _("Any open stage")), *((str(status.number), status.label) for status in LeadStatus.objects.filter(is_active=True)),
        ]  # fmt: skip
        self.fields["lead_source"].choices = [(value, value) for value in distinct_values("lead_source", most=30)]  # type: ignore[attr-defined]
        people = [("", "–"), *((str(user.pk), user.full_name) for user in active_users())]
        if self.kept is not None:
            for name in ("priority", "lead_source", "tags"):
                del self.fields[name]
        for row in range(STEP_ROWS):
            self.fields[f"step{row}_minutes"] = forms.IntegerField(label=_("Minutes"), required=False, min_value=0, max_value=MOST_MINUTES)
            self.fields[f"step{row}_when"] = forms.ChoiceField(label=_("When"), choices=_WHEN, required=False, initial="1")
            self.fields[f"step{row}_action"] = forms.ChoiceField(label=_("Do"), choices=[("", "–"), *StepAction.choices], required=False)
            self.fields[f"step{row}_user"] = forms.ChoiceField(label=_("Who"), choices=people, required=False)

    @property
    def said(self) -> str:
        """Conditions kept as they are, in words."""
        return describe(self.kept, LeadFilters.condition_fields()) if self.kept else ""

    @property
    def step_rows(self) -> list[list[forms.BoundField]]:
        return [[self[f"step{row}_{part}"] for part in ("minutes", "when", "action", "user")] for row in range(STEP_ROWS)]

    def settings(self) -> PolicySettings:
        data = self.cleaned_data
        steps = [
            {
                "minutes": (data.get(f"step{row}_minutes") or 0) * int(data.get(f"step{row}_when") or 1),
                "action": data[f"step{row}_action"],
                "user": int(data[f"step{row}_user"]) if data.get(f"step{row}_user") else None,
            }
            for row in range(STEP_ROWS)
            if data.get(f"step{row}_action")
        ]
        steps += self.policy.steps[STEP_ROWS:] if self.policy else []
        return PolicySettings(
            name=data["name"],
            kind=data["kind"],
            status=data["status"] or None,
            target_minutes=min(data["target"] * data["unit"], MOST_MINUTES + 1),
            hours=data["hours"],
            due_soon_share=data["due_soon_share"],
            conditions=self.kept if self.kept is not None else _tree(data),
            steps=steps,
            position=data["position"],
            is_active=data["is_active"],
        )


def _tree(data: dict[str, Any]) -> dict[str, Any] | None:
    leaves: list[dict[str, Any]] = [
        {"field": name, "op": "is", "value": data[name]} for name in ("priority", "lead_source") if data.get(name)
    ]  # fmt: skip
    tags = split_words(data.get("tags") or "")
    if tags:
        leaves.append({"field": "tags", "op": "has_any", "value": tags})
    return {"all": leaves} if leaves else None


def _simple(tree: Any) -> dict[str, Any] | None:
    """The values of the form's own conditions; None where the tree says more."""
    if not tree:
        return {}
    if set(tree) != {"all"}:
        return None
    found: dict[str, Any] = {}
    for leaf in tree["all"]:
        name, operator, value = leaf.get("field"), leaf.get("op", "is"), leaf.get("value")
        fits = (name in ("priority", "lead_source") and operator == "is") or (name == "tags" and operator == "has_any")
        if not fits or name in found or not isinstance(value, list):
            return None
        found[name] = value
    return found


def _initial(policy: SlaPolicy, simple: dict[str, Any]) -> dict[str, Any]:
    unit = next(size for size in (1440, 60, 1) if policy.target_minutes % size == 0)
    initial = {
        "name": policy.name,
        "kind": policy.kind,
        "status": str(policy.status.number) if policy.status else "",
        "target": policy.target_minutes // unit,
        "unit": str(unit),
        "hours": policy.hours,
        "due_soon_share": policy.due_soon_share,
        "position": policy.position,
        "is_active": policy.is_active,
        **simple,
        "tags": ", ".join(simple.get("tags", [])),
    }
    for row, step in enumerate(policy.steps[:STEP_ROWS]):
        initial |= {
            f"step{row}_minutes": abs(step["minutes"]),
            f"step{row}_when": "-1" if step["minutes"] < 0 else "1",
            f"step{row}_action": step["action"],
            f"step{row}_user": str(step["user"] or ""),
        }
    return initial


class PoliciesPage(SettingsFrame):
    """The service levels in their order."""

    capability = CONFIGURE_SLA
    template = "pipeline/policies.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        fields = LeadFilters.condition_fields()
        policies = [
            {"policy": policy, "said": describe(policy.conditions, fields) if policy.conditions else ""}
            for policy in SlaPolicy.objects.select_related("status").order_by("position", "pk")
        ]
        return self.show({"policies": policies})


class PolicyPage(SettingsFormPage):
    """One service level, or a new one."""

    capability = CONFIGURE_SLA
    form_class = PolicyForm
    template = "pipeline/policy.html"
    success_message = _("Saved. The clocks of all leads are being worked out anew.")

    def form_arguments(self) -> dict[str, Any]:
        pk = self.kwargs.get("pk")
        self.policy = find_policy(pk) if pk is not None else None
        return {"policy": self.policy}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "policy": self.policy}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, PolicyForm)
        save_policy(policy=self.policy, wanted=form.settings(), by=self.actor)
        return redirect("pipeline:policies")


class DeletePolicyPage(SettingsFrame):
    capability = CONFIGURE_SLA

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        policy = find_policy(pk)
        delete_policy(policy=policy, by=self.actor)
        messages.success(request, _("%(name)s is deleted.") % {"name": policy.name})
        return redirect("pipeline:policies")
