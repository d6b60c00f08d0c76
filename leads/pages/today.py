"""Today: what to do now, in one queue."""

from datetime import datetime, time, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from crm.normal import international
from crm.web.pages import Page
from leads.models import Lead
from leads.pages.listing import follow_up_choices
from leads.permissions import ADD, CHANGE, SEE_ALL, VIEW
from leads.selectors import branches_visible_to, counts_by_status

MOST = 25
FRESH = timedelta(days=7)


class TodayPage(Page):
    """A rep's due and overdue follow-ups and the newest leads nobody has spoken with; more valuable ones first."""

    template = "leads/today.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = timezone.now()
        end_of_day = datetime.combine(timezone.localdate() + timedelta(days=1), time(), tzinfo=timezone.get_current_timezone())
        mine = Lead.objects.live().with_list_columns().filter(owner_id=self.actor.user_id)
        open_ones = mine.filter(status__category="open")
        overdue = open_ones.filter(next_follow_up_at__lt=now).order_by("-priority", "next_follow_up_at")
        today = open_ones.filter(next_follow_up_at__gte=now, next_follow_up_at__lt=end_of_day).order_by("next_follow_up_at")
        groups: list[dict[str, Any]] = [
            {"key": "overdue", "leads": list(overdue[: MOST + 1])},
            {"key": "today", "leads": list(today[: MOST + 1])},
        ]
        listed = {lead.pk for group in groups for lead in group["leads"]}
        groups.append({"key": "fresh", "leads": [lead for lead in self._fresh(now) if lead.pk not in listed]})
        for group in groups:
            group["more"] = len(group["leads"]) > MOST
            group["leads"] = group["leads"][:MOST]
        queue = {
            "groups": groups,
            "phones": {lead.pk: international(lead.phone) for group in groups for lead in group["leads"] if lead.phone},
            "nothing": not any(group["leads"] for group in groups),
            "follow_ups": follow_up_choices(),
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

    def _fresh(self, now: datetime) -> list[Lead]:
        """New leads of the last week without an owner or one's own, not yet contacted and not put off."""
        found: list[Lead] = []
        for branch in self._own_and_unassigned():
            rows = branch.with_list_columns().filter(status__code="new", last_contact_at=None, created_at__gte=now - FRESH)  # type: ignore[attr-defined]
            rows = rows.filter(Q(next_follow_up_at=None) | Q(next_follow_up_at__lte=now))
            found.extend(rows.order_by("-created_at", "-pk")[: MOST + 1])
        return sorted(found, key=lambda lead: (lead.priority, lead.score, lead.created_at), reverse=True)[: MOST + 1]

    def _own_and_unassigned(self) -> list[QuerySet[Lead]]:
        if not self.actor.can(VIEW):
            return []
        visible = branches_visible_to(self.actor)
        return (
            list(visible[:2])
            if not self.actor.can(SEE_ALL)
            else [visible[0].filter(owner_id=self.actor.user_id), visible[0].filter(owner_id=None)]
        )
