"""The columns that an export of leads offers, and their rows read set-wise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from django.db import connection
from django.utils.translation import gettext_lazy as _

from audit.selectors import tracked_models
from crm.actors import Actor
from crm.errors import InvalidInput
from crm.registry import Registry, Text
from crm.tenancy.scope import current_tenant_id
from customobjects.selectors import hidden_keys, without_hidden
from leads.enums import Priority
from leads.models import Lead

# Before the name of a field of the tenant's own, as in `custom_fields.budget`; alone it is all of them in one column.
CUSTOM = "custom_fields"
ACTIVITY = "activity_summary"
MOST_FIELDS = 200
_LONGEST_KEY = 100
_PRIORITIES = {priority.value: str(priority.label) for priority in Priority}


@dataclass(frozen=True, kw_only=True)
class ExportField:
    """A column on offer: the name the API gives it, what its heading is for people, and where its value comes from."""

    name: str
    label: Text
    group: Text
    sql: str
    read: Callable[[Any], Any] | None = None


@dataclass(frozen=True, kw_only=True)
class ExportSource:
    """Columns of a higher app. `read(ids)` answers a mapping of names to values for each lead that has any."""

    prefix: str
    group: Text
    columns: Mapping[str, Text]
    read: Callable[[Sequence[int]], Mapping[int, Mapping[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class ActivitySource:
    """What counts as something that happened with a lead: `read(ids)` answers id, how often, and when last."""

    name: str
    label: Text
    last_type: str
    read: Callable[[Sequence[int]], Iterable[tuple[int, int, datetime]]]


SOURCES = "leads.Lead"
export_sources: Registry[ExportSource] = Registry()
activity_sources: Registry[ActivitySource] = Registry()

_PERSON, _COMPANY, _SALES, _ORIGIN, _TIMES = _("Person"), _("Company"), _("Sales"), _("Origin"), _("Dates")


def _priority(value: int) -> str:
    return _PRIORITIES[value]


def _json(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, str | bytes) else value


def _field(name: str, label: Text, group: Text, sql: str = "", read: Callable[[Any], Any] | None = None) -> ExportField:
    return ExportField(name=name, label=label, group=group, sql=sql or f"lead.{name}", read=read)


_OWNER_NAME = "btrim(owner.first_name || ' ' || owner.last_name)"
FIELDS: dict[str, ExportField] = {
    item.name: item
    for item in (
        _field("id", _("Lead id"), _PERSON),
        _field("name", _("Name"), _PERSON, "btrim(lead.first_name || ' ' || lead.last_name)"),
        _field("first_name", _("First name"), _PERSON),
        _field("last_name", _("Last name"), _PERSON),
        _field("email", _("E-mail"), _PERSON),
        _field("phone", _("Phone"), _PERSON),
        _field("title", _("Job title"), _PERSON),
        _field("notes", _("Notes"), _PERSON),
        _field("company", _("Company"), _COMPANY),
        _field("website", _("Website"), _COMPANY),
        _field("industry", _("Industry"), _COMPANY),
        _field("company_size", _("Company size"), _COMPANY),
        _field("city", _("City"), _COMPANY),
        _field("state", _("State"), _COMPANY),
        _field("country", _("Country"), _COMPANY),
        _field("status", _("Status code"), _SALES, "status.code"),
        _field("status_label", _("Status"), _SALES, "status.label"),
        _field("lost_reason", _("Reason lost"), _SALES),
        _field("priority", _("Priority"), _SALES, read=_priority),
        _field("assigned_to", _("Owner id"), _SALES, "lead.owner_id"),
        _field("assigned_to_name", _("Owner"), _SALES, _OWNER_NAME),
        _field("score", _("Score"), _SALES),
        _field("quality_grade", _("Grade"), _SALES),
        _field("lifecycle_stage", _("Lifecycle stage"), _SALES),
        _field("conversion_probability", _("Conversion probability"), _SALES),
        _field("tags", _("Tags"), _SALES),
        _field("lead_source", _("Source"), _ORIGIN),
        _field("platform_key", _("Channel"), _ORIGIN),
        _field("source_page_id", _("Page id"), _ORIGIN),
        _field("source_page_name", _("Page name"), _ORIGIN),
        _field("consent_time", _("Consent given"), _ORIGIN),
        _field("raw_field_data", _("As received"), _ORIGIN, read=_json),
        _field("created_via", _("Created via"), _ORIGIN),
        _field("created_by", _("Created by id"), _ORIGIN, "lead.created_by_id"),
        _field("created_at", _("Created"), _TIMES),
        _field("updated_at", _("Changed"), _TIMES),
        _field("assigned_at", _("Assigned"), _TIMES),
        _field("status_changed_at", _("In this status since"), _TIMES),
        _field("last_contact", _("Last contact"), _TIMES, "lead.last_contact_at"),
        _field("next_follow_up", _("Next follow-up"), _TIMES, "lead.next_follow_up_at"),
        _field("deleted_at", _("Deleted"), _TIMES),
        _field(CUSTOM, _("Further fields"), _("Further fields"), read=_json),
    )
}
# Other names under which the API knows the same.
ALIASES = {
    "full_name": "name",
    "assigned_user_id": "assigned_to",
    "owner": "assigned_to_name",
    "last_contact_at": "last_contact",
    "next_follow_up_at": "next_follow_up",
    "address.city": "city",
    "address.state": "state",
    "address.country": "country",
    "grade": "quality_grade",
}
# What an export holds where no fields are named: all but what is long and of no use to most.
DEFAULT = tuple(name for name in FIELDS if name not in ("raw_field_data", "source_page_id", "created_by"))


def known_fields() -> dict[str, tuple[Text, Text]]:
    """Every column on offer but the tenant's own fields: name → heading and group."""
    known = {name: (item.label, item.group) for name, item in FIELDS.items()}
    for source in export_sources.of(SOURCES):
        known |= {f"{source.prefix}.{name}": (label, source.group) for name, label in source.columns.items()}
    return known


