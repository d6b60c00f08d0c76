"""Take what is due out of a queue: for the machine many at once, for a person one. Nobody else takes the same.

Entries are locked with SKIP LOCKED, looked at together, and either become calls in the same transaction, or are put aside until they
may be called. A live call holds its number by a unique key, whatever queue it comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from dialer.enums import CallStatus, EntryStatus, WaitReason
from dialer.models import Call, CallingAgent, DialSession, QueueEntry, public_id
from dialer.services.limits import LOOK_AGAIN, Candidate, Verdict, facts_for, live_calls, verdict
from dialer.services.placing import LEASE
from dialer.services.settings import settings_now

# So many entries are looked at in one transaction.
BATCH = 500
# For a person: few at a time, since most are callable.
_FEW = 25
_MOST_LOOKS = 40
# How long an entry lies in front of a person who is not heard of any more.
IN_FRONT = timedelta(seconds=90)
_COLUMNS = ("search", "custom_fields")


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """What a look at the queue gave. `is_empty` when nothing more was due, `is_full` when all lines are in use."""

    calls: list[Call]
    put_aside: int = 0
    is_empty: bool = False
    is_full: bool = False


def claim_due(*, agent_id: int, most: int, worker: str, now: datetime, by: Actor) -> Claimed:
    """Claim up to `most` due entries of an automated agent as queued calls, in the open tenant. Others may claim at the same time."""
    with transaction.atomic():
        # Held until commit, so that two workers together do not take more lines than there are.
        agent = (
            CallingAgent.objects.select_for_update(of=("self",), no_key=True).filter(pk=agent_id, deleted_at=None, is_active=True).first()
        )
        if agent is None:
            return Claimed(calls=[], is_empty=True)
        free = agent.most_calls - live_calls([agent_id]).get(agent_id, 0)
        if free <= 0:
            return Claimed(calls=[], is_full=True)
        wanted = min(most, free, BATCH)
        waiting = QueueEntry.objects.filter(agent_id=agent_id, deleted_at=None, next_at__lte=now).exclude(status=EntryStatus.DONE)
        entries = _locked(waiting, wanted)
        free_ones, put_aside = _sorted_out(entries, agent, now=now)
        calls = _made(free_ones, agent, worker=worker, now=now) if free_ones else []
        return Claimed(calls=calls, put_aside=put_aside, is_empty=len(entries) < wanted, is_full=len(calls) == free)


def _locked(waiting: QuerySet[QueueEntry], most: int) -> list[QueueEntry]:
    """The next in the order of dialling. What was asked for at once is read on its own, so that each read goes along the index."""
    found: list[QueueEntry] = []
    for at_once in (True, False):
        rows = waiting.filter(is_immediate=at_once).order_by("next_at", "pk").defer(*_COLUMNS)
        if len(found) < most:
            found += list(rows.select_for_update(of=("self",), skip_locked=True)[: most - len(found)])
    return found


def _sorted_out(
    entries: Sequence[QueueEntry], agent: CallingAgent, *, now: datetime, user_id: int | None = None, most: int | None = None
) -> tuple[list[QueueEntry], int]:
    """Those that may be called, one a number, `most` at most; the others are put aside until they may be."""
    cases = [Candidate.of(entry) for entry in entries]
    facts = facts_for(cases, now=now, user_id=user_id, agents=[agent])
    # Lines were counted by the caller.
    facts.lines_in_use = {}
    may: list[QueueEntry] = []
    aside: list[tuple[int, datetime, str]] = []
    leads: dict[int, int] = {}
    for entry, case in zip(entries, cases, strict=True):
        if most is not None and len(may) >= most:
            break
        found = verdict(case, facts)
        if found.may_call:
            # Two entries of one lead count together against the day's limit.
            leads[entry.lead_id] = leads.get(entry.lead_id, 0) + 1
            if leads[entry.lead_id] > 1:
                found = Verdict(may_call=False, reason=WaitReason.NUMBER_BUSY, at=now + timedelta(minutes=5))
            else:
                facts.live[entry.phone] = None
                may.append(entry)
                continue
        aside.append((entry.pk, _until(found, now), str(found.reason)))
    _put_aside(aside)
    return may, len(aside)


def _until(found: Verdict, now: datetime) -> datetime:
    """When an entry that may not be called is looked at next: later than now, whatever was found."""
    return max(found.at or now + LOOK_AGAIN, now + timedelta(minutes=1))


def _put_aside(rows: Sequence[tuple[int, datetime, str]]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_queueentry AS e SET next_at = v.next_at, waits_for = v.reason, held_by = ''
            FROM unnest(%s::bigint[], %s::timestamptz[], %s::varchar[]) AS v (id, next_at, reason)
            WHERE e.tenant_id = %s AND e.id = v.id
            """,
            [[row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows], current_tenant_id()],
        )


