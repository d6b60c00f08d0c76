"""Which value a merged lead gets: document 0's four rules (rule 0.27) and their precedence (decision K6), on plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm.errors import InvalidInput
from crm.rest.serializers import snake

# Public names of the fields a rule may name, and the columns they mean.
FIELDS: dict[str, tuple[str, ...]] = {
    "name": ("first_name", "last_name"),
    "email": ("email",),
    "phone": ("phone",),
    "company": ("company",),
    "title": ("title",),
    "website": ("website",),
    "industry": ("industry",),
    "company_size": ("company_size",),
    "address": ("city", "state", "country"),
    "notes": ("notes",),
    "tags": ("tags",),
    "custom_fields": ("custom_fields",),
    "status": ("status_id", "lost_reason", "status_changed_at"),
    "priority": ("priority",),
    "assigned_to": ("owner_id", "assigned_at"),
    "lead_source": ("lead_source",),
    "conversion_probability": ("conversion_probability", "probability_pinned"),
    "consent_time": ("consent_time",),
    "last_contact": ("last_contact_at",),
    "next_follow_up": ("next_follow_up_at",),
    "created_at": ("created_at",),
}
ALIASES = {
    "full_name": "name", "first_name": "name", "last_name": "name", "assigned_user_id": "assigned_to", "owner": "assigned_to",
    "city": "address", "state": "address", "country": "address", "source": "lead_source",
}  # fmt: skip
# Computed from the others after every merge, so that a rule for them has nothing to choose.
COMPUTED = ("score", "quality_grade", "lifecycle_stage")
COMBINED = ("tags", "notes", "custom_fields")
COMPARED = ("priority", "conversion_probability", "last_contact", "next_follow_up", "created_at", "consent_time")
RULES = ("combine", "max_value", "prefer_source", "prefer_target")
# Columns that only go along with the one before them.
_BESIDE = ("lost_reason", "status_changed_at", "assigned_at", "probability_pinned")
_LONGEST_NOTES, _MOST_TAGS = 50_000, 50


@dataclass(frozen=True, kw_only=True)
class MergeRules:
    """The four rules, each a list of field names."""

    combine: tuple[str, ...] = ()
    max_value: tuple[str, ...] = ()
    prefer_source: tuple[str, ...] = ()
    prefer_target: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Sequence[str]]) -> "MergeRules":
        """Check the names. Raises InvalidInput naming the rule."""
        problems: dict[str, list[str]] = {}
        read: dict[str, tuple[str, ...]] = {}
        for rule in RULES:
            names = [_name(name) for name in given.get(rule, ())]
            allowed = {"combine": COMBINED, "max_value": COMPARED}.get(rule, tuple(FIELDS))
            wrong = [name for name in names if name not in (*allowed, *COMPUTED)]
            if wrong:
                problems[f"merge_rules.{rule}"] = [f"{wrong[0][:60]}: must be one of {', '.join((*allowed, *COMPUTED))}."]
            read[rule] = tuple(dict.fromkeys(names))
        if problems:
            raise InvalidInput(problems)
        return cls(**read)

    def rule_for(self, name: str) -> str:
        """The rule in force for a field; empty for none."""
        return next((rule for rule in RULES if name in getattr(self, rule)), "")

    def stored(self) -> dict[str, list[str]]:
        return {rule: list(getattr(self, rule)) for rule in RULES}


def _name(name: str) -> str:
    plain = snake(name.strip())
    return ALIASES.get(plain, plain)


def merged_values(source: Mapping[str, Any], target: Mapping[str, Any], rules: MergeRules) -> tuple[dict[str, Any], dict[str, str]]:
    """The target's columns after the merge, and which rule each field followed (by public name).

    Without a rule the target's value wins unless it is empty.
    """
    values: dict[str, Any] = {}
    applied: dict[str, str] = {}
    for name, columns in FIELDS.items():
        rule = rules.rule_for(name)
        if rule == "combine" or (name == "custom_fields" and rule in ("", "prefer_target")):
            # A map is as many fields as it has keys: the target's win, the source's fill.
            values[columns[0]] = _combined(name, source[columns[0]], target[columns[0]])
        else:
            from_source = _takes_source(rule, source[columns[0]], target[columns[0]], _is_empty(target, columns))
            side = source if from_source and not _is_empty(source, columns) else target
            values.update({column: side[column] for column in columns})
        if rule:
            applied[name] = rule
    for name in COMPUTED:
        if rules.rule_for(name):
            applied[name] = "recalculated"
    return values, applied


def _takes_source(rule: str, source: Any, target: Any, target_is_empty: bool) -> bool:
    match rule:
        case "max_value":
            return target is None or (source is not None and source > target)
        case "prefer_source":
            return True
    return target_is_empty


def _is_empty(row: Mapping[str, Any], columns: Sequence[str]) -> bool:
    return all(row[column] in ("", None, [], {}) for column in columns if column not in _BESIDE)


def _combined(name: str, source: Any, target: Any) -> Any:
    if name == "tags":
        there = {tag.casefold() for tag in target}
        return [*target, *(tag for tag in source if tag.casefold() not in there)][:_MOST_TAGS]
    if name == "custom_fields":
        return {**source, **{key: value for key, value in target.items() if value not in ("", None) or key not in source}}
    parts = [target.strip(), source.strip()]
    if parts[1] in parts[0]:
        return target
    return "\n\n".join(part for part in parts if part)[:_LONGEST_NOTES]
