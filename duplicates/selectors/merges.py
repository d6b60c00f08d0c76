"""Reads of merges."""

from typing import Any

from duplicates.models import Merge

# Longer chains of merges are followed no further.
_MOST_STEPS = 20


def winner_of(lead_id: int) -> int | None:
    """The lead that a merged one is part of now, by however many steps; None for one that was not merged."""
    found = None
    for _step in range(_MOST_STEPS):
        following = Merge.objects.filter(loser_id=lead_id, undone_at=None).values_list("winner_id", flat=True).first()
        if following is None:
            break
        found = lead_id = following
    return found


def merged_away() -> Any:
    """The ids of the leads that are part of others."""
    return Merge.objects.filter(undone_at=None).values("loser_id")
