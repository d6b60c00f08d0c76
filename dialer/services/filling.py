"""Put the leads of a list into an agent's queue: a saved view, or whatever somebody selected. An operation, which can be taken back."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from crm.actors import Actor
from crm.bulk import update_records
from crm.errors import InvalidInput
from crm.normal import e164
from crm.operations.models import Operation
from crm.operations.runner import Chunk, SkippedRow
from crm.operations.services import start_operation
from crm.tenancy.models import current_tenant
from dialer.enums import Disposition, EntryStatus
from dialer.errors import NoSuchAgent
from dialer.models import CallingAgent, QueueEntry
from dialer.permissions import MANAGE
from dialer.services.entries import MOST_NAME, EntryDraft, queue_drafts, reopen, require_queue
from dialer.services.waking import wake_agent
from leads.filters import LeadList
from leads.models import Lead
from leads.selectors import leads_visible_to

KIND = "dialer.fill"
CHUNK, MOST_IDS = 2000, 10_000
# Parts of a list's address that say how it is shown, not what is in it.
_SHOWN = {"view", "sort_by", "sort_order", "cursor", "columns", "page", "limit"}
_NEVER_AGAIN = {Disposition.DO_NOT_CALL, Disposition.WRONG_NUMBER}


def start_fill(*, agent_id: int, query: str, ids: Sequence[int] = (), all_matching: bool = True, by: Actor) -> Operation:
    """Start putting leads into a queue: all that a list with this query shows, or those with these ids.

    Leads of which the queue holds the number are put in front of whoever works on what this brings; done ones begin again, unless they
    must not be called. Raises NoSuchAgent, InvalidInput for what is no filter or too many ids.
    """
    agent = CallingAgent.objects.filter(pk=agent_id, deleted_at=None).first()
    if agent is None:
        raise NoSuchAgent
    require_queue(agent_id=agent.pk, by=by)
    params: dict[str, Any] = {"agent": agent.pk, "filters": None, "ids": []}
    if all_matching:
        params["filters"] = filters_in(query)
        total = LeadList.for_work(params=params["filters"], actor=by).total()
    else:
        params["ids"] = list(dict.fromkeys(ids))
        total = len(params["ids"])
        if not params["ids"]:
            raise InvalidInput({"ids": ["Choose at least one lead."]})
        if total > MOST_IDS:
            raise InvalidInput({"ids": [f"At most {MOST_IDS:,} ids; select more by filters."]})
    title = _("%(n)s leads to the queue of %(agent)s") % {"n": f"{total:,}", "agent": agent.name}
    return start_operation(kind=KIND, title=title, params=params, total=total, by=by)


def filters_in(query: str) -> dict[str, str]:
    """The parts of a list's address that say which leads it has."""
    return {name: value for name, value in parse_qsl(query.lstrip("?")) if name not in _SHOWN}


def fill_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Put the next leads into the queue."""
    agent = CallingAgent.objects.filter(pk=operation.params["agent"], deleted_at=None).first()
    if agent is None:
        raise NoSuchAgent
    require_queue(agent_id=agent.pk, by=actor)
    ids, cursor, finished = _next_ids(operation, actor)
    leads = {lead.pk: lead for lead in leads_visible_to(actor).filter(pk__in=ids).defer("search")}
    region, now = current_tenant().region, timezone.now()
    drafts, passed = [], []
    for pk in ids:
        lead = leads.get(pk)
        phone = e164(lead.phone, region=region) if lead is not None and lead.phone else None
        if lead is None:
            passed.append((pk, _("It is not there any more.")))
        elif phone is None:
            passed.append((pk, _("It has no number that could be called.")))
        else:
            drafts.append(EntryDraft(first_name=_called(lead), phone=phone, lead_id=pk, key=pk))
    with transaction.atomic():
        queued = queue_drafts(agent=agent, drafts=drafts, operation_id=operation.pk, now=now, by=actor)
        updated, held = _put_in_front(agent, [draft.phone for draft in queued.known], operation.pk)
        wake_agent(agent.pk, now=now)
    passed += [(draft.key, held[draft.phone]) for draft in queued.known if draft.phone in held]
    repeated = len(queued.known) - updated - sum(draft.phone in held for draft in queued.known)
    chunk = Chunk(cursor=cursor, finished=finished, created=len(queued.made), updated=updated, skipped=len(passed) + repeated)
    start = operation.done + chunk.created + chunk.updated + 1
    chunk.skipped_rows = [SkippedRow(row=number, message=why, record_id=pk) for number, (pk, why) in enumerate(passed, start=start)]
    return chunk


def _called(lead: Lead) -> str:
    return (lead.first_name or lead.display_name)[:MOST_NAME]


def _put_in_front(agent: CallingAgent, phones: Sequence[str], operation_id: int) -> tuple[int, dict[str, str]]:
    """Mark the entries with these numbers as this operation's. Answers how many, and why others were left, by number."""
    now, held = timezone.now(), {}
    rows = QueueEntry.objects.select_for_update(of=("self",)).filter(agent=agent, deleted_at=None, phone__in=phones).defer("search")
    changed = []
    for entry in rows.exclude(batch_id=operation_id).order_by("pk"):
        if entry.disposition in _NEVER_AGAIN:
            held[entry.phone] = _("It was closed as “%(how)s”.") % {"how": entry.get_disposition_display()}
            continue
        if entry.status == EntryStatus.DONE:
            reopen(entry, status=EntryStatus.NEW, now=now)
        entry.batch_id, entry.updated_at = operation_id, now
        changed.append(entry)
    names = (
        "batch_id", "status", "disposition", "schedule_at", "next_at", "waits_for", "is_immediate", "attempts_count", "tried_hours", "last_result",
        "updated_at",
    )  # fmt: skip
    return update_records(changed, names), held


def _next_ids(operation: Operation, actor: Actor) -> tuple[list[int], dict[str, Any], bool]:
    params = operation.params
    if params["filters"] is None:
        place = operation.cursor.get("place", 0)
        ids = params["ids"][place : place + CHUNK]
        return ids, {"place": place + len(ids)}, place + len(ids) >= len(params["ids"])
    after = operation.cursor.get("after", 0)
    ids = LeadList.for_work(params=params["filters"], actor=actor).ids_after(after, CHUNK)
    return ids, {"after": ids[-1] if ids else after}, len(ids) < CHUNK


def links(operation: Operation) -> dict[str, str]:
    return {"record": "/leads/"}


# --- taking an operation back ---


def visible_ids(*, ids: Sequence[int], by: Actor) -> set[int]:
    """The entries whose queues the actor may change."""
    entries = QueueEntry.objects.filter(pk__in=ids)
    if not by.can(MANAGE):
        entries = entries.filter(created_by_id=by.user_id)
    return set(entries.values_list("pk", flat=True))


def discard_records(*, ids: Sequence[int], by: Actor) -> None:
    """Take entries that an operation made out of their queues. Those that were called meanwhile keep their calls."""
    now = timezone.now()
    QueueEntry.objects.filter(pk__in=ids, deleted_at=None).update(deleted_at=now, updated_at=now)


def tell_restored(*, records: Sequence[QueueEntry], names: Sequence[str], by: Actor) -> None:
    """Have the queues looked at whose entries have earlier values again."""
    for agent_id in {entry.agent_id for entry in records}:
        wake_agent(agent_id, now=timezone.now())
