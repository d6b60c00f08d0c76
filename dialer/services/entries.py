"""Queue entries: leads to be called by an agent. Each stands for a lead of the CRM, found by its number or made."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from math import isfinite
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import DEFERRED, Q

from activities.enums import ActivityStatus
from activities.models import Activity
from activities.services.changes import update_status
from crm.actors import Actor, Door
from crm.bulk import insert_records
from crm.errors import Forbidden, InvalidInput
from crm.events.bus import publish
from crm.normal import clean_text, e164, is_plausible
from crm.tenancy.models import current_tenant
from customobjects.services.kinds import storable
from dialer.enums import EntryStatus, WaitReason
from dialer.errors import InvalidPhone, KnownNumber, MayNotCall, NoSuchAgent, NoSuchEntry
from dialer.events import EntriesFinished, EntriesQueued
from dialer.models import CallingAgent, DoNotCall, QueueEntry, public_id
from dialer.permissions import MANAGE
from dialer.selectors.queues import agents_visible_to, agents_worked_by, entries_visible_to
from dialer.services.waking import wake_agent
from dialer.services.zones import zones_for
from leads.enums import Platform
from leads.models import Lead
from leads.selectors import lock_leads
from leads.services.drafts import LeadDraft, normalise
from leads.services.field_names import field_named
from leads.services.intake import lock_keys
from leads.services.upsert import Entry, MatchBy, OnDuplicate, Plan, Result, upsert_leads

MOST_FIELDS, MOST_NAME = 200, 120
# Further fields by which a lead of the CRM that is made for an entry is described.
_DESCRIBING = {"last_name", "company", "title", "email", "website", "industry", "company_size", "city", "state", "country", "notes"}
_CHANGEABLE = ("first_name", "phone", "status", "custom_fields", "schedule_at", "disposition", "zone")
# COPY has a price of its own, which pays from some twenty rows on.
_FEW = 20


@dataclass(kw_only=True)
class EntryDraft:
    """An entry before it is one, with its number in E.164. `key` is whatever its sender knows it by."""

    first_name: str
    phone: str
    custom_fields: Mapping[str, Any] = field(default_factory=dict)
    schedule_at: datetime | None = None
    lead_id: int | None = None
    key: Any = None


@dataclass(kw_only=True)
class Queued:
    """What became of drafts: the entries made, those whose number the queue holds already, and those refused with a sentence."""

    made: list[tuple[EntryDraft, QueueEntry]] = field(default_factory=list)
    known: list[EntryDraft] = field(default_factory=list)
    refused: list[tuple[EntryDraft, str]] = field(default_factory=list)


def queue_lead(
    *,
    agent: CallingAgent,
    first_name: str,
    phone: str,
    custom_fields: Mapping[str, Any] | None = None,
    schedule_at: datetime | None = None,
    lead: Lead | None = None,
    now: datetime,
    by: Actor,
) -> QueueEntry:
    """Put somebody into an agent's queue, to be called at `schedule_at` or now. Without a lead the CRM's is found by the number, or made.

    Raises NoSuchAgent, InvalidInput, InvalidPhone, KnownNumber.
    """
    require_queue(agent_id=agent.pk, by=by)
    draft = EntryDraft(
        first_name=clean_name(first_name),
        phone=dialable(phone),
        custom_fields=clean_fields(custom_fields or {}),
        schedule_at=_plausible(schedule_at),
        lead_id=lead.pk if lead else None,
    )
    queued = queue_drafts(agent=agent, drafts=[draft], now=now, by=by)
    if queued.refused:
        raise InvalidInput({"first_name": [queued.refused[0][1]]})
    if queued.known:
        raise KnownNumber
    entry = queued.made[0][1]
    entry.agent = agent
    return entry


def queue_drafts(*, agent: CallingAgent, drafts: Sequence[EntryDraft], operation_id: int | None = None, now: datetime, by: Actor) -> Queued:
    """Put many into a queue, set-wise. A number that the queue holds, or that stands twice among the drafts, is known."""
    queued = Queued()
    with transaction.atomic():
        lock_keys({draft.phone for draft in drafts})
        numbers = [draft.phone for draft in drafts]
        held = set(QueueEntry.objects.filter(agent=agent, deleted_at=None, phone__in=numbers).values_list("phone", flat=True))
        wanted = []
        for draft in drafts:
            if draft.phone in held:
                queued.known.append(draft)
            else:
                held.add(draft.phone)
                wanted.append(draft)
        for draft, lead_id, refusal in _with_leads(wanted, operation_id=operation_id, by=by):
            if lead_id is None:
                queued.refused.append((draft, refusal))
            else:
                queued.made.append((draft, _new_entry(draft, agent, lead_id, operation_id=operation_id, now=now, by=by)))
        _insert([entry for _, entry in queued.made])
        if queued.made:
            publish(EntriesQueued(agent_id=agent.pk, entry_ids=tuple(entry.pk for _, entry in queued.made)))
            wake_agent(agent.pk, now=now)
    return queued


def _with_leads(drafts: Sequence[EntryDraft], *, operation_id: int | None, by: Actor) -> Iterator[tuple[EntryDraft, int | None, str]]:
    """Each draft with the id of its lead in the CRM, which is found by the number and left as it is, or made."""
    without = [draft for draft in drafts if draft.lead_id is None]
    entries = [Entry(draft=_lead_draft(draft, by=by)) for draft in without]
    plan = Plan(on_duplicate=OnDuplicate.SKIP, match_by=MatchBy.PHONE, operation_id=operation_id)
    outcomes = upsert_leads(entries=entries, plan=plan, by=by) if entries else []
    made = {outcome.lead.phone: outcome.lead.pk for outcome in outcomes if outcome.result == Result.CREATED and outcome.lead}
    by_place = {id(draft): outcome for draft, outcome in zip(without, outcomes, strict=True)}
    for draft in drafts:
        outcome = by_place.get(id(draft))
        if outcome is None:
            yield draft, draft.lead_id, ""
        else:
            problem = next(iter(outcome.problems.values()), ["The lead cannot be made."])[0]
            yield draft, outcome.lead_id or made.get(draft.phone), problem


def _lead_draft(draft: EntryDraft, *, by: Actor) -> LeadDraft:
    channel = Platform.IMPORT if by.door == Door.IMPORT else Platform.API if by.door == Door.API else Platform.MANUAL
    lead = LeadDraft(first_name=draft.first_name, platform_key=channel)
    for name, value in draft.custom_fields.items():
        column = _column_named(name)
        if column in _DESCRIBING and isinstance(value, str) and not getattr(lead, column):
            setattr(lead, column, value)
    normalise(lead, region=current_tenant().region, strict=False)
    # It was read already, which takes longer than all the rest.
    lead.phone = draft.phone
    return lead


def _new_entry(draft: EntryDraft, agent: CallingAgent, lead_id: int, *, operation_id: int | None, now: datetime, by: Actor) -> QueueEntry:
    at = draft.schedule_at or now
    values = _blank() | {
        "tenant_id": by.tenant_id,
        "public_id": public_id(),
        "agent_id": agent.pk,
        "lead_id": lead_id,
        "first_name": draft.first_name,
        "phone": draft.phone,
        "custom_fields": dict(draft.custom_fields),
        "tried_hours": [],
        "schedule_at": at,
        "next_at": at,
        "waits_for": WaitReason.NOT_DUE if at > now else "",
        "operation_id": operation_id,
        "batch_id": operation_id,
        "created_by_id": by.user_id,
        "created_via": str(by.door),
        "created_at": now,
        "updated_at": now,
    }
    # By position, in the order of `_blank`: naming each field takes twice as long, and imports make thousands a second.
    return QueueEntry(*values.values())


@cache
def _blank() -> dict[str, Any]:
    """To be copied: an entry's columns in their order with their defaults; what the database generates is left to it."""
    return {column.attname: DEFERRED if column.generated else column.get_default() for column in QueueEntry._meta.concrete_fields}


