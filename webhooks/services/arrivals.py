"""From an arrival to its lead: stored first, read afterwards, tried again with back-off, given up visibly.

What came in is committed before anything is made of it, so it is there whatever dies. Each arrival that is not done has a
job; whoever holds the job fetches what the payload only names outside any transaction, then captures the lead in one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError
from crm.events import nudge
from crm.tenancy.scope import current_tenant_id, tenant_scope
from leads.enums import ProcessingStatus
from leads.models import Arrival
from leads.services.drafts import LeadDraft
from leads.services.intake import capture_arrival, store_arrival
from webhooks.errors import NotFailed
from webhooks.models import ArrivalJob, Source
from webhooks.permissions import SOURCES
from webhooks.services.mapping import flatten

log = structlog.get_logger(__name__)
# Longer than any fetch may take. A killed worker's arrival stands still no longer.
LEASE = timedelta(seconds=60)
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=15), timedelta(hours=1)
# With doubling pauses some four hours.
MOST_ATTEMPTS = 10


class TryLater(Exception):
    """The other side is slow, away or over its limit. `after` is the pause it asked for."""

    def __init__(self, message: str, *, after: timedelta | None = None) -> None:
        super().__init__(message)
        self.after = after


class CannotRead(DomainError):
    """The arrival will not become a lead by trying again: somebody must mend the mapping or the source."""

    code = "CANNOT_READ"


@dataclass(frozen=True, kw_only=True)
class Reader:
    """How what came in at a door becomes a draft.

    `fetch`, where the payload only names the lead, asks the other side; what it answers is kept in the payload under
    `details`. It runs in no transaction, may raise TryLater or CannotRead, and must bound its own time. `draft` reads.
    `leaves` are the paths that rules of a mapping may name; the payload's own where it is None.
    """

    draft: Callable[[Arrival, Source | None], LeadDraft]
    fetch: Callable[[Arrival, Source | None], dict[str, object]] | None = None
    leaves: Callable[[Arrival], Mapping[str, str]] | None = None


_readers: dict[str, Reader] = {}


def read_with(door: str, reader: Reader) -> None:
    """Register who reads what came in at a door."""
    _readers[door] = reader


def accept(arrival: Arrival) -> Arrival:
    """Store what came in with a job, durably, and read it at once where nothing must be fetched first.

    A repeated source id answers the first arrival. Never raises for what the payload holds: that is the arrival's failure.
    """
    for_workers = _readers[arrival.door].fetch is not None
    with tenant_scope(arrival.tenant_id):
        stored, new = store_arrival(arrival)
        if new:
            due_at = timezone.now() + (timedelta() if for_workers else LEASE)
            ArrivalJob.objects.create(tenant_id=arrival.tenant_id, arrival_id=stored.pk, due_at=due_at)
    if not new:
        return stored
    if for_workers:
        nudge.once("webhooks.process_due")
        return stored
    process(stored.tenant_id, stored.pk)
    with tenant_scope(stored.tenant_id):
        stored.refresh_from_db()
    return stored


def accept_all(arrivals: Sequence[Arrival]) -> int:
    """Store many arrivals of one channel with their jobs, in the open tenant's transaction. Answers how many were not known yet.

    Takes no locks: of two deliveries of the same leads at once the unique key lets one in. They go in in one order, so that
    neither waits for the other in a ring.
    """
    if not arrivals:
        return 0
    channel = {"platform_key": arrivals[0].platform_key, "source_lead_id__in": [arrival.source_lead_id for arrival in arrivals]}
    known = set(Arrival.objects.filter(**channel).values_list("source_lead_id", flat=True))
    fresh = {arrival.source_lead_id: arrival for arrival in reversed(arrivals) if arrival.source_lead_id not in known}
    if not fresh:
        return 0
    Arrival.objects.bulk_create([fresh[key] for key in sorted(fresh)], ignore_conflicts=True, batch_size=1000)
    waiting = Arrival.objects.filter(
        platform_key=arrivals[0].platform_key, source_lead_id__in=list(fresh), processing_status=ProcessingStatus.RECEIVED
    )
    jobs = [ArrivalJob(tenant_id=current_tenant_id(), arrival_id=pk) for pk in waiting.order_by("pk").values_list("pk", flat=True)]
    ArrivalJob.objects.bulk_create(jobs, ignore_conflicts=True, batch_size=1000)
    transaction.on_commit(lambda: nudge.once("webhooks.process_due"))
    return len(fresh)


def process_due(*, limit: int = 1000) -> int:
    """Read what is due, oldest first. Safe in any number of workers at once."""
    nudge.starting("webhooks.process_due")
    done = 0
    while done < limit and (job := _claim()) is not None:
        process(job.tenant_id, job.arrival_id)
        done += 1
    return done


def _claim() -> ArrivalJob | None:
    now = timezone.now()
    with transaction.atomic():
        job = ArrivalJob.objects.select_for_update(skip_locked=True).filter(due_at__lte=now).order_by("due_at", "id").first()
        if job is not None:
            job.due_at = now + LEASE
            job.save(update_fields=["due_at"])
    return job


def process(tenant_id: int, arrival_id: int) -> None:
    """Read one arrival whose job the caller holds. What goes wrong is written on it; nothing is raised but the database's absence."""
    try:
        _read(tenant_id, arrival_id)
    except TryLater as trouble:
        _postpone(tenant_id, arrival_id, str(trouble), after=trouble.after)
    except DomainError as refusal:
        _give_up(tenant_id, arrival_id, refusal.message)
    except (OperationalError, InterfaceError):
        # The database went away: the lease runs out and another worker goes on.
        raise
    except Exception as error:
        log.exception("arrival_failed", tenant=tenant_id, arrival=arrival_id)
        _postpone(tenant_id, arrival_id, f"{type(error).__name__}: {error}")


