"""What people decide about similar leads: keep them separate, look later, take either back."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import combinations

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput, NotFound
from duplicates.enums import Verdict
from duplicates.models import Decision
from duplicates.permissions import DECIDE
from duplicates.services.grouping import lock_pairs, regroup
from leads.selectors import leads_visible_to

LATER = timedelta(days=7)
# A group that is larger is no group of doubles; its pairs would be very many.
MOST_LEADS = 100


def keep_separate(*, lead_ids: Sequence[int], by: Actor) -> int:
    """Remember that these leads are different ones, each from each. They are not offered again. Answers how many pairs."""
    return _decide(lead_ids, verdict=Verdict.SEPARATE, by=by)


def put_off(*, lead_ids: Sequence[int], by: Actor) -> int:
    """Take these leads out of the queue for a week."""
    return _decide(lead_ids, verdict=Verdict.LATER, by=by)


def take_back(*, lead_ids: Sequence[int], verdict: Verdict, by: Actor) -> int:
    """Forget that these leads were kept separate, or put off, so that they are offered again. Answers how many pairs."""
    by.require(DECIDE)
    with transaction.atomic():
        ids = _seen(lead_ids, by=by)
        lock_pairs()
        forgotten, _by_model = Decision.objects.filter(first__in=ids, second__in=ids, verdict=verdict).delete()
        regroup(lead_ids=ids, by=by)
    return forgotten


def _decide(lead_ids: Sequence[int], *, verdict: Verdict, by: Actor) -> int:
    by.require(DECIDE)
    with transaction.atomic():
        ids = _seen(lead_ids, by=by)
        lock_pairs()
        now = timezone.now()
        until = now + LATER if verdict == Verdict.LATER else None
        separate = set()
        if verdict == Verdict.LATER:
            kept = Decision.objects.filter(first__in=ids, second__in=ids, verdict=Verdict.SEPARATE)
            separate = set(kept.values_list("first_id", "second_id"))
        made = [
            Decision(first_id=first, second_id=second, verdict=verdict, until=until, decided_by_id=by.user_id, decided_at=now)
            for first, second in combinations(sorted(ids), 2)
            if (first, second) not in separate
        ]
        Decision.objects.bulk_create(
            made,
            update_conflicts=True,
            unique_fields=["tenant", "first", "second"],
            update_fields=["verdict", "until", "decided_by", "decided_at"],
        )
        regroup(lead_ids=ids, by=by)
    return len(made)


def _seen(lead_ids: Sequence[int], *, by: Actor) -> set[int]:
    """The ids, if they are two or more leads, all in the actor's sight."""
    ids = set(lead_ids)
    if not 2 <= len(ids) <= MOST_LEADS:
        raise InvalidInput({"lead_ids": [f"Name from 2 to {MOST_LEADS} leads."]})
    if leads_visible_to(by).filter(pk__in=ids).count() != len(ids):
        raise NotFound("Lead not found.", field="lead_ids")
    return ids
