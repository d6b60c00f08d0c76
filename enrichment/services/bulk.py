"""Enrich many leads as an operation, and new leads as they come in."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.operations.models import Operation
from crm.operations.runner import Chunk, RowError, SkippedRow
from crm.operations.services import start_operation
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from enrichment.errors import NoProvider
from enrichment.models import CachedAnswer, Enrichment
from enrichment.permissions import ENRICH
from enrichment.services.asking import Round, active_providers
from enrichment.services.enriching import MOST_AT_ONCE, Options, ask_about, enrich_leads, facts_about, write_found
from leads.filters import LeadList
from leads.permissions import CHANGE

KIND = "enrichment.enrich"
MOST_IDS = 100_000
# A piece of work is one transaction; with questions to others it must stay short.
CHUNK_LEADS, CHUNK_OUTSIDE = 500, 50
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
    total = LeadList(params=filters, actor=by).total() if filters is not None else len(chosen)
    number = _("the leads of a list") if filters is not None else ngettext("%(n)s lead", "%(n)s leads", total) % {"n": f"{total:,}"}
    params = {"ids": chosen, "filters": dict(filters) if filters is not None else None, **(options or Options()).__dict__}
    return start_operation(kind=KIND, title=_("Enrichment of %(what)s") % {"what": number}, params=params, total=total, by=by)


def enrich_chunk(operation: Operation, actor: Actor) -> Chunk:
    """Enrich the next leads after the cursor."""
    params = operation.params
    options = Options(**{name: params[name] for name in ("max_concurrent", "skip_recent", "cache_hours")})
    size = CHUNK_OUTSIDE if any(provider.outside for provider in active_providers()) else CHUNK_LEADS
    if params["filters"] is None:
        place = operation.cursor.get("place", 0)
        ids = params["ids"][place : place + size]
        cursor, finished = {"place": place + len(ids)}, place + len(ids) >= len(params["ids"])
    else:
        after = operation.cursor.get("after", 0)
        ids = LeadList(params=params["filters"], actor=actor).ids_after(after, size)
        cursor, finished = {"after": ids[-1] if ids else after}, len(ids) < size
    chunk = Chunk(cursor=cursor, finished=finished)
    found = 0
    for number, result in enumerate(enrich_leads(lead_ids=ids, options=options, by=actor) if ids else [], start=operation.done + 1):
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
            write_found(asked=ask_about(lead_ids, providers=own, most_at_once=1), by=by)
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