@lru_cache(maxsize=1000)
def _column_named(name: str) -> str | None:
    return field_named(name)


def _insert(entries: Sequence[QueueEntry]) -> None:
    try:
        with transaction.atomic():
            if len(entries) > _FEW:
                insert_records(entries)
            else:
                QueueEntry.objects.bulk_create(entries)
    except IntegrityError as error:
        if "dialer_entry_number" in str(error):
            raise KnownNumber from None
        raise


# --- changing ---


def change_entry(*, entry_id: int, changes: Mapping[str, Any], now: datetime, by: Actor) -> QueueEntry:
    """Change what is named of an entry. A disposition ends it; a status other than done begins it again.

    What is being called just now is left to its call: a new time counts when that is over. Raises NoSuchEntry, InvalidInput,
    InvalidPhone, KnownNumber.
    """
    with transaction.atomic():
        entry = _locked(entry_id, by=by, with_lead="status" in changes or "disposition" in changes)
        was = entry.status
        given = {name: changes[name] for name in _CHANGEABLE if name in changes}
        if "first_name" in given:
            entry.first_name = clean_name(given["first_name"])
        if "phone" in given:
            _set_phone(entry, dialable(given["phone"]))
        if "custom_fields" in given:
            entry.custom_fields = clean_fields(given["custom_fields"] or {})
        if "zone" in given:
            entry.zone = given["zone"]
        _set_status(entry, given, now=now)
        if "schedule_at" in given and entry.status != EntryStatus.DONE:
            _plan(entry, _plausible(given["schedule_at"]) or now, now=now)
        if entry.status == EntryStatus.DONE and was != EntryStatus.DONE:
            _cancel_callback(entry, by=by)
        _save(entry)
        if entry.status == EntryStatus.DONE and was != EntryStatus.DONE:
            publish(EntriesFinished(entry_ids=(entry.pk,), disposition=entry.disposition))
        wake_agent(entry.agent_id, now=now)
    return entry