def _made(
    entries: Sequence[QueueEntry], agent: CallingAgent, *, worker: str, now: datetime, session: DialSession | None = None
) -> list[Call]:
    """Calls for locked entries, and the entries held by them. A number that another queue has just begun to call is put aside."""
    made = insert_calls(entries, agent, now=now, session=session, held_until=now + LEASE if session is None else None)
    by_entry = {call.entry_id: call for call in made}
    holder = worker[:60]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_queueentry SET held_by = %s, next_at = %s, status = %s, waits_for = '', updated_at = %s
            WHERE tenant_id = %s AND id = ANY(%s)
            """,
            [holder, now + LOOK_AGAIN, EntryStatus.IN_PROGRESS, now, current_tenant_id(), list(by_entry)],
        )
    _put_aside([(entry.pk, now + timedelta(minutes=5), WaitReason.NUMBER_BUSY) for entry in entries if entry.pk not in by_entry])
    return made


def insert_calls(
    entries: Sequence[QueueEntry], agent: CallingAgent, *, now: datetime, session: DialSession | None, held_until: datetime | None
) -> list[Call]:
    """Insert queued calls in one statement, in the order of their numbers, so that two claims never wait for one another in a ring."""
    settings = settings_now()
    ordered = sorted(entries, key=lambda entry: entry.phone)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO dialer_call (
                tenant_id, public_id, entry_id, lead_id, agent_id, user_id, session_id, activity_id, lead_name, phone, agent_name, caller_id,
                mode, attempt, status, result, outcome, answered_by, awaits_outcome, held_until, duration_seconds, previous_at, provider,
                provider_call_id, provider_sequence, error, recording, transcript, summary, notes, created_at)
            SELECT e.tenant_id, v.public_id, e.id, e.lead_id, e.agent_id, %(user)s, %(session)s, NULL, e.first_name, e.phone, %(agent_name)s,
                %(caller_id)s, %(mode)s, e.attempts_count + 1, %(queued)s, '', '', '', false, %(held_until)s, 0, e.last_called_at, %(provider)s,
                '', -1, '', '', '', '', '', %(now)s
            FROM unnest(%(ids)s::bigint[], %(public_ids)s::uuid[]) WITH ORDINALITY AS v (id, public_id, place)
            JOIN dialer_queueentry AS e ON e.tenant_id = %(tenant)s AND e.id = v.id
            ORDER BY v.place
            ON CONFLICT (tenant_id, phone) WHERE status IN ('queued', 'ringing', 'in_progress') DO NOTHING
            RETURNING id, public_id, entry_id, lead_id, phone, attempt
            """,
            {
                "tenant": current_tenant_id(),
                "ids": [entry.pk for entry in ordered],
                "public_ids": [public_id() for _ in ordered],
                "user": session.user_id if session else None,
                "session": session.pk if session else None,
                "agent_name": agent.name,
                "caller_id": agent.caller_id or settings.caller_id,
                "mode": session.mode if session else "",
                "queued": CallStatus.QUEUED,
                "held_until": held_until,
                "provider": settings.provider,
                "now": now,
            },
        )
        rows = cursor.fetchall()
    return [
        Call(
            id=pk, tenant_id=current_tenant_id(), public_id=known_as, entry_id=entry_id, lead_id=lead_id, phone=phone, attempt=attempt,
            agent_id=agent.pk, user_id=session.user_id if session else None, session_id=session.pk if session else None,
            caller_id=agent.caller_id or settings.caller_id, provider=settings.provider, held_until=held_until, created_at=now,
        )
        for pk, known_as, entry_id, lead_id, phone, attempt in rows
    ]  # fmt: skip


# --- for a person ---


def claim_next(*, session: DialSession, most: int = 1, now: datetime, by: Actor) -> list[QueueEntry]:
    """Lock the next entries that a person may call, and lay them in front of them; empty where there are none.

    First the callbacks agreed with them, then what was asked for at once, then in the order in which it is due. In the caller's transaction.
    """
    agent = CallingAgent.objects.get(pk=session.agent_id)
    waiting = QueueEntry.objects.filter(agent_id=agent.pk, deleted_at=None, next_at__lte=now).exclude(status=EntryStatus.DONE)
    if session.batch_id is not None:
        waiting = waiting.filter(batch_id=session.batch_id)
    own = waiting.filter(callback_for_id=session.user_id)
    open_to_all = waiting.filter(callback_for_id=None)
    found: list[QueueEntry] = []
    for rows in (own, open_to_all.filter(is_immediate=True), open_to_all.filter(is_immediate=False)):
        for _look in range(_MOST_LOOKS):
            if len(found) >= most:
                break
            locked = rows.exclude(pk__in=[entry.pk for entry in found]).order_by("next_at", "pk").defer("search")
            some = list(locked.select_for_update(of=("self",), skip_locked=True)[:_FEW])
            may, _put = _sorted_out(some, agent, now=now, user_id=session.user_id, most=most - len(found))
            found += [entry for entry in may if entry.lead_id not in {known.lead_id for known in found}]
            if len(some) < _FEW or may:
                break
    hold(found, session=session, now=now)
    return found


def hold(entries: Sequence[QueueEntry], *, session: DialSession, now: datetime) -> None:
    """Keep entries in front of a person for as long as they are heard of."""
    if entries:
        QueueEntry.objects.filter(pk__in=[entry.pk for entry in entries]).update(
            held_by=holder_of(session), next_at=now + IN_FRONT, updated_at=now
        )


def release(entry_id: int, *, session: DialSession, at: datetime) -> None:
    """Give back what lay in front of a person and was not called."""
    QueueEntry.objects.filter(Q(pk=entry_id), held_by=holder_of(session)).update(held_by="", next_at=at)


def holder_of(session: DialSession) -> str:
    return f"session:{session.pk}"


def call_entries(entries: Sequence[QueueEntry], *, session: DialSession, now: datetime) -> list[Call]:
    """Queued calls of a person for entries they hold. A number that is being called by somebody else is left out."""
    agent = CallingAgent.objects.get(pk=session.agent_id)
    return _made(entries, agent, worker=holder_of(session), now=now, session=session)
