"""The calls: found by person, queue, day and outcome; one with what was heard of it; and a click on a number."""

from typing import Any, ClassVar
from uuid import UUID

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from crm.normal import e164
from crm.tenancy.models import current_tenant
from crm.web.pages import Page, safe_next
from dialer.enums import CallOutcome, CallResult, CallStatus, SessionState
from dialer.errors import InvalidPhone, NoSuchCall
from dialer.models import Call, CallEvent, CallingAgent
from dialer.pages.outcomes import MOST_NOTES, outcome_choices, read_outcome
from dialer.pages.shown import call_row, known_leads, tabs_of
from dialer.permissions import CALL
from dialer.selectors.desk import open_entry_of, session_of, with_people
from dialer.selectors.history import CallsAsked, history_page
from dialer.selectors.queues import agents_visible_to, calls_visible_to, require_sight
from dialer.services import calls, sessions
from dialer.services.summaries import transcript_of
from dialer.services.telephony.recordings import open_recording
from leads.selectors import leads_visible_to

ROWS = 50


class CallsPage(Page):
    """Fifty at a time, the newest first, with the exact number."""

    template = "dialer/calls.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        require_sight(by=self.actor)
        asked = {name: request.GET.get(name, "").strip() for name in ("agent", "outcome", "start_date", "end_date", "search")}
        agents = list(agents_visible_to(self.actor))
        wanted, problem = _read(asked, agents)
        number = request.GET.get("page", "1")
        page = max(int(number), 1) if number.isascii() and number.isdigit() and len(number) < 7 else 1
        found, total = history_page(actor=self.actor, asked=wanted, page=page, per_page=ROWS)
        kept = {name: value for name, value in asked.items() if value}
        shown = min(page * ROWS, total)
        rows = {
            "rows": [call_row(call, known_leads(self.actor, calls=found)) for call in with_people(found)],
            "more_url": f"?{urlencode({**kept, 'page': page + 1})}" if shown < total else "",
            "shown": shown,
            "total": total,
        }
        if request.htmx and page > 1:  # type: ignore[attr-defined]
            return self.show({**rows, "rows_only": True}, part="rows")
        return self.show(
            {
                **rows,
                "asked": asked,
                "is_filtered": bool(kept),
                "problem": problem,
                "agents": agents,
                "outcomes": CallOutcome.choices,
                "tabs": tabs_of(self.actor, "calls"),
            }
        )


def _read(asked: dict[str, str], agents: list[CallingAgent]) -> tuple[CallsAsked, str]:
    """What is asked for; what cannot be read is left out and said."""
    days, problem = {}, ""
    for name in ("start_date", "end_date"):
        try:
            days[name] = parse_date(asked[name]) if asked[name] else None
        except ValueError:
            days[name] = None
        if asked[name] and days[name] is None:
            problem = str(_("A day is written like 2026-06-24."))
    agent = next((agent for agent in agents if str(agent.public_id) == asked["agent"]), None)
    outcome = asked["outcome"] if asked["outcome"] in CallOutcome.values else ""
    wanted = CallsAsked(
        agent_id=agent.pk if agent else None,
        outcome=outcome,
        since=days["start_date"],
        until=days["end_date"],
        search=asked["search"][:200],
    )
    return wanted, problem


def call_or_404(public_id: UUID, *, by: Any) -> Call:
    call: Call | None = calls_visible_to(by).select_related("lead", "agent", "user", "entry").filter(public_id=public_id).first()
    if call is None:
        raise NoSuchCall
    return call


class CallPage(Page):
    """One call: its facts, what came of it, the recording, and what the telephone company reported."""

    template = "dialer/call.html"

    def get(self, request: HttpRequest, call: UUID) -> HttpResponseBase:
        found = call_or_404(call, by=self.actor)
        is_own = found.user_id is not None and found.user_id == self.actor.user_id
        return self.show(
            {
                **call_row(found, known_leads(self.actor, calls=[found])),
                "events": [_said(event) for event in found.events.select_related("user")[:200]],
                "transcript": transcript_of(found) if found.transcript else "",
                "may_say": is_own and (found.status == CallStatus.IN_PROGRESS or found.awaits_outcome),
                "is_own": is_own,
                **outcome_choices(),
                "tabs": tabs_of(self.actor, "calls"),
            },
            part="now" if request.htmx else "",  # type: ignore[attr-defined]
        )


_SAID = dict(CallStatus.choices) | dict(CallResult.choices)


def _said(event: CallEvent) -> dict[str, Any]:
    """What was heard, in words where it is a status or a result of ours."""
    return {"event": event, "said": _SAID.get(event.status, event.status)}


class CallActPage(Page):
    """Hang up, say what came of it, keep notes: of one's own call."""

    capability = CALL
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, call: UUID, act: str) -> HttpResponseBase:
        found, now, data = call_or_404(call, by=self.actor), timezone.now(), request.POST
        if act == "hang-up":
            calls.hang_up(call_id=found.pk, now=now, by=self.actor)
        elif act == "outcome":
            calls.record_outcome(call_id=found.pk, **read_outcome(data, now), now=now, by=self.actor)
            messages.success(request, _("The call is noted."))
        elif act == "note":
            calls.note_call(call_id=found.pk, notes=data.get("notes", "")[:MOST_NOTES], by=self.actor)
            messages.success(request, _("Saved."))
        else:
            raise NoSuchCall
        return redirect(safe_next(request, default=request.headers.get("Referer", "/dialer/calls")))


class RecordingPage(Page):
    """The recording, for who may see the call."""

    def get(self, request: HttpRequest, call: UUID) -> HttpResponseBase:
        found = call_or_404(call, by=self.actor)
        return FileResponse(
            open_recording(call=found, by=self.actor), filename=f"{found.public_id}.{found.recording.name.rsplit('.', 1)[-1]}"
        )


class ClickToCallPage(Page):
    """A click on a number anywhere. In a session the call is the session's; else it has a page of its own."""

    capability = CALL
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        phone = e164(request.POST.get("phone", "")[:60], region=current_tenant().region)
        if phone is None:
            raise InvalidPhone(str(_("This is no number that could be called.")))
        now, session = timezone.now(), session_of(self.actor.user_id)
        if session and session.state == SessionState.PREVIEW and session.entry and session.entry.phone == phone:
            sessions.dial(session_id=session.pk, now=now, by=self.actor)
            return redirect("dialer:work")
        entry = open_entry_of(self.actor, phone)
        call = calls.start_call(
            lead_id=self._lead(request.POST.get("lead", ""), phone),
            phone=phone,
            agent_id=entry.agent_id if entry else None,
            session_id=session.pk if session and session.state == SessionState.WAITING else None,
            now=now,
            by=self.actor,
        )
        return redirect("dialer:work") if call.session_id else redirect("dialer:call", call.public_id)

    def _lead(self, text: str, phone: str) -> int | None:
        """The lead named, else the latest in sight that has the number."""
        if text.isascii() and text.isdigit() and len(text) < 19:
            return int(text)
        found: int | None = leads_visible_to(self.actor).filter(phone=phone).order_by("-pk").values_list("pk", flat=True).first()
        return found
