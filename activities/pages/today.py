"""Today: what to do now, in one queue.

Each thing has a weight, value × urgency. Value is the priority (1 low to 4 urgent, the higher of the activity's and the lead's)
times (50 + score) / 100. Urgency is 2 when due, grows by a day's overdue each up to 5, and is 2 − (hours left) / 12 for what is
still to come today, at least 0.5; a meeting within the hour has 6. A new lead that nobody has spoken with has 1.5 in its first
hour, 1 on its first day, then 0.5. Other apps add what they know through `today_sources`.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.template.backends.utils import csrf_input
from django.urls import reverse
from django.utils import timezone

from activities.enums import ActivityType
from activities.permissions import CHANGE
from activities.selectors import due_today
from activities.services.mentions import plain_text
from activities.services.snoozing import ON_A_ROW, WORDS
from activities.templatetags.activities import activity_icon
from crm.actors import Actor
from crm.registry import TodayItem, today_sources
from crm.web.pages import Page
from crm.web.templatetags.ui import due_class, hue, initials, time_ago
from leads.pages.columns import phone_cell, score_cell
from leads.permissions import ADD, VIEW
from leads.selectors import counts_by_status, fresh_leads, name_of, rows_in_order

MOST = 40
FRESH = timedelta(days=7)


def weight(*, priority: int, score: int, urgency: float) -> float:
    return priority * (50 + score) / 100 * urgency


def urgency_of(*, due_at: datetime, now: datetime, is_meeting: bool = False) -> float:
    """How urgent something due is."""
    hours = (due_at - now).total_seconds() / 3600
    if is_meeting and -0.5 <= hours <= 1:
        return 6.0
    return min(2 - hours / 24, 5.0) if hours <= 0 else max(2 - hours / 12, 0.5)


def urgency_of_new(*, created_at: datetime, now: datetime) -> float:
    age = now - created_at
    return 1.5 if age <= timedelta(hours=1) else 1.0 if age <= timedelta(days=1) else 0.5


def due_items(actor: Actor, now: datetime, most: int) -> Sequence[TodayItem]:
    """The actor's open activities that are due by the end of the day."""
    items, done_url, put_off_url = [], address_of("activities:done"), address_of("activities:put-off")
    end = datetime.combine(timezone.localdate(now) + timedelta(days=1), time(), tzinfo=timezone.get_current_timezone())
    for row in due_today(actor, now=now, before=end, most=most):
        urgency = urgency_of(due_at=row.due_at, now=now, is_meeting=row.activity_type == "meeting")
        items.append(
            TodayItem(
                key=f"activity-{row.id}",
                lead_id=row.lead_id,
                kind=row.activity_type,
                icon=activity_icon(row.activity_type),
                text=plain_text(row.description)[:140] or str(ActivityType(row.activity_type).label),
                at=row.due_at,
                tone=due_class(row.due_at),
                weight=weight(priority=max(row.priority, row.lead_priority), score=row.score, urgency=urgency),
                done_url=done_url(row.id),
                put_off_url=put_off_url(row.id),
            )
        )
    return items


def fresh_items(actor: Actor, now: datetime, most: int) -> Sequence[TodayItem]:
    """New leads, the actor's own or nobody's, with whom nobody has spoken."""
    items, follow_up_url = [], address_of("leads:follow-up")
    for row in fresh_leads(actor, since=now - FRESH, most=most):
        follow_up = follow_up_url(row["id"])
        items.append(
            TodayItem(
                key=f"lead-{row['id']}",
                lead_id=row["id"],
                kind="fresh",
                icon="sparkles",
                text="",
                at=row["created_at"],
                weight=weight(priority=row["priority"], score=row["score"], urgency=urgency_of_new(created_at=row["created_at"], now=now)),
                done_url=follow_up,
                done_value="contacted",
                put_off_url=follow_up,
            )
        )
    return items


def address_of(name: str) -> Callable[[int], str]:
    """The address of a view for one record after another, looked up once."""
    before, after = reverse(name, args=[0]).split("/0/")
    return lambda pk: f"{before}/{pk}/{after}"


class TodayPage(Page):
    """What a person has to do now, the weightiest first."""

    template = "activities/today.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = timezone.now()
        found: dict[str, TodayItem] = {}
        for source in today_sources.of("main") if self.actor.can(VIEW) else ():
            for item in source(self.actor, now, MOST + 1):
                found.setdefault(item.key, item)
        items = sorted(found.values(), key=lambda item: (-item.weight, item.key))
        # A new lead that has something due already is one thing to do, not two.
        busy = {item.lead_id for item in items if item.kind != "fresh"}
        items = [item for item in items if item.kind != "fresh" or item.lead_id not in busy]
        queue = {
            "rows": self._rows(items[:MOST]),
            "more": len(items) > MOST,
            "number": len(items[:MOST]),
            "words": [(code, *map(str, WORDS[code])) for code in ON_A_ROW],
            "token": csrf_input(request),
            "can_change": self.actor.can(CHANGE),
        }
        if request.htmx:  # type: ignore[attr-defined]
            return self.show({**queue, "queue_only": True}, part="queue")
        return self.show(
            {
                **queue,
                "counts": counts_by_status(self.actor) if self.actor.can(VIEW) else [],
                "can_add": self.actor.can(ADD),
            }
        )

    def _rows(self, items: Sequence[TodayItem]) -> list[dict[str, Any]]:
        leads = {row["id"]: row for row in rows_in_order(list(dict.fromkeys(item.lead_id for item in items)))}
        base = f"{reverse('leads:list')}/"
        return [
            {
                "item": item,
                "lead": lead,
                "hue": str(hue(lead["id"])),
                "initials": initials(name),
                "href": f"{base}{lead['id']}",
                "name": name,
                "phone": phone_cell(lead),
                "score": score_cell(lead),
                "when": time_ago(item.at, "short"),
            }
            for item in items
            if (lead := leads.get(item.lead_id)) and (name := name_of(lead))
        ]
