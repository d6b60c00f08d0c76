"""Change, tag, delete and restore many leads at once, as operations that can be taken back.

The leads are named by id or by a list's filters. By filter they are walked in the order of their ids, each looked at once,
as the list would show them at that moment; later leads than the newest at the start are left alone. Row by row the same
rules hold as for a single lead: what its caller could not change there is not changed here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db.models import Count, F, Max, Q, TextField, Value
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from audit.services.acts import record_act
from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.listing import Condition
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import start_operation
from customobjects.services.uniqueness import unique_definitions
from leads.filters import LeadList
from leads.models import Lead, LeadTransition
from leads.permissions import ASSIGN, CHANGE, DELETE, HARD_DELETE, SKIP_TRANSITIONS
from leads.selectors import is_allowed, leads_visible_to, lock_leads, move_between, vocabulary
from leads.services.bin import delete_leads, purge_leads, restore_leads
from leads.services.changes import LeadChanges
from leads.services.drafts import RECORDS
from leads.services.editing import apply_fields, blank_condition, column_of, note_of

EDIT, DELETE_KIND, PURGE, RESTORE = "leads.bulk_edit", "leads.bulk_delete", "leads.bulk_purge", "leads.bulk_restore"
CHUNK_LEADS = 1000
MOST_IDS = 100_000
# Said of a move, not held by a lead.
_SAID = ("move_note", "next_action")
_LIKE_ONE = ("email", "phone", "name", "first_name", "last_name")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which leads: these ids, or all that a list with these filters shows, but for `without`."""

    ids: Sequence[int] = ()
    filters: Mapping[str, str] | None = None
    without: Sequence[int] = ()

    def stored(self) -> dict[str, Any]:
        ids = list(dict.fromkeys(self.ids))
        return {"ids": ids, "filters": dict(self.filters) if self.filters is not None else None, "without": list(self.without)}


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a change would come to now: leads matched, those that hold it already, and those that the rules keep from it."""

    matched: int
    unchanged: int = 0
    refused: int = 0
    # Why some are refused, with how many.
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def changed(self) -> int:
        return self.matched - self.unchanged - self.refused


# --- asking for it ---


def bulk_edit(*, selection: Selection, updates: Mapping[str, Any], skip_rules: bool = False, rescore: bool = True, by: Actor) -> Operation:
    """Start giving many leads the same values, as `edit_lead` reads them, and `add_tags` and `remove_tags`.

    Raises InvalidInput for an empty selection, or for values that no lead could take.
    """
    by.require(CHANGE)
    if skip_rules:
        by.require(SKIP_TRANSITIONS)
    wanted = _normalised(updates, selection, by=by)
    params = {**_checked(selection, by=by), "updates": _stored(wanted), "skip_rules": skip_rules, "rescore": rescore}
    return start_operation(kind=EDIT, title=_title(_("Edit"), params), params=params, total=_expected(selection, by=by), by=by)


def bulk_delete(*, selection: Selection, for_good: bool = False, reason: str = "", by: Actor) -> Operation:
    """Start putting many leads into the bin, or, where the caller may, deleting them for good, which nothing takes back."""
    by.require(HARD_DELETE if for_good else DELETE)
    params = {**_checked(selection, by=by), "reason": reason[:500]}
    kind, verb = (PURGE, _("Deletion for good")) if for_good else (DELETE_KIND, _("Deletion"))
    operation = start_operation(kind=kind, title=_title(verb, params), params=params, total=_expected(selection, by=by), by=by)
    details = {"operation": operation.pk, "reason": reason[:500], "leads": operation.total, "for_good": for_good}
    record_act(action="leads_deleted", subject=operation.title, details=details, by=by)
    return operation


def bulk_restore(*, ids: Sequence[int], by: Actor) -> Operation:
    """Start taking leads out of the bin."""
    by.require(DELETE)
    params = _checked(Selection(ids=ids), by=by)
    return start_operation(kind=RESTORE, title=_title(_("Restoring"), params), params=params, total=len(params["ids"]), by=by)


def preview_edit(*, selection: Selection, updates: Mapping[str, Any], skip_rules: bool = False, by: Actor) -> Preview:
    """Count what an edit would come to, without changing anything: two queries, however many leads."""
    by.require(CHANGE)
    updates = _normalised(updates, selection, by=by)
    _checked(selection, by=by)
    matched = unchanged = 0
    reasons: dict[str, int] = {}
    target = vocabulary().find(str(updates["status"])) if updates.get("status") else None
    statuses = {status.pk: status for status in vocabulary().statuses}
    may_give = _may_give(updates.get("owner_id"), by=by) if "owner_id" in updates and not by.can(ASSIGN) else Q()
    for branch in _branches(selection, by=by):
        grouped = branch.order_by().values_list("status_id").annotate(
            all=Count("pk"), giveable=Count("pk", filter=may_give), same=Count("pk", filter=may_give & _same(updates))
        )  # fmt: skip
        for status_id, number, giveable, same in grouped:
            matched += number
            if giveable < number:
                reasons[_("not yours to give")] = reasons.get(_("not yours to give"), 0) + number - giveable
            source = statuses.get(status_id)
            if target is None or status_id == target[0].pk:
                unchanged += same
            elif not skip_rules and (source is None or not is_allowed(source, target[0])):
                reason = _("%(from)s may not become %(to)s") % {"from": source.label if source else "?", "to": target[0].label}
                reasons[reason] = reasons.get(reason, 0) + giveable
            elif not skip_rules and source is not None and giveable:
                lacking = _lacking(move_between(source, target[0]), updates, noted=bool(target[1] or note_of(updates)))
                short = branch.order_by().filter(may_give & lacking, status_id=status_id).count() if lacking is not None else 0
                if short:
                    reason = _("Something is missing for %(to)s") % {"to": target[0].label}
                    reasons[reason] = reasons.get(reason, 0) + short
    return Preview(matched=matched, unchanged=unchanged, refused=sum(reasons.values()), reasons=reasons)


def _lacking(move: LeadTransition | None, updates: Mapping[str, Any], *, noted: bool) -> Q | None:
    """The leads that lack what a move asks for though they hold the updates; None where it asks for nothing more."""
    if move is None or not (move.required_fields or move.needs_reason):
        return None
    if move.needs_reason and not noted:
        return Q()
    custom = updates.get("custom_fields") or {}
    missing = Q(pk__in=[])
    for name in move.required_fields:
        key = name.removeprefix("cf_")
        given = custom.get(key, _ABSENT) if name.startswith("cf_") else updates.get(column_of(name), _ABSENT)
        if given in (None, "", []):
            return Q()
        if given is _ABSENT:
            missing |= blank_condition(name)
    return missing


_ABSENT = object()


def count_selected(*, selection: Selection, by: Actor) -> int:
    """How many leads in the caller's sight a selection holds."""
    return sum(branch.order_by().count() for branch in _branches(selection, by=by))


