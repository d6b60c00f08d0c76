"""How lists of leads are narrowed by their service levels."""

from dataclasses import dataclass
from typing import Any

from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from crm.filters import ChoiceFilter
from crm.words import word_key
from pipeline.enums import SlaState
from pipeline.models import SlaClock


@dataclass(frozen=True, kw_only=True)
class SlaFilter(ChoiceFilter):
    """Leads by their clocks as they stand this moment: one under way is on track, due soon, breached or paused.

    `met` are the leads of which every clock has ended, each in time.
    """

    def q(self, value: list[str]) -> Q:
        now = timezone.now()
        running = SlaClock.objects.filter(ended_at=None, paused_at=None)
        soon = Q(soon_at__lte=now)
        clocks: dict[str, Any] = {
            # Where the working time never comes there is no moment at which it ends.
            SlaState.ON_TRACK: running.exclude(soon).exclude(due_at__lte=now),
            SlaState.DUE_SOON: running.filter(soon, due_at__gt=now),
            SlaState.BREACHED: running.filter(due_at__lte=now),
            SlaState.PAUSED: SlaClock.objects.filter(ended_at=None, paused_at__isnull=False),
        }
        condition = Q(pk__in=[])
        for state in value:
            if state == SlaState.MET:
                of_lead = SlaClock.objects.filter(lead_id=OuterRef("pk"))
                condition |= Q(Exists(of_lead.filter(state=SlaState.MET)), ~Exists(of_lead.exclude(state=SlaState.MET)))
            else:
                condition |= Q(pk__in=clocks[state].order_by().values("lead_id"))
        return condition


def _read(word: str) -> str:
    state = word_key(word)
    if state not in SlaState.values:
        raise ValueError(f"Must be one of {', '.join(SlaState.values)}.")
    return state


SLA_FILTER = SlaFilter(label="Service level", read=_read, choices=lambda: SlaState.choices)
