"""Capture: the one service behind every door. It normalises, checks duplicates, keeps the raw input, publishes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import DEFERRED
from django.utils import timezone

from crm.actors import Actor
from crm.bulk import insert_records
from crm.errors import Forbidden, InvalidInput
from crm.events.bus import publish
from crm.identity.models import User
from crm.normal import email_key
from crm.registry import compute_values, similar_records
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import current_scope
from leads.enums import ProcessingStatus
from leads.errors import DuplicateLead
from leads.events import LeadArrivedAgain, LeadsAssigned, LeadsCaptured
from leads.models import Arrival, Lead, LeadStatus, Tag
from leads.permissions import ADD, ASSIGN
from leads.selectors import (
    Candidate,
    Vocabulary,
    exact_duplicates,
    leads_in_order,
    leads_visible_to,
    vocabulary,
)
from leads.services.drafts import LeadDraft, lead_values, normalise

# One captures under locks of its keys. There are few locks, so that a chunk of an import cannot exhaust the lock table.
_LOCKS_PER_TENANT = 256
_MOST_SEEN_TAGS = 10_000
_seen_tags: set[tuple[int, str]] = set()
_FEW = 20


@dataclass(frozen=True, kw_only=True)
class Captured:
    """What capturing one lead answered."""

    lead: Lead
    duplicates: Sequence[Candidate] = ()
    warnings: Sequence[str] = ()


def capture_lead(
    *, draft: LeadDraft, ignore_duplicates: bool = False, strict: bool = True, enrich: bool | None = None, by: Actor
) -> Captured:
    """Create a lead from any door that can be answered. `enrich` says whether its sender wants it enriched; None: as usual.

    Raises DuplicateLead with the candidates unless `ignore_duplicates`; two at once with the same key make one.
    """
    by.require(ADD)
    warnings = normalise(draft, region=current_tenant().region, strict=strict)
    _check_owner(draft.owner_id, by=by)
    with transaction.atomic():
        lock_keys(keys_of(draft))
        found = exact_duplicates(email=draft.email, phone=draft.phone)
        if not ignore_duplicates:
            _refuse_duplicates(found or (_alike(draft, by=by) if strict else []), exact=bool(found), by=by)
        lead = _insert(draft, enrich=enrich, by=by)
    return Captured(lead=lead, duplicates=found, warnings=warnings)


def receive_arrival(*, arrival: Arrival, draft: LeadDraft, by: Actor) -> tuple[Arrival, bool]:
    """Take in a lead whose sender cannot be asked: exactly one arrival for its source id, one lead or one more arrival of a known one.

    A repeated source id changes nothing and answers the first arrival with False. Malformed values are kept as typed.
    """
    normalise(draft, region=current_tenant().region, strict=False)
    with transaction.atomic():
        # The key of the source id first: a form sent twice at once must see the first one's arrival.
        lock_keys({_key_of_source(arrival), *keys_of(draft)})
        before = same_arrival(arrival)
        if before is not None:
            return before, False
        _settle(arrival, draft, by=by)
    return arrival, True


def store_arrival(arrival: Arrival) -> tuple[Arrival, bool]:
    """Keep what came in, before anything is made of it. A repeated source id answers the first arrival with False."""
    with transaction.atomic():
        lock_keys({_key_of_source(arrival)})
        before = same_arrival(arrival)
        if before is not None:
            return before, False
        arrival.save()
    return arrival, True


def capture_arrival(*, arrival_id: int, draft: LeadDraft, by: Actor) -> Arrival:
    """Make the lead of a stored arrival, or join it to the lead that is there. One that has its lead is left alone."""
    normalise(draft, region=current_tenant().region, strict=False)
    with transaction.atomic():
        arrival = Arrival.objects.select_for_update(of=("self",)).get(pk=arrival_id)
        if arrival.processing_status != ProcessingStatus.PROCESSED:
            lock_keys(keys_of(draft))
            _settle(arrival, draft, by=by)
    return arrival


def same_arrival(arrival: Arrival) -> Arrival | None:
    """The arrival that holds this source id already."""
    same = Arrival.objects.filter(platform_key=arrival.platform_key, source_lead_id=arrival.source_lead_id)
    # Nearly always there is none, which is told without reading one.
    return same.select_related("lead").get() if same.exists() else None


def _settle(arrival: Arrival, draft: LeadDraft, *, by: Actor) -> None:
    """Give an arrival its lead, a new one or the one it duplicates."""
    known = exact_duplicates(email=draft.email, phone=draft.phone)
    arrival.processing_status, arrival.error = ProcessingStatus.PROCESSED, ""
    arrival.was_duplicate = bool(known)
    arrival.lead = known[0].lead if known else _insert(draft, by=by)
    arrival.save()
    if known:
        publish(LeadArrivedAgain(lead_id=known[0].lead.pk, arrival_id=arrival.pk))


def _key_of_source(arrival: Arrival) -> str:
    return f"source:{arrival.platform_key}:{arrival.source_lead_id}"


# --- pieces ---


def lock_keys(keys: set[str]) -> None:
    """Take the transaction's advisory locks for duplicate keys, in one order everywhere, so that nobody waits in a ring."""
    tenant_id = current_scope().tenant_id
    buckets = sorted({int.from_bytes(hashlib.blake2s(key.encode(), digest_size=2).digest()) % _LOCKS_PER_TENANT for key in keys})
    if buckets:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s, bucket) FROM (SELECT unnest(%s::int[]) AS bucket ORDER BY 1) AS locks",
                [tenant_id % 2**31, buckets],
            )


