"""Change a lead's fields, its status, its owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from crm.actors import Actor
from crm.errors import Forbidden, InvalidInput, NotFound
from crm.events.bus import publish
from crm.identity.models import User
from crm.normal import checked_email, clean_text, email_key, is_plausible, split_name
from crm.registry import compute_values, guards, successor_of
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_scope
from customobjects.services.values import cleaner_for
from leads.enums import StatusCategory, canonical_source
from leads.errors import InvalidTransition, RequiredForMove
from leads.events import LeadsAssigned, LeadsChanged, LeadsMoved
from leads.models import Lead, LeadStatus, LeadTransition
from leads.permissions import CHANGE, SKIP_TRANSITIONS, can_give_to
from leads.selectors import leads_visible_to, lock_leads, move_between, next_statuses, vocabulary
from leads.services.drafts import RECORDS, TEXT_FIELDS, clean_phone, clean_tags
from leads.services.intake import remember_tags

COMPUTED = ("score", "quality_grade", "lifecycle_stage")
MOMENTS = ("next_follow_up_at", "last_contact_at", "consent_time")
PLAIN = ("notes", "priority", "next_follow_up_at", "last_contact_at", "consent_time", "lost_reason")


@dataclass(frozen=True, kw_only=True)
class Edited:
    """A changed lead, the fields that really changed, and whether the score was computed anew."""

    lead: Lead
    fields_changed: list[str]
    rescored: bool


def find_lead(*, lead_id: int, with_deleted: bool = False, lock: bool = False, by: Actor) -> Lead:
    """Read one lead in the actor's sight, or the one it was merged into, or raise NotFound."""
    leads = leads_visible_to(by, with_deleted=with_deleted).select_related("status", "owner").defer("search")
    if lock:
        lock_leads([lead_id])
    lead = leads.filter(pk=lead_id).first()
    if lead is None and (successor := successor_of("leads.Lead", lead_id)) is not None:
        if lock:
            lock_leads([successor])
        lead = leads.filter(pk=successor).first()
    if lead is None:
        raise NotFound("Lead not found.")
    return lead


def edit_lead(*, lead_id: int, data: dict[str, Any], by: Actor) -> Edited:
    """Change the fields given, in one transaction: rules of statuses and ownership included, score kept right.

    `data` uses the lead's own names; `name` is split, `status` is a word, `owner_id` a user or None. `move_note`, or else the reason of
    a loss, and `next_action` are kept with a move to another status. A field that is equal already is not a change. Raises InvalidInput by field, InvalidTransition, Forbidden.
    """
    by.require(CHANGE)
    with transaction.atomic():
        lead = find_lead(lead_id=lead_id, by=by, lock=True)
        before = {field.attname: getattr(lead, field.attname) for field in lead._meta.concrete_fields if field.attname != "search"}
        apply_fields(lead=lead, data=data, by=by)
        for guard in guards.of("leads.Lead"):
            guard(lead, before, by)
        changed = [name for name, value in before.items() if getattr(lead, name) != value]
        if not changed:
            return Edited(lead=lead, fields_changed=[], rescored=False)
        compute_values("leads.Lead", [lead])
        rescored = [name for name in COMPUTED if getattr(lead, name) != before[name]]
        lead.save(update_fields=[*changed, *rescored, "updated_at"])
        if "tags" in changed:
            remember_tags(set(lead.tags))
        _tell(lead, before, changed, data)
    reported = [
        public_name(name) for name in changed if name not in ("email_key", "status_changed_at", "assigned_at", "probability_pinned")
    ]
    return Edited(lead=lead, fields_changed=reported, rescored=True)


