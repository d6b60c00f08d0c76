"""What service levels ask of a person today."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import F
from django.urls import reverse
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.registry import TodayItem
from crm.web.templatetags.ui import due_class
from pipeline.enums import SlaKind, SlaState
from pipeline.models import SlaClock

AHEAD = timedelta(days=1)


def urgency_of(*, due_at: datetime, now: datetime) -> float:
    """A promise that can still be kept comes before one that is broken: 4 in its last hour, 3 otherwise, 2 once it is late."""
    left = due_at - now
    return 2.0 if left <= timedelta() else 4.0 if left <= timedelta(hours=1) else 3.0


def sla_items(actor: Actor, now: datetime, most: int) -> Sequence[TodayItem]:
    """The clocks of the actor's own leads that are due soon, within a day, and those breached last."""
    due = SlaClock.objects.filter(
        owner_id=actor.user_id, lead__owner_id=actor.user_id, lead__deleted_at=None, ended_at=None, paused_at=None,
        due_at__lte=now + AHEAD, state__in=[SlaState.DUE_SOON, SlaState.BREACHED],
    )  # fmt: skip
    # Once a lead was spoken with, its clock ends in a moment.
    due = due.exclude(kind=SlaKind.FIRST_RESPONSE, lead__last_contact_at__gte=F("lead__created_at"))
    items = []
    follow_up, _pk, done = reverse("leads:follow-up", args=[0]).rpartition("0")
    told = due.order_by("-due_at", "-pk").values_list(
        "lead_id", "kind", "due_at", "policy__name", "lead__priority", "lead__score", named=True
    )
    for clock in told[:most]:
        late = clock.due_at <= now
        items.append(
            TodayItem(
                key=f"sla-{clock.lead_id}",
                lead_id=clock.lead_id,
                kind="sla",
                icon="timer",
                text=(_("%s breached") if late else _("%s is due soon")) % clock.policy__name,
                at=clock.due_at,
                tone=due_class(clock.due_at),
                weight=clock.lead__priority * (50 + clock.lead__score) / 100 * urgency_of(due_at=clock.due_at, now=now),
                done_url=f"{follow_up}{clock.lead_id}{done}" if clock.kind == SlaKind.FIRST_RESPONSE else "",
                done_value="contacted",
            )
        )
    return items
