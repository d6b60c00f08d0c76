"""Many drafts at once: matched with the leads that are there, then created, updated or passed over, set-wise."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import connection, transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.normal import email_key
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from leads.permissions import ADD, CHANGE, SKIP_TRANSITIONS
from leads.selectors import leads_visible_to, lock_leads, vocabulary
from leads.services.changes import LeadChanges
from leads.services.drafts import MOST_TAGS, TEXT_FIELDS, LeadDraft
from leads.services.editing import set_owner, set_status
from leads.services.intake import insert_leads, keys_of, lock_keys, new_lead


class OnDuplicate(StrEnum):
    """What is wanted with a draft whose lead is there already."""

    REFUSE = "refuse"
    CREATE = "create"
    SKIP = "skip"
    UPDATE = "update"
    # As UPDATE, and a draft whose lead is not there is passed over.
    ONLY_UPDATE = "only_update"


class MatchBy(StrEnum):
    """By what a lead counts as there already."""

    ANY = "any"
    EMAIL = "email"
    PHONE = "phone"
    ID = "id"


class Result(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to do with the drafts. With `keep_existing` an update fills empty fields only. A dry run writes nothing."""

    on_duplicate: OnDuplicate
    match_by: MatchBy = MatchBy.ANY
    keep_existing: bool = False
    operation_id: int | None = None
    dry_run: bool = False
    enrich: bool | None = None

    @property
    def updates(self) -> bool:
        return self.on_duplicate in (OnDuplicate.UPDATE, OnDuplicate.ONLY_UPDATE)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A normalised draft, the fields that its sender really gave, and the id of the lead it names, where it names one.

    `made` is the draft's unsaved lead, where somebody has made it beforehand.
    """

    draft: LeadDraft
    given: frozenset[str] = frozenset()
    lead_id: int | None = None
    made: Lead | None = None


@dataclass(kw_only=True)
class Outcome:
    """What became of one entry. `lead` is the one made, changed, or in the way; a dry run's new one has no id."""

    result: Result = Result.FAILED
    lead: Lead | None = None
    matched_id: int | None = None
    message: str = ""
    problems: dict[str, list[str]] = field(default_factory=dict)

    @property
    def lead_id(self) -> int | None:
        return self.lead.pk if self.lead is not None else self.matched_id


def upsert_leads(*, entries: Sequence[Entry], plan: Plan, by: Actor) -> list[Outcome]:
    """Bring drafts into the tenant: one look-up of duplicates, one insert, one update, however many they are.

    A draft that repeats an earlier one of the same call meets that one's lead. One that is wrong gets its problems and does
    not stop the others. Leads out of the actor's sight are never changed. Outcomes are in the entries' order.
    """
    by.require(ADD)
    if plan.updates:
        by.require(CHANGE)
    with transaction.atomic():
        if not plan.dry_run:
            lock_keys({key for entry in entries for key in keys_of(entry.draft)})
        work = _Work(entries=entries, plan=plan, by=by)
        outcomes = [work.decide(entry) for entry in entries]
        if not plan.dry_run:
            work.write()
    return outcomes