def apply_fields(*, lead: Lead, data: dict[str, Any], by: Actor) -> None:
    """Set fields on an unsaved change, as `edit_lead` reads them; `add_tags` and `remove_tags` leave the other tags.

    Raises what `edit_lead` does; the lead may then be half changed.
    """
    if "name" in data:
        first, last = split_name(data["name"])
        data = {"first_name": first, "last_name": last, **{key: value for key, value in data.items() if key != "name"}}
    problems: dict[str, list[str]] = {}
    _apply_texts(lead, data, problems)
    if "email" in data:
        _set_email(lead, data["email"] or "", problems)
    if "custom_fields" in data:
        _set_custom_fields(lead, data["custom_fields"] or {}, problems, by=by)
    if "phone" in data:
        lead.phone = clean_phone(data["phone"] or "", region=current_tenant().region)
    if "tags" in data:
        lead.tags = clean_tags(data["tags"] or [], strict=True, problems=problems)
    if data.get("remove_tags"):
        unwanted = {tag.casefold() for tag in data["remove_tags"]}
        lead.tags = [tag for tag in lead.tags if tag.casefold() not in unwanted]
    if data.get("add_tags"):
        lead.tags = clean_tags([*lead.tags, *data["add_tags"]], strict=True, problems=problems)
    if "conversion_probability" in data:
        lead.conversion_probability = data["conversion_probability"]
        lead.probability_pinned = data["conversion_probability"] is not None
    if problems:
        raise InvalidInput(problems)
    if "owner_id" in data:
        set_owner(lead=lead, owner_id=data["owner_id"], by=by)
    if data.get("status"):
        reason = data.get("lost_reason", "")
        noted = bool(note_of(data))
        set_status(lead=lead, word=data["status"], reason=reason, noted=noted, skip_rules=bool(data.get("skip_rules")), by=by)


def _apply_texts(lead: Lead, data: dict[str, Any], problems: dict[str, list[str]]) -> None:
    for name in TEXT_FIELDS:
        if name in data:
            text = clean_text(data[name] or "")
            limit: int = lead._meta.get_field(name).max_length  # type: ignore[union-attr, assignment]
            if len(text) > limit:
                problems[name] = [f"At most {limit} characters."]
            setattr(lead, name, text)
    if "lead_source" in data:
        lead.lead_source = canonical_source(clean_text(data["lead_source"] or ""))[:60]
    for name in MOMENTS:
        if data.get(name) is not None and not is_plausible(data[name]):
            problems[public_name(name)] = ["Choose a time within ten years."]
    for name in PLAIN:
        if name in data:
            setattr(lead, name, data[name] if data[name] is not None or lead._meta.get_field(name).null else "")


def _set_email(lead: Lead, raw: str, problems: dict[str, list[str]]) -> None:
    email = clean_text(raw)
    if email and email != lead.email:
        try:
            email = checked_email(email)
        except ValueError as error:
            problems["email"] = [str(error)]
    lead.email, lead.email_key = email, email_key(email)


def _set_custom_fields(lead: Lead, given: Mapping[str, Any], problems: dict[str, list[str]], *, by: Actor) -> None:
    """Set the keys given; None empties one, and those not given stay."""
    cleaned = cleaner_for(model=RECORDS, by=by).clean(given, existing=lead.custom_fields)
    problems.update(cleaned.problems)
    lead.custom_fields = cleaned.merged(lead.custom_fields)


def set_owner(*, lead: Lead, owner_id: int | None, by: Actor) -> None:
    """Give an unsaved change its owner, by the rules of who may give leads to whom."""
    if owner_id == lead.owner_id:
        return
    if not can_give_to(by, lead, owner_id):
        raise Forbidden("You may take leads yourself, not give them to others.", field="assigned_to")
    owner = _active_user(owner_id) if owner_id is not None else None
    if owner_id is not None and owner is None:
        raise InvalidInput({"assigned_to": ["No such active user."]})
    lead.owner = owner
    lead.assigned_at = timezone.now() if owner else None


def _active_user(user_id: int) -> User | None:
    """Read once for the work in progress, which may give thousands of leads to one person."""
    memo = current_scope().memo.setdefault("leads.owners", {})
    if user_id not in memo:
        memo[user_id] = User.objects.filter(pk=user_id, is_active=True).first()
    found: User | None = memo[user_id]
    return found


