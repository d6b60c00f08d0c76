"""Merge leads, and part them again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from audit.services.acts import record_act
from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput, NotFound
from crm.events.bus import publish
from crm.normal import email_key
from crm.registry import compute_values, guards, merge_participants
from customobjects.selectors import definitions, hidden_keys, may_edit
from duplicates.events import LeadsMerged, LeadsParted
from duplicates.models import Merge
from duplicates.permissions import DECIDE
from duplicates.services.grouping import close_groups
from duplicates.services.merge_rules import FIELDS, MergeRules, merged_values
from duplicates.services.parting import parted, without_tags
from leads.events import LeadsAssigned, LeadsChanged, LeadsDeleted, LeadsMoved, LeadsRestored
from leads.models import Lead
from leads.permissions import CHANGE, DELETE, can_give_to
from leads.selectors import leads_visible_to, lock_leads
from leads.services.drafts import RECORDS
from leads.services.editing import COMPUTED, public_name

LEAD = "leads.Lead"
MOST_AT_ONCE = 50
_COLUMNS = tuple(column for columns in FIELDS.values() for column in columns)


class MergeUndone(DomainError):
    """The merge has been taken back already."""

    code = "ALREADY_UNDONE"


@dataclass(frozen=True, kw_only=True)
class Merged:
    """A merged lead, which rule each field followed, and the merges that can be taken back."""

    lead: Lead
    applied: Mapping[str, str]
    merges: Sequence[Merge] = ()


@dataclass(frozen=True, kw_only=True)
class Parted:
    """Both leads after a merge was taken back, and what stayed with the winner because it was changed since."""

    winner: Lead
    loser: Lead
    kept: Sequence[dict[str, Any]] = field(default_factory=tuple)


def preview_merge(
    *, target_id: int, source_ids: Sequence[int], rules: MergeRules, values: Mapping[str, int] | None = None, by: Actor
) -> Merged:
    """The lead as it would be. Nothing is written."""
    target, sources = _loaded(target_id, source_ids, lock=False, by=by)
    _steps, applied = _join(target, sources, rules, values or {}, by=by)
    compute_values(LEAD, [target])
    return Merged(lead=target, applied=applied)


def merge_leads(
    *,
    target_id: int,
    source_ids: Sequence[int],
    rules: MergeRules,
    values: Mapping[str, int] | None = None,
    operation_id: int | None = None,
    by: Actor,
) -> Merged:
    """Make leads part of the target, in one transaction: its values by the rules, and everything that hangs on them.

    `values` says of single fields (by public name) whose value wins, by the lead's id, before any rule. Raises NotFound for
    leads out of the actor's sight or in the bin, InvalidInput, and what an edit of the target does.
    """
    by.require(CHANGE)
    by.require(DECIDE)
    with transaction.atomic():
        target, sources = _loaded(target_id, source_ids, lock=True, by=by)
        original = _columns(target)
        # The losers leave first, so that what only one record may hold is free for the winner.
        now = timezone.now()
        ids = tuple(source.pk for source in sources)
        Lead.objects.filter(pk__in=ids).update(deleted_at=now, updated_at=now)
        steps, applied = _join(target, sources, rules, values or {}, by=by)
        # What hangs on the leads moves before the columns, and back before them: a date for following up comes with its activity.
        merges = [
            Merge(
                loser=source,
                winner=target,
                rules=rules.stored(),
                before=_stored(before),
                after=_stored(after),
                moved=_moved(source.pk, target.pk, by=by),
                operation_id=operation_id,
                merged_by_id=by.user_id,
                merged_at=now,
            )
            for source, before, after in steps
        ]
        _write(target, original, by=by)
        Merge.objects.bulk_create(merges)
        names = ", ".join(source.display_name for source in sources)
        record_act(
            action="leads_merged",
            subject=f"{names} → {target.display_name}",
            details={"winner": target.pk, "losers": list(ids), "merges": [merge.pk for merge in merges]},
            by=by,
        )
        # The queue must not offer them again, however far behind the events are.
        close_groups(lead_ids=ids, by=by)
        publish(LeadsDeleted(lead_ids=ids))
        publish(LeadsMerged(winner_id=target.pk, loser_ids=ids))
    return Merged(lead=target, applied=applied, merges=merges)


def find_merge(*, merge_id: int, by: Actor) -> Merge:
    """A merge whose winner the actor sees."""
    merge = Merge.objects.filter(pk=merge_id, winner__in=leads_visible_to(by, with_deleted=True)).first() if merge_id < 2**63 else None
    if merge is None:
        raise NotFound("No such merge.")
    return merge


def undo_merge(*, merge_id: int, by: Actor) -> Parted:
    """Part two leads again: the loser comes back as it was, with what hung on it; the winner's fields get their earlier values.

    What was changed on the winner since the merge stays there and is listed.
    """
    by.require(CHANGE)
    by.require(DECIDE)
    with transaction.atomic():
        merge = find_merge(merge_id=merge_id, by=by)
        pair = {lead.pk: lead for lead in _locked([merge.winner_id, merge.loser_id])}
        merge = Merge.objects.select_for_update(of=("self",)).get(pk=merge.pk)
        if merge.undone_at is not None:
            raise MergeUndone("This merge has been taken back already.")
        winner, loser = pair[merge.winner_id], pair[merge.loser_id]
        original = _columns(winner)
        kept = _restore(winner, merge) + _moved_back(merge, by=by)
        loser.deleted_at = None
        loser.save(update_fields=["deleted_at", "updated_at"])
        if winner.deleted_at is None:
            _write(winner, original, by=by)
        elif original != _columns(winner):
            winner.save(update_fields=[*_COLUMNS, "email_key", "updated_at"])
        merge.undone_at, merge.undone_by_id, merge.kept = timezone.now(), by.user_id, kept
        merge.save(update_fields=["undone_at", "undone_by", "kept"])
        record_act(
            action="merge_undone",
            subject=f"{loser.display_name} ← {winner.display_name}",
            # Without the values, which not everybody who reads the log may know.
            details={
                "winner": winner.pk,
                "loser": loser.pk,
                "merge": merge.pk,
                "kept": [item.get("field") or item["records"] for item in kept],
            },
            by=by,
        )
        publish(LeadsRestored(lead_ids=(loser.pk,)))
        publish(LeadsParted(winner_id=winner.pk, loser_id=loser.pk))
    return Parted(winner=winner, loser=loser, kept=visible_kept(kept=kept, by=by))


# --- pieces ---


def _loaded(target_id: int, source_ids: Sequence[int], *, lock: bool, by: Actor) -> tuple[Lead, list[Lead]]:
    wanted = list(dict.fromkeys(source_ids))
    if target_id in wanted:
        raise InvalidInput({"source_lead_id": ["A lead cannot be merged into itself."]})
    if not wanted or len(wanted) > MOST_AT_ONCE:
        raise InvalidInput({"source_lead_id": [f"Name from 1 to {MOST_AT_ONCE} leads to merge."]})
    if lock:
        lock_leads([target_id, *wanted])
    leads = leads_visible_to(by).select_related("status").defer("search").filter(pk__in=[target_id, *wanted]).order_by("pk")
    found = {lead.pk: lead for lead in leads}
    for name, pk in (("target_lead_id", target_id), *(("source_lead_id", pk) for pk in wanted)):
        if pk not in found:
            raise NotFound("Lead not found.", field=name)
    return found[target_id], [found[pk] for pk in wanted]


def _locked(ids: Sequence[int]) -> list[Lead]:
    lock_leads(ids)
    return list(Lead.objects.select_related("status").defer("search").filter(pk__in=ids).order_by("pk"))


def _columns(lead: Lead) -> dict[str, Any]:
    return {name: getattr(lead, name) for name in _COLUMNS}


def _set(lead: Lead, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(lead, name, value)
    lead.email_key = email_key(lead.email)


def _join(
    target: Lead, sources: Sequence[Lead], rules: MergeRules, values: Mapping[str, int], *, by: Actor
) -> tuple[list[tuple[Lead, dict[str, Any], dict[str, Any]]], dict[str, str]]:
    """Give the target the merged values, unsaved. Answers what each source changed of it, before and after, and the rules followed.

    `values` names for single fields the lead whose value wins, before any rule.
    """
    originals = {lead.pk: _columns(lead) for lead in (target, *sources)}
    for name, pk in values.items():
        if name not in FIELDS or pk not in originals:
            raise InvalidInput({"values": [f"{name[:60]}: name a field and one of the leads."]})
    _check_rights(sources, by=by)
    locked = [item.key for item in definitions(RECORDS).active if not may_edit(item, by)]
    applied: dict[str, str] = {}
    steps = []
    for source in sources:
        before = _columns(target)
        after, followed = merged_values(originals[source.pk], before, rules)
        for name, pk in values.items():
            # Of the source at hand where it is the one named; else as it is, the other one's turn comes or was.
            after |= {column: (originals[pk] if pk == source.pk else before)[column] for column in FIELDS[name]}
        kept = {key: before["custom_fields"][key] for key in locked if before["custom_fields"].get(key) not in (None, "")}
        after["custom_fields"] = {**after["custom_fields"], **kept}
        applied |= followed
        _set(target, after)
        changed = [name for name in before if before[name] != after[name]]
        steps.append((source, {name: before[name] for name in changed}, {name: after[name] for name in changed}))
    if not can_give_to(by, Lead(owner_id=originals[target.pk]["owner_id"]), target.owner_id):
        raise Forbidden("You may take leads yourself, not give them to others.", field="assigned_to")
    return steps, applied


def _check_rights(sources: Sequence[Lead], *, by: Actor) -> None:
    """A lead that becomes part of another leaves every list: that is for its owner, or for who may delete leads."""
    if not by.can(DELETE) and any(source.owner_id not in (None, by.user_id) for source in sources):
        raise Forbidden("Only your own leads and those of nobody can become part of another.", field="source_lead_id")


def _write(lead: Lead, original: Mapping[str, Any], *, by: Actor) -> None:
    """Store a lead's new values as an edit does: guarded, scored anew, told."""
    changed = [name for name in _COLUMNS if getattr(lead, name) != original[name]]
    if not changed:
        return
    before = {column.attname: getattr(lead, column.attname) for column in lead._meta.concrete_fields if column.attname != "search"}
    for guard in guards.of(LEAD):
        guard(lead, {**before, **original}, by)
    compute_values(LEAD, [lead])
    lead.save(update_fields=[*changed, "email_key", *COMPUTED, "updated_at"])
    if "status_id" in changed:
        publish(LeadsMoved(lead_ids=(lead.pk,), from_status=original["status_id"], to_status=lead.status_id, rules_skipped=True))
    if "owner_id" in changed:
        publish(LeadsAssigned(lead_ids=(lead.pk,), owner_id=lead.owner_id))
    publish(LeadsChanged(lead_ids=(lead.pk,), fields=tuple(public_name(name) for name in changed)))


