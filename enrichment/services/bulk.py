"""Enrich many leads as an operation, and new leads as they come in."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.operations.enums import State
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import start_operation
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from enrichment.errors import NoProvider
from enrichment.models import CachedAnswer, Enrichment
from enrichment.permissions import ENRICH
from enrichment.services.asking import Round, active_providers
from enrichment.services.enriching import (
    MOST_AT_ONCE,
    Enriching,
    LeadResult,
    Options,
    begin_enrichment,
    facts_about,
    finish_enrichment,
    write_found,
)
from leads.filters import LeadList
from leads.permissions import CHANGE

KIND = "enrichment.enrich"
MOST_IDS = 100_000
# With questions to others a piece of work is small, as what is answered must not be long in coming.
CHUNK_LEADS, CHUNK_OUTSIDE = 500, 50
# So often the same questions are asked between steps.
_TRIES = 3
# Whoever took a new lead to enrich it has so long, then another does.
_HOLD = timedelta(minutes=5)
_DUE_AT_ONCE = 50


def start_enrichment(
    *, ids: Sequence[int] = (), filters: Mapping[str, str] | None = None, options: Options | None = None, by: Actor
) -> Operation:
    """Let a worker enrich these leads, or all that a list with these filters shows. Raises InvalidInput, NoProvider."""
    by.require(ENRICH)
    by.require(CHANGE)
    if not active_providers():
        raise NoProvider("No enrichment provider is switched on. See Settings, Enrichment.")
    if not ids and filters is None:
        raise InvalidInput({"lead_ids": ["Name at least one lead, or give filters."]})
    if len(ids) > MOST_IDS:
        raise InvalidInput({"lead_ids": [f"At most {MOST_IDS:,} ids; select more by filters."]})
    chosen = list(dict.fromkeys(ids))
    total = LeadList.for_work(params=filters, actor=by).total() if filters is not None else len(chosen)
    number = _("the leads of a list") if filters is not None else ngettext("%(n)s lead", "%(n)s leads", total) % {"n": f"{total:,}"}
    params = {"ids": chosen, "filters": dict(filters) if filters is not None else None, **(options or Options()).__dict__}
    return start_operation(kind=KIND, title=_("Enrichment of %(what)s") % {"what": number}, params=params, total=total, by=by)


def enrich_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Enrich the next leads after the cursor.

    A step holds the operation, so that whoever stops it would wait for the services that are asked. Where others are to be
    asked it therefore only finds out what; they are asked when it is committed, and the next step writes what they answered.
    """
    if "asked" in operation.cursor:
        begun = Enriching.read(operation.cursor["asked"])
        chunk = Chunk(cursor=operation.cursor["then"], finished=operation.cursor["last"])
        return _tally(operation, finish_enrichment(begun=begun, by=actor), chunk)
    ids, cursor, finished = _next_ids(operation, actor)
    params = operation.params
    options = Options(**{name: params[name] for name in ("max_concurrent", "skip_recent", "cache_hours")})
    begun = begin_enrichment(lead_ids=ids, options=options, by=actor)
    tries = operation.cursor.get("tries", 0)
    if begun.asks_others and tries < _TRIES:
        place = {**operation.cursor, "tries": tries + 1}
        transaction.on_commit(partial(_ask_between, operation.pk, place, {"then": cursor, "last": finished}, begun))
        return Chunk(cursor=place)
    # Nobody else is to be asked; or worker after worker died of it, and the work must go on.
    begun.fetch()
    return _tally(operation, finish_enrichment(begun=begun, by=actor), Chunk(cursor=cursor, finished=finished))


def _next_ids(operation: Operation, actor: Actor) -> tuple[list[int], dict[str, Any], bool]:
    """The leads after the cursor, the cursor behind them, and whether they are the last."""
    params = operation.params
    size = CHUNK_OUTSIDE if any(provider.outside for provider in active_providers()) else CHUNK_LEADS
    if params["filters"] is None:
        place = operation.cursor.get("place", 0)
        ids = params["ids"][place : place + size]
        return ids, {"place": place + len(ids)}, place + len(ids) >= len(params["ids"])
    after = operation.cursor.get("after", 0)
    ids = LeadList.for_work(params=params["filters"], actor=actor).ids_after(after, size)
    return ids, {"after": ids[-1] if ids else after}, len(ids) < size


