"""Today: what to do now, in one queue."""

from datetime import datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.template.backends.utils import csrf_input
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.web.pages import Page
from leads.pages.columns import created_cell, follow_up_cell, phone_cell, score_cell
from leads.pages.listing import follow_up_choices
from leads.permissions import ADD, CHANGE, VIEW
from leads.selectors import counts_by_status, due_leads, fresh_leads, name_of

MOST = 15
FRESH = timedelta(days=7)
# What the buttons that put a follow-up off say.
SHORT = {"1d": _("+1d"), "3d": _("+3d"), "7d": _("+1w")}


class TodayPage(Page):
    """A rep's due and overdue follow-ups and the newest leads nobody has spoken with; more valuable ones first."""

    template = "leads/today.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = timezone.now()
        end_of_day = datetime.combine(timezone.localdate() + timedelta(days=1), time(), tzinfo=timezone.get_current_timezone())
        groups: list[dict[str, Any]] = [
            {"key": "overdue", "leads": due_leads(self.actor, before=now, most=MOST + 1)},
            {"key": "today", "leads": due_leads(self.actor, since=now, before=end_of_day, most=MOST + 1)},
        ]
        listed = {lead["id"] for group in groups for lead in group["leads"]}
        fresh = fresh_leads(self.actor, since=now - FRESH, most=MOST + 1)
        groups.append({"key": "fresh", "leads": [lead for lead in fresh if lead["id"] not in listed]})
        base = f"{reverse('leads:list')}/"
        for group in groups:
            group["more"] = len(group["leads"]) > MOST
            group["does"] = "contacted" if group["key"] == "fresh" else "done"
            when = created_cell if group["key"] == "fresh" else follow_up_cell
            group["rows"] = [
                (lead, f"{base}{lead['id']}", name_of(lead), phone_cell(lead), score_cell(lead), when(lead))
                for lead in group["leads"][:MOST]
            ]
        queue = {
            "groups": groups,
            "nothing": not any(group["rows"] for group in groups),
            "follow_ups": [(code, SHORT[code], label) for code, label, _span in follow_up_choices()],
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
