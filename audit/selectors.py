"""Read the history of records. A history row holds the record as it was *before* a change; the change is the step to the next."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.apps import apps
from django.db.models import F, Field, ForeignKey, Model, OuterRef, Q, QuerySet, Subquery, Value
from django.utils.dateparse import parse_datetime

from audit.models import AuditEvent

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


def changed_by_operation(model: type[Model], operation_id: int) -> QuerySet[Any]:
    """The ids of a model's records that an operation changed or deleted."""
    history = tracked_models()[model]
    return history._default_manager.filter(pgh_operation=operation_id).order_by().values("pgh_obj_id").distinct()


def history_of(record: Model, *, most: int = 50) -> list[Change]:
    """A record's changes, newest first. Two queries and one more for each kind of related record named in them."""
    model = type(record)
    history = tracked_models()[model]
    rows: list[Any] = list(history._default_manager.filter(pgh_obj_id=record.pk).order_by("-pgh_id")[:most])
    steps = []
    after: Any = record
    for row in rows:
        changed = () if row.pgh_label == "deleted" else tuple(_differences(history, row, after))
        if changed or row.pgh_label == "deleted":
            steps.append((row, changed))
        after = row
    names = _names_of(model, steps)
    return [_change(model, row, changed, names) for row, changed in steps]


def changes_told(record: Model, rows: Sequence[Any], *, consecutive: bool = False, latest: bool = False) -> list[Change]:
    """The changes that some history rows of a record stand for, newest first. Rows that made no difference tell nothing.

    `consecutive` rows have no others between them, so that each leads to the one before it in the list; of the `latest`, the
    first led to the record as it is.
    """
    model = type(record)
    history = tracked_models()[model]
    after = {} if consecutive else _following_rows(model, rows)
    steps = []
    following: Any = record
    if rows and consecutive and not latest:
        following = history._default_manager.filter(pgh_obj_id=record.pk, pgh_id__gt=rows[0].pgh_id).order_by("pgh_id").first() or record
    for row in rows:
        changed = tuple(_differences(history, row, following if consecutive else after.get(row.pgh_id, record)))
        if row.pgh_label == "deleted":
            changed = ()
        if changed or row.pgh_label == "deleted":
            steps.append((row, changed))
        following = row
    names = _names_of(model, steps)
    return [_change(model, row, changed, names) for row, changed in steps]


def told_columns(model: type[Model]) -> list[str]:
    """The columns whose changes the history of a model tells."""
    return [
        item.attname
        for item in tracked_models()[model]._meta.concrete_fields
        if not item.name.startswith("pgh_") and item.name not in _QUIET
    ]


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
    """A line of the audit log: a record's change, or an act that changed none. `fields` are the labels of what changed."""

    id: str
    at: datetime
    actor: str
    user_id: int | None
    door: str
    what: str
    model: str
    kind: str
    subject: str
    record_id: int | None = None
    record: Model | None = None
    fields: tuple[str, ...] = ()
    operation_id: int | None = None
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, order=True)
class LogPosition:
    """Where a page of the log ended. Changes of one transaction share their time, so model and row count as well."""

    at: datetime
    model: str = ""
    row: int = 0

    def __str__(self) -> str:
        return f"{self.at.isoformat()}~{self.model}~{self.row}"

    @classmethod
    def read(cls, text: str) -> "LogPosition | None":
        """Read a cursor, or a bare time. None: neither."""
        moment, _, rest = text.strip().partition("~")
        model, _, row = rest.partition("~")
        try:
            at = parse_datetime(moment.replace(" ", "+"))
        except ValueError:
            return None
        if at is None or not re.fullmatch(r"[0-9]{0,18}", row) or not re.fullmatch(r"[a-z_.]*", model):
            return None
        return cls(at=at if at.tzinfo else at.replace(tzinfo=UTC), model=model, row=int(row or 0))


ACTS = AuditEvent._meta.label_lower


def known_models() -> set[str]:
    """The names by which the log can be narrowed."""
    return {ACTS, *(model._meta.label_lower for model in tracked_models())}


def log_before(
    *, before: LogPosition | None = None, model: str = "", user_id: int | None = None, most: int = 50
) -> tuple[list[LogEntry], LogPosition | None]:
    """One page of the tenant's log over all tracked models and acts, newest first, and where the next page starts.

    One query over all models, each read along its index of time, and four for each model that is on the page.
    """
    by_label: dict[str, type[Model] | None] = {ACTS: None} | {tracked._meta.label_lower: tracked for tracked in tracked_models()}
    parts = []
    for label, tracked in by_label.items():
        if model and model != label:
            continue
        manager, at, pk = (
            (tracked_models()[tracked]._default_manager, "pgh_created_at", "pgh_id") if tracked else (AuditEvent.objects, "at", "id")
        )
        rows = _rows_before(manager.all(), before, label, at, pk)
        if user_id is not None:
            rows = rows.filter(**{"pgh_context__user" if tracked else "user_id": user_id})
        parts.append(rows.annotate(log_of=Value(label), log_at=F(at), log_row=F(pk)).values_list("log_at", "log_of", "log_row")[: most + 1])
    if not parts:
        return [], None
    rows_in_order = parts[0].union(*parts[1:], all=True) if len(parts) > 1 else parts[0]
    found = sorted((LogPosition(at=at, model=label, row=pk) for at, label, pk in rows_in_order), reverse=True)
    page = found[:most]
    following = page[-1] if len(found) > most else None
    return _log_entries(_loaded(page, by_label)), following