def _set_phone(entry: QueueEntry, phone: str) -> None:
    if phone == entry.phone:
        return
    lock_keys({phone})
    if QueueEntry.objects.filter(agent_id=entry.agent_id, phone=phone, deleted_at=None).exclude(pk=entry.pk).exists():
        raise KnownNumber
    entry.phone = phone
    # Somebody whom the CRM knows by the new number; else it is the same person under another one.
    known = Lead.objects.live().filter(phone=phone).order_by("pk").values_list("pk", flat=True).first()
    entry.lead_id = known or entry.lead_id


def _set_status(entry: QueueEntry, given: Mapping[str, Any], *, now: datetime) -> None:
    status, disposition = given.get("status"), given.get("disposition")
    if disposition and (status or EntryStatus.DONE) != EntryStatus.DONE:
        raise InvalidInput({"disposition": ["Only a lead that is done has a disposition."]})
    if disposition:
        status = EntryStatus.DONE
    if status == EntryStatus.DONE:
        entry.status, entry.is_immediate, entry.callback_for_id, entry.waits_for = EntryStatus.DONE, False, None, WaitReason.DONE
        entry.disposition = (disposition or "") if "disposition" in given else entry.disposition
    elif status and status != entry.status:
        reopen(entry, status=status, now=now)
    elif "disposition" in given and entry.status == EntryStatus.DONE:
        entry.disposition = ""


def reopen(entry: QueueEntry, *, status: str, now: datetime) -> None:
    """Let an unsaved change of an entry begin it again; as new, without the attempts made before."""
    was_done = entry.status == EntryStatus.DONE
    entry.status, entry.disposition = status, ""
    if status == EntryStatus.NEW:
        entry.attempts_count, entry.tried_hours, entry.last_result = 0, [], ""
    if was_done:
        _plan(entry, now, now=now)


def _plan(entry: QueueEntry, at: datetime, *, now: datetime) -> None:
    entry.schedule_at, entry.is_immediate = at, False
    if not entry.held_by:
        entry.next_at, entry.waits_for = at, WaitReason.NOT_DUE if at > now else ""


def _save(entry: QueueEntry) -> None:
    try:
        with transaction.atomic():
            entry.save()
    except IntegrityError as error:
        if "dialer_entry_number" in str(error):
            raise KnownNumber from None
        raise


def delete_entry(*, entry_id: int, now: datetime, by: Actor) -> None:
    """Take an entry out of its queue; it stays in the database with its calls. Raises NoSuchEntry."""
    with transaction.atomic():
        entry = _locked(entry_id, by=by, with_lead=True)
        by.require(MANAGE)
        _cancel_callback(entry, by=by)
        entry.deleted_at = now
        entry.save(update_fields=["deleted_at", "callback_activity_id", "updated_at"])
        wake_agent(entry.agent_id, now=now)


