"""The rules by which leads are given. Every change makes a new version of all of them, which decisions refer to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from assignments.enums import Fallback, Method
from assignments.models import AssignmentRule, Pool, RuleVersion
from assignments.permissions import RULES
from assignments.selectors import current_version, rules_in_order
from assignments.services.running import hold_turns
from assignments.services.snapshot import condition_of
from crm.actors import Actor
from crm.errors import DomainError, InvalidInput, NotFound
from crm.identity.models import Team, User
from crm.normal import clean_text
from leads.services.conditions import hides_fields, without_hidden

MOST_RULES, MOST_TERRITORIES, MOST_LIMIT = 100, 500, 1_000_000
# What a version keeps of a rule.
_KEPT = (
    "id", "name", "position", "is_active", "conditions", "method", "user_id", "team_id", "pool_id", "territories", "per_day", "in_total",
    "heed_shifts", "fallback", "fallback_user_id",
)  # fmt: skip
_TARGETS = ("user_id", "team_id", "pool_id")


class RuleNameTaken(DomainError):
    code = "NAME_TAKEN"


@dataclass(frozen=True, kw_only=True)
class RuleSettings:
    """A rule as it is wanted. At most one of user, team and pool."""

    name: str
    is_active: bool = True
    conditions: Any = None
    method: str = Method.ROUND_ROBIN
    user_id: int | None = None
    team_id: int | None = None
    pool_id: int | None = None
    territories: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    per_day: int | None = None
    in_total: int | None = None
    heed_shifts: bool = True
    fallback: str = Fallback.NEXT
    fallback_user_id: int | None = None


def settings_of(rule: AssignmentRule) -> RuleSettings:
    """A stored rule as it could be wanted, for changing some of it."""
    return RuleSettings(**{name: getattr(rule, name) for name in RuleSettings.__dataclass_fields__})


def draft_rule(*, wanted: RuleSettings, rule: AssignmentRule | None = None, by: Actor) -> AssignmentRule:
    """The unsaved rule that these settings make. Raises InvalidInput by field.

    Conditions that stay as they are may name fields hidden from the actor; others take somebody who sees them.
    """
    wanted, problems = _with_conditions(wanted, rule, by=by)
    problems |= _problems(wanted)
    if problems:
        raise InvalidInput(problems)
    draft = rule if rule is not None else AssignmentRule(tenant_id=by.tenant_id)
    for name in RuleSettings.__dataclass_fields__:
        setattr(draft, name, getattr(wanted, name))
    draft.name = clean_text(wanted.name)
    draft.territories = [_clean_territory(item) for item in wanted.territories]
    if wanted.fallback != Fallback.USER:
        draft.fallback_user_id = None
    return draft


def save_rule(*, wanted: RuleSettings, by: Actor) -> AssignmentRule:
    """Add a rule at the end. Raises InvalidInput, RuleNameTaken."""
    by.require(RULES)
    with transaction.atomic():
        hold_turns()
        rule = draft_rule(wanted=wanted, by=by)
        rules = AssignmentRule.objects.filter(deleted_at=None)
        if rules.count() >= MOST_RULES:
            raise InvalidInput({"name": [f"At most {MOST_RULES} rules."]})
        rule.position = (rules.aggregate(last=Max("position"))["last"] or 0) + 1
        return _saved(rule, by=by)


def change_rule(*, rule_id: int, changes: Mapping[str, Any], by: Actor) -> AssignmentRule:
    """Change what is named of a rule, by the names of RuleSettings; the rest stays as it is under the lock.

    Naming another target takes the place of the one before. Raises InvalidInput, NotFound, RuleNameTaken.
    """
    by.require(RULES)
    if any(changes.get(name) for name in _TARGETS):
        changes = {**dict.fromkeys(_TARGETS), **changes}
    with transaction.atomic():
        hold_turns()
        rule = _locked(rule_id)
        wanted = RuleSettings(**{**settings_of(rule).__dict__, **changes})
        return _saved(draft_rule(wanted=wanted, rule=rule, by=by), by=by)


def _saved(rule: AssignmentRule, *, by: Actor) -> AssignmentRule:
    try:
        with transaction.atomic():
            rule.save()
            _keep_version(by=by)
    except IntegrityError as error:
        if "assignments_rule_name" in str(error):
            raise RuleNameTaken("A rule has this name already.", field="name") from None
        raise
    return rule


def delete_rule(*, rule_id: int, by: Actor) -> None:
    """Take a rule out of use for good. What it decided goes on to name it."""
    by.require(RULES)
    with transaction.atomic():
        hold_turns()
        rule = _locked(rule_id)
        rule.deleted_at, rule.is_active = timezone.now(), False
        rule.save(update_fields=["deleted_at", "is_active"])
        rule.turns.all().delete()
        _keep_version(by=by)


def order_rules(*, rule_ids: Sequence[int], by: Actor) -> list[AssignmentRule]:
    """Put all rules into this order. Raises InvalidInput unless every rule is named once."""
    by.require(RULES)
    with transaction.atomic():
        hold_turns()
        rules = {rule.pk: rule for rule in rules_in_order()}
        if sorted(rule_ids) != sorted(rules):
            raise InvalidInput({"rule_ids": ["Name every rule once."]})
        moved = [rules[pk] for place, pk in enumerate(rule_ids, start=1) if rules[pk].position != place]
        for place, pk in enumerate(rule_ids, start=1):
            rules[pk].position = place
        if moved:
            AssignmentRule.objects.bulk_update(moved, ["position"])
            _keep_version(by=by)
        return [rules[pk] for pk in rule_ids]


def move_rule(*, rule_id: int, up: bool, by: Actor) -> None:
    """Ask a rule one place earlier, or later."""
    ids = [rule.pk for rule in rules_in_order()]
    if rule_id not in ids:
        raise NotFound("No such rule.")
    place = ids.index(rule_id)
    other = place - 1 if up else place + 1
    if 0 <= other < len(ids):
        ids[place], ids[other] = ids[other], ids[place]
        order_rules(rule_ids=ids, by=by)


def _locked(rule_id: int) -> AssignmentRule:
    rule = AssignmentRule.objects.select_for_update(of=("self",)).filter(pk=rule_id, deleted_at=None).first()
    if rule is None:
        raise NotFound("No such rule.")
    return rule


def _keep_version(*, by: Actor) -> None:
    """All rules as they are now, under the next number. The lock on turns makes the numbers follow each other."""
    kept = [{name: getattr(rule, name) for name in _KEPT} for rule in rules_in_order()]
    RuleVersion.objects.create(number=current_version() + 1, rules=kept, made_by_id=by.user_id)


# --- what may be wanted ---


def _with_conditions(wanted: RuleSettings, rule: AssignmentRule | None, *, by: Actor) -> tuple[RuleSettings, dict[str, list[str]]]:
    """What is wanted with the conditions it comes to, and what is wrong with them.

    The stored ones as the actor was shown them, hidden parts left out, stand for the stored ones.
    """
    stored = rule.conditions if rule is not None else None
    if wanted.conditions == stored or (stored and wanted.conditions == without_hidden(tree=stored, by=by)):
        return replace(wanted, conditions=stored), {}
    if hides_fields(tree=stored, by=by):
        return wanted, {"conditions": ["These conditions name a field you may not see. Ask somebody who may to change them."]}
    if wanted.conditions is not None:
        try:
            condition_of(tree=wanted.conditions, by=by)
        except InvalidInput as refusal:
            return wanted, {"conditions": refusal.problems.get("filter", [refusal.message])}
    return wanted, {}


def _problems(wanted: RuleSettings) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    if not clean_text(wanted.name):
        problems["name"] = ["A rule needs a name."]
    elif len(clean_text(wanted.name)) > 80:
        problems["name"] = ["At most 80 characters."]
    if wanted.method not in Method.values:
        problems["method"] = [f"Must be one of {', '.join(Method.values)}."]
    if wanted.fallback not in Fallback.values:
        problems["fallback"] = [f"Must be one of {', '.join(Fallback.values)}."]
    if wanted.fallback == Fallback.USER and wanted.fallback_user_id is None:
        problems["fallback_user_id"] = ["Say to whom."]
    for name in ("per_day", "in_total"):
        limit = getattr(wanted, name)
        if limit is not None and not 1 <= limit <= MOST_LIMIT:
            problems[name] = [f"Must be from 1 to {MOST_LIMIT:,}, or empty."]
    return problems | _target_problems(wanted)


def _target_problems(wanted: RuleSettings) -> dict[str, list[str]]:
    problems: dict[str, list[str]] = {}
    targets = {"user_id": (User, wanted.user_id), "team_id": (Team, wanted.team_id), "pool_id": (Pool, wanted.pool_id)}
    if sum(pk is not None for _model, pk in targets.values()) > 1:
        problems["target"] = ["Name a person, a team or a pool, not several of them."]
    for name, (model, pk) in {**targets, "fallback_user_id": (User, wanted.fallback_user_id)}.items():
        if pk is not None and not model._default_manager.filter(pk=pk).exists():
            problems[name] = ["There is no such one."]
    if wanted.method == Method.TERRITORY:
        problems |= _territory_problems(wanted.territories)
    return problems


def _territory_problems(territories: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    if not territories:
        return {"territories": ["Name at least one territory."]}
    if len(territories) > MOST_TERRITORIES:
        return {"territories": [f"At most {MOST_TERRITORIES} territories."]}
    named: set[int] = set()
    for number, item in enumerate(territories, start=1):
        users = item.get("users") if isinstance(item, Mapping) else None
        if not isinstance(users, list) or not users or not all(type(pk) is int and 0 < pk < 2**63 for pk in users):
            return {"territories": [f"Territory {number} needs people."]}
        if any(not isinstance(item.get(name, ""), str) or len(item.get(name, "")) > 100 for name in ("country", "state", "city")):
            return {"territories": [f"Territory {number}: country, state and city are texts of at most 100 characters."]}
        named |= set(users)
    if User.objects.filter(pk__in=named).count() < len(named):
        return {"territories": ["Somebody named there is not of this company."]}
    return {}


def _clean_territory(item: Mapping[str, Any]) -> dict[str, Any]:
    places = {name: clean_text(item.get(name, "")) for name in ("country", "state", "city")}
    return {**places, "users": list(dict.fromkeys(item["users"]))}
