"""The workspace: one lead in front of one person, from the first look to the outcome, then the next.

A page for reading and plain posts without scripts; with them a fragment that live events and heartbeats keep fresh.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.errors import DomainError, InvalidInput, NotFound
from crm.normal import international
from crm.timeline import page_of
from crm.web.pages import Page
from customobjects.selectors import described_values
from dialer.enums import CallStatus, PauseReason, SessionState, WaitReason
from dialer.models import Call, DialSession
from dialer.pages.outcomes import MOST_NOTES, outcome_choices, read_outcome
from dialer.pages.shown import call_row, entry_row, known_leads, local_time
from dialer.permissions import CALL
from dialer.selectors.desk import calls_of_session, days_of, next_in_queue, session_of
from dialer.services import calls, scripts, sessions
from dialer.services.limits import Verdict, why_not
from leads.pages.timeline import drawn
from leads.services.drafts import RECORDS

# For so long the desk says how the last call went.
SHOWN_FOR = timedelta(minutes=2)
_PAUSES = [reason for reason in PauseReason if reason != PauseReason.LOST_NETWORK]


class WorkPage(Page):
    """The desk. Without a session there is none."""

    capability = CALL
    template = "dialer/work.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        session = session_of(self.actor.user_id)
        if session is None:
            return _to(request, "/dialer")
        return self.show(self.desk(session), part="desk" if request.htmx else "")  # type: ignore[attr-defined]

    def desk(self, session: DialSession, *, goes_on: bool = True) -> dict[str, Any]:
        """Everything the person has in front of them. `goes_on` has the page ask for the next one by itself."""
        now = timezone.now()
        live = calls_of_session(session)
        call = live[0] if live else None
        upcoming = next_in_queue(session, now)
        in_front = [session.entry] if session.entry else []
        why = why_not(entries=[*upcoming, *in_front], now=now, user_id=self.actor.user_id)
        last = self._last(session, now) if call is None else None
        known = known_leads(self.actor, entries=[*upcoming, *in_front], calls=[*live, *([last] if last else [])])
        return {
            "session": session,
            "state": SessionState(session.state),
            "version": version_of(session, live),
            "call": call_row(call, known) if call else None,
            "lines": [call_row(other, known) for other in live[1:]],
            "card": self._card(session, call, known, now),
            "warning": _warning(why.get(session.entry_id)) if session.entry_id and session.state == SessionState.PREVIEW else "",
            "last": {**call_row(last, known), "next_at": _next_at(last)} if last else None,
            "upcoming": [entry_row(entry, why[entry.pk], known) for entry in upcoming],
            **outcome_choices(),
            "may_say": bool(call and (call.awaits_outcome or call.status == CallStatus.IN_PROGRESS)),
            "pauses": [(reason.value, reason.label) for reason in _PAUSES],
            "goes_on": goes_on and session.state == SessionState.WAITING,
            "day": days_of([session.user_id], now)[session.user_id],
        }

    def _last(self, session: DialSession, now: datetime) -> Call | None:
        """The call that has just ended: an unanswered one settles itself, and the person should see how."""
        ended = Call.objects.select_related("entry", "lead").defer("search", "lead__search")
        return ended.filter(session=session, ended_at__gt=now - SHOWN_FOR).order_by("-pk").first()

    def _card(self, session: DialSession, call: Call | None, known: frozenset[int], now: datetime) -> dict[str, Any] | None:
        """Who is called, or to be called: of an entry, or of a number that somebody clicked on. What one may not know is left out."""
        entry = call.entry if call else session.entry
        lead = call.lead if call else entry.lead if entry else None
        phone = call.phone if call else entry.phone if entry else ""
        if not phone:
            return None
        card: dict[str, Any] = {
            "entry": entry,
            "name": call.lead_name if call else entry.first_name if entry else "",
            "phone": international(phone),
            "clock": local_time(phone, now, zone_name=entry.zone if entry else ""),
            "own_fields": [(name, value) for name, value in entry.custom_fields.items() if value not in ("", None)][:12] if entry else [],
        }
        shown: dict[str, str] = {}
        if lead is not None and lead.pk in known:
            shown = {label: text for _definition, label, text in described_values(RECORDS, lead.custom_fields, self.actor) if text}
            timeline = drawn(page_of("leads.Lead", lead, reader=self.actor, most=5).entries, lead)
            card |= {"lead": lead, "name": lead.display_name, "fields": list(shown.items())[:8], "timeline": timeline}
        if entry is not None:
            values = scripts.values_of(entry, person=self.actor.label, custom=shown, knows_lead="lead" in card)
            card["script"] = scripts.said(session.agent.script, values)
        return card


def _next_at(call: Call) -> datetime | None:
    """When somebody is called again, if they are."""
    return call.entry.next_at if call.entry and not call.entry.disposition else None


def _warning(verdict: Verdict | None) -> str:
    """Why the lead in front may not be called now. That it lies in front of somebody is no reason here."""
    if verdict is None or verdict.may_call or verdict.reason in (WaitReason.HELD, WaitReason.IN_CALL):
        return ""
    return verdict.text


def version_of(session: DialSession, live: list[Call]) -> str:
    """What a page has seen: another version is worth drawing again."""
    about = "-".join(f"{call.pk}{call.status}{int(call.awaits_outcome)}" for call in live)
    return f"{session.state}-{session.state_since.timestamp():.3f}-{session.entry_id or 0}-{about}"


class ActPage(WorkPage):
    """Something done at the desk with a post; the desk again as it is then."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, act: str) -> HttpResponseBase:
        if act not in _ACTS:
            raise NotFound("There is no such act.")
        session = session_of(self.actor.user_id)
        if session is None:
            return _to(request, "/dialer")
        try:
            _ACTS[act](self, session, request.POST, timezone.now())
        except DomainError as refusal:
            # What is refused here changed nothing; the desk says why and shows how things stand.
            messages.error(request, refusal.message)
        if not request.htmx:  # type: ignore[attr-defined]
            return redirect("dialer:work")
        session = session_of(self.actor.user_id)
        # Who asked for the next and got none waits, and is not asked again at once.
        return self.show(self.desk(session, goes_on=act != "next"), part="desk") if session else _to(request, "/dialer")

    def _next(self, session: DialSession, data: Any, now: datetime) -> None:
        sessions.next_entry(session_id=session.pk, now=now, by=self.actor)

    def _dial(self, session: DialSession, data: Any, now: datetime) -> None:
        sessions.dial(session_id=session.pk, now=now, by=self.actor)

    def _skip(self, session: DialSession, data: Any, now: datetime) -> None:
        sessions.skip_entry(session_id=session.pk, minutes=_minutes(data), now=now, by=self.actor)

    def _hang_up(self, session: DialSession, data: Any, now: datetime) -> None:
        call = self._call(session, data)
        calls.hang_up(call_id=call.pk, now=now, by=self.actor)

    def _outcome(self, session: DialSession, data: Any, now: datetime) -> None:
        call = self._call(session, data)
        calls.record_outcome(call_id=call.pk, **read_outcome(data, now), now=now, by=self.actor)

    def _note(self, session: DialSession, data: Any, now: datetime) -> None:
        calls.note_call(call_id=self._call(session, data).pk, notes=data.get("notes", "")[:MOST_NOTES], by=self.actor)

    def _pause(self, session: DialSession, data: Any, now: datetime) -> None:
        reason = data.get("reason", "")
        sessions.pause(
            session_id=session.pk, reason=PauseReason(reason) if reason in PauseReason.values else PauseReason.OTHER, now=now, by=self.actor
        )

    def _resume(self, session: DialSession, data: Any, now: datetime) -> None:
        sessions.resume(session_id=session.pk, now=now, by=self.actor)

    def _end(self, session: DialSession, data: Any, now: datetime) -> None:
        sessions.end_session(session_id=session.pk, now=now, by=self.actor)
        messages.success(self.request, _("Your session is over."))

    def _call(self, session: DialSession, data: Any) -> Call:
        """The call named, if it is one of the session's; else the one in front."""
        live = calls_of_session(session)
        named = next((call for call in live if str(call.public_id) == data.get("call")), live[0] if live else None)
        if named is None:
            raise InvalidInput({"call": [str(_("The call is over."))]})
        return named


_ACTS: dict[str, Callable[[ActPage, DialSession, Any, datetime], None]] = {
    "next": ActPage._next,
    "dial": ActPage._dial,
    "skip": ActPage._skip,
    "hang-up": ActPage._hang_up,
    "outcome": ActPage._outcome,
    "note": ActPage._note,
    "pause": ActPage._pause,
    "resume": ActPage._resume,
    "end": ActPage._end,
}


class BeatPage(WorkPage):
    """The page is there still. Answers the desk where it is another than the page has seen, else nothing."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        session = session_of(self.actor.user_id)
        if session is None:
            return _to(request, "/dialer")
        sessions.beat(session_id=session.pk, now=timezone.now(), by=self.actor)
        session = session_of(self.actor.user_id)
        if session is None:
            return _to(request, "/dialer")
        if version_of(session, calls_of_session(session)) == request.POST.get("seen"):
            return HttpResponse(status=204)
        return self.show(self.desk(session), part="desk")


def _to(request: HttpRequest, address: str) -> HttpResponseBase:
    return HttpResponse(status=204, headers={"HX-Redirect": address}) if request.htmx else redirect(address)  # type: ignore[attr-defined]


def _minutes(data: Any) -> int:
    text = str(data.get("minutes", ""))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 60
