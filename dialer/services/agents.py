"""Calling agents: their hours, their people, and how they dial."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from zoneinfo import available_timezones

from django.db import IntegrityError, transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.identity.models import User
from crm.normal import clean_text, e164
from crm.tenancy.models import current_tenant
from crm.worktime import read_week
from dialer.enums import AgentKind, DialMode
from dialer.errors import NoSuchAgent
from dialer.models import AgentMember, CallingAgent
from dialer.permissions import MANAGE
from dialer.services.retry_rules import MOST_MINUTES, MOST_TRIES, save_rules
from dialer.services.waking import look_again, wake_agent

MOST_HOLIDAYS, MOST_MEMBERS, MOST_SCRIPT = 366, 500, 10_000
# From, to.
_NUMBERS = {
    "max_attempts": (1, MOST_TRIES),
    "retry_delay_minutes": (0, MOST_MINUTES),
    "most_calls": (1, 1000),
    "lines": (1, 10),
    "ring_seconds": (5, 120),
    "countdown_seconds": (0, 300),
}
_WORDS: dict[str, type[AgentKind | DialMode]] = {"kind": AgentKind, "mode": DialMode}
_FLAGS = ("is_active", "keeps_tenant_holidays", "detect_machines")
_FIELDS = ("name", "time_zone", "business_hours", "holidays", "caller_id", "script", *_NUMBERS, *_WORDS, *_FLAGS)
# What may let entries be called that were put aside.
_HOURS = {"time_zone", "business_hours", "holidays", "keeps_tenant_holidays", "is_active"}


class AgentNameTaken(DomainError):
    code = "NAME_TAKEN"


def save_agent(*, agent_id: int | None, values: Mapping[str, Any], by: Actor) -> CallingAgent:
    """Make an agent, or change what is named of one. Besides the model's fields `members` are user ids and `retry_rules` a list of rules.

    Raises NoSuchAgent, AgentNameTaken, InvalidInput by field.
    """
    by.require(MANAGE)
    wanted = _checked(values, is_new=agent_id is None)
    with transaction.atomic():
        agent = CallingAgent(tenant_id=by.tenant_id) if agent_id is None else _locked(agent_id)
        changed = {name for name, value in wanted.items() if getattr(agent, name) != value or agent_id is None}
        for name in changed:
            setattr(agent, name, wanted[name])
        if changed:
            _store(agent)
        if "members" in values:
            _set_members(agent, list(values["members"]))
        if "retry_rules" in values:
            save_rules(agent_id=agent.pk, rules=values["retry_rules"], by=by)
        if agent_id is not None and changed & _HOURS:
            look_again(now=timezone.now())
        wake_agent(agent.pk, now=timezone.now())
    return agent


def _locked(agent_id: int) -> CallingAgent:
    agent = CallingAgent.objects.select_for_update(of=("self",)).filter(pk=agent_id, deleted_at=None).first()
    if agent is None:
        raise NoSuchAgent
    return agent


def _store(agent: CallingAgent) -> None:
    try:
        with transaction.atomic():
            agent.save()
    except IntegrityError as error:
        if "dialer_agent_name" in str(error):
            raise AgentNameTaken("An agent has this name already.", field="name") from None
        raise


def _set_members(agent: CallingAgent, wanted: Sequence[int]) -> None:
    if len(wanted) > MOST_MEMBERS:
        raise InvalidInput({"members": [f"At most {MOST_MEMBERS} people."]})
    known = set(User.objects.filter(pk__in=wanted, is_active=True).values_list("pk", flat=True))
    lost = [pk for pk in wanted if pk not in known]
    if lost:
        raise InvalidInput({"members": [f"No such active user: {lost[0]}."]})
    there = set(agent.members.values_list("user_id", flat=True))
    agent.members.filter(user_id__in=there - known).delete()
    AgentMember.objects.bulk_create([AgentMember(agent=agent, user_id=pk) for pk in sorted(known - there)], ignore_conflicts=True)


def delete_agent(*, agent_id: int, by: Actor) -> None:
    """Take an agent out of use. Its entries and calls stay; nothing that waits in its queue is called. Raises NoSuchAgent."""
    by.require(MANAGE)
    with transaction.atomic():
        agent = _locked(agent_id)
        agent.deleted_at, agent.is_active = timezone.now(), False
        agent.save(update_fields=["deleted_at", "is_active", "updated_at"])
        wake_agent(agent.pk, now=timezone.now())


# --- what may be wanted ---


def _checked(values: Mapping[str, Any], *, is_new: bool) -> dict[str, Any]:
    """The model's fields among the values in stored form. Raises InvalidInput."""
    wanted = {name: values[name] for name in _FIELDS if name in values}
    problems: dict[str, list[str]] = {}
    if is_new or "name" in wanted:
        wanted["name"] = clean_text(str(wanted.get("name", "")))
        if not 1 <= len(wanted["name"]) <= 100:
            problems["name"] = ["Give a name of at most 100 characters."]
    for name, (least, most) in _NUMBERS.items():
        if name in wanted and not least <= wanted[name] <= most:
            problems[name] = [f"Must be from {least} to {most:,}."]
    for name, kind in _WORDS.items():
        if name in wanted and wanted[name] not in kind.values:
            problems[name] = [f"Must be one of {', '.join(kind.values)}."]
    if wanted.get("time_zone") and wanted["time_zone"] not in available_timezones():
        problems["time_zone"] = ["There is no such time zone."]
    if len(wanted.get("script", "")) > MOST_SCRIPT:
        problems["script"] = [f"At most {MOST_SCRIPT:,} characters."]
    for name, read in (("business_hours", _hours), ("holidays", _holidays), ("caller_id", _caller_id)):
        try:
            if name in wanted:
                wanted[name] = read(wanted[name])
        except ValueError as error:
            problems[name] = [str(error)]
    if problems:
        raise InvalidInput(problems)
    return wanted


def _hours(stored: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Hours in the form the model keeps; none at all are the company's."""
    week = read_week(stored) if stored else ()
    if stored and not any(week):
        raise ValueError("Give hours on at least one day, or none at all to keep the company's.")
    return {
        str(day): [[f"{start:%H:%M}", "24:00" if f"{end:%H:%M}" == "00:00" else f"{end:%H:%M}"] for start, end in spans]
        for day, spans in enumerate(week)
        if spans
    }


def _holidays(days: Sequence[date]) -> list[date]:
    chosen = sorted(set(days))
    if len(chosen) > MOST_HOLIDAYS:
        raise ValueError(f"At most {MOST_HOLIDAYS} days.")
    return chosen


def _caller_id(text: str) -> str:
    number = e164(text, region=current_tenant().region) if text.strip() else ""
    if number is None:
        raise ValueError("This is no phone number.")
    return number
