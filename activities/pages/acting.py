"""Done, put off, let rest, give up: on the lead's page and in the queue. Each says what it did and offers to take it back."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.core import signing
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activities.enums import ActivityPriority, ActivityStatus
from activities.models import Activity
from activities.pages.composer import Moment, lead_url, warn_not_told
from activities.permissions import CHANGE
from activities.services.changes import Before, edit_activity, find_activity, reschedule, snooze, undo_close, update_status
from activities.services.mentions import marked_text, names_not_told, plain_text
from activities.services.snoozing import WORDS, moment_of
from crm.errors import InvalidInput
from crm.web.pages import FormPage, Page, safe_next
from crm.web.templatetags.ui import absolute

_SALT = "activities.undo"
_UNDO_FOR = timedelta(days=1)


class ActPage(Page):
    """Base of what is done to one activity with a post. In the queue htmx asks for the queue again."""

    capability = CHANGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        before = find_activity(activity_id=pk, by=self.actor)
        text = self.act(before, request)
        here = safe_next(request, default=lead_url(before.lead_id))
        undo = f"{reverse('activities:reopen', args=[pk])}?{urlencode({'was': _sealed(before), 'next': here})}"
        messages.success(request, text, extra_tags=undo)
        return redirect(here)

    def act(self, activity: Activity, request: HttpRequest) -> Any:
        """Do it and answer what to say."""
        raise AssertionError(f"{type(self).__name__} must say what it does.")


class DonePage(ActPage):
    def act(self, activity: Activity, request: HttpRequest) -> Any:
        update_status(
            activity_id=activity.pk, status=ActivityStatus.COMPLETED, outcome=request.POST.get("outcome", "")[:300], by=self.actor
        )
        return _("%(what)s with %(name)s done.") % _names(activity)


class CancelPage(ActPage):
    def act(self, activity: Activity, request: HttpRequest) -> Any:
        update_status(activity_id=activity.pk, status=ActivityStatus.CANCELLED, by=self.actor)
        return _("%(what)s with %(name)s given up.") % _names(activity)


class PutOffPage(ActPage):
    """A new date, in a word or as a moment."""

    def act(self, activity: Activity, request: HttpRequest) -> Any:
        word = request.POST.get("in", "")
        at = _moment_asked(request, word)
        reschedule(activity_id=activity.pk, due_at=at, by=self.actor)
        when = str(WORDS[word][1]).lower() if word in WORDS else _local(at)
        return _("%(name)s put off: %(when)s.") % {**_names(activity), "when": when}


class SnoozePage(ActPage):
    """Rest until then; it stays due when it was."""

    def act(self, activity: Activity, request: HttpRequest) -> Any:
        at = _moment_asked(request, request.POST.get("in", ""))
        snooze(activity_id=activity.pk, until=at, by=self.actor)
        return _("%(name)s comes back %(when)s.") % {**_names(activity), "when": _local(at)}


class ReopenPage(Page):
    """Take back what was done last: the address holds how it was, signed, for a day."""

    capability = CHANGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        find_activity(activity_id=pk, by=self.actor)
        activity = undo_close(activity_id=pk, was=_unsealed(request.GET.get("was", ""), pk), by=self.actor)
        messages.info(request, _("%(what)s with %(name)s is open again.") % _names(activity))
        return redirect(safe_next(request, default=lead_url(activity.lead_id)))


def _sealed(activity: Activity) -> str:
    """An activity's moments as nobody can write them into an address but this page. They are read before it is acted on."""
    moments = (activity.due_at, activity.remind_at, activity.snoozed_until, activity.lead.last_contact_at)
    return signing.dumps([activity.pk, *(at.isoformat() if at else None for at in moments)], salt=_SALT)


def _unsealed(text: str, activity_id: int) -> Before:
    try:
        found, *given = signing.loads(text, salt=_SALT, max_age=_UNDO_FOR)
    except signing.BadSignature:
        found, given = None, []
    if found != activity_id:
        raise InvalidInput({"was": [str(_("This can no longer be taken back."))]})
    due_at, remind_at, snoozed_until, contacted_at = (datetime.fromisoformat(at) if at else None for at in given)
    return Before(due_at=due_at, remind_at=remind_at, snoozed_until=snoozed_until, contacted_at=contacted_at)


def _moment_asked(request: HttpRequest, word: str) -> datetime:
    zone = ZoneInfo(timezone.get_current_timezone_name())
    at = moment_of(word, now=timezone.now(), zone=zone)
    if at is None:
        try:
            at = forms.DateTimeField().clean(request.POST.get("at", ""))
        except forms.ValidationError:
            raise InvalidInput({"at": [str(_("Choose a day and time."))]}) from None
    assert at is not None
    return at


def _local(at: datetime) -> str:
    return absolute(at)


def _names(activity: Activity) -> dict[str, str]:
    return {"what": str(activity.get_activity_type_display()), "name": activity.lead.display_name}


class ActivityForm(forms.Form):
    description = forms.CharField(label=_("What it is about"), required=False, max_length=10_000, widget=forms.Textarea(attrs={"rows": 4}))
    due_at = forms.DateTimeField(label=_("Due"), required=False, widget=Moment())
    priority = forms.TypedChoiceField(label=_("Priority"), coerce=int, choices=ActivityPriority.choices)
    remind_at = forms.DateTimeField(label=_("Remind me"), required=False, widget=Moment())
    location = forms.CharField(label=_("Place"), required=False, max_length=200)
    outcome = forms.CharField(label=_("Outcome"), required=False, max_length=300)


class ActivityPage(FormPage):
    """One activity, to be changed."""

    capability = CHANGE
    template = "activities/activity.html"
    form_class = ActivityForm
    success_message = _("Saved.")

    def setup(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().setup(request, *args, **kwargs)
        self.pk: int = kwargs["pk"]

    def form_arguments(self) -> dict[str, Any]:
        self.activity = find_activity(activity_id=self.pk, by=self.actor)
        names = ("priority", "location", "outcome")
        initial = {name: getattr(self.activity, name) for name in names} | {"description": plain_text(self.activity.description)}
        for name in ("due_at", "remind_at"):
            at = getattr(self.activity, name)
            initial[name] = timezone.localtime(at) if at else None
        return {"initial": initial}

    def form(self, *data: Any) -> forms.Form:
        form = super().form(*data)
        if not self.activity.is_open:
            del form.fields["due_at"], form.fields["remind_at"]
        return form

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "activity": self.activity, "lead": self.activity.lead}

    def save(self, form: forms.Form) -> HttpResponse:
        changed = {name: form.cleaned_data[name] for name in form.changed_data}
        if "description" in changed:
            changed["description"] = marked_text(changed["description"])
        before = self.activity.description
        edited = edit_activity(activity_id=self.pk, data=changed, by=self.actor)
        warn_not_told(self.request, names_not_told(activity=edited, before=before, by=self.actor))
        return redirect(lead_url(self.activity.lead_id))
