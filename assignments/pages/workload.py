"""Who has how much: the workload with capacities, spreading what is unassigned, one person's limits and leave."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from assignments.models import Capacity, Leave
from assignments.pages.shown import tabs_of
from assignments.permissions import ASSIGN
from assignments.selectors import count_unowned, count_waiting, given_since, loads, on_leave, people_left, people_with_leads, start_of_day
from assignments.services.bulk import spread_unassigned
from assignments.services.giving import MOST_REASON
from assignments.services.handover import hand_over
from assignments.services.people import add_leave, delete_leave, set_capacity
from assignments.services.running import active_rules
from crm.errors import InvalidInput, NotFound
from crm.identity.hours import user_time
from crm.identity.models import User
from crm.web.pages import FormPage, Page


class SpreadForm(forms.Form):
    """S1-14 on a page."""

    max_leads_per_user = forms.IntegerField(
        label=gettext_lazy("Most open leads for each"),
        min_value=1,
        max_value=1_000_000,
        required=False,
        help_text=gettext_lazy("Empty: as each person's own limit says."),
    )
    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=MOST_REASON, required=False)


class WorkloadPage(FormPage):
    """Everybody who may own leads with how many they have, got today and could still take; and nobody's."""

    capability = ASSIGN
    template = "assignments/workload.html"
    form_class = SpreadForm

    def context(self, form: forms.Form) -> dict[str, Any]:
        found, today = loads(), given_since(start_of_day())
        away, now = on_leave(timezone.localdate()), timezone.now()
        rows: list[dict[str, Any]] = []
        for person in people_with_leads():
            load, capacity = found.get(person.user.pk), person.capacity
            active = load.active if load else 0
            most = capacity.in_total if capacity else None
            rows.append(
                {
                    "person": person,
                    "active": active,
                    "closed": load.closed if load else 0,
                    "today": today.get(person.user.pk, 0),
                    "per_day": capacity.per_day if capacity else None,
                    "most": most,
                    "tone": "danger" if most is not None and active >= most else "warning" if most and active >= most * 0.8 else "",
                    "leave": away.get(person.user.pk),
                    "at_work": user_time(person.user).is_open(now),
                }
            )
        busiest = max((row["active"] for row in rows), default=0)
        assigned = sum(row["active"] + row["closed"] for row in rows)
        left = people_left(found, {row["person"].user.pk for row in rows})
        return {
            "form": form,
            "tabs": tabs_of(self.actor, "workload"),
            "rows": rows,
            "busiest": max(busiest, 1),
            "unassigned": count_unowned(),
            "waiting": count_waiting(),
            "average": round(assigned / len(rows), 1) if rows else 0,
            "assigned": assigned + sum(item.load.assigned for item in left),
            "left": left,
            "people": [(row["person"].user.pk, row["person"].user.full_name) for row in rows],
            "has_rules": bool(active_rules()),
        }

    def save(self, form: forms.Form) -> HttpResponseBase:
        data = form.cleaned_data
        spread = spread_unassigned(reason=data["reason"], most_each=data["max_leads_per_user"], by=self.actor)
        if spread.operation is not None:
            return redirect("operations:operation", id=spread.operation.pk)
        number = len(spread.placed.given)
        text = ngettext("%(n)s lead was assigned.", "%(n)s leads were assigned.", number) % {"n": number}
        left = count_unowned()
        if left:
            rest = ngettext("Nobody has room: %(n)s lead stays unassigned.", "Nobody has room: %(n)s leads stay unassigned.", left) % {
                "n": f"{left:,}"
            }
            text = f"{text} {rest}" if number else rest
        messages.success(self.request, text) if number else messages.info(self.request, text)
        return redirect("assignments:workload")


class HandOverPage(Page):
    """Give away the leads of somebody who works none any more."""

    capability = ASSIGN

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if not User.objects.filter(pk=pk).exists():
            raise NotFound("No such person.")
        text = request.POST.get("to", "")
        if text != "rules" and not (text.isascii() and text.isdigit() and len(text) < 19):
            messages.error(request, _("Choose a person."))
            return redirect("assignments:workload")
        try:
            operation = hand_over(user_id=pk, to=None if text == "rules" else int(text), by=self.actor)
        except InvalidInput as refusal:
            messages.error(request, next(iter(refusal.problems.values()))[0])
            return redirect("assignments:workload")
        return redirect("operations:operation", id=operation.pk)


class CapacityForm(forms.Form):
    takes_leads = forms.ChoiceField(
        label=gettext_lazy("Takes leads"),
        choices=[("", gettext_lazy("As the role has it")), ("yes", gettext_lazy("Yes")), ("no", gettext_lazy("No, paused"))],
        required=False,
    )
    per_day = forms.IntegerField(label=gettext_lazy("Most a day"), min_value=0, max_value=1_000_000, required=False)
    in_total = forms.IntegerField(label=gettext_lazy("Most open leads"), min_value=0, max_value=1_000_000, required=False)


def _day(label: Any) -> forms.DateField:
    return forms.DateField(label=label, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))


class LeaveForm(forms.Form):
    first_day = _day(gettext_lazy("From"))
    last_day = _day(gettext_lazy("To, included"))
    note = forms.CharField(label=gettext_lazy("Note"), max_length=120, required=False)


class PersonPage(FormPage):
    """One person's capacity, and their leave."""

    capability = ASSIGN
    template = "assignments/person.html"
    form_class = CapacityForm
    success_message = gettext_lazy("Saved.")

    def person(self) -> User:
        pk = self.kwargs["pk"]
        user = User.objects.filter(pk=pk).first() if pk < 2**63 else None
        if user is None:
            raise NotFound("No such person.")
        return user

    def form_arguments(self) -> dict[str, Any]:
        capacity = Capacity.objects.filter(user=self.person()).first()
        if capacity is None:
            return {}
        takes = {None: "", True: "yes", False: "no"}[capacity.takes_leads]
        return {"initial": {"takes_leads": takes, "per_day": capacity.per_day, "in_total": capacity.in_total}}

    def context(self, form: forms.Form, leave_form: forms.Form | None = None) -> dict[str, Any]:
        user = self.person()
        leave = Leave.objects.filter(user=user, last_day__gte=timezone.localdate())
        return {"form": form, "leave_form": leave_form or LeaveForm(), "person": user, "leave": leave}

    def save(self, form: forms.Form) -> HttpResponseBase:
        data, user = form.cleaned_data, self.person()
        takes = {"": None, "yes": True, "no": False}[data["takes_leads"]]
        set_capacity(user_id=user.pk, takes_leads=takes, per_day=data["per_day"], in_total=data["in_total"], by=self.actor)
        return redirect("assignments:person", user.pk)


class LeavePage(PersonPage):
    """Enter leave, or take it out."""

    form_class = LeaveForm

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return redirect("assignments:person", self.person().pk)

    def form_arguments(self) -> dict[str, Any]:
        return {}

    def context(self, form: forms.Form, leave_form: forms.Form | None = None) -> dict[str, Any]:
        return super().context(CapacityForm(**PersonPage.form_arguments(self)), form)

    def save(self, form: forms.Form) -> HttpResponseBase:
        user = self.person()
        add_leave(user_id=user.pk, **form.cleaned_data, by=self.actor)
        return redirect("assignments:person", user.pk)


class LeaveEndPage(Page):
    """Take leave out."""

    capability = ASSIGN

    def post(self, request: HttpRequest, pk: int, leave: int) -> HttpResponseBase:
        delete_leave(leave_id=leave if leave < 2**63 else 0, by=self.actor)
        messages.success(request, _("Taken out."))
        return redirect("assignments:person", pk)