def _read(tenant_id: int, arrival_id: int) -> None:
    actor = Actor.system(tenant_id=tenant_id, door=Door.WEBHOOK)
    with tenant_scope(tenant_id):
        arrival = Arrival.objects.filter(pk=arrival_id).first()
        if arrival is None or arrival.processing_status == ProcessingStatus.PROCESSED:
            ArrivalJob.objects.filter(arrival_id=arrival_id).delete()
            return
        source = source_of(arrival)
    reader = _readers[arrival.door]
    if reader.fetch is not None and "details" not in arrival.payload:
        details = reader.fetch(arrival, source)
        with tenant_scope(tenant_id, by=actor):
            arrival.payload = {**arrival.payload, "details": details}
            arrival.save(update_fields=["payload"])
    with tenant_scope(tenant_id, by=actor):
        capture_arrival(arrival_id=arrival_id, draft=reader.draft(arrival, source), by=actor)
        ArrivalJob.objects.filter(arrival_id=arrival_id).delete()


def source_of(arrival: Arrival) -> Source | None:
    """The source an arrival came in by, with its default owner."""
    if arrival.door_id is None or arrival.door == "website":
        return None
    return Source.objects.select_related("default_owner").filter(pk=arrival.door_id).first()


def draft_of(arrival: Arrival) -> LeadDraft:
    """What would be captured of an arrival as it is stored, with the present mapping. Raises DomainError."""
    return draft_by(arrival, source_of(arrival))


def draft_by(arrival: Arrival, source: Source | None) -> LeadDraft:
    """What would be captured of an arrival that came in by this source; it need not be stored. Raises DomainError."""
    return _readers[arrival.door].draft(arrival, source)


def leaves_of(arrival: Arrival) -> dict[str, str]:
    """What rules may name of an arrival: values by their paths."""
    reader = _readers.get(arrival.door)
    return dict(reader.leaves(arrival)) if reader is not None and reader.leaves is not None else flatten(arrival.payload)


def _postpone(tenant_id: int, arrival_id: int, message: str, *, after: timedelta | None = None) -> None:
    with tenant_scope(tenant_id):
        arrival = Arrival.objects.select_for_update(of=("self",)).get(pk=arrival_id)
        arrival.attempts += 1
        arrival.error = message[:500]
        if arrival.attempts >= MOST_ATTEMPTS:
            arrival.processing_status = ProcessingStatus.FAILED
            ArrivalJob.objects.filter(arrival_id=arrival_id).delete()
        else:
            pause = max(after or timedelta(), min(FIRST_PAUSE * 2 ** (arrival.attempts - 1), LONGEST_PAUSE))
            ArrivalJob.objects.filter(arrival_id=arrival_id).update(due_at=timezone.now() + pause)
        arrival.save(update_fields=["attempts", "error", "processing_status"])


def _give_up(tenant_id: int, arrival_id: int, message: str) -> None:
    with tenant_scope(tenant_id):
        Arrival.objects.filter(pk=arrival_id).update(processing_status=ProcessingStatus.FAILED, error=message[:500])
        ArrivalJob.objects.filter(arrival_id=arrival_id).delete()


# --- by hand ---


def replay_arrival(*, arrival_id: int, by: Actor) -> None:
    """Read a failed arrival anew, with the present mapping. One that has its lead is refused."""
    by.require(SOURCES)
    if not _open_again([arrival_id]):
        raise NotFailed("This arrival has not failed.")


def replay_failed(*, door: str = "", door_id: int | None = None, by: Actor) -> int:
    """Read all failed arrivals anew, or those of a door or source. Answers how many."""
    by.require(SOURCES)
    failed = Arrival.objects.filter(processing_status=ProcessingStatus.FAILED)
    if door:
        failed = failed.filter(door=door)
    if door_id is not None:
        failed = failed.filter(door_id=door_id)
    return _open_again(list(failed.values_list("pk", flat=True)))


def _open_again(ids: list[int]) -> int:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            """
            WITH opened AS (
                UPDATE leads_arrival SET processing_status = 'received', attempts = 0, error = ''
                WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s) AND processing_status = 'failed' RETURNING id
            )
            INSERT INTO webhooks_arrivaljob (tenant_id, arrival_id, due_at) SELECT %(tenant)s, id, now() FROM opened
            ON CONFLICT (arrival_id) DO UPDATE SET due_at = excluded.due_at
            """,
            {"tenant": current_tenant_id(), "ids": ids},
        )
        opened = cursor.rowcount
        transaction.on_commit(lambda: nudge.once("webhooks.process_due"))
    return opened