def _checked(selection: Selection, *, by: Actor) -> dict[str, Any]:
    if not selection.ids and selection.filters is None:
        raise InvalidInput({"lead_ids": ["Name at least one lead, or give filters."]})
    if len(selection.ids) > MOST_IDS:
        raise InvalidInput({"lead_ids": [f"At most {MOST_IDS:,} ids; select more by filters."]})
    if selection.filters is not None:
        LeadList.for_work(params=selection.filters, actor=by)
    newest = Lead.objects.aggregate(newest=Max("pk"))["newest"] or 0
    return {**selection.stored(), "newest": newest}


def _normalised(updates: Mapping[str, Any], selection: Selection, *, by: Actor) -> dict[str, Any]:
    """The values in stored form, tried on a blank lead, so that what is wrong for all is said at once, not once a row."""
    if not updates:
        raise InvalidInput({"updates": ["Name at least one field to change."]})
    wrong = {name: ["This is one lead's own; it cannot be given to many."] for name in _LIKE_ONE if name in updates}
    blank = Lead(tenant_id=by.tenant_id, status=vocabulary().starting)
    tried = {name: value for name, value in updates.items() if name not in ("owner_id", "status", *_SAID)}
    if by.can(ASSIGN) and "owner_id" in updates:
        tried["owner_id"] = updates["owner_id"]
    apply_fields(lead=blank, data=tried, by=by)
    if updates.get("status") and vocabulary().find(str(updates["status"])) is None:
        wrong["status"] = [f"Unknown status: {str(updates['status'])[:40]}."]
    if len(selection.ids) != 1:
        wrong |= {
            item.problem_name: ["Only one lead may have this value."]
            for item in unique_definitions(RECORDS)
            if blank.custom_fields.get(item.key) not in (None, "")
        }
    if wrong:
        raise InvalidInput(wrong)
    read = {name: getattr(blank, name) for name in tried if name not in ("custom_fields", "add_tags", "remove_tags")}
    if tried.get("custom_fields"):
        # What is not there after all is to be emptied.
        read["custom_fields"] = {
            **{key: None for key, value in tried["custom_fields"].items() if value in (None, "")},
            **blank.custom_fields,
        }
    return {**updates, **read}


