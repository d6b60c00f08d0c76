"""What a lead's own records tell in its timeline: its making, its changes, and what came in for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db import connection
from django.db.models import Count, Max, Min, Q
from django.utils.translation import gettext_lazy as _

from audit.selectors import Change, changes_told, told_columns, tracked_models
from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from crm.timeline import Entry, Position, Tally, TimelineSource, Wanted
from customobjects.selectors import hidden_keys
from leads.models import Arrival, Lead
from leads.selectors import note_newest_arrival, note_statuses_before
from leads.services.custom_fields import visible_change, visible_values
from leads.services.drafts import RECORDS

# Activities tell these themselves: a change of nothing else is not told twice.
TOLD_BY_ACTIVITIES = frozenset({"next_follow_up_at", "last_contact_at"})
_CATEGORIES = {
    "status_changed": "lead_management",
    "lead_assigned": "lead_management",
    "lead_updated": "data_management",
    "lead_deleted": "data_management",
    "lead_restored": "data_management",
}
# History rows are read in the order of their ids. Of two transactions on one lead, the later may have begun first: so many
# more rows are read that their times come in order.
_OVERLAP = 10


# --- changes of fields, from the history ---


def change_entries(*, record: Lead, reader: Actor, wanted: Wanted, before: Position | None, order: int, most: int) -> Iterator[Entry]:
    """The lead's changes, as the reader may see them."""
    history = tracked_models()[Lead]
    batch = most + _OVERLAP
    last: int | None = None
    given = 0
    in_a_row = not (wanted.kinds or wanted.categories or wanted.until) and wanted.include_system
    only = _ids_of_kinds(record, reader, wanted) if wanted.kinds or wanted.categories or not wanted.include_system else None
    while given < most:
        rows = history._default_manager.filter(wanted.span("pgh_created_at"), pgh_obj_id=record.pk)
        if before is not None:
            rows = rows.filter(before.behind(at="pgh_created_at", key="pgh_id", order=order))
        if last is not None:
            rows = rows.filter(pgh_id__lt=last)
        if only is not None:
            rows = rows.filter(pgh_id__in=only)
        found: list[Any] = list(rows.order_by("-pgh_id")[:batch])
        if wanted.is_everything and before is None and last is None and len(found) < batch:
            note_statuses_before(record, [(row.status_id, row.pgh_created_at) for row in reversed(found)])
        entries = [
            _change_entry(seen, order)
            for change in changes_told(record, found, consecutive=in_a_row, latest=in_a_row and before is None and last is None)
            if (seen := visible_change(change, reader)) is not None and _is_told(seen)
        ]
        for entry in sorted(entries, key=lambda entry: entry.position, reverse=True):
            if wanted.takes(kind=entry.kind, category=entry.category, is_system=entry.is_system):
                given += 1
                yield entry
        if len(found) < batch:
            return
        last = found[-1].pgh_id


def _is_told(change: Change) -> bool:
    return change.kind == "deleted" or any(item.name not in TOLD_BY_ACTIVITIES for item in change.fields)


def _change_entry(change: Change, order: int) -> Entry:
    by_name = {item.name: item for item in change.fields}
    if "status" in by_name:
        step = by_name["status"]
        kind, text = "status_changed", f'Status changed from "{step.old}" to "{step.new}"'
    elif "owner" in by_name:
        step = by_name["owner"]
        kind, text = "lead_assigned", f"Assigned to {step.new}" if step.new else "Assignment removed"
    elif change.kind == "deleted" or "deleted_at" in by_name:
        restored = "deleted_at" in by_name and by_name["deleted_at"].new is None
        kind, text = ("lead_restored", "Restored from the bin") if restored else ("lead_deleted", "Moved to the bin")
    else:
        kind, text = "lead_updated", "Changed " + ", ".join(item.label for item in change.fields)
    return Entry(
        id=change.id,
        kind=kind,
        category=_CATEGORIES[kind],
        position=Position(at=change.at, order=order, key=int(change.id.rpartition(":")[2])),
        text=text,
        user_id=change.user_id,
        actor=change.actor,
        is_system=change.user_id is None,
        data={
            "changes": [{"field": item.name, "label": item.label, "old": item.old, "new": item.new} for item in change.fields],
            "door": change.door,
        },
        template="leads/_entry.html",
    )