def _ask_between(operation_id: int, place: Mapping[str, Any], then: Mapping[str, Any], begun: Enriching) -> None:
    """Ask, and leave the answers at the cursor, if the operation is still where it was: another worker may be further on."""
    begun.fetch()
    with tenant_scope(current_tenant_id()):
        begun.asking.keep()
        waiting = Operation.objects.filter(pk=operation_id, state=State.RUNNING, cursor=place)
        waiting.update(cursor={"asked": begun.stored(), **then})


def _tally(operation: Operation, results: Sequence[LeadResult], chunk: Chunk) -> Chunk:
    """What the chunk came to, every lead counted once."""
    found = 0
    for number, result in enumerate(results, start=operation.done + 1):
        found += result.fields
        if not result.success:
            chunk.errors.append(
                RowError(row=number, message=result.reason or "Nothing was answered.", record_id=None, values={"id": result.lead_id})
            )
        elif result.skipped or not result.written:
            chunk.skipped += 1
            text = (
                result.reason
                if result.skipped
                else "Found, but nothing to be written into the lead."
                if result.fields
                else "Nothing was found."
            )
            chunk.skipped_rows.append(SkippedRow(row=number, message=text, record_id=result.lead_id))
        else:
            chunk.updated += 1
    chunk.result = {"fields_found": operation.result.get("fields_found", 0) + found}
    return chunk


def links(operation: Operation) -> dict[str, str]:
    """The page that shows which leads were written."""
    return {"updated": f"/leads?changed_by={operation.pk}", "record": "/leads/"}


# --- new leads ---


def enrich_new(*, lead_ids: Sequence[int], by: Actor) -> None:
    """Conclude what can be concluded of new leads, and note those about whom others are to be asked."""
    with tenant_scope(by.tenant_id, by=by):
        providers = active_providers(on_capture=True)
        own = [provider for provider in providers if not provider.outside]
        if own:
            asking = Round(providers=own)
            asking.begin(facts_about(lead_ids))
            write_found(asked=asking.asked, by=by)
        if len(own) < len(providers):
            now = timezone.now()
            rows = [Enrichment(lead_id=pk, due_at=now) for pk in lead_ids]
            Enrichment.objects.bulk_create(rows, update_conflicts=True, unique_fields=["tenant", "lead"], update_fields=["due_at"])


def enrich_due() -> int:
    """Ask others about the new leads that wait for it, in every tenant. Answers how many were enriched."""
    return sum(_enrich_due_of(tenant_id) for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True))


def _enrich_due_of(tenant_id: int) -> int:
    """Take some, ask outside of any transaction, write. A worker killed in between lets them go after a while."""
    by = Actor.system(tenant_id=tenant_id, label="enrichment")
    done = 0
    while True:
        with tenant_scope(tenant_id, by=by):
            due = Enrichment.objects.filter(due_at__lte=timezone.now()).order_by("due_at").select_for_update(skip_locked=True, of=("self",))
            ids = list(due.values_list("lead_id", flat=True)[:_DUE_AT_ONCE])
            if not ids:
                return done
            Enrichment.objects.filter(lead_id__in=ids).update(due_at=timezone.now() + _HOLD)
            asking = Round(providers=[provider for provider in active_providers(on_capture=True) if provider.outside])
            asking.begin(facts_about(ids))
        asking.fetch(most_at_once=MOST_AT_ONCE)
        with tenant_scope(tenant_id, by=by):
            asking.keep()
            done += len(write_found(asked=asking.asked, by=by))
            # Those that are gone, or in the bin, wait for nothing.
            Enrichment.objects.filter(lead_id__in=ids, due_at__isnull=False).update(due_at=None)


def forget_old_answers() -> int:
    """Delete cached answers whose time is over, in every tenant."""
    deleted = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            deleted += CachedAnswer.objects.filter(expires_at__lt=timezone.now()).delete()[0]
    return deleted
