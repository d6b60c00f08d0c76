"""A telephone company that calls nobody: people pick up, are busy, are out, hang up and say things, by dice that fall the same way each time.

What becomes of a call depends on its number and attempt alone, so that a day can be called again and end the same. Its reports are rows
that a worker reads when they are due; the calls and those rows are committed together.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from django.db import connection

from crm.tenancy.scope import tenant_scope
from dialer.enums import AnsweredBy, CallStatus, ProviderName
from dialer.models import SimulatedStep
from dialer.services.telephony.base import Order, Placement, Progress, ProviderTrouble, Recording

TALKS = (
    (
        40,
        "",
        (
            "Hello?",
            "Yes, that is me.",
            "We have been looking at something like this for our {team}.",
            "Send me the details, that sounds good.",
        ),
    ),
    (16, "not_interested", ("Hello?", "I see.", "No, we are not interested, we have a contract until next year.")),
    (14, "callback", ("Hello?", "It is a bad time, I am in a meeting.", "Please call me back tomorrow.")),
    (10, "hung_up", ("Hello?",)),
    (5, "wrong_number", ("Hello?", "There is nobody by that name, you have the wrong number.")),
    (3, "do_not_call", ("Hello?", "Please do not call me again.")),
)
_TEAMS = ("service team", "field staff", "new office", "online shop")
# The number of the report that a call was ended by us: it stands alone.
_HANG_UP = 99
# Of a hundred calls, how many come to what.
_FATES = ((47, "human"), (14, "machine"), (25, "no_answer"), (8, "busy"), (6, "failed"))


@dataclass(frozen=True, kw_only=True)
class Fate:
    """What becomes of a call."""

    kind: str
    rings: int
    talks: int
    transcript: str = ""


def fate_of(*, phone: str, attempt: int, ring_seconds: int) -> Fate:
    """Roll the dice of a call; the same for the same number and attempt."""
    dice = random.Random(f"{phone}:{attempt}")  # noqa: S311 -- the same each time
    kind = dice.choices([name for _, name in _FATES], [share for share, _ in _FATES])[0]
    rings = dice.randint(3, max(ring_seconds - 3, 4))
    if kind != "human":
        seconds = {"machine": dice.randint(8, 25), "no_answer": 0, "busy": 0, "failed": 0}[kind]
        return Fate(kind=kind, rings=ring_seconds if kind == "no_answer" else rings if kind == "machine" else 2, talks=seconds)
    _share, name, lines = dice.choices(TALKS, [talk[0] for talk in TALKS])[0]
    team = dice.choice(_TEAMS)
    talks = dice.randint(2, 7) if name == "hung_up" else dice.randint(25, 300)
    spoken = ["Agent: Good day, this is a call about your inquiry."] + [f"Lead: {line.format(team=team)}" for line in lines]
    return Fate(kind=kind, rings=rings, talks=talks, transcript="\n".join(spoken))


class Simulator:
    """Stands in for a telephone company."""

    name: ClassVar[str] = ProviderName.SIMULATOR
    joins_transaction: ClassVar[bool] = True
    at_once: ClassVar[int] = 500

    def __init__(self, *, tenant_id: int) -> None:
        self.tenant_id = tenant_id

    def place(self, orders: Sequence[Order], *, now: datetime) -> list[Placement]:
        steps = [(order.call_id, *step) for order in orders for step in _steps(order)]
        with tenant_scope(self.tenant_id), connection.cursor() as cursor:
            cursor.execute(
                """
                INSERT INTO dialer_simulatedstep (tenant_id, call_id, number, status, answered_by, due_at)
                SELECT %s, call_id, number, status, answered_by, %s + make_interval(secs => seconds)
                FROM unnest(%s::bigint[], %s::smallint[], %s::varchar[], %s::varchar[], %s::integer[])
                    AS step (call_id, number, status, answered_by, seconds)
                ON CONFLICT DO NOTHING
                """,
                [self.tenant_id, now, *(list(column) for column in zip(*steps, strict=True))],
            )
        return [Placement(provider_call_id=self.id_of(order.public_id)) for order in orders]

    def hang_up(self, provider_call_id: str, *, call_id: int, was_answered: bool, now: datetime) -> None:
        status = CallStatus.COMPLETED if was_answered else CallStatus.CANCELED
        with tenant_scope(self.tenant_id):
            SimulatedStep.objects.filter(call_id=call_id).delete()
            SimulatedStep.objects.create(tenant_id=self.tenant_id, call_id=call_id, number=_HANG_UP, status=status, due_at=now)

    def find(self, order: Order, *, provider_call_id: str, taken: Collection[str], now: datetime) -> Progress | None:
        with tenant_scope(self.tenant_id):
            waiting = SimulatedStep.objects.filter(tenant_id=self.tenant_id, call_id=order.call_id).exists()
        if not waiting:
            return None
        return Progress(provider_call_id=self.id_of(order.public_id), fingerprint="found", at=now)

    def place_leg(self, *, session: str, phone: str, caller_id: str, now: datetime) -> str:
        return ""

    def fetch_recording(self, address: str) -> Recording:
        raise ProviderTrouble("The simulator records nothing.")

    @staticmethod
    def id_of(public_id: str) -> str:
        return f"sim-{public_id}"


def _steps(order: Order) -> list[tuple[int, str, str, int]]:
    """What will be reported of a call: the report's number, the status, who answered, and after how many seconds."""
    fate = fate_of(phone=order.phone, attempt=order.attempt, ring_seconds=order.ring_seconds)
    told: list[tuple[str, str, int]] = [(str(CallStatus.RINGING), "", 1)]
    if fate.kind in ("human", "machine"):
        told_apart = fate.kind == "human" or order.detect_machines
        told.append((str(CallStatus.IN_PROGRESS), str(AnsweredBy(fate.kind)) if told_apart else "", fate.rings))
        told.append((str(CallStatus.COMPLETED), "", fate.rings + fate.talks))
    else:
        told.append((fate.kind, "", fate.rings))
    return [(number, *step) for number, step in enumerate(told)]


def next_step(*, now: datetime, tenant_id: int | None = None) -> SimulatedStep | None:
    """Lock the next report that is due, of one tenant or of any active one; the earlier reports of a call come first."""
    found = SimulatedStep.objects.raw(
        """
        SELECT step.* FROM dialer_simulatedstep AS step
        JOIN tenancy_tenant AS t ON t.id = step.tenant_id
        WHERE step.due_at <= %s AND (step.tenant_id = %s OR (%s::bigint IS NULL AND t.is_active)) AND NOT EXISTS (
            SELECT FROM dialer_simulatedstep AS earlier WHERE earlier.call_id = step.call_id AND earlier.number < step.number
        )
        ORDER BY step.due_at, step.id LIMIT 1 FOR UPDATE OF step SKIP LOCKED
        """,
        [now, tenant_id, tenant_id],
    )
    return next(iter(found), None)