# Each row of the history is the lead before a change; what followed is the next row, or the lead as it is.
_STEPS = """
WITH story AS (
    SELECT pgh_id, pgh_created_at AS at, pgh_label AS label, pgh_context ->> 'user' AS person, status_id, owner_id, deleted_at, ROW({columns}) AS told
    FROM {history} WHERE tenant_id = %(tenant)s AND pgh_obj_id = %(lead)s
    UNION ALL
    SELECT 9223372036854775807, now(), 'now', NULL, status_id, owner_id, deleted_at, ROW({columns})
    FROM leads_lead WHERE tenant_id = %(tenant)s AND id = %(lead)s
), steps AS (
    SELECT pgh_id, at, person IS NULL AS is_system, label,
           CASE WHEN status_id IS DISTINCT FROM lead(status_id) OVER later THEN 'status_changed'
                WHEN owner_id IS DISTINCT FROM lead(owner_id) OVER later THEN 'lead_assigned'
                WHEN label = 'deleted' THEN 'lead_deleted'
                WHEN deleted_at IS DISTINCT FROM lead(deleted_at) OVER later
                    THEN CASE WHEN lead(deleted_at) OVER later IS NULL THEN 'lead_restored' ELSE 'lead_deleted' END
                WHEN told IS DISTINCT FROM lead(told) OVER later THEN 'lead_updated' END AS kind
    FROM story WINDOW later AS (ORDER BY pgh_id)
)
"""
_COUNTED = """
SELECT kind, is_system, count(*), count(*) FILTER (WHERE at >= %(recent)s), min(at), max(at)
FROM steps WHERE label <> 'now' AND kind IS NOT NULL
  AND (%(since)s::timestamptz IS NULL OR at >= %(since)s) AND (%(until)s::timestamptz IS NULL OR at < %(until)s)
GROUP BY 1, 2
"""
_CHOSEN = "SELECT pgh_id FROM steps WHERE label <> 'now' AND kind = ANY(%(kinds)s)"