def set_status(*, lead: Lead, word: str, reason: str = "", noted: bool = False, skip_rules: bool, by: Actor) -> None:
    """Give an unsaved change its status, by the allowed moves and what they ask for, or past them.

    `noted` says that a reason comes with the move. Raises InvalidInput, InvalidTransition, RequiredForMove, Forbidden.
    """
    found = vocabulary().find(word)
    if found is None:
        raise InvalidInput({"status": [f"Unknown status: {word[:40]}."]})
    target, implied_reason = found
    if target.pk == lead.status_id:
        if implied_reason:
            lead.lost_reason = implied_reason
        return
    move = move_between(lead.status, target)
    if move is None:
        if not skip_rules:
            allowed = [status_out(status) for status in next_statuses(lead.status)]
            raise InvalidTransition(current=lead.status.code, wanted=target.code, allowed=allowed)
        by.require(SKIP_TRANSITIONS)
    elif missing := missing_for_move(lead=lead, move=move, noted=noted or bool(implied_reason or reason)):
        if not skip_rules:
            raise RequiredForMove(target=target.label, fields=missing)
        by.require(SKIP_TRANSITIONS)
    lead.status = target
    lead.status_changed_at = timezone.now()
    lead.lost_reason = (implied_reason or reason or lead.lost_reason)[:100] if target.category == StatusCategory.LOST else ""


def missing_for_move(*, lead: Lead, move: LeadTransition, noted: bool) -> list[str]:
    """The public names of what a move asks for and the lead does not hold; `reason` is the reason."""
    missing = [name for name in move.required_fields if is_blank(lead, name)]
    return [*missing, "reason"] if move.needs_reason and not noted else missing


def column_of(name: str) -> str:
    """The column that a public name stands for."""
    return _COLUMNS.get(name, name)


def blank_condition(name: str) -> Q:
    """The leads of which `is_blank` holds."""
    if name.startswith("cf_"):
        key = name.removeprefix("cf_")
        return ~Q(custom_fields__has_key=key) | Q(**{f"custom_fields__{key}__in": [None, "", []]})
    if name == "name":
        return Q(first_name="", last_name="")
    column = next((item for item in Lead._meta.concrete_fields if item.attname == column_of(name)), None)
    if column is None:
        return Q(pk__in=[])
    return Q(**{f"{column.attname}__isnull": True}) if column.null else Q(**{column.attname: [] if name == "tags" else ""})


def is_blank(lead: Lead, name: str) -> bool:
    """Whether a lead holds nothing under a public name; what is not known any more is not missed."""
    if name.startswith("cf_"):
        return lead.custom_fields.get(name.removeprefix("cf_")) in (None, "", [])
    if name == "name":
        return not lead.full_name
    return getattr(lead, column_of(name), True) in (None, "", [])


def status_out(status: LeadStatus) -> dict[str, Any]:
    """A status as document 1 answers it."""
    return {"id": status.number, "name": status.code, "description": status.description}


def note_of(data: Mapping[str, Any]) -> str:
    """Why a lead is moved, in so far as a change says it."""
    return str(data.get("move_note") or data.get("lost_reason") or "")


def _tell(lead: Lead, before: dict[str, Any], changed: list[str], data: Mapping[str, Any]) -> None:
    if "status_id" in changed:
        publish(
            LeadsMoved(
                lead_ids=(lead.pk,),
                from_status=before["status_id"],
                to_status=lead.status_id,
                rules_skipped=bool(data.get("skip_rules")),
                note=note_of(data),
                next_action=data.get("next_action") or "",
            )
        )
    if "owner_id" in changed:
        publish(LeadsAssigned(lead_ids=(lead.pk,), owner_id=lead.owner_id))
    publish(LeadsChanged(lead_ids=(lead.pk,), fields=tuple(public_name(name) for name in changed)))


_COLUMNS = {"assigned_to": "owner_id", "next_follow_up": "next_follow_up_at", "last_contact": "last_contact_at"}
_PUBLIC = {"status_id": "status", "owner_id": "assigned_to", "next_follow_up_at": "next_follow_up", "last_contact_at": "last_contact"}


def public_name(column: str) -> str:
    """A column under the name the API gives it."""
    return _PUBLIC.get(column, column)