def _may_give(owner_id: int | None, *, by: Actor) -> Q:
    """`can_give_to` of somebody who may not give leads to others, as a condition."""
    same = Q(owner_id=owner_id)
    if owner_id is None:
        return same | Q(owner_id=by.user_id)
    return same | Q(owner_id=None) if owner_id == by.user_id else same


class _Tagged(Condition):
    """Whether a lead has all of some tags (`@>`), or any (`&&`), whatever their case."""

    def __init__(self, tags: Sequence[str], operator: str) -> None:
        folded = Value([tag.lower() for tag in tags], output_field=ArrayField(TextField()))
        super().__init__([F("tags"), folded])
        self.operator = operator

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # type: ignore[override]
        column, _none = compiler.compile(self.parts[0])
        wanted, params = compiler.compile(self.parts[1])
        folded = f"ARRAY(SELECT lower(tag) FROM unnest({column}) AS tag)"  # noqa: S608 -- the column is compiled
        return f"({folded} {self.operator} {wanted}::text[])", list(params)


def _same(updates: Mapping[str, Any]) -> Q:
    """Leads that hold all of this already, the status left aside."""
    condition = Q()
    for name, value in updates.items():
        match name:
            case "status" | "lost_reason" | "skip_rules" | "move_note" | "next_action":
                continue
            case "add_tags":
                condition &= Q(_Tagged(value, "@>"))
            case "remove_tags":
                condition &= ~Q(_Tagged(value, "&&"))
            case "conversion_probability":
                condition &= Q(conversion_probability=value, probability_pinned=value is not None)
            case "custom_fields":
                held = {key: item for key, item in value.items() if item is not None}
                condition &= Q(custom_fields__contains=held)
                condition &= ~Q(custom_fields__has_any_keys=[key for key, item in value.items() if item is None])
            case _:
                condition &= Q(**{name: value})
    return condition


_MOMENTS = ("next_follow_up_at", "last_contact_at", "consent_time")


