"""On a lead's page: the composer above the timeline, and what is still to be done."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activities.enums import ActivityPriority, ActivityStatus, ActivityType
from activities.models import Activity
from activities.permissions import ADD, CHANGE
from activities.selectors import next_step, open_once
from activities.services.logging import ActivityDraft, log_activity
from activities.services.mentions import marked_text, names_not_told
from activities.services.snoozing import ON_A_ROW, WORDS
from crm.actors import Actor
from crm.errors import DomainError, Forbidden
from crm.identity.selectors import active_users
from crm.web.pages import UNPROCESSABLE, Page, add_refusal
from leads.models import Lead
from leads.permissions import VIEW as VIEW_LEADS
from leads.services.editing import find_lead

MOST_NAMES = 8
# Tabs: type, name, icon, key.
TABS = (
    (ActivityType.NOTE, _("Note"), "sticky-note", "n"),
    (ActivityType.CALL, _("Call"), "phone", "l"),
    (ActivityType.EMAIL, _("E-mail"), "mail", "w"),
    (ActivityType.MEETING, _("Meeting"), "users", "h"),
    (ActivityType.TASK, _("Task"), "circle-check", "t"),
    (ActivityType.FOLLOW_UP, _("Follow-up"), "bell", "f"),
)
_OUTCOMES = (
    ("", _("Outcome")),
    ("Reached", _("Reached")),
    ("No answer", _("No answer")),
    ("Left a message", _("Left a message")),
    ("Busy", _("Busy")),
    ("Wrong number", _("Wrong number")),
    ("Interested", _("Interested")),
    ("Not interested", _("Not interested")),
)
_REMINDERS = (
    ("", _("No reminder")),
    ("0", _("When due")),
    ("15", _("15 minutes before")),
    ("60", _("1 hour before")),
    ("1440", _("1 day before")),
)
_REPEATS = (
    ("", _("Does not repeat")),
    ("FREQ=DAILY", _("Every day")),
    ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", _("Every weekday")),
    ("FREQ=WEEKLY", _("Every week")),
    ("FREQ=WEEKLY;INTERVAL=2", _("Every 2 weeks")),
    ("FREQ=MONTHLY", _("Every month")),
)
# What is recorded after it took place; the others are planned.
_DONE = (ActivityType.NOTE, ActivityType.CALL, ActivityType.EMAIL)


class Moment(forms.DateTimeInput):
    """A local date and time."""

    def __init__(self) -> None:
        super().__init__(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")


class ComposerForm(forms.Form):
    """One form for all tabs; each shows the fields it needs."""

    activity_type = forms.ChoiceField(choices=[(kind.value, label) for kind, label, _icon, _key in TABS], initial=ActivityType.NOTE)
    description = forms.CharField(required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 3}))
    duration = forms.IntegerField(required=False, min_value=0, max_value=1440)
    outcome = forms.ChoiceField(required=False, choices=_OUTCOMES)
    due_at = forms.DateTimeField(required=False, widget=Moment())
    location = forms.CharField(required=False, max_length=200)
    attendees = forms.CharField(required=False, max_length=2000)
    invite = forms.BooleanField(required=False)
    held = forms.BooleanField(required=False)
    priority = forms.TypedChoiceField(required=False, coerce=int, empty_value=2, choices=ActivityPriority.choices, initial=2)
    remind_before = forms.TypedChoiceField(required=False, coerce=int, empty_value=None, choices=_REMINDERS)
    recurrence = forms.ChoiceField(required=False, choices=_REPEATS)
    then_at = forms.DateTimeField(required=False, widget=Moment())
    closes = forms.IntegerField(required=False, min_value=1, widget=forms.HiddenInput())
    closing = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        kind = data.get("activity_type")
        if kind in (ActivityType.MEETING, ActivityType.FOLLOW_UP) and not data.get("due_at") and "due_at" not in self.errors:
            self.add_error("due_at", _("Choose a day and time."))
        if kind in (ActivityType.NOTE, ActivityType.TASK) and not (data.get("description") or "").strip():
            self.add_error("description", _("Say what it is about."))
        return data

    def draft(self) -> ActivityDraft:
        data, kind = self.cleaned_data, ActivityType(self.cleaned_data["activity_type"])
        done = kind in _DONE or (kind == ActivityType.MEETING and data["held"])
        planned = kind not in _DONE
        held_at = min(data["due_at"], timezone.now()) if planned and done and data["due_at"] else None
        return ActivityDraft(
            activity_type=kind,
            description=marked_text(data["description"]),
            status=ActivityStatus.COMPLETED if done else ActivityStatus.PENDING,
            priority=ActivityPriority(data["priority"]) if planned else ActivityPriority.MEDIUM,
            due_at=data["due_at"] if planned else None,
            occurred_at=held_at,
            duration=data["duration"] if kind in (ActivityType.CALL, ActivityType.MEETING) else None,
            outcome=data["outcome"] if kind == ActivityType.CALL else "",
            location=data["location"] if kind == ActivityType.MEETING else "",
            attendees=[part for part in data["attendees"].replace(";", ",").split(",") if part.strip()]
            if kind == ActivityType.MEETING
            else (),
            invite=data["invite"] and not done,
            remind_before=data["remind_before"] if planned and not done else None,
            recurrence=data["recurrence"] if kind in (ActivityType.TASK, ActivityType.FOLLOW_UP) else "",
            then_at=data["then_at"] if not planned else None,
            closes=data["closes"] if data["closing"] and not planned and kind != ActivityType.NOTE else None,
        )


def composer_section(lead: Lead, actor: Actor) -> dict[str, Any] | None:
    """What the composer needs; nothing for who may not record anything."""
    if not actor.can(ADD) or lead.deleted_at is not None:
        return None
    return composer_context(lead, ComposerForm())


def composer_context(lead: Lead, form: ComposerForm) -> dict[str, Any]:
    chosen = form["activity_type"].value()
    end = timezone.localtime().replace(hour=23, minute=59, second=59)
    step = next_step(open_once(lead)) if lead.next_follow_up_at is not None and lead.next_follow_up_at <= end else None
    tomorrow = (timezone.localtime() + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
    return {
        "form": form,
        "lead": lead,
        "tabs": [(kind.value, label, icon, key, kind.value == chosen) for kind, label, icon, key in TABS],
        "step": step,
        "tomorrow": tomorrow,
    }


def open_section(lead: Lead, actor: Actor) -> dict[str, Any] | None:
    """What is still to be done with the lead, the earliest first."""
    rows = open_once(lead)
    if not rows:
        return None
    return {"rows": rows, "lead": lead, "can_change": actor.can(CHANGE), "words": [(code, *WORDS[code]) for code in ON_A_ROW]}


class LogPage(Page):
    """Record what the composer holds, and go back to the lead."""

    capability = ADD
    template = "activities/log.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        kind = request.GET.get("type", "")
        initial = {"activity_type": kind} if kind in {item.value for item, *_rest in TABS} else {}
        return self.show({"section": composer_context(lead, ComposerForm(initial=initial)), "lead": lead})

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        lead = find_lead(lead_id=pk, by=self.actor)
        form = ComposerForm(request.POST)
        if form.is_valid():
            try:
                activity = log_activity(lead_id=pk, draft=form.draft(), by=self.actor)
            except Forbidden:
                raise
            except DomainError as refusal:
                add_refusal(form, refusal)
            else:
                messages.success(request, _said(activity))
                warn_not_told(request, names_not_told(activity=activity, by=self.actor))
                return redirect("leads:detail", pk)
        return self.show({"section": composer_context(lead, form), "lead": lead}, status=UNPROCESSABLE)


def _said(activity: Activity) -> object:
    if activity.is_open:
        return _("%(what)s planned.") % {"what": activity.get_activity_type_display()}
    return _("%(what)s recorded.") % {"what": activity.get_activity_type_display()}


class PeoplePage(Page):
    """Names for `@`: active people whose name holds what was typed."""

    capability = VIEW_LEADS

    def get(self, request: HttpRequest) -> HttpResponseBase:
        typed = request.GET.get("q", "")[:60].strip().lower()
        people = [user.full_name for user in active_users().order_by("first_name", "last_name", "pk") if typed in user.full_name.lower()]
        return JsonResponse({"names": people[:MOST_NAMES]})


def warn_not_told(request: HttpRequest, names: Sequence[str]) -> None:
    """Say whom a mention did not reach."""
    if names:
        messages.warning(request, _("Not told, as they may not see this lead: %(names)s.") % {"names": ", ".join(names)})


def lead_url(lead_id: int) -> str:
    return reverse("leads:detail", args=[lead_id])