def checked_fields(names: Iterable[str], *, actor: Actor) -> tuple[str, ...]:
    """The fields asked for under their own names, each once; the default ones where none is. Raises InvalidInput naming the unknown."""
    asked = [name.strip() for name in names if name.strip()]
    known, hidden = known_fields(), hidden_keys(SOURCES, actor)
    chosen: dict[str, None] = {}
    unknown = []
    for name in asked:
        real = ALIASES.get(name, name)
        key = real.removeprefix(f"{CUSTOM}.") if real.startswith(f"{CUSTOM}.") else None
        if (real in known and key is None) or (key and len(key) <= _LONGEST_KEY and key not in hidden):
            chosen[real] = None
        else:
            unknown.append(name[:80])
    if unknown:
        raise InvalidInput({"fields": [f"Unknown field: {name}." for name in unknown[:10]]})
    if len(chosen) > MOST_FIELDS:
        raise InvalidInput({"fields": [f"At most {MOST_FIELDS} fields."]})
    return tuple(chosen) or DEFAULT


def headings_of(names: Sequence[str], *, activities: bool) -> list[str]:
    """The columns' headings for people. An import knows by them what fills which field."""
    known = known_fields()
    headings = [str(known[name][0]) if name in known else name.removeprefix(f"{CUSTOM}.") for name in names]
    return [*headings, *(str(label) for label in _activity_columns().values())] if activities else headings


def columns_of(names: Sequence[str], *, activities: bool) -> list[str]:
    """The columns' names."""
    return [*names, *_activity_columns()] if activities else list(names)


# --- rows ---


