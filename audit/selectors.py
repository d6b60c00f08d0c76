"""Read the history of records. A history row holds the record as it was *before* a change; the change is the step to the next."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db.models import Field, ForeignKey, Model, QuerySet

from crm.identity.models import User

# Bookkeeping that nobody asks the history about.
_QUIET = {"updated_at", "email_key", "status_changed_at", "assigned_at", "probability_pinned", "tenant", "id"}


@dataclass(frozen=True, kw_only=True)
class FieldChange:
    """A field's value before and after, fit to be shown."""

    name: str
    label: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step in a record's life: when, who, from which door, and what became different."""

    id: str
    at: datetime
    actor: str
    user_id: int | None
    door: str
    kind: str
    operation_id: int | None = None
    fields: tuple[FieldChange, ...] = field(default=())


def tracked_models() -> dict[type[Model], type[Model]]:
    """Every tracked model with its history model."""
    return {model.pgh_tracked_model: model for model in apps.get_models() if hasattr(model, "pgh_tracked_model")}


def history_of(record: Model, *, most: int = 50) -> list[Change]:
    """A record's changes, newest first. Two queries and one more for each kind of related record named in them."""
    model = type(record)
    history = tracked_models()[model]
    rows = list(history._default_manager.filter(pgh_obj_id=record.pk).order_by("-pgh_id")[:most])
    steps = []
    after: Any = record
    for row in rows:
        changed = () if row.pgh_label == "deleted" else tuple(_differences(history, row, after))
        if changed or row.pgh_label == "deleted":
            steps.append((row, changed))
        after = row
    names = _names_of(model, steps)
    return [_change(model, row, changed, names) for row, changed in steps]


def _differences(history: type[Model], before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    for item in history._meta.concrete_fields:
        if item.name.startswith("pgh_") or item.name in _QUIET:
            continue
        old, new = getattr(before, item.attname), getattr(after, item.attname)
        if old != new:
            yield item.name, old, new


def _names_of(model: type[Model], steps: Sequence[tuple[Any, Sequence[tuple[str, Any, Any]]]]) -> dict[tuple[str, Any], str]:
    wanted: dict[str, set[Any]] = {}
    for _, changed in steps:
        for name, old, new in changed:
            if isinstance(model._meta.get_field(name), ForeignKey):
                wanted.setdefault(name, set()).update({old, new} - {None})
    names: dict[tuple[str, Any], str] = {}
    for name, ids in wanted.items():
        related: type[Model] = model._meta.get_field(name).related_model  # type: ignore[assignment]
        for item in related._default_manager.filter(pk__in=ids):
            names[name, item.pk] = str(item)
    return names


def _change(model: type[Model], row: Any, changed: Sequence[tuple[str, Any, Any]], names: dict[tuple[str, Any], str]) -> Change:
    context = row.pgh_context or {}
    return Change(
        id=f"{model._meta.label_lower}:{row.pgh_id}",
        at=row.pgh_created_at,
        actor=context.get("actor", "system"),
        user_id=context.get("user"),
        door=context.get("door", ""),
        kind=row.pgh_label,
        operation_id=context.get("operation"),
        fields=tuple(
            FieldChange(
                name=name,
                label=str(getattr(model._meta.get_field(name), "verbose_name", name)),
                old=shown(model._meta.get_field(name), old, names),
                new=shown(model._meta.get_field(name), new, names),
            )
            for name, old, new in changed
        ),
    )


def shown(item: Any, value: Any, names: dict[tuple[str, Any], str]) -> Any:
    """A stored value as people read it: the name of a related record, the label of a choice."""
    if value is None or value == "":
        return None
    if isinstance(item, ForeignKey):
        return names.get((item.name, value), f"#{value}")
    if isinstance(item, Field) and item.choices:
        return str(dict(item.flatchoices).get(value, value))
    return value


@dataclass(frozen=True, kw_only=True)
class LogEntry:
    """A line of the audit log."""

    at: datetime
    actor: str
    door: str
    what: str
    subject: str
    model: str
    record_id: int | None = None
    fields: tuple[str, ...] = ()


def recent_changes(*, most: int = 100, before: datetime | None = None, model: str = "") -> list[LogEntry]:
    """The tenant's newest changes over all tracked models, each model read along its index of time."""
    entries: list[LogEntry] = []
    for tracked, history in tracked_models().items():
        if model and tracked._meta.label_lower != model:
            continue
        rows: QuerySet[Any] = history._default_manager.order_by("-pgh_created_at")
        if before is not None:
            rows = rows.filter(pgh_created_at__lt=before)
        entries.extend(_log_entries(tracked, rows[:most]))
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:most]


def _log_entries(tracked: type[Model], rows: Iterable[Any]) -> Iterator[LogEntry]:
    label = str(tracked._meta.verbose_name)
    for row in rows:
        context = row.pgh_context or {}
        yield LogEntry(
            at=row.pgh_created_at,
            actor=context.get("actor", "system"),
            door=context.get("door", ""),
            what=row.pgh_label,
            subject=label,
            model=tracked._meta.label_lower,
            record_id=row.pgh_obj_id,
        )


def people_by_id(ids: Iterable[int]) -> dict[int, User]:
    return {user.pk: user for user in User.objects.filter(pk__in=set(ids))}
