"""Groups from pairs: leads join a group only while they agree with all of it on average."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone

from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from duplicates.enums import Verdict
from duplicates.models import Decision, DuplicateGroup, DuplicatePair
from matching.clustering import clusters

# The mean probability between the members that joining a group takes.
AGREEMENT = 0.5
# Where pairs hang together beyond so many leads, the rest is left to the next scan.
_MOST_LEADS = 2_000
_LOCK = 0x6475706C
_BROKEN = """
SELECT found.id FROM duplicates_duplicategroup AS found
LEFT JOIN (
    SELECT pair.group_id, count(DISTINCT side.lead) AS leads
    FROM duplicates_duplicatepair AS pair CROSS JOIN LATERAL (VALUES (first_id), (second_id)) AS side (lead)
    WHERE pair.tenant_id = %(tenant)s AND pair.group_id IS NOT NULL GROUP BY pair.group_id
) AS held ON held.group_id = found.id
WHERE found.tenant_id = %(tenant)s AND coalesce(held.leads, 0) <> found.size
"""


def lock_pairs() -> None:
    """One at a time writes a tenant's pairs and groups, so that two who meet the same lead see each other's."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK, current_tenant_id() % 2**31])


def close_groups(*, lead_ids: Collection[int], by: Actor) -> bool:
    """Take leads that are gone out of their pairs and groups at once; False while somebody else writes these.

    Then what follows the leads' events does, a moment later: who holds locks on leads must not wait for that one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCK, current_tenant_id() % 2**31])
        row = cursor.fetchone()
    if not (row and row[0]):
        return False
    pairs = DuplicatePair.objects.filter(Q(first__in=lead_ids) | Q(second__in=lead_ids))
    held = list(pairs.values_list("first_id", "second_id", "group_id"))
    pairs.delete()
    if held:
        others = {lead for first, second, _group in held for lead in (first, second)} - set(lead_ids)
        regroup(lead_ids=others, replaced={group for _first, _second, group in held if group is not None}, by=by)
    return True


def mend_groups(*, by: Actor) -> int:
    """Make anew the groups whose pairs went with leads that were deleted for good. Answers how many."""
    with transaction.atomic():
        lock_pairs()
        with connection.cursor() as cursor:
            cursor.execute(_BROKEN, {"tenant": current_tenant_id()})
            broken = [row[0] for row in cursor.fetchall()]
        if broken:
            left = DuplicatePair.objects.filter(group__in=broken).values_list("first_id", "second_id")
            regroup(lead_ids={lead for pair in left for lead in pair}, replaced=broken, by=by)
    return len(broken)


def regroup(*, lead_ids: Iterable[int], replaced: Collection[int] = (), by: Actor) -> None:
    """Make the groups anew that these leads and whatever hangs on them are in. `replaced` groups lost their pairs already."""
    lock_pairs()
    leads, pairs = _connected(set(lead_ids))
    touching = DuplicatePair.objects.filter(Q(first__in=leads) | Q(second__in=leads), group__isnull=False)
    old = {*touching.values_list("group_id", flat=True), *replaced}
    found_at = dict(DuplicateGroup.objects.filter(pk__in=old).values_list("pk", "found_at"))
    before = {pair[0]: found_at[pair[3]] for pair in pairs if pair[3] in found_at}
    DuplicatePair.objects.filter(group__in=old).update(group=None)
    DuplicateGroup.objects.filter(pk__in=old).delete()
    write_groups([pair[:3] for pair in pairs], found_at=before)


def _connected(leads: set[int]) -> tuple[set[int], list[tuple[int, int, float, int | None]]]:
    """All leads that pairs connect with these, and those pairs."""
    pairs: dict[tuple[int, int], tuple[int, int, float, int | None]] = {}
    seen: set[int] = set()
    edge = set(leads)
    while edge and len(seen) < _MOST_LEADS + len(leads):
        seen |= edge
        met = DuplicatePair.objects.filter(Q(first__in=edge) | Q(second__in=edge)).values_list(
            "first_id", "second_id", "similarity", "group_id"
        )
        for pair in met:
            pairs[pair[:2]] = pair
        edge = {lead for pair in pairs for lead in pair} - seen
    return seen, list(pairs.values())


def write_groups(pairs: Sequence[tuple[int, int, float]], *, found_at: Mapping[int, datetime] | None = None) -> int:
    """Cluster pairs that are in no group yet, and store the groups. Answers how many.

    Pairs that somebody keeps separate hold nothing together.
    """
    decided = _decisions(pairs)
    usable = [pair for pair in pairs if decided.get(pair[:2], ("",))[0] != Verdict.SEPARATE]
    made = clusters(usable, agreement=AGREEMENT)
    place = {lead: number for number, members in enumerate(made) for lead in members}
    inside: dict[int, list[tuple[int, int, float]]] = defaultdict(list)
    for pair in usable:
        number = place.get(pair[0], -1)
        if number >= 0 and number == place.get(pair[1]):
            inside[number].append(pair)
    now = timezone.now()
    groups = [
        DuplicateGroup(
            similarity=max(similarity for _one, _other, similarity in inside[number]),
            size=len(members),
            later_until=_put_off([decided.get(pair[:2]) for pair in inside[number]]),
            found_at=min((found_at[lead] for lead in members if found_at and lead in found_at), default=now),
        )
        for number, members in enumerate(made)
    ]
    DuplicateGroup.objects.bulk_create(groups, batch_size=5_000)
    rows = [(groups[number].pk, one, other) for number, held in inside.items() for one, other, _similarity in held]
    _assign(rows)
    return len(groups)


def _assign(rows: Sequence[tuple[int, int, int]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE duplicates_duplicatepair AS pair SET group_id = made.group_id "
            "FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS made (group_id, first_id, second_id) "
            "WHERE pair.tenant_id = %s AND pair.first_id = made.first_id AND pair.second_id = made.second_id",
            [[row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], current_tenant_id()],
        )


def _decisions(pairs: Sequence[tuple[int, int, float]]) -> dict[tuple[int, int], tuple[str, datetime | None]]:
    """What is decided about these pairs: the verdict and until when."""
    leads = {pair[0] for pair in pairs}
    decided = Decision.objects.filter(Q(until=None) | Q(until__gt=timezone.now()))
    # Many leads at once are a scan's: then all decisions are read rather than asked for by id.
    decided = decided.filter(first__in=leads) if len(leads) <= _MOST_LEADS else decided
    return {
        (first, second): (verdict, until)
        for first, second, verdict, until in decided.values_list("first_id", "second_id", "verdict", "until")
    }


def _put_off(decided: Sequence[tuple[str, datetime | None] | None]) -> datetime | None:
    """Until when a group is put off: while all of its pairs are."""
    moments: list[Any] = [item[1] if item else None for item in decided]
    return min(moments) if moments and all(moments) else None
