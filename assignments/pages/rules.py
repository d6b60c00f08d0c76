"""The rules: in order, one with its form, which leads it is for, and trying them out."""

import json
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from assignments.enums import Fallback, Method
from assignments.models import AssignmentRule, Pool, RuleVersion
from assignments.pages.shown import conditions_said, tabs_of, target_said
from assignments.permissions import RULES
from assignments.selectors import current_version, find_rule, rules_in_order
from assignments.services.rules import RuleSettings, change_rule, delete_rule, move_rule, save_rule
from crm.conditions import describe
from crm.errors import InvalidInput, NotFound
from crm.filters import CONDITIONS
from crm.identity.models import Team
from crm.identity.selectors import active_users
from crm.web.condition_builder import Builder
from crm.web.pages import UNPROCESSABLE, FormPage, Page
from leads.filters import LeadFilters
from leads.services.conditions import hides_fields

_HIDDEN = gettext_lazy("These conditions name a field you may not see, so only somebody who may can change them: %s")
_LINE = gettext_lazy("One a line: country; state; city: people. For example “US; California; : jane@acme.example, joe@acme.example”.")


class TerritoriesField(forms.CharField):
    """Territories as lines of places and people's e-mail addresses."""

    def to_python(self, value: Any) -> list[dict[str, Any]]:  # type: ignore[override]
        lines = [line for line in (value or "").splitlines() if line.strip()]
        people = {user.email.lower(): user.pk for user in active_users()}
        found = []
        for number, line in enumerate(lines, start=1):
            places, colon, named = line.rpartition(":")
            parts = [part.strip() for part in places.split(";")]
            mails = [word.strip().lower() for word in named.split(",") if word.strip()]
            unknown = [mail for mail in mails if mail not in people]
            if not colon or not mails or len(parts) > 3:
                raise forms.ValidationError(_("Line %(n)s is not “country; state; city: people”.") % {"n": number})
            if unknown:
                raise forms.ValidationError(_("Line %(n)s: nobody has the address %(mail)s.") % {"n": number, "mail": unknown[0]})
            country, state, city = [*parts, "", ""][:3]
            found.append({"country": country, "state": state, "city": city, "users": [people[mail] for mail in mails]})
        return found


def lines_of(territories: list[dict[str, Any]]) -> str:
    mails = {user.pk: user.email for user in active_users()}
    return "\n".join(
        f"{item.get('country', '')}; {item.get('state', '')}; {item.get('city', '')}: "
        + ", ".join(mails[pk] for pk in item["users"] if pk in mails)
        for item in territories
    )