@dataclass(kw_only=True)
class RowReader:
    """Reads the rows of ids in their order, a column for each of `names`."""

    names: Sequence[str]
    actor: Actor
    activities: bool = False

    def read(self, ids: Sequence[int]) -> list[list[Any]]:
        if not ids:
            return []
        own = [FIELDS[name] for name in self.names if name in FIELDS]
        with connection.cursor() as cursor:
            cursor.execute(_row_sql(tuple(item.sql for item in own), self._wants_custom()), [list(ids), current_tenant_id()])
            found = cursor.fetchall()
        beside = self._beside([row[0] for row in found])
        return [self._row(row, own, beside) for row in found]

    def _wants_custom(self) -> bool:
        return any(name.startswith(f"{CUSTOM}.") for name in self.names)

    def _beside(self, ids: Sequence[int]) -> dict[str, Mapping[int, Mapping[str, Any]]]:
        """The values of higher apps, by prefix, for those that are asked for."""
        prefixes = {name.partition(".")[0] for name in self.names if "." in name}
        return {source.prefix: source.read(ids) for source in export_sources.of(SOURCES) if source.prefix in prefixes} | (
            {ACTIVITY: _summaries(ids)} if self.activities else {}
        )

    def _row(self, row: Sequence[Any], own: Sequence[ExportField], beside: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> list[Any]:
        pk, created_at, custom = row[:3]
        values = {item.name: item.read(value) if item.read else value for item, value in zip(own, row[3:], strict=True)}
        custom = _json(custom) or {}
        for name in (CUSTOM, "raw_field_data"):
            if name in values:
                values[name] = without_hidden(SOURCES, values[name], self.actor)
        cells = []
        for name in self.names:
            prefix, _dot, key = name.partition(".")
            if not key:
                cells.append(values[name])
            elif prefix == CUSTOM:
                cells.append(custom.get(key))
            else:
                cells.append(beside[prefix].get(pk, {}).get(key))
        if self.activities:
            cells += _summary_cells(beside[ACTIVITY].get(pk, {}), created_at)
        return cells


@cache
def _row_sql(columns: tuple[str, ...], custom: bool) -> str:
    own = "lead.custom_fields" if custom else "NULL"
    return f"""
    SELECT {", ".join(("lead.id", "lead.created_at", own, *columns))}
    FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (id, place)
    JOIN leads_lead AS lead ON lead.tenant_id = %s AND lead.id = wanted.id
    JOIN leads_leadstatus AS status ON status.tenant_id = lead.tenant_id AND status.id = lead.status_id
    LEFT JOIN identity_user AS owner ON owner.tenant_id = lead.tenant_id AND owner.id = lead.owner_id
    ORDER BY wanted.place
    """  # noqa: S608 -- the columns are those of FIELDS


# --- activities ---


def _activity_columns() -> dict[str, Text]:
    counts = {f"{ACTIVITY}.{source.name}": source.label for source in activity_sources.of(SOURCES)}
    return {
        f"{ACTIVITY}.total": _("Activities"),
        **counts,
        f"{ACTIVITY}.last_at": _("Last activity"),
        f"{ACTIVITY}.last_type": _("Last activity type"),
    }


def _summaries(ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for source in activity_sources.of(SOURCES):
        for pk, number, last in source.read(ids):
            summary = found.setdefault(pk, {})
            summary[source.name] = number
            if last > summary.get("last_at", last) or "last_at" not in summary:
                summary["last_at"], summary["last_type"] = last, source.last_type
    return found


def _summary_cells(summary: Mapping[str, Any], created_at: datetime) -> list[Any]:
    """How much happened, as the lead's timeline shows it, whose first entry is the lead's creation."""
    counts = [summary.get(source.name, 0) for source in activity_sources.of(SOURCES)]
    return [1 + sum(counts), *counts, summary.get("last_at", created_at), summary.get("last_type", "lead_created")]


def _counted(table: str, key: str, at: str, ids: Sequence[int]) -> list[tuple[int, int, datetime]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {key}, count(*), max({at}) FROM {table} WHERE tenant_id = %s AND {key} = ANY(%s) GROUP BY {key}",  # noqa: S608 -- by the callers below
            [current_tenant_id(), list(ids)],
        )
        return cursor.fetchall()


def _changes(ids: Sequence[int]) -> list[tuple[int, int, datetime]]:
    return _counted(tracked_models()[Lead]._meta.db_table, "pgh_obj_id", "pgh_created_at", ids)


def _arrivals(ids: Sequence[int]) -> list[tuple[int, int, datetime]]:
    return _counted("leads_arrival", "lead_id", "received_at", ids)


activity_sources.add(SOURCES, ActivitySource(name="changes", label=_("Changes"), last_type="lead_updated", read=_changes), order=10)
activity_sources.add(SOURCES, ActivitySource(name="arrivals", label=_("Arrivals"), last_type="form_submitted", read=_arrivals), order=20)
