"""What the calls came to: in a span of days, of all queues or one, by day, result, queue and person."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from crm.identity.models import User
from crm.tenancy.models import current_tenant
from crm.web.pages import Page
from dialer.enums import CallResult
from dialer.models import CallingAgent
from dialer.pages.shown import RESULT_TONES, tabs_of
from dialer.selectors import metrics
from dialer.selectors.queues import agents_visible_to, require_sight

SPANS = ((1, _("Today")), (7, _("7 days")), (30, _("30 days")), (90, _("90 days")), (365, _("A year")))
# The chart's height, and the widest it is drawn, in its own units.
HEIGHT, WIDTH = 120, 720


class NumbersPage(Page):
    template = "dialer/numbers.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        require_sight(by=self.actor)
        agents = list(agents_visible_to(self.actor))
        agent = next((agent for agent in agents if str(agent.public_id) == request.GET.get("agent", "")), None)
        days = next((days for days, _label in SPANS if str(days) == request.GET.get("days", "")), 30)
        today = timezone.now().astimezone(ZoneInfo(current_tenant().time_zone)).date()
        since = today - timedelta(days=days - 1)
        span: dict[str, Any] = {"actor": self.actor, "agent_id": agent.pk if agent else None, "since": since, "until": today}
        before = {**span, "since": since - timedelta(days=days), "until": since - timedelta(days=1)}
        figures, previous = metrics.metrics(**span), metrics.metrics(**before)
        by_day = metrics.by_day(**span)
        own = {"agent": str(agent.public_id)} if agent else {}
        return self.show(
            {
                "tabs": tabs_of(self.actor, "numbers"),
                "agents": agents,
                "agent": agent,
                "days": days,
                "spans": [(number, label, f"?{urlencode({**own, 'days': number})}") for number, label in SPANS],
                "figures": figures,
                "changes": {name: _change(figures[name], previous[name]) for name in ("total_calls", "answered_calls", "pickup_rate")},
                "spoken": sum(row["seconds"] for row in by_day.values()),
                "columns": _columns(by_day, since, today, own) if days > 1 else [],
                "chart": {"width": WIDTH, "height": HEIGHT},
                "most": max((row["calls"] for row in by_day.values()), default=0),
                "results": _results(metrics.by_result(**span)),
                "by_agent": _named(metrics.by_agent(**span), _agent_names(), str(_("By a click on a number"))),
                "by_user": _named(metrics.by_user(**span), _people(), str(_("The machine"))),
            }
        )


def _change(now: float, before: float) -> dict[str, str]:
    """How a figure moved against the span before; nothing where there was none."""
    if not before:
        return {"text": "", "direction": "", "good": ""}
    percent = round((now - before) / before * 100)
    direction = "up" if percent > 0 else "down" if percent < 0 else ""
    return {"text": f"{abs(percent)} %", "direction": direction, "good": "yes" if percent > 0 else "no" if percent < 0 else ""}


def _columns(by_day: dict[date, dict[str, int]], since: date, until: date, own: dict[str, str]) -> list[dict[str, Any]]:
    """The columns of the chart, one a day, or one a week where days are too many to tell apart."""
    step = 1 if (until - since).days < 100 else 7
    starts = [since + timedelta(days=number) for number in range(0, (until - since).days + 1, step)]
    sums = []
    for start in starts:
        rows = [by_day[day] for day in (start + timedelta(days=number) for number in range(step)) if day in by_day]
        sums.append((start, sum(row["calls"] for row in rows), sum(row["answered"] for row in rows)))
    most = max((calls for _start, calls, _answered in sums), default=0) or 1
    width = WIDTH / len(starts)
    calls_url = reverse("dialer:calls")
    columns = []
    for number, (start, calls, answered) in enumerate(sums):
        end = min(start + timedelta(days=step - 1), until)
        tall, met = calls / most * HEIGHT, answered / most * HEIGHT
        columns.append(
            {
                "day": start,
                "end": end,
                "calls": calls,
                "answered": answered,
                "url": f"{calls_url}?{urlencode({**own, 'start_date': start.isoformat(), 'end_date': end.isoformat()})}",
                "x": f"{number * width:.2f}",
                "width": f"{max(width * 0.72, 1):.2f}",
                "y": f"{HEIGHT - tall:.2f}",
                "tall": f"{tall:.2f}",
                "met_y": f"{HEIGHT - met:.2f}",
                "met": f"{met:.2f}",
            }
        )
    return columns


def _results(found: dict[str, dict[str, int]]) -> list[dict[str, Any]]:
    """What came of the calls, the most frequent first."""
    total = sum(row["calls"] for row in found.values()) or 1
    rows = [
        {
            "label": CallResult(code).label,
            "tone": RESULT_TONES[CallResult(code)],
            "calls": row["calls"],
            "share": round(row["calls"] / total * 100, 1),
        }
        for code, row in found.items()
    ]
    return sorted(rows, key=lambda row: -row["calls"])


def _named(found: dict[int | None, dict[str, int]], names: dict[int, str], nobody: str) -> list[dict[str, Any]]:
    rows = [
        {
            "name": names.get(key, "?") if key is not None else nobody,
            "calls": row["calls"],
            "answered": row["answered"],
            "rate": round(row["answered"] / row["calls"] * 100, 1) if row["calls"] else 0,
            "seconds": row["seconds"],
        }
        for key, row in found.items()
    ]
    return sorted(rows, key=lambda row: -row["calls"])


def _agent_names() -> dict[int, str]:
    return dict(CallingAgent.objects.order_by().values_list("pk", "name"))


def _people() -> dict[int, str]:
    return {user.pk: user.full_name for user in User.objects.order_by()}