class RuleForm(forms.Form):
    """A rule but for its conditions. `target` is `user:1`, `team:2` or `pool:3`."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    is_active = forms.BooleanField(label=gettext_lazy("In use"), required=False, initial=True)
    method = forms.ChoiceField(label=gettext_lazy("How it picks"), choices=Method.choices)
    target = forms.ChoiceField(
        label=gettext_lazy("Among"), required=False, help_text=gettext_lazy("Rules by territory name their people themselves.")
    )
    territories = TerritoriesField(
        label=gettext_lazy("Territories"), required=False, widget=forms.Textarea(attrs={"rows": 4, "spellcheck": "false"}), help_text=_LINE
    )
    per_day = forms.IntegerField(label=gettext_lazy("Most a day for each"), min_value=1, max_value=1_000_000, required=False)
    in_total = forms.IntegerField(label=gettext_lazy("Most open leads for each"), min_value=1, max_value=1_000_000, required=False)
    heed_shifts = forms.BooleanField(label=gettext_lazy("Only in each person's working hours"), required=False, initial=True)
    fallback = forms.ChoiceField(label=gettext_lazy("If nobody can take it"), choices=Fallback.choices)
    fallback_user = forms.ChoiceField(label=gettext_lazy("Then to"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        people = [(str(user.pk), user.full_name) for user in active_users()]
        self.fields["target"].choices = [  # type: ignore[attr-defined]
            ("", _("Everybody who takes leads")),
            (_("Pools"), [(f"pool:{pool.pk}", pool.name) for pool in Pool.objects.all()]),
            (_("Teams"), [(f"team:{team.pk}", team.name) for team in Team.objects.all()]),
            (_("People"), [(f"user:{pk}", name) for pk, name in people]),
        ]
        self.fields["fallback_user"].choices = [("", "—"), *people]  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """Territories count for the method that goes by them; others do not show what is wrong with them."""
        data = super().clean() or {}
        if data.get("method") != Method.TERRITORY and self.errors.pop("territories", None):
            data["territories"] = []
        return data

    def wanted(self, before: AssignmentRule | None) -> RuleSettings:
        data = self.cleaned_data
        kind, _colon, pk = data["target"].partition(":")
        same = ("name", "is_active", "method", "territories", "per_day", "in_total", "heed_shifts", "fallback")
        return RuleSettings(
            **{name: data[name] for name in same},
            **{f"{name}_id": int(pk) if kind == name else None for name in ("user", "team", "pool")},
            fallback_user_id=int(data["fallback_user"]) if data["fallback_user"] else None,
            conditions=before.conditions if before else None,
        )


def initial_of(rule: AssignmentRule) -> dict[str, Any]:
    target = next((f"{name}:{pk}" for name in ("user", "team", "pool") if (pk := getattr(rule, f"{name}_id")) is not None), "")
    same = ("name", "is_active", "method", "per_day", "in_total", "heed_shifts", "fallback")
    return {
        **{name: getattr(rule, name) for name in same},
        "target": target,
        "territories": lines_of(rule.territories),
        "fallback_user": str(rule.fallback_user_id or ""),
    }


def rule_or_404(pk: int) -> AssignmentRule:
    rule = find_rule(pk) if pk < 2**63 else None
    if rule is None:
        raise NotFound("No such rule.")
    return rule


class RulesPage(Page):
    """All rules in the order in which they are asked."""

    capability = RULES
    template = "assignments/rules.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rules = rules_in_order()
        rows = [
            {"rule": rule, "conditions": conditions_said(rule, self.actor), "target": target_said(rule), "first": place == 0}
            for place, rule in enumerate(rules)
        ]
        version = RuleVersion.objects.select_related("made_by").first()
        return self.show({"rows": rows, "version": version, "tabs": tabs_of(self.actor, "rules")})


class RuleActionPage(Page):
    """Move a rule, switch it on or off, delete it."""

    capability = RULES

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        rule = rule_or_404(pk)
        match request.POST.get("action"):
            case "up" | "down" as way:
                move_rule(rule_id=rule.pk, up=way == "up", by=self.actor)
            case "on" | "off" as way:
                change_rule(rule_id=rule.pk, changes={"is_active": way == "on"}, by=self.actor)
            case "delete":
                delete_rule(rule_id=rule.pk, by=self.actor)
                messages.success(request, _("The rule was deleted."))
        return redirect("assignments:rules")


class RulePage(FormPage):
    """One rule, or a new one."""

    capability = RULES
    template = "assignments/rule.html"
    form_class = RuleForm
    success_message = gettext_lazy("Saved. It holds for leads that come from now on.")

    def rule(self) -> AssignmentRule | None:
        return rule_or_404(self.kwargs["pk"]) if "pk" in self.kwargs else None

    def form_arguments(self) -> dict[str, Any]:
        rule = self.rule()
        return {"initial": initial_of(rule)} if rule else {}

    def context(self, form: forms.Form) -> dict[str, Any]:
        rule = self.rule()
        return {"form": form, "rule": rule, "conditions": conditions_said(rule, self.actor) if rule else ""}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, RuleForm)
        rule = self.rule()
        try:
            if rule is None:
                saved = save_rule(wanted=form.wanted(None), by=self.actor)
            else:
                # Which leads it is for is changed by a form of its own, perhaps at the same time.
                changes = {name: value for name, value in form.wanted(rule).__dict__.items() if name != "conditions"}
                saved = change_rule(rule_id=rule.pk, changes=changes, by=self.actor)
        except InvalidInput as refusal:
            renamed = {"fallback_user_id": "fallback_user", "user_id": "target", "team_id": "target", "pool_id": "target"}
            raise InvalidInput({renamed.get(name, name): texts for name, texts in refusal.problems.items()}) from None
        return redirect("assignments:rule", saved.pk)


class RuleConditionsPage(Page):
    """Which leads a rule is for, put together as the advanced filter of the list is."""

    capability = RULES
    template = "assignments/conditions.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        rule, fields = rule_or_404(pk), LeadFilters.seen_by(self.actor).condition_fields()
        builder, problem = Builder(fields=fields), ""
        if hides_fields(tree=rule.conditions, by=self.actor):
            problem = _HIDDEN % conditions_said(rule, self.actor)
        elif rule.conditions:
            try:
                found = Builder.of(rule.conditions, fields)
                problem = "" if found else _("These conditions are too deep for this form: %s") % describe(rule.conditions, fields)
                builder = found or builder
            except KeyError:
                problem = _("Its conditions name a field that is not there any more. Put them together anew.")
        if not builder.groups:
            builder._do("group")
        return self.show(self.context(rule, builder, problem))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        rule, filters = rule_or_404(pk), LeadFilters.seen_by(self.actor)
        builder, problem = Builder.posted(request.POST, filters.condition_fields()), ""
        if request.POST.get("do") == "apply":
            tree = builder.tree()
            try:
                if tree is not None:
                    filters.read({CONDITIONS: json.dumps(tree)}, me=self.actor.user_id)
                change_rule(rule_id=rule.pk, changes={"conditions": tree}, by=self.actor)
                messages.success(request, _("Saved. It holds for leads that come from now on."))
                target = reverse("assignments:rule", args=[pk])
                return HttpResponse(headers={"HX-Redirect": target}) if request.htmx else redirect(target)  # type: ignore[attr-defined]
            except InvalidInput as refusal:
                problem = refusal.message
        part = "builder" if request.htmx else ""  # type: ignore[attr-defined]
        return self.show(self.context(rule, builder, problem), part=part, status=UNPROCESSABLE if problem and not part else 200)

    def context(self, rule: AssignmentRule, builder: Builder, problem: str) -> dict[str, Any]:
        return {
            "rule": rule,
            "groups": builder.shown(),
            "match": builder.match,
            "query": "",
            "problem": problem,
            "builder_url": reverse("assignments:rule-conditions", args=[rule.pk]),
            "back": reverse("assignments:rule", args=[rule.pk]),
            "apply_label": _("Save"),
            "version": current_version(),
        }
