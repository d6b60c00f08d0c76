"""How a payload's fields become a lead's: rules over paths, with defaults and combined fields. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from crm.errors import InvalidInput
from crm.filters import split_words
from crm.normal import clean_text
from leads.enums import read_priority
from leads.services.drafts import LeadDraft
from leads.services.field_names import field_named

# What an outside party may say of a lead. Its status, owner and dates are the team's.
FIELDS = (
    "name", "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country",
    "notes", "lead_source", "tags", "priority",
)  # fmt: skip
CUSTOM = "custom:"
MOST_RULES, MOST_PATHS, MOST_LEAVES = 200, 500, 500
_LONGEST, _LONGEST_CUSTOM = 50_000, 5_000


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A lead's field from one or several paths of the payload, joined; the default where all of them are empty."""

    field: str
    paths: tuple[str, ...] = ()
    join: str = " "
    default: str = ""


@dataclass(kw_only=True)
class Mapped:
    """What the rules made of a payload: values under a lead's names, further fields, and the paths no rule used."""

    values: dict[str, str] = field(default_factory=dict)
    custom: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)


def flatten(payload: Any) -> dict[str, str]:
    """Every leaf of a payload by its path: `{"a": {"b": [1]}}` is `{"a.b.0": "1"}`. At most MOST_LEAVES; the rest stays in the payload."""
    leaves: dict[str, str] = {}
    pending: list[tuple[str, Any]] = [("", payload)]
    while pending and len(leaves) < MOST_LEAVES:
        path, value = pending.pop()
        if isinstance(value, dict):
            pending.extend((f"{path}.{key}" if path else str(key), item) for key, item in reversed(value.items()))
        elif isinstance(value, list):
            pending.extend((f"{path}.{number}" if path else str(number), item) for number, item in reversed(list(enumerate(value))))
        elif value is not None and path:
            leaves[path[:300]] = text_of(value)
    return leaves


def text_of(value: Any) -> str:
    """A payload's value as text, without what the database cannot hold."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else orjson.dumps(value).decode() if isinstance(value, dict | list) else str(value)
    return text.replace("\x00", "")[:_LONGEST]


def read_rules(data: Any) -> list[Rule]:
    """Read rules as they are stored or posted. Raises InvalidInput that names the rule."""
    if not isinstance(data, list) or len(data) > MOST_RULES:
        raise InvalidInput({"rules": [f"Give a list of at most {MOST_RULES} rules."]})
    rules, problems, taken = [], {}, set()
    for number, item in enumerate(data):
        where = f"rules[{number}]"
        name = item.get("field") if isinstance(item, dict) else None
        if not isinstance(name, str) or not (name in FIELDS or (name.startswith(CUSTOM) and 1 <= len(name) - len(CUSTOM) <= 100)):
            problems[where] = [f"field must be one of {', '.join(FIELDS)}, or {CUSTOM}<name>."]
            continue
        paths = item.get("from", [])
        paths = [paths] if isinstance(paths, str) else paths
        if not isinstance(paths, list) or not all(isinstance(path, str) and len(path) <= 300 for path in paths) or len(paths) > MOST_PATHS:
            problems[where] = ["from must be a path or a list of paths."]
        elif name in taken:
            problems[where] = [f"{name} is filled by an earlier rule; give one rule several paths."]
        taken.add(name)
        join, default = item.get("join", " "), item.get("default", "")
        if not isinstance(join, str) or not isinstance(default, str) or len(join) > 10 or len(default) > 500:
            problems[where] = ["join (10 characters) and default (500) must be texts."]
        elif where not in problems:
            rules.append(Rule(field=name, paths=tuple(paths), join=join, default=default))
    if problems:
        raise InvalidInput(problems)
    return rules


def rules_out(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Rules as they are stored and answered."""
    return [{"field": rule.field, "from": list(rule.paths), "join": rule.join, "default": rule.default} for rule in rules]


def suggest(paths: Iterable[str]) -> list[Rule]:
    """Rules by the usual names of the paths' last words, each field once."""
    chosen: dict[str, Rule] = {}
    for path in paths:
        words = [word for word in path.split(".") if not word.isdecimal()]
        name = field_named(words[-1]) if words else None
        if name in FIELDS and name not in chosen:
            chosen[name] = Rule(field=name, paths=(path,))
    return list(chosen.values())


def apply_rules(leaves: Mapping[str, str], rules: Sequence[Rule]) -> Mapped:
    """Fill a lead's fields. What no rule uses becomes a further field, so that nothing is lost."""
    mapped, used = Mapped(), set[str]()
    for rule in rules:
        parts = [clean_text(leaves[path]) if rule.field != "notes" else leaves[path].strip() for path in rule.paths if path in leaves]
        used.update(rule.paths)
        text = rule.join.join(part for part in parts if part) or rule.default
        if text and rule.field.startswith(CUSTOM):
            mapped.custom[rule.field.removeprefix(CUSTOM)] = text[:_LONGEST_CUSTOM]
        elif text:
            mapped.values[rule.field] = text
    mapped.unused = {path: text for path, text in leaves.items() if path not in used and text.strip()}
    for path, text in mapped.unused.items():
        name = clean_text(path.rsplit(".", 1)[-1] if not path.rsplit(".", 1)[-1].isdecimal() else path)[:100]
        mapped.custom.setdefault(name, text[:_LONGEST_CUSTOM])
    return mapped


def draft_from(mapped: Mapped, *, lead_source: str = "", tags: Sequence[str] = (), owner_id: int | None = None, **fields: Any) -> LeadDraft:
    """A draft of what was mapped, with a source's own defaults. `fields` are the draft's others, such as `platform_key`."""
    values = dict(mapped.values)
    own_tags = split_words(values.pop("tags", ""))
    draft = LeadDraft(
        lead_source=values.pop("lead_source", "") or lead_source,
        tags=[*own_tags, *tags],
        owner_id=owner_id,
        custom_fields=dict(list(mapped.custom.items())[:MOST_RULES]),
        **fields,
    )
    try:
        draft.priority = read_priority(values.pop("priority")) if "priority" in values else draft.priority
    except ValueError:
        draft.custom_fields["priority"] = mapped.values["priority"][:100]
    for name, text in values.items():
        setattr(draft, name, text)
    return draft