def keys_of(draft: LeadDraft) -> set[str]:
    """What a draft is known by: canonical e-mail and phone."""
    return {value for value in (email_key(draft.email), draft.phone) if value}


def _check_owner(owner_id: int | None, *, by: Actor) -> None:
    if owner_id is None or owner_id == by.user_id:
        return
    if not by.can(ASSIGN):
        raise Forbidden("You may take leads yourself, not give them to others.", field="assigned_to")
    if not User.objects.filter(pk=owner_id, is_active=True).exists():
        raise InvalidInput({"assigned_to": ["No such active user."]})


def _insert(draft: LeadDraft, *, enrich: bool | None = None, by: Actor) -> Lead:
    lead = new_lead(draft=draft, words=vocabulary(), now=timezone.now(), by=by)
    insert_leads(leads=[lead], enrich=enrich, by=by)
    return lead


def insert_leads(*, leads: Sequence[Lead], enrich: bool | None = None, by: Actor) -> None:
    """Write new leads of this transaction: scored, counted, told to subscribers with one event for all."""
    if not leads:
        return
    compute_values("leads.Lead", leads)
    # COPY has a price of its own, which pays from some twenty rows on.
    if len(leads) > _FEW:
        insert_records(leads)
    else:
        Lead.objects.bulk_create(leads)
    remember_tags({tag for lead in leads for tag in lead.tags})
    publish(LeadsCaptured(lead_ids=tuple(lead.pk for lead in leads), door=str(by.door), enrich=enrich))
    given: dict[int, list[int]] = {}
    for lead in leads:
        if lead.owner_id is not None:
            given.setdefault(lead.owner_id, []).append(lead.pk)
    for owner_id, ids in given.items():
        publish(LeadsAssigned(lead_ids=tuple(ids), owner_id=owner_id))


def new_lead(*, draft: LeadDraft, words: Vocabulary, now: datetime, operation_id: int | None = None, by: Actor) -> Lead:
    """The unsaved lead of a normalised draft. Raises InvalidInput for a status that is none."""
    status, reason = _starting_status(draft, words)
    created_at = draft.created_at or now
    values = _blank() | lead_values(draft)
    values |= {
        "tenant_id": by.tenant_id,
        "status_id": status.pk,
        "status_changed_at": created_at,
        "lost_reason": reason,
        "assigned_at": now if draft.owner_id else None,
        "created_at": created_at,
        "created_by_id": by.user_id,
        "created_via": str(by.door),
        "operation_id": operation_id,
    }
    # By position, in the order of `_blank`: naming each field takes twice as long, and imports make thousands a second.
    lead = Lead(*values.values())
    lead.status = status
    return lead


@cache
def _blank() -> dict[str, Any]:
    """To be copied: a lead's columns in their order with their defaults; what the database generates is left to it.

    Lists and objects among the defaults are shared by the copies: `lead_values` gives each lead its own.
    """
    return {column.attname: DEFERRED if column.generated else column.get_default() for column in Lead._meta.concrete_fields}


def _starting_status(draft: LeadDraft, words: Vocabulary) -> tuple[LeadStatus, str]:
    if not draft.status:
        return words.starting, ""
    found = words.find(draft.status)
    if found is None:
        raise InvalidInput({"status": [f"Unknown status: {draft.status[:40]}."]})
    return found


def remember_tags(names: set[str]) -> None:
    """Offer tags in suggestions from now on. Names this process has seen committed are not written again."""
    tenant_id = current_scope().tenant_id
    new = sorted(name for name in names if (tenant_id, name) not in _seen_tags)
    if new:
        Tag.objects.bulk_create([Tag(name=name) for name in new], ignore_conflicts=True)
        transaction.on_commit(lambda: _note_tags(tenant_id, new))


def _note_tags(tenant_id: int, names: list[str]) -> None:
    if len(_seen_tags) > _MOST_SEEN_TAGS:
        _seen_tags.clear()
    _seen_tags.update((tenant_id, name) for name in names)


def _alike(draft: LeadDraft, *, by: Actor) -> list[Candidate]:
    """The leads that are so much like the draft that the tenant counts them as the same, the likeliest first."""
    found = {item.id: item for find in similar_records.of("leads.Lead") for item in find(draft=draft, by=by)}
    return [
        Candidate(lead=lead, similarity=found[lead.pk].similarity, matched_on=found[lead.pk].matched_on)
        for lead in leads_in_order(list(found))
    ]


def _refuse_duplicates(found: Sequence[Candidate], *, exact: bool, by: Actor) -> None:
    if found:
        raise DuplicateLead(
            "A lead with this e-mail or phone already exists." if exact else "A lead very much like this one already exists.",
            field=next(iter(found[0].matched_on), None),
            details={"candidates": _candidates_for(found, by=by)},
        )


def _candidates_for(found: Sequence[Candidate], *, by: Actor) -> list[dict[str, Any]]:
    """What the caller may know of the leads in the way: all of those in their sight, of others only that they are there."""
    seen = set(leads_visible_to(by).filter(pk__in=[item.lead.pk for item in found]).values_list("pk", flat=True))
    return [
        {
            "id": item.lead.pk,
            "similarity_score": item.similarity,
            "matched_on": list(item.matched_on),
            "name": item.lead.display_name if item.lead.pk in seen else None,
            "company": item.lead.company if item.lead.pk in seen else None,
            "assigned_to": item.lead.owner_id,
        }
        for item in found
    ]