def _loaded(page: Sequence[LogPosition], by_label: Mapping[str, type[Model] | None]) -> list[tuple[LogPosition, type[Model] | None, Any]]:
    """The rows of a page, a query a model."""
    wanted: dict[str, list[int]] = {}
    for place in page:
        wanted.setdefault(place.model, []).append(place.row)
    rows: dict[str, dict[int, Any]] = {}
    for label, ids in wanted.items():
        tracked = by_label[label]
        rows[label] = (tracked_models()[tracked]._default_manager if tracked else AuditEvent.objects).in_bulk(ids)
    return [(place, by_label[place.model], rows[place.model][place.row]) for place in page if place.row in rows[place.model]]


def _rows_before(rows: QuerySet[Any], before: LogPosition | None, model: str, at: str, pk: str) -> QuerySet[Any]:
    rows = rows.order_by(f"-{at}", f"-{pk}")
    if before is None:
        return rows
    if model > before.model:
        return rows.filter(**{f"{at}__lt": before.at})
    rows = rows.filter(**{f"{at}__lte": before.at})
    if model == before.model:
        rows = rows.filter(Q(**{f"{at}__lt": before.at}) | Q(**{f"{pk}__lt": before.row}))
    return rows


def _log_entries(page: Sequence[tuple[LogPosition, type[Model] | None, Any]]) -> list[LogEntry]:
    rows_by_model: dict[type[Model], list[Any]] = {}
    for _, tracked, row in page:
        if tracked is not None:
            rows_by_model.setdefault(tracked, []).append(row)
    records = {tracked: tracked._default_manager.in_bulk({row.pgh_obj_id for row in rows}) for tracked, rows in rows_by_model.items()}
    after = {tracked: _following_rows(tracked, rows) for tracked, rows in rows_by_model.items()}
    return [
        _act_entry(row)
        if tracked is None
        else _change_entry(tracked, row, records[tracked].get(row.pgh_obj_id), after[tracked].get(row.pgh_id))
        for _, tracked, row in page
    ]


def _following_rows(tracked: type[Model], rows: Sequence[Any]) -> dict[int, Any]:
    """The history row after each of these, by id: what the change led to, unless that is the record as it is now."""
    manager = tracked_models()[tracked]._default_manager
    later = manager.filter(pgh_obj_id=OuterRef("pgh_obj_id"), pgh_id__gt=OuterRef("pgh_id")).order_by("pgh_id").values("pgh_id")[:1]
    pairs = dict(manager.filter(pk__in=[row.pgh_id for row in rows]).annotate(later=Subquery(later)).values_list("pgh_id", "later"))
    following = manager.in_bulk({pk for pk in pairs.values() if pk is not None})
    return {pk: following[later_pk] for pk, later_pk in pairs.items() if later_pk is not None}


def _change_entry(tracked: type[Model], row: Any, record: Model | None, following: Any) -> LogEntry:
    context = row.pgh_context or {}
    after = following if following is not None else record
    names = [name for name, _, _ in _differences(type(row), row, after)] if after is not None and row.pgh_label != "deleted" else []
    return LogEntry(
        id=f"{tracked._meta.label_lower}:{row.pgh_id}",
        at=row.pgh_created_at,
        actor=context.get("actor", "system"),
        user_id=context.get("user"),
        door=context.get("door", ""),
        what=row.pgh_label,
        model=tracked._meta.label_lower,
        kind=str(tracked._meta.verbose_name),
        subject=str(record) if record is not None else f"#{row.pgh_obj_id}",
        record_id=row.pgh_obj_id,
        record=record,
        fields=tuple(str(getattr(tracked._meta.get_field(name), "verbose_name", name)) for name in names),
        operation_id=context.get("operation"),
    )


def _act_entry(act: AuditEvent) -> LogEntry:
    return LogEntry(
        id=f"{ACTS}:{act.pk}",
        at=act.at,
        actor=act.actor,
        user_id=act.user_id,
        door=act.door,
        what=act.action,
        model=ACTS,
        kind="",
        subject=act.subject,
        details=act.details,
    )
