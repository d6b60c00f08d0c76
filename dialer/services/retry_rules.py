"""What follows a result of a call: the rules of an agent, changed as a whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput
from dialer.enums import RETRYABLE, Disposition
from dialer.errors import NoSuchAgent
from dialer.models import CallingAgent, RetryRule
from dialer.permissions import MANAGE
from dialer.services.waking import wake_agent

MOST_MINUTES, MOST_TRIES = 60 * 24 * 90, 50
_FIELDS = ("delay_minutes", "most_tries", "another_hour", "disposition")


def save_rules(*, agent_id: int, rules: Sequence[Mapping[str, Any]], by: Actor) -> list[RetryRule]:
    """Give an agent these retry rules in place of those it has, one a result. Raises NoSuchAgent, InvalidInput by `retry_rules.<place>`."""
    by.require(MANAGE)
    wanted = _checked(rules)
    with transaction.atomic():
        agent = CallingAgent.objects.select_for_update(of=("self",)).filter(pk=agent_id, deleted_at=None).first()
        if agent is None:
            raise NoSuchAgent
        there = {rule.result: rule for rule in RetryRule.objects.filter(agent=agent)}
        RetryRule.objects.filter(agent=agent).exclude(result__in=wanted).delete()
        for result, values in wanted.items():
            rule = there.get(result)
            if rule is None:
                RetryRule.objects.create(agent=agent, result=result, **values)
            elif any(getattr(rule, name) != value for name, value in values.items()):
                RetryRule.objects.filter(pk=rule.pk).update(**values)
        wake_agent(agent.pk, now=timezone.now())
    return list(RetryRule.objects.filter(agent_id=agent_id).order_by("result"))


def _checked(rules: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    wanted: dict[str, dict[str, Any]] = {}
    problems: dict[str, list[str]] = {}
    for place, rule in enumerate(rules):
        result = rule.get("result", "")
        if result not in RETRYABLE:
            problems[f"retry_rules.{place}.result"] = [f"Must be one of {', '.join(RETRYABLE)}."]
        elif result in wanted:
            problems[f"retry_rules.{place}.result"] = ["There is a rule for this result already."]
        if not 0 <= rule.get("delay_minutes", 60) <= MOST_MINUTES:
            problems[f"retry_rules.{place}.delay_minutes"] = [f"Must be from 0 to {MOST_MINUTES:,}."]
        if not 0 <= rule.get("most_tries", 3) <= MOST_TRIES:
            problems[f"retry_rules.{place}.most_tries"] = [f"Must be from 0 to {MOST_TRIES}."]
        if rule.get("disposition", Disposition.NO_ANSWER) not in Disposition.values:
            problems[f"retry_rules.{place}.disposition"] = [f"Must be one of {', '.join(Disposition.values)}."]
        wanted[str(result)] = {
            name: rule.get(name, default) for name, default in zip(_FIELDS, (60, 3, False, Disposition.NO_ANSWER), strict=True)
        }
    if problems:
        raise InvalidInput(problems)
    return wanted
