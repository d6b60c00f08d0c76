"""What a lead holds once one of its merges is taken back, on plain values: tags one by one, further fields key by key."""

from collections.abc import Collection, Mapping
from typing import Any


def parted(name: str, now: Any, before: Any, after: Any) -> tuple[Any, list[str]]:
    """A column without what the merge made of it, and the parts of it that were changed since and so stay.

    `before` and `after` are its values around the merge. A part is the column's name, or `custom_fields.<key>`.
    """
    match name:
        case "tags":
            return without_tags(now, before, after), []
        case "custom_fields":
            return _parted_map(now, before, after)
        case "notes":
            return _parted_text(now, before, after)
    if now == after:
        return before, []
    return now, [] if now == before else [name]


def without_tags(now: Collection[str], before: Collection[str], after: Collection[str], *, held: Collection[str] = ()) -> list[str]:
    """Tags without those that the merge brought, unless somebody else holds them, and with those that it took."""
    was, became, others = ({tag.casefold() for tag in tags} for tags in (before, after, held))
    brought = became - was - others
    rest = [tag for tag in now if tag.casefold() not in brought]
    there = {tag.casefold() for tag in rest}
    return rest + [tag for tag in before if tag.casefold() not in became and tag.casefold() not in there]


def _parted_map(now: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    value, kept = dict(now), []
    for key in before.keys() | after.keys():
        was, became, present = before.get(key), after.get(key), now.get(key)
        if was in (became, present):
            continue
        if present != became:
            kept.append(f"custom_fields.{key}")
        elif key in before:
            value[key] = was
        else:
            value.pop(key, None)
    return value, sorted(kept)


def _parted_text(now: str, before: str, after: str) -> tuple[str, list[str]]:
    if now == after:
        return before, []
    added = after[len(before) :] if after.startswith(before) else ""
    if added and added in now:
        return now.replace(added, "", 1).strip(), []
    return now, [] if now == before else ["notes"]
