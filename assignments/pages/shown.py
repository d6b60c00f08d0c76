"""Decisions and rules in words."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from assignments.enums import Nobody, Skip
from assignments.models import AssignmentRule, Decision
from assignments.permissions import ASSIGN, RULES
from crm.actors import Actor
from crm.identity.models import User
from leads.services import conditions

_SKIP, _NOBODY = dict(Skip.choices), dict(Nobody.choices)
MOST_NAMED = 12


def tabs_of(actor: Actor, active: str) -> list[dict[str, Any]]:
    """The pages of assignment that somebody may see."""
    pages = [
        ("workload", _("Workload"), "/assignments", ASSIGN, "gauge"),
        ("queue", _("Catch-all queue"), "/assignments/queue", ASSIGN, "inbox"),
        ("rules", _("Rules"), "/assignments/rules", RULES, "list-tree"),
        ("pools", _("Pools"), "/assignments/pools", RULES, "users"),
        ("fairness", _("Fairness"), "/assignments/fairness", ASSIGN, "scale"),
        ("simulate", _("Simulator"), "/assignments/simulate", RULES, "flask-conical"),
    ]
    return [
        {"label": label, "url": url, "icon": icon, "active": code == active}
        for code, label, url, needed, icon in pages
        if actor.can(needed)
    ]


def names_of(ids: Iterable[int]) -> dict[int, str]:
    return {user.pk: user.full_name for user in User.objects.filter(pk__in=set(ids))}


def people_in(decision: Decision) -> set[int]:
    """Everybody a decision speaks of."""
    found = set(decision.candidates) | {pk for people in decision.skipped.values() for pk in people}
    return found | {pk for step in decision.passed for people in step["skipped"].values() for pk in people}


def said(decision: Decision, names: Mapping[int, str], rules: Mapping[int, str]) -> dict[str, Any]:
    """A decision for a page: candidates, who was skipped and why, and the rules before."""
    return {
        "decision": decision,
        "rule": rules.get(decision.rule_id or 0, ""),
        "method": decision.get_method_display() if decision.method else "",
        "candidates": named(decision.candidates, names),
        "skipped": skipped_said(decision.skipped, names),
        "passed": [
            {
                "rule": rules.get(step["rule"], _("a rule that is gone")),
                "why": _NOBODY.get(step["why"], step["why"]),
                "skipped": skipped_said(step["skipped"], names),
            }
            for step in decision.passed
            if step["rule"] != decision.rule_id or not decision.candidates
        ],
    }


def skipped_said(skipped: Mapping[str, list[int]], names: Mapping[int, str]) -> list[dict[str, str]]:
    return [{"why": str(_SKIP.get(reason, reason)), "people": named(people, names)} for reason, people in skipped.items()]


def named(ids: Iterable[int], names: Mapping[int, str]) -> str:
    """Names in their order; of many the first."""
    all_names = [names.get(pk, "?") for pk in ids]
    more = len(all_names) - MOST_NAMED
    return ", ".join(all_names[:MOST_NAMED]) + (_(" and %(n)s more") % {"n": more} if more > 0 else "")


def why_nobody(decision: Decision, names: Mapping[int, str], rules: Mapping[int, str]) -> str:
    """One line: which rules could not place a lead, and why."""
    if not decision.passed:
        return _("No rule matches it.")
    parts = []
    for step in decision.passed:
        reasons = "; ".join(f"{item['people']}: {item['why']}" for item in skipped_said(step["skipped"], names))
        rule = rules.get(step["rule"], _("a rule that is gone"))
        parts.append(f"{rule}: {_NOBODY.get(step['why'], step['why'])}" + (f" ({reasons})" if reasons else ""))
    return ". ".join(parts)


def conditions_said(rule: AssignmentRule, actor: Actor) -> str:
    """Which leads a rule is for, in words."""
    if not rule.conditions:
        return _("All leads")
    try:
        return conditions.said(tree=rule.conditions, by=actor)
    except (KeyError, TypeError):
        return _("Its conditions name a field that is not there any more, so it matches nothing.")


def target_said(rule: AssignmentRule) -> str:
    """Among whom a rule chooses, in words."""
    if rule.user is not None:
        return rule.user.full_name
    if rule.team is not None:
        return _("Team %(name)s") % {"name": rule.team.name}
    if rule.pool is not None:
        return _("Pool %(name)s") % {"name": rule.pool.name}
    if rule.method == "territory":
        return _("%(n)s territories") % {"n": len(rule.territories)}
    if rule.method in ("company_owner", "sticky"):
        return _("whoever it is")
    return _("Everybody who takes leads")


def rule_names() -> dict[int, str]:
    return dict(AssignmentRule.objects.values_list("pk", "name"))
