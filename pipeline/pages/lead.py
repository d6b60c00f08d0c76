"""What stages and service levels add to the lead's page."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.web.pages import Page
from leads.models import Lead
from leads.permissions import CHANGE
from pipeline.enums import SlaState
from pipeline.selectors.sla import clock_out, clocks_of
from pipeline.services.policies import pause_clocks, resume_clocks

TONES = {
    SlaState.ON_TRACK: "success", SlaState.DUE_SOON: "warning", SlaState.BREACHED: "danger", SlaState.PAUSED: "neutral", SlaState.MET: "success",
}  # fmt: skip


def sla_of(lead: Lead, actor: Actor) -> dict[str, Any] | None:
    """The clocks of a lead as the API answers them, or None."""
    now = timezone.now()
    clocks = [clock_out(clock, now) for clock in clocks_of(lead)]
    return {"answer": clocks} if clocks else None


def sla_badges(lead: Lead, actor: Actor) -> dict[str, Any] | None:
    """The clocks of a lead as badges, with what may be done to them."""
    now = timezone.now()
    clocks = clocks_of(lead)
    if not clocks:
        return None
    return {
        "lead": lead,
        "clocks": [
            {
                "clock": clock,
                "tone": TONES[SlaState(clock.state)],
                "label": clock.get_state_display(),
                "left": abs(clock.due_at - now) if clock.due_at is not None and clock.paused_at is None else None,
                "is_over": clock.due_at is not None and clock.due_at <= now,
            }
            for clock in clocks
        ],
        "is_paused": all(clock.paused_at is not None for clock in clocks),
        "can_change": actor.can(CHANGE) and lead.deleted_at is None,
    }


class PausePage(Page):
    """Stop a lead's clocks, or let them go on."""

    capability = CHANGE

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        if request.POST.get("do") == "resume":
            resume_clocks(lead_id=pk, now=timezone.now(), by=self.actor)
            messages.success(request, _("The clocks of this lead go on."))
        else:
            pause_clocks(lead_id=pk, now=timezone.now(), by=self.actor)
            messages.success(request, _("The clocks of this lead stand still."))
        return redirect("leads:detail", pk)