class _Work:
    """The decisions of one call, made in memory, and what they come to in the database."""

    def __init__(self, *, entries: Sequence[Entry], plan: Plan, by: Actor) -> None:
        self.plan, self.by, self.words, self.now = plan, by, vocabulary(), timezone.now()
        self.known: dict[str, int] = {}
        self.loaded: dict[int, Lead] = {}
        self.new: dict[str, Lead] = {}
        self.created: list[Lead] = []
        self.changes = LeadChanges(by=by)
        if plan.on_duplicate != OnDuplicate.CREATE:
            self._look_up(entries)

    def _look_up(self, entries: Sequence[Entry]) -> None:
        if self.plan.match_by == MatchBy.ID:
            ids = {entry.lead_id for entry in entries if entry.lead_id}
            self.known = {f"#{pk}": pk for pk in Lead.objects.live().filter(pk__in=ids).values_list("pk", flat=True)}
        else:
            keys = {key for entry in entries for key in self._keys(entry)}
            self.known = _known_by_key([key for key in keys if "@" in key], [key for key in keys if "@" not in key])
        if self.plan.updates and self.known:
            if not self.plan.dry_run:
                lock_leads(set(self.known.values()))
            leads = leads_visible_to(self.by).filter(pk__in=set(self.known.values())).select_related("status").defer("search")
            self.loaded = {lead.pk: lead for lead in leads}

    def _keys(self, entry: Entry) -> set[str]:
        match self.plan.match_by:
            case MatchBy.ID:
                return {f"#{entry.lead_id}"} if entry.lead_id else set()
            case MatchBy.EMAIL:
                return {email_key(entry.draft.email)} - {""}
            case MatchBy.PHONE:
                return {entry.draft.phone} - {""}
        return keys_of(entry.draft)

    def decide(self, entry: Entry) -> Outcome:
        keys = sorted(self._keys(entry)) if self.plan.on_duplicate != OnDuplicate.CREATE else []
        matched_id = next((self.known[key] for key in keys if key in self.known), None)
        earlier = next((self.new[key] for key in keys if key in self.new), None)
        if matched_id is None and earlier is None:
            if self.plan.on_duplicate == OnDuplicate.ONLY_UPDATE:
                return Outcome(result=Result.SKIPPED, message="There is no such lead.")
            return self._create(entry, keys)
        if self.plan.on_duplicate == OnDuplicate.REFUSE:
            return Outcome(matched_id=matched_id, problems={self._field(keys): ["A lead with this e-mail or phone already exists."]})
        if not self.plan.updates:
            where = "in this file" if matched_id is None else "already"
            return Outcome(result=Result.SKIPPED, matched_id=matched_id, message=f"A lead with this e-mail or phone is there {where}.")
        lead = earlier if matched_id is None else self.loaded.get(matched_id)
        if lead is None:
            return Outcome(matched_id=matched_id, problems={self._field(keys): ["This lead is somebody else's; you may not change it."]})
        return self._update(lead, entry)

    def _field(self, keys: Sequence[str]) -> str:
        return "id" if self.plan.match_by == MatchBy.ID else "email" if any("@" in key for key in keys) else "phone"

    def _create(self, entry: Entry, keys: Sequence[str]) -> Outcome:
        try:
            # What a new lead lacks is said by making it.
            lead = None if entry.draft.missing else entry.made
            if lead is None:
                lead = new_lead(draft=entry.draft, words=self.words, now=self.now, operation_id=self.plan.operation_id, by=self.by)
        except InvalidInput as refusal:
            return Outcome(problems=refusal.problems)
        self.created.append(lead)
        self.new.update(dict.fromkeys(keys, lead))
        return Outcome(result=Result.CREATED, lead=lead)

    def _update(self, lead: Lead, entry: Entry) -> Outcome:
        try:
            different = self.changes.attempt(lead, lambda lead: self._apply(lead, entry))
        except DomainError as refusal:
            problems = refusal.problems if isinstance(refusal, InvalidInput) else {refusal.field or "": [refusal.message]}
            return Outcome(matched_id=lead.pk, problems=problems)
        if not different:
            return Outcome(result=Result.SKIPPED, matched_id=lead.pk, message="The lead holds all of this already.")
        return Outcome(result=Result.UPDATED, lead=lead)

    def _apply(self, lead: Lead, entry: Entry) -> None:
        draft, given, keep = entry.draft, entry.given, self.plan.keep_existing
        for name in (*TEXT_FIELDS, "email", "phone", "notes", "lead_source"):
            if name in given and getattr(draft, name) and not (keep and getattr(lead, name)):
                setattr(lead, name, getattr(draft, name))
        lead.email_key = email_key(lead.email)
        there = {tag.casefold() for tag in lead.tags}
        lead.tags = [*lead.tags, *(tag for tag in draft.tags if tag.casefold() not in there)][:MOST_TAGS]
        if draft.custom_fields:
            lead.custom_fields = {**draft.custom_fields, **lead.custom_fields} if keep else {**lead.custom_fields, **draft.custom_fields}
        if "priority" in given and not keep:
            lead.priority = draft.priority
        if "next_follow_up_at" in given and not (keep and lead.next_follow_up_at):
            lead.next_follow_up_at = draft.next_follow_up_at
        if "owner" in given and not (keep and lead.owner_id):
            set_owner(lead=lead, owner_id=draft.owner_id, by=self.by)
        if "status" in given and draft.status and not keep:
            set_status(lead=lead, word=draft.status, skip_rules=self.by.can(SKIP_TRANSITIONS), by=self.by)

    def write(self) -> None:
        insert_leads(leads=self.created, enrich=self.plan.enrich, by=self.by)
        self.changes.write()


KNOWN_SQL = """
SELECT wanted.key, min(lead.id) FROM unnest(%(mails)s::text[]) AS wanted (key)
JOIN leads_lead AS lead ON lead.tenant_id = %(tenant)s AND lead.deleted_at IS NULL AND lead.email_key = wanted.key AND lead.email_key <> ''
GROUP BY wanted.key
UNION ALL
SELECT wanted.key, min(lead.id) FROM unnest(%(phones)s::text[]) AS wanted (key)
JOIN leads_lead AS lead ON lead.tenant_id = %(tenant)s AND lead.deleted_at IS NULL AND lead.phone = wanted.key AND lead.phone <> ''
GROUP BY wanted.key
"""


def _known_by_key(mails: Sequence[str], phones: Sequence[str]) -> dict[str, int]:
    """The oldest live lead of each canonical e-mail and phone, one step along an index for each."""
    if not mails and not phones:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(KNOWN_SQL, {"mails": list(mails), "phones": list(phones), "tenant": current_tenant_id()})
        return dict(cursor.fetchall())
