"""A form for nested conditions: groups of conditions, joined by "and" or "or" inside and between them.

It is drawn by the server and works without scripts; with htmx its parts follow what is chosen. Trees that no such form can
show (deeper ones, those with "not") are left to the API and shown in words.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict

from crm.conditions import NO_VALUE, OPERATOR_WORDS, OPERATORS, ConditionField

MOST_GROUPS, MOST_ROWS = 8, 20
SPANS = ("older_than", "within_last", "within_next")


@dataclass(kw_only=True)
class Row:
    """One condition as it is being put together: texts of its inputs."""

    name: str
    op: str = ""
    value: str = ""
    until: str = ""
    chosen: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class Group:
    match: str = "all"
    rows: list[Row] = field(default_factory=list)


@dataclass(kw_only=True)
class Builder:
    """The state of the form over a model's fields."""

    fields: Mapping[str, ConditionField]
    match: str = "all"
    groups: list[Group] = field(default_factory=list)

    # --- from a tree, and to one ---

    @classmethod
    def of(cls, tree: Any, fields: Mapping[str, ConditionField]) -> "Builder | None":
        """The form that shows a tree that was read before; None where none can."""
        top = tree if isinstance(tree, dict) and ("all" in tree or "any" in tree) else {"all": [tree]}
        match = "all" if "all" in top else "any"
        builder = cls(fields=fields, match=match)
        loose = Group(match=match)
        for part in top[match]:
            if "not" in part:
                return None
            inner = next((name for name in ("all", "any") if name in part), "")
            if not inner:
                loose.rows.append(builder._row_of(part))
            elif any("field" not in leaf for leaf in part[inner]):
                return None
            else:
                builder.groups.append(Group(match=inner, rows=[builder._row_of(leaf) for leaf in part[inner]]))
        if loose.rows:
            builder.groups.insert(0, loose)
        fits = len(builder.groups) <= MOST_GROUPS and all(len(group.rows) <= MOST_ROWS for group in builder.groups)
        # What the form would say otherwise than the tree does, it must not show: whoever sends it would change the conditions.
        return builder if fits and not any(builder._says_less(leaf) for leaf in _leaves(tree)) else None

    def tree(self) -> Any:
        """What the form says; None where it says nothing. Values that are wrong are told by the reader of conditions."""
        groups = []
        for group in self.groups:
            leaves = [self._leaf(row) for row in group.rows if row.name in self.fields]
            if leaves:
                groups.append({group.match: leaves} if len(leaves) > 1 else leaves[0])
        if not groups:
            return None
        return {self.match: groups} if len(groups) > 1 else groups[0]

    # --- from what was posted ---

    @classmethod
    def posted(cls, data: QueryDict, fields: Mapping[str, ConditionField]) -> "Builder":
        """The form as sent, with the row or group that was asked for added or taken away."""
        builder = cls(fields=fields, match="any" if data.get("match") == "any" else "all")
        for place in range(MOST_GROUPS):
            if f"g{place}-match" not in data:
                break
            group = Group(match="any" if data.get(f"g{place}-match") == "any" else "all")
            for number in range(MOST_ROWS):
                start = f"g{place}-{number}-"
                if f"{start}field" not in data:
                    break
                texts = {name: data.get(start + name, "") for name in ("op", "value", "until")}
                group.rows.append(builder._kept(Row(name=data[f"{start}field"], chosen=data.getlist(f"{start}chosen"), **texts)))
            builder.groups.append(group)
        builder._do(data.get("do", ""))
        return builder

    def _do(self, what: str) -> None:
        match = re.fullmatch(r"(add|drop|remove)-([0-9]{1,2})(?:-([0-9]{1,2}))?", what)
        if what == "group" and len(self.groups) < MOST_GROUPS:
            self.groups.append(Group(rows=[self.blank()]))
        elif match and int(match[2]) < len(self.groups):
            group = self.groups[int(match[2])]
            if match[1] == "add" and len(group.rows) < MOST_ROWS:
                group.rows.append(self.blank())
            elif match[1] == "remove" and match[3] and int(match[3]) < len(group.rows):
                del group.rows[int(match[3])]
            if match[1] == "drop" or not group.rows:
                self.groups.remove(group)

    def blank(self) -> Row:
        return self._kept(Row(name=next(iter(self.fields))))

    def _kept(self, row: Row) -> Row:
        """A row whose field and operator fit each other: another field begins with its first operator, emptied."""
        if row.name not in self.fields:
            row.name = next(iter(self.fields))
        offered = OPERATORS[self.fields[row.name].kind]
        if row.op not in offered:
            row.op, row.value, row.until, row.chosen = offered[0], "", "", []
        return row

    def _row_of(self, leaf: Mapping[str, Any]) -> Row:
        value = leaf.get("value")
        texts = [str(item).lower() if isinstance(item, bool) else str(item) for item in (value if isinstance(value, list) else [value])]
        row = Row(name=leaf["field"], op=leaf.get("op", "is"), value=texts[0] if value is not None else "")
        kind = self.fields[row.name].kind
        if row.op == "between":
            row.until = texts[1]
        elif kind in ("choice", "user") or self._picks(row.name):
            row.chosen = texts
        elif kind == "tags" and value is not None:
            row.value = ", ".join(texts)
        return row

    def _leaf(self, row: Row) -> dict[str, Any]:
        leaf: dict[str, Any] = {"field": row.name, "op": row.op}
        if row.op in NO_VALUE:
            return leaf
        kind = self.fields[row.name].kind
        if kind in ("choice", "user") or self._picks(row.name):
            leaf["value"] = row.chosen
        elif kind == "tags":
            leaf["value"] = [word.strip() for word in row.value.split(",") if word.strip()]
        elif kind == "flag":
            leaf["value"] = row.value == "true"
        else:
            read = _number if kind == "number" else str.strip
            leaf["value"] = [read(row.value), read(row.until)] if row.op == "between" else read(row.value)
        return leaf

    def _says_less(self, leaf: Mapping[str, Any]) -> bool:
        """Whether a leaf holds several values where the form has one input."""
        value, kind = leaf.get("value"), self.fields[leaf["field"]].kind
        return isinstance(value, list) and len(value) > 1 and kind in ("text", "number") and leaf.get("op") != "between"

    def _picks(self, name: str) -> bool:
        """Whether a field holds several of choices that are known, which are then picked rather than typed."""
        return self.fields[name].kind == "tags" and self.fields[name].choices is not None

    # --- for the template ---

    def shown(self) -> list[dict[str, Any]]:
        """The groups with everything their inputs need."""
        names = [(name, rule.label) for name, rule in self.fields.items()]
        return [
            {
                "place": place,
                "match": group.match,
                "rows": [
                    {**self._shown(row), "start": f"g{place}-{number}", "number": number, "names": names}
                    for number, row in enumerate(group.rows)
                ],
            }
            for place, group in enumerate(self.groups)
        ]

    def _shown(self, row: Row) -> dict[str, Any]:
        rule = self.fields[row.name]
        input_kind = "none" if row.op in NO_VALUE else "span" if row.op in SPANS else rule.kind
        choices = [(str(code), label, str(code) in row.chosen) for code, label in rule.choices()] if rule.choices else []
        return {
            "row": row,
            "label": rule.label,
            "operators": [(name, OPERATOR_WORDS[name]) for name in OPERATORS[rule.kind]],
            "input": "text" if input_kind == "choice" and not choices else "choice" if input_kind == "tags" and choices else input_kind,
            "choices": choices,
            "two": row.op == "between",
        }


def _leaves(tree: Any) -> Iterator[Mapping[str, Any]]:
    parts = tree.get("all") or tree.get("any")
    if parts is None:
        yield tree
    else:
        for part in parts:
            yield from _leaves(part)


def _number(text: str) -> Any:
    try:
        number = float(text)
    except ValueError:
        return text
    if not math.isfinite(number):
        return text
    return int(number) if number.is_integer() else number
