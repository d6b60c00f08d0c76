"""Settings: service levels."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.conditions import describe
from crm.errors import InvalidInput
from crm.identity.selectors import active_users
from crm.web.condition_builder import Builder, Group
from crm.web.pages import UNPROCESSABLE
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from leads.filters import LeadFilters
from leads.models import LeadStatus
from leads.services import conditions
from pipeline.enums import SlaHours, SlaKind, StepAction
from pipeline.models import SlaPolicy
from pipeline.permissions import CONFIGURE_SLA
from pipeline.services.policies import MOST_MINUTES, PolicySettings, delete_policy, find_policy, save_policy, set_conditions

_HIDDEN = _("These conditions name a field you may not see, so only somebody who may can change them: %s")
STEP_ROWS = 4
_UNITS = (("1", _("minutes")), ("60", _("hours")), ("1440", _("days of 24 working hours")))
_WHEN = (("-1", _("before it is due")), ("1", _("after it is due")))


class PolicyForm(forms.Form):
    """A service level but for its conditions, which have a form of their own."""

    name = forms.CharField(label=_("Name"), max_length=80)
    kind = forms.ChoiceField(label=_("What is measured"), choices=SlaKind.choices)
    status = forms.TypedChoiceField(label=_("In the stage"), required=False, coerce=int, empty_value=None)
    target = forms.IntegerField(label=_("Time allowed"), min_value=1, max_value=MOST_MINUTES, initial=60)
    unit = forms.TypedChoiceField(label=_("Unit"), choices=_UNITS, coerce=int, initial="1")
    hours = forms.ChoiceField(label=_("Which time counts"), choices=SlaHours.choices)
    due_soon_share = forms.IntegerField(label=_("Due soon after so many percent"), min_value=1, max_value=100, initial=75)
    position = forms.IntegerField(
        label=_("Order"), required=False, min_value=0, max_value=32767, help_text=_("Of each kind the first that fits a lead counts.")
    )
    is_active = forms.BooleanField(label=_("In use"), required=False, initial=True)

    def __init__(self, *args: Any, policy: SlaPolicy | None, **kwargs: Any) -> None:
        self.policy = policy
        kwargs.setdefault("initial", _initial(policy) if policy else {})
        super().__init__(*args, **kwargs)
        self.fields["status"].choices = [  # type: ignore[attr-defined]
            ("", _("Any open stage")), *((str(status.number), status.label) for status in LeadStatus.objects.filter(is_active=True)),
        ]  # fmt: skip
        people = [("", "–"), *((str(user.pk), user.full_name) for user in active_users())]
        for row in range(STEP_ROWS):
            self.fields[f"step{row}_minutes"] = forms.IntegerField(label=_("Minutes"), required=False, min_value=0, max_value=MOST_MINUTES)
            self.fields[f"step{row}_when"] = forms.ChoiceField(label=_("When"), choices=_WHEN, required=False, initial="1")
            self.fields[f"step{row}_action"] = forms.ChoiceField(label=_("Do"), choices=[("", "–"), *StepAction.choices], required=False)
            self.fields[f"step{row}_user"] = forms.ChoiceField(label=_("Who"), choices=people, required=False)

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
            conditions=self.policy.conditions if self.policy else None,
            steps=steps,
            position=data["position"],
            is_active=data["is_active"],
        )


def _initial(policy: SlaPolicy) -> dict[str, Any]:
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
    }
    for row, step in enumerate(policy.steps[:STEP_ROWS]):
        initial |= {
            f"step{row}_minutes": abs(step["minutes"]),
            f"step{row}_when": "-1" if step["minutes"] < 0 else "1",
            f"step{row}_action": step["action"],
            f"step{row}_user": str(step["user"] or ""),
        }
    return initial


def conditions_said(policy: SlaPolicy, actor: Actor) -> str:
    """For which leads a policy is, in words; nothing where it is for all."""
    if not policy.conditions:
        return ""
    try:
        return conditions.said(tree=policy.conditions, by=actor)
    except (KeyError, TypeError):
        return gettext("by a field that is not there any more, so for none")


class PoliciesPage(SettingsFrame):
    """The service levels in their order."""

    capability = CONFIGURE_SLA
    template = "pipeline/policies.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        policies = [
            {"policy": policy, "said": conditions_said(policy, self.actor)}
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
        return {"form": form, "policy": self.policy, "said": conditions_said(self.policy, self.actor) if self.policy else ""}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, PolicyForm)
        save_policy(policy=self.policy, wanted=form.settings(), by=self.actor)
        return redirect("pipeline:policies")


class PolicyConditionsPage(SettingsFrame):
    """Which leads a service level is for, put together as the advanced filter of the list is."""

    capability = CONFIGURE_SLA
    template = "pipeline/policy_conditions.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        policy, fields = find_policy(pk), LeadFilters.seen_by(self.actor).condition_fields()
        builder, problem = Builder(fields=fields), ""
        if conditions.hides_fields(tree=policy.conditions, by=self.actor):
            problem = _HIDDEN % conditions_said(policy, self.actor)
        elif policy.conditions:
            try:
                found = Builder.of(policy.conditions, fields)
                problem = "" if found else gettext("These conditions are too deep for this form: %s") % describe(policy.conditions, fields)
                builder = found or builder
            except KeyError:
                problem = gettext("Its conditions name a field that is not there any more. Put them together anew.")
        return self.show(self.parts(policy, builder, problem))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        policy, problem = find_policy(pk), ""
        builder = Builder.posted(request.POST, LeadFilters.seen_by(self.actor).condition_fields())
        if request.POST.get("do") == "apply":
            try:
                set_conditions(policy=policy, conditions=builder.tree(), by=self.actor)
            except InvalidInput as refusal:
                problem = refusal.message
            else:
                messages.success(request, gettext("Saved. The clocks of all leads are being worked out anew."))
                target = reverse("pipeline:policy", args=[pk])
                return HttpResponse(headers={"HX-Redirect": target}) if request.htmx else redirect(target)  # type: ignore[attr-defined]
        part = "builder" if request.htmx else ""  # type: ignore[attr-defined]
        return self.show(self.parts(policy, builder, problem), part=part, status=UNPROCESSABLE if problem and not part else 200)

    def parts(self, policy: SlaPolicy, builder: Builder, problem: str) -> dict[str, Any]:
        if not builder.groups:
            builder.groups.append(Group(rows=[builder.blank()]))
        return {
            "policy": policy,
            "groups": builder.shown(),
            "match": builder.match,
            "query": "",
            "problem": problem,
            "builder_url": reverse("pipeline:policy-conditions", args=[policy.pk]),
            "back": reverse("pipeline:policy", args=[policy.pk]),
            "apply_label": gettext("Save"),
        }


class DeletePolicyPage(SettingsFrame):
    capability = CONFIGURE_SLA

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        policy = find_policy(pk)
        delete_policy(policy=policy, by=self.actor)
        messages.success(request, _("%(name)s is deleted.") % {"name": policy.name})
        return redirect("pipeline:policies")
