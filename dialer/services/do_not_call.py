"""Numbers that must not be called. Anybody who calls may add one; taking one off is for who manages the queues."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.bulk import insert_records
from crm.errors import Forbidden, InvalidInput, NotFound
from crm.normal import clean_text, e164
from crm.tenancy.models import current_tenant
from dialer.errors import NoSuchAgent
from dialer.models import CallingAgent, DoNotCall
from dialer.permissions import CALL, MANAGE
from dialer.services.waking import look_again
from leads.services.intake import lock_keys

MOST_REASON = 200


class NoSuchNumber(NotFound):
    def __init__(self) -> None:
        super().__init__("Number not found")


def add_number(
    *, phone: str, agent_id: int | None = None, until: date | None = None, reason: str = "", now: datetime, by: Actor
) -> DoNotCall:
    """List a number, in any notation, for everybody or for one agent. One that is listed gets the longer time, and the reason given.

    Raises InvalidInput, NoSuchAgent.
    """
    if not (by.can(MANAGE) or by.can(CALL)):
        raise Forbidden("You do not have permission to do this.", details={"required": MANAGE})
    if agent_id is not None and not CallingAgent.objects.filter(pk=agent_id, deleted_at=None).exists():
        raise NoSuchAgent
    number = readable(phone)
    with transaction.atomic():
        lock_keys({number})
        listed = DoNotCall.objects.filter(phone=number, agent_id=agent_id).first()
        if listed is None:
            return DoNotCall.objects.create(
                phone=number, agent_id=agent_id, until=until, reason=_reason(reason), created_by_id=by.user_id, created_via=str(by.door),
                created_at=now,
            )  # fmt: skip
        listed.until = longer(listed.until, until)
        listed.reason = _reason(reason) or listed.reason
        listed.save(update_fields=["until", "reason"])
    return listed


def remove_number(*, pk: int, by: Actor) -> None:
    """Take a number off its list; what waited for it is looked at anew. Raises NoSuchNumber."""
    by.require(MANAGE)
    with transaction.atomic():
        listed = DoNotCall.objects.select_for_update(of=("self",)).filter(pk=pk).first()
        if listed is None:
            raise NoSuchNumber
        listed.delete()
        look_again(phones=[listed.phone], now=timezone.now())


def longer(one: date | None, other: date | None) -> date | None:
    """The later of two days; none is for good."""
    return None if one is None or other is None else max(one, other)


def readable(phone: str) -> str:
    """A number in any notation as it is stored. Raises InvalidInput."""
    text = clean_text(phone)
    number = e164(text, region=current_tenant().region)
    if number is None:
        raise InvalidInput({"phone": [f"Invalid phone number format: {text[:60]}" if text else "Phone number is required"]})
    return number


def _reason(text: str) -> str:
    return clean_text(text)[:MOST_REASON]


def list_numbers(
    *, numbers: Sequence[tuple[str, date | None, str]], agent_id: int | None, operation_id: int, now: datetime, by: Actor
) -> tuple[int, int]:
    """List many at once: numbers in E.164 with a day and a reason. Answers how many are new and how many of the known were prolonged."""
    by.require(MANAGE)
    wanted: dict[str, tuple[date | None, str]] = {}
    for phone, until, reason in numbers:
        before = wanted.get(phone, (until, ""))
        wanted[phone] = (longer(before[0], until), before[1] or _reason(reason))
    with transaction.atomic():
        lock_keys(set(wanted))
        listed = {row.phone: row for row in DoNotCall.objects.filter(phone__in=wanted, agent_id=agent_id)}
        new = [
            _row(phone, agent_id, until, reason, operation_id=operation_id, now=now, by=by)
            for phone, (until, reason) in wanted.items()
            if phone not in listed
        ]
        insert_records(new)
        longer_now = []
        for phone, row in listed.items():
            until = longer(row.until, wanted[phone][0])
            if until != row.until:
                row.until = until
                longer_now.append(row)
        DoNotCall.objects.bulk_update(longer_now, ["until"])
    return len(new), len(longer_now)


def _row(phone: str, agent_id: int | None, until: date | None, reason: str, *, operation_id: int, now: datetime, by: Actor) -> DoNotCall:
    values: dict[str, Any] = {"phone": phone, "agent_id": agent_id, "until": until, "reason": reason, "operation_id": operation_id}
    return DoNotCall(tenant_id=by.tenant_id, created_by_id=by.user_id, created_via=str(by.door), created_at=now, **values)


# --- taking an import back ---


def visible_ids(*, ids: Sequence[int], by: Actor) -> set[int]:
    by.require(MANAGE)
    return set(DoNotCall.objects.filter(pk__in=ids).values_list("pk", flat=True))


def discard_records(*, ids: Sequence[int], by: Actor) -> None:
    """Take the numbers that an import listed off again."""
    by.require(MANAGE)
    rows = DoNotCall.objects.filter(pk__in=ids)
    phones = list(rows.values_list("phone", flat=True))
    rows.delete()
    look_again(phones=phones, now=timezone.now())


def tell_restored(*, records: Sequence[DoNotCall], names: Sequence[str], by: Actor) -> None:
    """Look anew at what waited for numbers that are listed for a shorter time again."""
    look_again(phones=[row.phone for row in records], now=timezone.now())