def _steps(tail: str, record: Lead, reader: Actor, **given: Any) -> list[Any]:
    columns = []
    hidden = sorted(hidden_keys(RECORDS, reader))
    for name in told_columns(Lead):
        if name in TOLD_BY_ACTIVITIES or name in ("status_id", "owner_id", "deleted_at"):
            continue
        free = hidden and name in ("custom_fields", "raw_field_data")
        columns.append(f"{name} - %(hidden)s::text[]" if free else name)
    text = _STEPS.format(columns=", ".join(columns), history=tracked_models()[Lead]._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(text + tail, {"tenant": current_tenant_id(), "lead": record.pk, "hidden": hidden, **given})
        return cursor.fetchall()


def _ids_of_kinds(record: Lead, reader: Actor, wanted: Wanted) -> list[int]:
    kinds = [kind for kind, category in _CATEGORIES.items() if wanted.takes(kind=kind, category=category, is_system=False)]
    return [row[0] for row in _steps(_CHOSEN, record, reader, kinds=kinds)] if kinds else []


def change_tallies(*, record: Lead, reader: Actor, wanted: Wanted, recent: Any) -> list[Tally]:
    """How often the lead changed, by what kind of change."""
    rows = _steps(_COUNTED, record, reader, recent=recent, since=wanted.since, until=wanted.until)
    return [
        Tally(kind=kind, category=_CATEGORIES[kind], number=number, recent=lately, first=first, last=last)
        for kind, is_system, number, lately, first, last in rows
        if wanted.takes(kind=kind, category=_CATEGORIES[kind], is_system=is_system)
    ]


# --- what came in ---

_SUBMITTED, _ENGAGEMENT = "form_submitted", "engagement"


def arrival_entries(*, record: Lead, reader: Actor, wanted: Wanted, before: Position | None, order: int, most: int) -> Iterator[Entry]:
    if not wanted.takes(kind=_SUBMITTED, category=_ENGAGEMENT, is_system=True):
        return
    rows = Arrival.objects.filter(wanted.span("received_at"), lead=record)
    if before is not None:
        rows = rows.filter(before.behind(at="received_at", key="pk", order=order))
    found = list(rows.order_by("-pk")[: most + _OVERLAP])
    if wanted.is_everything and before is None:
        note_newest_arrival(record, found[0] if found else None)
    for arrival in sorted(found, key=lambda row: (row.received_at, row.pk), reverse=True):
        place = arrival.page_url or arrival.page_id or arrival.form_id
        utm = {name: getattr(arrival, f"utm_{name}") for name in ("source", "medium", "campaign", "term", "content")}
        yield Entry(
            id=f"arrival:{arrival.pk}",
            kind=_SUBMITTED,
            category=_ENGAGEMENT,
            position=Position(at=arrival.received_at, order=order, key=arrival.pk),
            text=f"Form submitted on {place}" if place else f"Received from {arrival.get_platform_key_display()}",
            is_system=True,
            data={
                "platform": arrival.platform_key,
                "page_id": arrival.page_id,
                "form_id": arrival.form_id,
                "utm": {name: value for name, value in utm.items() if value},
                "payload": visible_values(arrival.payload, reader),
            },
            template="leads/_entry.html",
        )


def arrival_tallies(*, record: Lead, reader: Actor, wanted: Wanted, recent: Any) -> list[Tally]:
    if not wanted.takes(kind=_SUBMITTED, category=_ENGAGEMENT, is_system=True):
        return []
    found: Mapping[str, Any] = Arrival.objects.filter(wanted.span("received_at"), lead=record).aggregate(
        number=Count("pk"), recent=Count("pk", filter=Q(received_at__gte=recent)), first=Min("received_at"), last=Max("received_at")
    )
    return [Tally(kind=_SUBMITTED, category=_ENGAGEMENT, **found)] if found["number"] else []


# --- its making ---

_CREATED, _MADE = "lead_created", "data_management"


def _is_made_in(record: Lead, wanted: Wanted) -> bool:
    return (
        wanted.takes(kind=_CREATED, category=_MADE, is_system=record.created_by_id is None)
        and (wanted.since is None or record.created_at >= wanted.since)
        and (wanted.until is None or record.created_at < wanted.until)
    )


def creation_entries(*, record: Lead, reader: Actor, wanted: Wanted, before: Position | None, order: int, most: int) -> Iterator[Entry]:
    position = Position(at=record.created_at, order=order, key=record.pk)
    if _is_made_in(record, wanted) and (before is None or position < before):
        yield Entry(
            id=f"lead:{record.pk}",
            kind=_CREATED,
            category=_MADE,
            position=position,
            text=f"Lead created ({record.created_via or 'system'})",
            user_id=record.created_by_id,
            is_system=record.created_by_id is None,
            template="leads/_entry.html",
        )


def creation_tallies(*, record: Lead, reader: Actor, wanted: Wanted, recent: Any) -> list[Tally]:
    if not _is_made_in(record, wanted):
        return []
    at = record.created_at
    return [Tally(kind=_CREATED, category=_MADE, number=1, recent=int(at >= recent), first=at, last=at)]


SOURCES = (
    TimelineSource(name="creation", order=0, words=(_CREATED,), entries=creation_entries, tallies=creation_tallies),
    TimelineSource(
        name="arrivals",
        order=10,
        words=(_SUBMITTED,),
        entries=arrival_entries,
        tallies=arrival_tallies,
        shows=(("arrivals", _("Arrivals"), (_SUBMITTED,)),),
    ),
    TimelineSource(
        name="changes",
        order=20,
        words=tuple(_CATEGORIES),
        entries=change_entries,
        tallies=change_tallies,
        shows=(("changes", _("Changes"), (*_CATEGORIES, _CREATED)),),
    ),
)