def _stored(updates: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON keeps it; `_read` is the way back."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in updates.items()}


def _read(stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: datetime.fromisoformat(value) if name in _MOMENTS and value else value for name, value in stored.items()}


def _expected(selection: Selection, *, by: Actor) -> int:
    return len(set(selection.ids)) if selection.filters is None else count_selected(selection=selection, by=by)


def _title(verb: str, params: Mapping[str, Any]) -> str:
    if params["filters"] is not None:
        return _("%(verb)s of the leads of a list") % {"verb": verb}
    number = len(params["ids"])
    return ngettext("%(verb)s of %(number)s lead", "%(verb)s of %(number)s leads", number) % {"verb": verb, "number": f"{number:,}"}


def _branches(selection: Selection, *, by: Actor) -> list[Any]:
    if selection.filters is None:
        return [leads_visible_to(by).filter(pk__in=set(selection.ids))]
    return [branch.exclude(pk__in=selection.without) for branch in LeadList.for_work(params=selection.filters, actor=by).listing.narrowed()]


# --- doing it, a chunk at a time ---


def _next_ids(operation: Operation, actor: Actor) -> tuple[list[int], dict[str, Any], bool]:
    """The ids after the operation's cursor, the cursor behind them, and whether they are the last."""
    params = operation.params
    if params["filters"] is None:
        place = operation.cursor.get("place", 0)
        ids = params["ids"][place : place + CHUNK_LEADS]
        return ids, {"place": place + len(ids)}, place + len(ids) >= len(params["ids"])
    after = operation.cursor.get("after", 0)
    without = set(params["without"])
    found = LeadList.for_work(params=params["filters"], actor=actor).ids_after(after, CHUNK_LEADS)
    ids = [pk for pk in found if pk <= params["newest"]]
    last = len(found) < CHUNK_LEADS or len(ids) < len(found)
    return [pk for pk in ids if pk not in without], {"after": ids[-1] if ids else after}, last


def edit_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Change the next leads, each by the rules of a single edit."""
    actor.require(CHANGE)
    ids, cursor, finished = _next_ids(operation, actor)
    chunk = Chunk(cursor=cursor, finished=finished)
    updates = {**_read(operation.params["updates"]), "skip_rules": operation.params["skip_rules"]}
    lock_leads(ids)
    there = {lead.pk: lead for lead in leads_visible_to(actor).select_related("status").defer("search").filter(pk__in=ids)}
    changes = LeadChanges(by=actor)
    for number, pk in enumerate(ids, start=operation.done + 1):
        lead = there.get(pk)
        if lead is None:
            chunk.errors.append(_unknown(number, pk))
            continue
        try:
            different = changes.attempt(lead, lambda lead: apply_fields(lead=lead, data=updates, by=actor))
        except DomainError as refusal:
            name, message = _said(refusal)
            chunk.errors.append(
                RowError(row=number, field=name, message=message, record_id=pk, values={"id": pk, "lead": lead.display_name})
            )
            continue
        if different:
            chunk.updated += 1
        else:
            chunk.skipped += 1
            chunk.skipped_rows.append(SkippedRow(row=number, message="The lead holds all of this already.", record_id=pk))
    changes.write(
        rescore=operation.params["rescore"],
        note=note_of(updates),
        next_action=updates.get("next_action") or "",
        rules_skipped=updates["skip_rules"],
    )
    return chunk


def _chunk_of(operation: Operation, actor: Actor, act: Callable[[list[int]], set[int]]) -> Chunk:
    ids, cursor, finished = _next_ids(operation, actor)
    done = act(ids)
    chunk = Chunk(cursor=cursor, finished=finished, updated=len(done))
    chunk.errors = [_unknown(number, pk) for number, pk in enumerate(ids, start=operation.done + 1) if pk not in done]
    return chunk


def delete_chunk(operation: Operation, actor: Actor) -> Chunk:
    return _chunk_of(operation, actor, lambda ids: set(delete_leads(lead_ids=ids, by=actor)))


def purge_chunk(operation: Operation, actor: Actor) -> Chunk:
    return _chunk_of(operation, actor, lambda ids: set(purge_leads(lead_ids=ids, by=actor)))


def restore_chunk(operation: Operation, actor: Actor) -> Chunk:
    return _chunk_of(operation, actor, lambda ids: set(restore_leads(lead_ids=ids, by=actor)))


def _unknown(number: int, pk: int) -> RowError:
    return RowError(row=number, field="id", message="There is no such lead, or it is not yours to see.", values={"id": pk}, record_id=None)


def _said(refusal: DomainError) -> tuple[str, str]:
    if isinstance(refusal, InvalidInput):
        name, texts = next(iter(refusal.problems.items()))
        return name, texts[0]
    return refusal.field or "", refusal.message


def links(operation: Operation) -> dict[str, str]:
    """The page that shows what a bulk change touched."""
    return {"updated": f"/leads?changed_by={operation.pk}", "record": "/leads/"}
