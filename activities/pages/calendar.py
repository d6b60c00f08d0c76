"""The calendar: a month, a week or a day of somebody's activities, in the reader's own zone. The address holds all of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import DateTimePattern, format_date, format_time, match_skeleton
from django.http import HttpRequest, HttpResponseBase
from django.template.loader import get_template
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext, to_locale
from django.utils.translation import gettext_lazy as _

from activities.enums import ActivityType
from activities.models import Activity
from activities.pages.acting import ActPage
from activities.pages.composer import lead_url
from activities.permissions import CHANGE, VIEW
from activities.services import calendar
from activities.services.calendar import MOST, Entry, Span
from activities.services.changes import find_activity, reschedule
from activities.templatetags.activities import activity_icon
from crm.errors import InvalidInput
from crm.tenancy.models import current_tenant
from crm.web.pages import Page, safe_next
from crm.web.templatetags.ui import absolute

# The hours a week and a day always show; earlier and later ones where something is in them.
FIRST_HOUR, LAST_HOUR = 8, 18
# How much a day of a month, and an hour of a week, holds before it says how much more there is.
IN_A_DAY, IN_AN_HOUR = 4, 4
# And a day in the list of narrow screens.
_IN_THE_LIST = {Span.MONTH: IN_A_DAY, Span.WEEK: 12, Span.DAY: MOST}
_SPANS = ((Span.MONTH, _("Month"), "m"), (Span.WEEK, _("Week"), "w"), (Span.DAY, _("Day"), "d"))


class CalendarPage(Page):
    capability = VIEW
    template = "activities/calendar.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        self.zone, self.locale = ZoneInfo(timezone.get_current_timezone_name()), _locale()
        self.now = timezone.now()
        self.drawn: dict[int, SafeString] = {}
        self.template_of_entry = get_template("activities/_calendar_entry.html")
        self.today = self.now.astimezone(self.zone).date()
        asked = request.GET
        span = Span(asked["view"]) if asked.get("view") in set(Span) else Span.MONTH
        on = _day(asked.get("on", "")) or self.today
        people, teams = calendar.choices_of_whose(self.actor)
        self.whose = calendar.find_whose(asked.get("whose", ""), people=people, teams=teams, actor=self.actor)
        self.names = {person.pk: person.full_name for person in people} if len(self.whose.user_ids) != 1 else {}
        days = calendar.days_of(span, on, first_weekday=self.locale.first_week_day)
        start, end = calendar.bounds(days, self.zone)
        found = calendar.entries_between(start=start, end=end, user_ids=self.whose.user_ids, most=MOST + 1, actor=self.actor)
        entries, self.can_change = found[:MOST], self.actor.can(CHANGE)
        self.here = self._url(span, on)
        self.and_back, self.leads_url = urlencode({"next": self.here}), reverse("leads:list")
        # Looked up once: a busy week has hundreds of entries.
        self.words = {kind: str(kind.label) for kind in ActivityType} | {"done": gettext("Done"), "overdue": gettext("Overdue")}
        by_day = _grouped(entries, lambda entry: entry.at.astimezone(self.zone).date())
        cells = [self._day(day, by_day.get(day, ()), most=_IN_THE_LIST[span]) for day in days]
        context = {
            "span": span.value,
            "here": self.here,
            "title": self._title(span, on, days),
            "weeks": self._weeks(cells, on) if span is Span.MONTH else [],
            "hours": self._hours(days, entries) if span is not Span.MONTH else [],
            "days": cells,
            "empty": not entries,
            "is_cut": len(found) > MOST,
            "most": MOST,
        }
        if request.htmx:  # type: ignore[attr-defined]
            return self.show({**context, "grid_only": True}, part="grid")
        return self.show({**context, **self._bar(span, on, people, teams)})

    # --- around the grid ---

    def _url(self, span: Span, on: date) -> str:
        asked = {"view": span.value, "on": on.isoformat(), "whose": self.whose.code}
        return f"{reverse('activities:calendar')}?{urlencode({name: value for name, value in asked.items() if value})}"

    def _bar(self, span: Span, on: date, people: Sequence[Any], teams: Sequence[Any]) -> dict[str, Any]:
        return {
            "on": on.isoformat(),
            "whose": self.whose,
            "people": [(str(person.pk), person.full_name) for person in people],
            "teams": [(f"team-{team.pk}", team.name) for team in teams],
            "before": self._url(span, calendar.step(span, on, -1)),
            "after": self._url(span, calendar.step(span, on, 1)),
            "today": self._url(span, self.today),
            "views": [(label, self._url(item, on), key, item is span) for item, label, key in _SPANS],
        }

    def _title(self, span: Span, on: date, days: Sequence[date]) -> str:
        if span is Span.DAY:
            return str(format_date(on, "full", locale=self.locale))
        if span is Span.MONTH:
            return _in_words(on, "yMMMM", self.locale)
        return gettext("%(first)s to %(last)s") % {
            "first": _in_words(days[0], "MMMd", self.locale),
            "last": format_date(days[-1], "medium", locale=self.locale),
        }

    # --- the grid ---

    @staticmethod
    def _weeks(days: list[dict[str, Any]], on: date) -> list[list[dict[str, Any]]]:
        cells = [{**cell, "is_out": cell["month"] != on.month} for cell in days]
        return [cells[start : start + 7] for start in range(0, len(cells), 7)]

    def _day(self, day: date, entries: Sequence[Entry], *, most: int) -> dict[str, Any]:
        return {
            "day": day.isoformat(),
            "month": day.month,
            "number": day.day,
            "weekday": _in_words(day, "EEE", self.locale),
            "name": _in_words(day, "EEEEMMMMd", self.locale),
            "url": self._url(Span.DAY, day),
            "is_today": day == self.today,
            "entries": [self._shown(entry) for entry in entries[:most]],
            "more": max(len(entries) - most, 0),
        }

    def _hours(self, days: Sequence[date], entries: Sequence[Entry]) -> list[dict[str, Any]]:
        """A row an hour. An hour that the clocks leave out on a day is marked; one that comes twice is one row."""
        at = _grouped(entries, lambda entry: ((local := entry.at.astimezone(self.zone)).date(), local.hour))
        used = {hour for _day, hour in at}
        most = IN_AN_HOUR if len(days) > 1 else MOST
        return [
            {
                "hour": hour,
                "label": self._clock(time(hour)),
                "cells": [
                    {
                        "day": day.isoformat(),
                        "url": self._url(Span.DAY, day),
                        "is_today": day == self.today,
                        "is_missing": not calendar.has_hour(day, hour, self.zone),
                        "entries": [self._shown(entry) for entry in at.get((day, hour), ())[:most]],
                        "more": max(len(at.get((day, hour), ())) - most, 0),
                    }
                    for day in days
                ],
            }
            for hour in range(min({FIRST_HOUR, *used}), max({LAST_HOUR, *used}) + 1)
        ]

    def _clock(self, at: datetime | time) -> str:
        # The narrow space that some languages set before "AM" is nearly none in small print.
        return str(format_time(at, "short", locale=self.locale)).replace("\u202f", "\u00a0")

    def _shown(self, entry: Entry) -> SafeString:
        """An entry, drawn once for the grid and the list of narrow screens."""
        if entry.id not in self.drawn:
            self.drawn[entry.id] = self.template_of_entry.render({"entry": self._told(entry)})
        return self.drawn[entry.id]

    def _told(self, entry: Entry) -> dict[str, Any]:
        kind, what = self.words[entry.kind], " ".join(entry.text.split())[:140]
        state = "done" if entry.is_done else "overdue" if entry.at < self.now else ""
        local = entry.at.astimezone(self.zone)
        person, clock = self.names.get(entry.user_id or 0, ""), self._clock(local)
        anchor = "activity" if entry.is_done else "open"
        return {
            "url": f"{self.leads_url}/{entry.lead_id}#{anchor}-{entry.id}" if entry.lead_id else "",
            "time": clock,
            "until": self._clock(entry.ends_at.astimezone(self.zone)),
            "stamp": local.isoformat(),
            "icon": activity_icon(entry.kind),
            "name": entry.lead_name or what or kind,
            "what": what if entry.lead_name else "",
            "about": " · ".join(part for part in (kind, what, person, f"{clock} {local:%Z}") if part),
            "kind": kind,
            "person": person,
            "state": state,
            "state_label": self.words.get(state, ""),
            "move_url": f"/activities/{entry.id}/move?{self.and_back}" if self.can_change and not entry.is_done and entry.lead_id else "",
        }


class MovePage(ActPage):
    """Another time for an activity: a form of its own, which is a dialog on the calendar; and where it was dragged to."""

    template = "activities/calendar_move.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        activity = find_activity(activity_id=pk, by=self.actor)
        context = {
            "activity": activity,
            "lead": activity.lead,
            "at": timezone.localtime(activity.due_at).strftime("%Y-%m-%dT%H:%M") if activity.due_at else "",
            "invited": activity.invitations.exclude(told="").exists(),
            "next": safe_next(request, default=lead_url(activity.lead_id)),
        }
        return self.show(context, part="dialog" if request.htmx else "")  # type: ignore[attr-defined]

    def act(self, activity: Activity, request: HttpRequest) -> Any:
        at = self._asked(activity, request)
        reschedule(activity_id=activity.pk, due_at=at, by=self.actor)
        return _("%(when)s: %(what)s with %(name)s.") % {
            "what": activity.get_activity_type_display(),
            "name": activity.lead.display_name,
            "when": absolute(at),
        }

    def _asked(self, activity: Activity, request: HttpRequest) -> datetime:
        zone = ZoneInfo(timezone.get_current_timezone_name())
        typed, day, hour = (request.POST.get(name, "") for name in ("at", "day", "hour"))
        try:
            if typed:
                moment = datetime.fromisoformat(typed)
                return moment if moment.tzinfo else calendar.moment_at(moment.date(), moment.time(), zone)
            if activity.due_at is not None:
                to = date.fromisoformat(day)
                return calendar.moved_to(activity.due_at, day=to, hour=int(hour) % 24 if hour else None, zone=zone)
        except (ValueError, OverflowError):
            pass
        raise InvalidInput({"at": [gettext("Choose a day and time.")]})


def _locale() -> Locale:
    """The language's conventions, with the weeks of the tenant's country."""
    language = Locale.parse(to_locale(get_language() or "en"))
    region = current_tenant().region
    try:
        return language if language.territory else Locale(language.language, territory=region)
    except (UnknownLocaleError, ValueError):
        return language


def _in_words(day: date, skeleton: str, locale: Locale) -> str:
    return str(_pattern(skeleton, locale).apply(day, locale))


@lru_cache(maxsize=256)
def _pattern(skeleton: str, locale: Locale) -> DateTimePattern:
    """What a language makes of the parts asked for. Babel's search for it is slow."""
    known = locale.datetime_skeletons
    return known[match_skeleton(skeleton, known) or "yMd"]


def _day(text: str) -> date | None:
    """A day that is far enough from the ends of the calendar to be stepped from."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1900 <= day.year <= 2200 else None


def _grouped(entries: Iterable[Entry], key: Any) -> dict[Any, list[Entry]]:
    groups: dict[Any, list[Entry]] = defaultdict(list)
    for entry in entries:
        groups[key(entry)].append(entry)
    return groups
