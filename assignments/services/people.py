"""Pools, how much people take, and when they are away."""

from collections.abc import Mapping
from datetime import date, timedelta

from django.db import IntegrityError, transaction

from assignments.models import Capacity, Leave, Pool, PoolMember
from assignments.permissions import ASSIGN, RULES
from crm.actors import Actor
from crm.errors import DomainError, InvalidInput, NotFound
from crm.identity.models import User
from crm.normal import clean_text

MOST_MEMBERS, MOST_WEIGHT, MOST_LIMIT = 500, 100, 1_000_000
MOST_LEAVE = timedelta(days=731)


class PoolNameTaken(DomainError):
    code = "NAME_TAKEN"


class PoolInUse(DomainError):
    """Rules choose from this pool."""

    code = "POOL_IN_USE"


def save_pool(*, pool_id: int | None = None, name: str, description: str = "", weights: Mapping[int, int], by: Actor) -> Pool:
    """Add or change a pool; `weights` are its people. Raises InvalidInput, NotFound, PoolNameTaken."""
    by.require(RULES)
    problems = _pool_problems(clean_text(name), weights)
    if problems:
        raise InvalidInput(problems)
    try:
        with transaction.atomic():
            pool = _locked_pool(pool_id) if pool_id is not None else Pool()
            pool.name, pool.description = clean_text(name), clean_text(description)[:200]
            pool.save()
            held = {member.user_id: member for member in pool.memberships.all()}
            pool.memberships.exclude(user_id__in=list(weights)).delete()
            for user_id, weight in weights.items():
                member = held.get(user_id) or PoolMember(pool=pool, user_id=user_id)
                if member.pk is None or member.weight != weight:
                    member.weight = weight
                    member.save()
    except IntegrityError as error:
        if "assignments_pool_name" in str(error):
            raise PoolNameTaken("A pool has this name already.", field="name") from None
        raise
    return pool


def delete_pool(*, pool_id: int, by: Actor) -> None:
    """Raises PoolInUse while a rule chooses from it; deleted rules let go of it."""
    by.require(RULES)
    with transaction.atomic():
        pool = _locked_pool(pool_id)
        if pool.rules.filter(deleted_at=None).exists():
            raise PoolInUse("A rule chooses from this pool. Change the rule first.")
        pool.rules.update(pool=None)
        pool.delete()


def _locked_pool(pool_id: int) -> Pool:
    pool = Pool.objects.select_for_update(of=("self",)).filter(pk=pool_id).first()
    if pool is None:
        raise NotFound("No such pool.")
    return pool


def _pool_problems(name: str, weights: Mapping[int, int]) -> dict[str, list[str]]:
    if not name or len(name) > 80:
        return {"name": ["A pool needs a name of at most 80 characters."]}
    if not weights or len(weights) > MOST_MEMBERS:
        return {"members": [f"Name from 1 to {MOST_MEMBERS} people."]}
    if not all(1 <= weight <= MOST_WEIGHT for weight in weights.values()):
        return {"members": [f"Weights go from 1 to {MOST_WEIGHT}."]}
    if User.objects.filter(pk__in=list(weights)).count() < len(weights):
        return {"members": ["Somebody named there is not of this company."]}
    return {}


def set_capacity(*, user_id: int, takes_leads: bool | None, per_day: int | None, in_total: int | None, by: Actor) -> Capacity:
    """Say how much somebody takes; None is no limit, or as their role has it."""
    by.require(ASSIGN)
    for name, limit in (("per_day", per_day), ("in_total", in_total)):
        if limit is not None and not 0 <= limit <= MOST_LIMIT:
            raise InvalidInput({name: [f"Must be from 0 to {MOST_LIMIT:,}, or empty."]})
    _check_person(user_id)
    values = {"takes_leads": takes_leads, "per_day": per_day, "in_total": in_total}
    return Capacity.objects.update_or_create(user_id=user_id, defaults=values)[0]


def add_leave(*, user_id: int, first_day: date, last_day: date, note: str = "", by: Actor) -> Leave:
    """Give somebody nothing on these days; one's own leave anybody may enter."""
    if user_id != by.user_id:
        by.require(ASSIGN)
    if last_day < first_day:
        raise InvalidInput({"last_day": ["Must not be before the first day."]})
    if last_day - first_day >= MOST_LEAVE:
        raise InvalidInput({"last_day": ["Leave lasts two years at most; pause or deactivate who stays away longer."]})
    _check_person(user_id)
    return Leave.objects.create(user_id=user_id, first_day=first_day, last_day=last_day, note=clean_text(note)[:120])


def delete_leave(*, leave_id: int, by: Actor) -> None:
    leave = Leave.objects.filter(pk=leave_id).first()
    if leave is None or (leave.user_id != by.user_id and not by.can(ASSIGN)):
        raise NotFound("No such leave.")
    leave.delete()


def _check_person(user_id: int) -> None:
    if not User.objects.filter(pk=user_id).exists():
        raise InvalidInput({"user_id": ["There is no such person."]})
