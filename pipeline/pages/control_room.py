"""The control room: what breaches next, who is behind, and whether a quick answer pays."""

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidInput
from crm.web.pages import Page
from leads.permissions import VIEW
from pipeline.enums import SlaState
from pipeline.models import SlaPolicy
from pipeline.pages.lead import TONES
from pipeline.permissions import CONFIGURE_SLA
from pipeline.selectors.figures import Period
from pipeline.selectors.sla import (
    SOON,
    WHICH,
    clock_board,
    clock_page,
    clock_rows,
    compliance_by_policy,
    response_and_conversion,
)

DAYS, ROWS = 90, 25
_TABS = (("soon", _("Next 30 minutes")), ("breached", _("Breached")), ("running", _("All running")), ("paused", _("Paused")))
_LABELS = {
    "within_5_minutes": _("5 minutes at most"), "within_1_hour": _("1 hour at most"), "within_1_day": _("1 day at most"), "later": _("Later"),
}  # fmt: skip


class ControlRoomPage(Page):
    """Refreshes itself while it is open. `which` chooses the list, `cursor` its page."""

    capability = VIEW
    template = "pipeline/control_room.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        now = timezone.now()
        which = request.GET.get("which", "soon")
        which = which if which in WHICH else "soon"
        cursor = request.GET.get("cursor") or None
        try:
            page = clock_page(which=which, now=now, limit=ROWS, cursor=cursor, by=self.actor)
        except InvalidInput:
            page = clock_page(which=which, now=now, limit=ROWS, by=self.actor)
        rows = [_shown(row, now) for row in clock_rows(page.ids, now)]
        more = f"?which={which}&cursor={page.next_cursor}" if page.next_cursor else ""
        if request.htmx and cursor:  # type: ignore[attr-defined]
            return self.show({"rows": rows, "more_url": more, "rows_only": True}, part="rows")
        board = clock_board(now=now, most=20, by=self.actor)
        counts = board.counts
        numbers = {"soon": counts.soon, "breached": counts.breached, "running": counts.running, "paused": counts.paused}
        responses = response_and_conversion(since=now - timedelta(days=DAYS), by=self.actor)
        return self.show(
            {
                "rows": rows,
                "more_url": more,
                "which": which,
                "tabs": [
                    {"label": label, "url": f"?which={code}", "active": code == which, "count": numbers[code]} for code, label in _TABS
                ],
                "counts": counts,
                "soon_minutes": int(SOON.total_seconds() // 60),
                "owners": board.by_owner,
                "responses": [{**row, "label": _LABELS[row["response_time"]]} for row in responses],
                "answered": sum(row["leads"] for row in responses),
                "days": DAYS,
                "policies": compliance_by_policy(Period(first=timezone.localdate() - timedelta(days=DAYS)), by=self.actor),
                "has_policies": SlaPolicy.objects.filter(is_active=True).exists(),
                "can_configure": self.actor.can(CONFIGURE_SLA),
            }
        )


def _shown(row: dict[str, Any], now: Any) -> dict[str, Any]:
    due = row["due_at"]
    state = SlaState(row["state"])
    # Beat says so within half a minute; the page need not wait for it.
    if due is not None and due <= now:
        state = SlaState.BREACHED
    return {
        **row,
        "tone": TONES[state],
        "state_label": state.label,
        "left": abs(due - now) if due else None,
        "is_over": bool(due and due <= now),
    }