def _moved(source_id: int, target_id: int, *, by: Actor) -> dict[str, list[int]]:
    found = {item.name: item.move(source_id=source_id, target_id=target_id, by=by) for item in merge_participants.of(LEAD)}
    return {name: ids for name, ids in found.items() if ids}


def _moved_back(merge: Merge, *, by: Actor) -> list[dict[str, Any]]:
    """Return what went along. Answers what is no longer the winner's."""
    kept = []
    for item in merge_participants.of(LEAD):
        ids = merge.moved.get(item.name, [])
        back = item.move_back(ids=ids, source_id=merge.loser_id, target_id=merge.winner_id, by=by) if ids else []
        if len(back) < len(ids):
            kept.append({"records": item.name, "ids": sorted(set(ids) - set(back))})
    return kept


def _restore(winner: Lead, merge: Merge) -> list[dict[str, Any]]:
    """Give the winner its values from before the merge, but for what holds something else by now.

    The journals of its other merges forget what this one brought, so that they can be taken back in any order.
    """
    others = list(Merge.objects.filter(winner_id=winner.pk, undone_at=None).exclude(pk=merge.pk).select_for_update(of=("self",)))
    later = [other for other in others if other.pk > merge.pk]
    held = dict(Lead.objects.filter(pk__in=[other.loser_id for other in others]).values_list("pk", "tags"))
    kept, values = [], {}
    for name, before in merge.before.items():
        now, after = _plain(getattr(winner, name)), merge.after[name]
        value, changed_since = parted(name, now, before, after)
        if name == "tags":
            value = without_tags(now, before, after, held=[tag for tags in held.values() for tag in tags])
        # What a later merge put in its place is that one's to take back.
        taken_over = any(name in other.before and other.before[name] == after for other in later)
        kept += [] if taken_over else [_kept(part, after, now) for part in changed_since]
        values[name] = _read(name, value)
        for other in later:
            _forget(other, name, before, after, own_tags=held.get(other.loser_id, []))
    _set(winner, values)
    Merge.objects.bulk_update(later, ["before", "after"])
    return kept


def _forget(other: Merge, name: str, before: Any, after: Any, *, own_tags: Sequence[str]) -> None:
    """Take what a merge made of a column out of the journal of a later one."""
    if name not in other.before:
        return
    other.before[name] = parted(name, other.before[name], before, after)[0]
    if name == "tags":
        other.after[name] = without_tags(other.after[name], before, after, held=own_tags)
    elif name in ("custom_fields", "notes"):
        other.after[name] = parted(name, other.after[name], before, after)[0]


def _kept(part: str, after: Any, now: Any) -> dict[str, Any]:
    column, _dot, key = part.partition(".")
    if key:
        return {"field": part, "merged": after.get(key), "now": now.get(key)}
    return {"field": public_name(column), "merged": after, "now": now}


def visible_kept(*, kept: Sequence[Mapping[str, Any]], by: Actor) -> list[dict[str, Any]]:
    """What stayed, without the values of further fields that the actor may not see."""
    hidden = {f"custom_fields.{key}" for key in hidden_keys(RECORDS, by)}
    return [dict(item) for item in kept if item.get("field") not in hidden]


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _read(name: str, value: Any) -> Any:
    return parse_datetime(value) if isinstance(value, str) and name.endswith(("_at", "_time")) else value
