"""Hand calls to the telephone company, outside any transaction, and note what became of them.

A worker may die between the claim and the order, or between the order and its note. `held_until` is when somebody else asks the company.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import structlog
from django.db import connection, transaction
from django.db.models import Q

from crm.actors import Actor
from crm.events import nudge
from crm.events.bus import publish
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from dialer.enums import LIVE, CallResult, CallStatus, PauseReason, ProviderName, SessionState
from dialer.events import CallStarted
from dialer.models import Call, CallingAgent, DialerSettings, DialSession
from dialer.services.progress import HANG_UP, end_leg, note_progress
from dialer.services.session_state import set_state
from dialer.services.settings import provider_of, settings_now
from dialer.services.settling import UNSAID, lock_call, settle_call
from dialer.services.telephony.base import Clock, Order, Placement, Provider, ProviderTrouble

log = structlog.get_logger(__name__)
PLACE = "dialer.place_waiting"
# Longer than placing a batch may take: a claimed call that was not placed by then is asked for at the company.
LEASE = timedelta(seconds=60)
# A worker that comes to an order so late leaves it: another may have asked for it meanwhile.
_TOO_LATE = LEASE / 2
# After which a call that rings, or goes on, is asked for: its reports may have been lost.
RING_GRACE, TALK_GRACE = timedelta(seconds=60), timedelta(minutes=15)
# A person's call that waited for a worker so long is not made any more.
_STALE = timedelta(seconds=60)
AT_ONCE = 500
DEFAULT_RING = 25
# Stands for the id of a person's own call until the company has given one.
CALLING = "calling"


def order_for(call: Call, agent: CallingAgent | None, settings: DialerSettings) -> Order:
    """A call as the company is told of it."""
    return Order(
        call_id=call.pk,
        public_id=str(call.public_id),
        phone=call.phone,
        caller_id=call.caller_id,
        attempt=call.attempt,
        ring_seconds=agent.ring_seconds if agent else DEFAULT_RING,
        detect_machines=agent.detect_machines if agent else False,
        record=settings.record_calls,
        for_person=call.user_id is not None,
        created_at=call.created_at,
    )


def place_calls(*, tenant_id: int, calls: Sequence[Call], now: datetime, clock: Clock | None = None, by: Actor) -> int:
    """Place claimed calls and note it. Answers how many were placed. Stands in no transaction, but for the simulator's calls.

    Without a `clock` all of it happens `now`.
    """
    if not calls:
        return 0
    clock = clock or (lambda: now)
    with tenant_scope(tenant_id, by=by):
        settings = settings_now()
        provider = provider_of(settings)
        agents = CallingAgent.objects.in_bulk({call.agent_id for call in calls if call.agent_id is not None})
    placed = 0
    # Each order of an outside company is noted before the next is given.
    size = AT_ONCE if provider.joins_transaction else 1
    for start in range(0, len(calls), size):
        with tenant_scope(tenant_id, by=by):
            held = _still_held(calls[start : start + size], now=clock())
        some = [order_for(call, agents.get(call.agent_id or 0), settings) for call in held]
        if not some:
            continue
        late = any(clock() - call.held_until > _TOO_LATE - LEASE for call in held if call.held_until)
        placements = (
            [Placement(not_placed=True, trouble="The worker was too slow.")] * len(some) if late else provider.place(some, now=clock())
        )
        with tenant_scope(tenant_id, by=by):
            placed += note_placements(orders=some, placements=placements, now=clock(), by=by)
    return placed


def _still_held(calls: Sequence[Call], *, now: datetime) -> list[Call]:
    """Of claimed calls those that this worker still has and that are still wanted: nobody ended them, or asked the company for them.

    Their leases begin anew, so that nobody asks while they are being ordered.
    """
    wanted = Call.objects.filter(
        Q(session=None) | Q(session__ended_at=None),
        pk__in=[call.pk for call in calls], status=CallStatus.QUEUED, placed_at=None, provider_call_id="", held_until__gt=now,
    )  # fmt: skip
    leases = dict(wanted.order_by("pk").select_for_update(of=("self",)).values_list("pk", "held_until"))
    held = [call for call in calls if call.held_until is not None and leases.get(call.pk) == call.held_until]
    Call.objects.filter(pk__in=[call.pk for call in held]).update(held_until=now + LEASE)
    return held


def note_placements(*, orders: Sequence[Order], placements: Sequence[Placement], now: datetime, by: Actor) -> int:
    """Write down what became of orders, in the open tenant."""
    both = list(zip(orders, placements, strict=True))
    taken = [(order, placement) for order, placement in both if placement.provider_call_id]
    if taken:
        started = _note_placed(taken, now)
        for call_id, known_as, result, lead_id, user_id in started:
            if result == CallResult.NOT_PLACED:
                _end_unwanted(call_id, known_as)
                continue
            publish(CallStarted(call_id=call_id, lead_id=lead_id, user_id=user_id))
    for order, placement in both:
        if placement.provider_call_id:
            continue
        log.warning("call_not_placed", call=order.call_id, trouble=placement.refused or placement.trouble)
        Call.objects.filter(pk=order.call_id).update(error=(placement.refused or placement.trouble)[:300])
        if placement.refused or placement.not_placed:
            _settle_unplaced(order.call_id, CallResult.FAILED if placement.refused else CallResult.NOT_PLACED, now=now, by=by)
    return len(taken)


def _note_placed(taken: Sequence[tuple[Order, Placement]], now: datetime) -> list[tuple[int, str, str, int | None, int | None]]:
    """One statement for all. Who was reported of before its order was noted keeps what was reported."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE dialer_call AS c SET provider_call_id = v.known_as, placed_at = CASE WHEN c.result <> %(given_up)s THEN %(now)s::timestamptz END,
                held_until = CASE WHEN c.ended_at IS NULL THEN %(now)s + make_interval(secs => v.rings + %(grace)s) END
            FROM unnest(%(ids)s::bigint[], %(known)s::varchar[], %(rings)s::integer[]) AS v (id, known_as, rings)
            WHERE c.tenant_id = %(tenant)s AND c.id = v.id AND c.placed_at IS NULL AND c.provider_call_id IN ('', v.known_as)
            RETURNING c.id, c.provider_call_id, c.result, c.lead_id, c.user_id
            """,
            {
                "now": now,
                "given_up": CallResult.NOT_PLACED,
                "grace": RING_GRACE.total_seconds(),
                "ids": [order.call_id for order, _ in taken],
                "known": [placement.provider_call_id for _, placement in taken],
                "rings": [order.ring_seconds for order, _ in taken],
                "tenant": current_tenant_id(),
            },
        )
        return cursor.fetchall()


def _end_unwanted(call_id: int, provider_call_id: str) -> None:
    """It was given up, or its person hung up, while it was being ordered: nobody may be called twice at once, so it is ended."""
    tenant_id = current_tenant_id()
    transaction.on_commit(lambda: nudge.task(HANG_UP, tenant_id=tenant_id, call_id=call_id, provider_call_id=provider_call_id))


def _settle_unplaced(call_id: int, result: CallResult, *, now: datetime, by: Actor) -> None:
    locked = lock_call(call_id, with_lead=True)
    if locked is not None and locked.call.status == CallStatus.QUEUED:
        settle_call(locked=locked, result=result, now=now, by=by)


# --- calls that people asked for ---


def place_soon(*, call: Call, now: datetime, by: Actor) -> None:
    """Have a call placed that was made in a request: at once where it joins the transaction, else by a worker after commit."""
    settings = settings_now()
    provider = provider_of(settings)
    if provider.joins_transaction:
        agent = CallingAgent.objects.filter(pk=call.agent_id).first() if call.agent_id else None
        order = order_for(call, agent, settings)
        note_placements(orders=[order], placements=provider.place([order], now=now), now=now, by=by)
    else:
        place_later()


def place_later() -> None:
    """Have a worker place what waits, after commit."""
    transaction.on_commit(lambda: nudge.once(PLACE))


def place_waiting(*, now: datetime, clock: Clock | None = None) -> int:
    """Place what people asked for and nobody has taken, in every tenant. Safe in any number of workers at once."""
    nudge.starting(PLACE)
    done, clock = 0, clock or (lambda: now)
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        by, now = Actor.system(tenant_id=tenant_id, label="Dialer"), clock()
        try:
            with tenant_scope(tenant_id, by=by):
                waiting = Call.objects.filter(status__in=LIVE, placed_at=None, held_until=None, provider_call_id="")
                calls = list(waiting.order_by("pk").select_for_update(of=("self",), skip_locked=True)[:AT_ONCE])
                for call in calls:
                    call.held_until = now + LEASE
                Call.objects.filter(pk__in=[call.pk for call in calls]).update(held_until=now + LEASE)
            fresh = [call for call in calls if now - call.created_at <= _STALE]
            with tenant_scope(tenant_id, by=by):
                for call in calls:
                    if call not in fresh:
                        _settle_unplaced(call.pk, CallResult.NOT_PLACED, now=now, by=by)
            done += place_calls(tenant_id=tenant_id, calls=fresh, now=now, clock=clock, by=by)
            call_legs(tenant_id=tenant_id, now=clock(), clock=clock)
        except Exception:
            # One tenant's trouble is not the next one's.
            log.exception("calls_not_placed", tenant=tenant_id)
    return done


# --- what nobody heard of any more ---


def return_leases(*, now: datetime, clock: Clock | None = None) -> int:
    """Ask the company for calls whose worker, or whose reports, went missing, in every tenant. Answers how many were asked for."""
    asked, clock = 0, clock or (lambda: now)
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        try:
            asked += return_leases_of(tenant_id=tenant_id, now=clock(), clock=clock)
        except Exception:
            log.exception("leases_not_returned", tenant=tenant_id)
    return asked


def return_leases_of(*, tenant_id: int, now: datetime, clock: Clock | None = None) -> int:
    """The same for one tenant."""
    clock = clock or (lambda: now)
    by = Actor.system(tenant_id=tenant_id, label="Dialer")
    with tenant_scope(tenant_id, by=by):
        lost = Call.objects.filter(held_until__lte=now, status__in=LIVE)
        calls = list(lost.order_by("held_until", "pk").select_for_update(of=("self",), skip_locked=True)[:AT_ONCE])
        Call.objects.filter(pk__in=[call.pk for call in calls]).update(held_until=now + LEASE)
        settings = settings_now()
        provider = provider_of(settings) if calls else None
        agents = CallingAgent.objects.in_bulk({call.agent_id for call in calls if call.agent_id is not None})
    for call in calls:
        assert provider is not None
        if clock() - now > _TOO_LATE:
            # The rest comes due again.
            break
        try:
            _resolve(call, order_for(call, agents.get(call.agent_id or 0), settings), provider, clock=clock, by=by)
        except Exception:
            # One call's trouble is not the next one's.
            log.exception("call_not_resolved", call=call.pk)
    _settle_unsaid(tenant_id, now=now, by=by)
    return len(calls)


def _resolve(call: Call, order: Order, provider: Provider, *, clock: Clock, by: Actor) -> None:
    with tenant_scope(call.tenant_id, by=by):
        taken = _ids_of_others(call)
    try:
        found = provider.find(order, provider_call_id=call.provider_call_id, taken=taken, now=clock())
    except ProviderTrouble as trouble:
        log.warning("call_not_found_out", call=call.pk, trouble=str(trouble))
        return
    now = clock()
    with tenant_scope(call.tenant_id, by=by):
        if found is not None:
            if not call.placed_at and found.provider_call_id:
                known = [Placement(provider_call_id=found.provider_call_id)]
                note_placements(orders=[order], placements=known, now=now, by=by)
            note_progress(call_id=call.pk, progress=found, now=now, by=by)
            Call.objects.filter(pk=call.pk, status=CallStatus.IN_PROGRESS).update(held_until=now + TALK_GRACE)
            return
        locked = lock_call(call.pk, with_lead=True)
        # What was reported while we asked is newer than the answer.
        if locked is None or not locked.call.is_live or locked.call.status != call.status:
            return
        placed = bool(call.placed_at or call.provider_call_id)
        locked.call.error = "The telephone company knows no such call."
        settle_call(locked=locked, result=CallResult.FAILED if placed else CallResult.NOT_PLACED, now=now, by=by)


def _ids_of_others(call: Call) -> Collection[str]:
    """By which ids the company knows other calls to the same number of these days."""
    others = Call.objects.filter(phone=call.phone, created_at__gte=call.created_at - timedelta(days=2)).exclude(pk=call.pk)
    return set(others.exclude(provider_call_id="").order_by().values_list("provider_call_id", flat=True))


def _settle_unsaid(tenant_id: int, *, now: datetime, by: Actor) -> None:
    """A conversation of which nobody said in a day what came of it took place."""
    with tenant_scope(tenant_id, by=by):
        unsaid = Call.objects.filter(awaits_outcome=True, ended_at__lte=now - UNSAID).order_by("pk").values_list("pk", flat=True)
        for call_id in list(unsaid[:AT_ONCE]):
            locked = lock_call(call_id, with_lead=True)
            if locked is not None and locked.call.awaits_outcome:
                settle_call(locked=locked, result=CallResult.COMPLETED, now=now, by=by)


# --- people's own lines ---


def call_legs(*, tenant_id: int, now: datetime, clock: Clock | None = None) -> int:
    """Call the own phones of those who began a session into their lines, where the company needs that."""
    called, clock = 0, clock or (lambda: now)
    by = Actor.system(tenant_id=tenant_id, label="Dialer")
    for _ in range(AT_ONCE):
        with tenant_scope(tenant_id, by=by):
            settings = settings_now()
            if settings.provider == ProviderName.SIMULATOR:
                return 0
            provider = provider_of(settings)
            session = _claim_leg(now=clock())
        if session is None:
            break
        try:
            known_as = provider.place_leg(
                session=str(session.public_id),
                phone=session.own_phone,
                caller_id=session.agent.caller_id or settings.caller_id,
                now=clock(),
            )
        except ProviderTrouble as trouble:
            log.warning("own_phone_not_called", session=session.pk, trouble=str(trouble))
            known_as = ""
        with tenant_scope(tenant_id, by=by):
            _note_leg(session.pk, known_as, now=clock())
        called += bool(known_as)
    return called


def _claim_leg(*, now: datetime) -> DialSession | None:
    """Take a line before it is called: nobody's phone rings twice. What a worker that died had is taken anew after its lease."""
    free = Q(own_call_id="") | Q(own_call_id=CALLING, own_call_held_until__lte=now)
    waiting = DialSession.objects.filter(free, ended_at=None).exclude(own_phone="").exclude(state=SessionState.PAUSED)
    session = waiting.select_related("agent").order_by("pk").select_for_update(of=("self",), skip_locked=True).first()
    if session is not None:
        DialSession.objects.filter(pk=session.pk).update(own_call_id=CALLING, own_call_held_until=now + LEASE, own_answered_at=None)
    return session


def _note_leg(session_id: int, known_as: str, *, now: datetime) -> None:
    """Without a line nobody can be joined to the person: the session pauses, and going on calls their phone again."""
    session = DialSession.objects.select_for_update(of=("self",)).filter(pk=session_id, own_call_id=CALLING).first()
    if session is None:
        return
    session.own_call_id = known_as
    if session.ended_at is not None:
        session.save(update_fields=["own_call_id"])
        if known_as:
            end_leg(session)
    elif known_as:
        session.save(update_fields=["own_call_id"])
    else:
        set_state(session, SessionState.PAUSED, now=now, pause_reason=PauseReason.LOST_NETWORK)