def schedule_now(*, entry_id: int, now: datetime, by: Actor) -> QueueEntry:
    """Have an entry called before all others, whatever its time and its agent's hours. One that is done begins again.

    The hours in which its number may be called, and do-not-call lists, hold all the same. One that is being called is left alone.
    Raises NoSuchEntry, and MayNotCall for a number on a list.
    """
    with transaction.atomic():
        entry = _locked(entry_id, by=by)
        if is_listed(phone=entry.phone, agent_id=entry.agent_id, now=now):
            raise MayNotCall("This number is on a do-not-call list.", details={"reason": WaitReason.DO_NOT_CALL})
        if entry.held_by and entry.next_at > now:
            return entry
        if entry.status == EntryStatus.DONE:
            reopen(entry, status=EntryStatus.IN_PROGRESS if entry.attempts_count else EntryStatus.NEW, now=now)
        entry.schedule_at = entry.next_at = now
        entry.is_immediate, entry.waits_for, entry.callback_for_id = True, "", None
        entry.save()
        wake_agent(entry.agent_id, now=now)
    return entry


def _cancel_callback(entry: QueueEntry, *, by: Actor) -> None:
    """Take an agreed callback off its person's list: nobody is to be called any more. The lead is locked."""
    planned, entry.callback_activity_id = entry.callback_activity_id, None
    if planned is not None and Activity.objects.filter(pk=planned, status=ActivityStatus.PENDING).exists():
        machine = Actor.system(tenant_id=by.tenant_id, door=by.door, label="Dialer")
        update_status(activity_id=planned, status=ActivityStatus.CANCELLED, by=machine)


def _locked(entry_id: int, *, by: Actor, with_lead: bool = False) -> QueueEntry:
    """The visible entry, held until the transaction ends; behind its lead, as everybody locks them, where its timeline may be written to."""
    if with_lead:
        lock_leads(entries_visible_to(by).filter(pk=entry_id, lead_id__isnull=False).values_list("lead_id", flat=True))
    entry = entries_visible_to(by).select_for_update(of=("self",)).defer("search").filter(pk=entry_id).first()
    if entry is None:
        raise NoSuchEntry
    require_queue(agent_id=entry.agent_id, by=by)
    return entry


def is_listed(*, phone: str, agent_id: int | None, now: datetime) -> bool:
    """Whether a number stands on a do-not-call list of everybody or of this agent."""
    today = now.astimezone(zones_for(phone)[0]).date()
    lists = DoNotCall.objects.filter(Q(agent=None) | Q(agent_id=agent_id), Q(until=None) | Q(until__gte=today), phone=phone)
    return lists.exists()


# --- what may be wanted ---


def require_queue(*, agent_id: int, by: Actor) -> None:
    """Refuse who may not change an agent's queue: who manages may, and who calls from it. Raises NoSuchAgent for one out of sight."""
    if by.can(MANAGE) or agents_worked_by(by).filter(pk=agent_id).exists():
        return
    if not agents_visible_to(by).filter(pk=agent_id).exists():
        raise NoSuchAgent
    raise Forbidden("You do not have permission to do this.", details={"required": MANAGE})


def dialable(phone: str) -> str:
    """A number written in E.164 in its one form. Raises InvalidPhone for one that cannot be dialled (decision K23)."""
    number = e164(phone, region="ZZ")
    if number is None:
        raise InvalidPhone
    return number


def clean_name(text: str) -> str:
    name = clean_text(text)
    if not 1 <= len(name) <= MOST_NAME:
        raise InvalidInput({"first_name": [f"Give a name of at most {MOST_NAME} characters."]})
    return name


def clean_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Further fields as they can be stored."""
    if len(fields) > MOST_FIELDS:
        raise InvalidInput({"custom_fields": [f"At most {MOST_FIELDS} fields."]})
    kept: dict[str, Any] = _kept(fields)
    return kept


def _kept(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, Mapping):
        return {_kept(str(key)): _kept(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_kept(item) for item in value]
    # What was sent as 1e308 is as exact as it was; a whole number of more digits than a float has is not.
    return value if isinstance(value, float) and isfinite(value) else storable(value)


def _plausible(at: datetime | None) -> datetime | None:
    if at is not None and not is_plausible(at):
        raise InvalidInput({"schedule_at": ["Choose a time within ten years."]})
    return at
