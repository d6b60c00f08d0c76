"""What the dialer's pages share: their tabs, and the words for calls and entries."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.normal import international
from dialer.enums import CallOutcome, CallResult, CallStatus, SessionState
from dialer.models import Call, CallingAgent, QueueEntry
from dialer.permissions import CALL, COACH
from dialer.services.limits import hours_of, moment_text
from dialer.services.zones import zones_of
from leads.selectors import leads_visible_to

RESULT_TONES = {
    CallResult.COMPLETED: "success", CallResult.CALLBACK: "info", CallResult.NOT_INTERESTED: "neutral", CallResult.HUNG_UP: "warning",
    CallResult.VOICEMAIL: "neutral", CallResult.NO_ANSWER: "neutral", CallResult.BUSY: "neutral", CallResult.WRONG_NUMBER: "warning",
    CallResult.DO_NOT_CALL: "danger", CallResult.FAILED: "danger", CallResult.ABANDONED: "danger", CallResult.NOT_PLACED: "neutral",
}  # fmt: skip
STATE_TONES = {
    SessionState.WAITING: "neutral", SessionState.PREVIEW: "info", SessionState.DIALING: "info", SessionState.ON_CALL: "success",
    SessionState.WRAP_UP: "warning", SessionState.PAUSED: "danger", SessionState.ENDED: "neutral",
}  # fmt: skip
_TABS = (
    ("home", "dialer:home", _("Queues"), (CALL, COACH)),
    ("calls", "dialer:calls", _("Calls"), (CALL, COACH)),
    ("numbers", "dialer:numbers", _("Numbers"), (CALL, COACH)),
    ("coaching", "dialer:coaching", _("Coaching"), (COACH,)),
)


def tabs_of(actor: Actor, current: str) -> list[dict[str, Any]]:
    return [
        {"label": label, "href": reverse(name), "current": code == current}
        for code, name, label, capabilities in _TABS
        if any(actor.can(capability) for capability in capabilities)
    ]


def result_of(call: Call) -> dict[str, Any]:
    """How a call went, in a word."""
    if call.is_live:
        return {"label": call.get_status_display(), "tone": "info"}
    if call.awaits_outcome:
        return {"label": _("What came of it?"), "tone": "warning"}
    if call.result:
        return {"label": call.get_result_display(), "tone": RESULT_TONES[CallResult(call.result)]}
    return {"label": call.get_status_display(), "tone": "neutral"}


def icon_of(call: Call) -> str:
    if call.status == CallStatus.IN_PROGRESS or call.outcome == CallOutcome.ANSWERED:
        return "phone-outgoing"
    return "phone-call" if call.is_live else "phone-missed"


def known_leads(actor: Actor, *, entries: Iterable[QueueEntry] = (), calls: Iterable[Call] = ()) -> frozenset[int]:
    """The leads of which the actor may be shown more than the number: those in sight, and those that somebody else put into a queue.

    Whoever queues a lead shows it to those who call there; nobody shows themselves a colleague's lead by typing its number.
    """
    found: dict[int, bool] = {}
    for entry in entries:
        found[entry.lead_id] = found.get(entry.lead_id, False) or entry.created_by_id != actor.user_id
    for call in calls:
        if call.lead_id is not None:
            queued = call.entry is not None and call.entry.created_by_id != actor.user_id
            found[call.lead_id] = found.get(call.lead_id, False) or queued
    shown = {pk for pk, is_shown in found.items() if is_shown}
    rest = found.keys() - shown
    return frozenset(shown | set(leads_visible_to(actor).filter(pk__in=rest).values_list("pk", flat=True)) if rest else shown)


def call_row(call: Call, known: frozenset[int]) -> dict[str, Any]:
    """A call for a template. A lead that may be shown goes by the name it has now, any other by the one it was called by."""
    return {
        "call": call,
        "name": call.lead.display_name if call.lead and call.lead_id in known else call.lead_name,
        "lead_url": reverse("leads:detail", args=[call.lead_id]) if call.lead_id in known else "",
        "result": result_of(call),
        "icon": icon_of(call),
        "phone": international(call.phone),
        "spoken": call.duration_seconds,
    }


def entry_row(entry: QueueEntry, verdict: Any, known: frozenset[int]) -> dict[str, Any]:
    """An entry with why it is not being called now, or that it may be."""
    name = entry.lead.display_name if entry.lead_id in known else entry.first_name
    return {"entry": entry, "phone": international(entry.phone), "verdict": verdict, "name": name}


def hours_now(agent: CallingAgent, now: datetime) -> dict[str, str]:
    """Whether an agent calls at this moment, and until or from when."""
    if not agent.is_active:
        return {"tone": "warning", "text": str(_("Paused"))}
    hours = hours_of(agent)
    if hours.is_open(now):
        return {"tone": "success", "text": str(_("Open"))}
    opens = hours.opens_at(now)
    return {"tone": "", "text": _("Opens %(when)s") % {"when": moment_text(opens, hours.zone, now)} if opens else str(_("Never open"))}


def local_time(phone: str, now: datetime, *, zone_name: str = "") -> dict[str, str]:
    """What the clock of who is called says, and where."""
    zone = ZoneInfo(zone_name) if zone_name else zones_of(phone)[0]
    return {"time": date_format(now.astimezone(zone), "TIME_FORMAT"), "place": zone.key.rsplit("/", 1)[-1].replace("_", " ")}
