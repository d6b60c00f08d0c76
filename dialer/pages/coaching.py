"""Who is on what just now, and what each did today. Draws itself again with every event."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from crm.normal import international
from crm.web.pages import Page
from dialer.enums import SessionState
from dialer.pages.shown import STATE_TONES, tabs_of
from dialer.permissions import COACH
from dialer.selectors.desk import AtWork, Day, lately_at_work, people_at_work


class CoachingPage(Page):
    capability = COACH
    template = "dialer/coaching.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = timezone.now()
        people = people_at_work(now, by=self.actor)
        rows = [_shown(person) for person in people]
        lately = [{"user": user, **_numbers(day)} for user, day in lately_at_work(now, but=[person.user.pk for person in people])]
        return self.show(
            {
                "rows": rows,
                "lately": lately,
                "tabs": tabs_of(self.actor, "coaching"),
                "on_call": sum(row["session"].state == SessionState.ON_CALL for row in rows),
                "paused": sum(row["session"].state == SessionState.PAUSED for row in rows),
                "calls": sum(row["day"].calls for row in [*rows, *lately]),
                "answered": sum(row["day"].answered for row in [*rows, *lately]),
            },
            part="now" if request.htmx else "",  # type: ignore[attr-defined]
        )


def _shown(person: AtWork) -> dict[str, Any]:
    session, call = person.session, person.call
    about = call.lead_name if call else session.entry.lead.display_name if session.entry else ""
    return {
        "session": session,
        "user": person.user,
        "tone": STATE_TONES[SessionState(session.state)],
        "about": about,
        "phone": international(call.phone) if call else "",
        "call": call,
        **_numbers(person.day),
    }


def _numbers(day: Day) -> dict[str, Any]:
    """Talk time, and how much of the day was pause."""
    return {"day": day, "paused": day.states.get(SessionState.PAUSED, 0), "wrapped": day.states.get(SessionState.WRAP_UP, 0)}
