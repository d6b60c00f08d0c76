"""Ask Facebook's pages for leads whose deliveries never came: the install was down, or the subscription was off.

Each is stored as an arrival like those of deliveries, with its answers there already. Asked again, nothing changes.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError
from crm.events import nudge
from crm.tenancy.scope import tenant_scope
from leads.models import Arrival
from webhooks.enums import SourceKind
from webhooks.models import FieldMapping, Source, SourceKey
from webhooks.services.arrivals import CannotRead, TryLater, accept_all
from webhooks.services.facebook import DOOR, KEY, arrival_of, graph_of, id_of, instant_of
from webhooks.services.graph import Graph
from webhooks.services.website import storable

log = structlog.get_logger(__name__)
# Facebook deletes leads after that.
RETENTION = timedelta(days=90)
# Asked anew each time: a lead may show up late in a list, and clocks differ.
OVERLAP = timedelta(days=1)
MOST_SECONDS = 900
_UNTIL = "reconciled_until"


@dataclass(kw_only=True)
class Reconciled:
    """What asking one page came to."""

    name: str
    forms: int = 0
    leads: int = 0
    missing: int = 0
    trouble: str = ""


def connected_pages() -> list[tuple[int, int]]:
    """Tenant and source of every connected page."""
    keys = SourceKey.objects.filter(key__startswith=KEY, tenant__is_active=True)
    return list(keys.order_by("pk").values_list("tenant_id", "source_id"))


def reconcile_pages() -> None:
    """Have every page reconciled by a task of its own, so that none waits for another. One that is lost is made up for by the next run."""
    for tenant_id, source_id in connected_pages():
        nudge.task("webhooks.reconcile_facebook_page", tenant_id=tenant_id, source_id=source_id)


def reconcile_page(*, tenant_id: int, source_id: int, since: datetime | None = None) -> Reconciled | None:
    """Store what a page has and we lack since then, or since the last complete run. None where the page takes no leads.

    What Facebook refuses is written on the source; nothing is raised for it. Stops after MOST_SECONDS.
    """
    started = timezone.now()
    with tenant_scope(tenant_id):
        source = Source.objects.filter(pk=source_id, kind=SourceKind.FACEBOOK, is_active=True).first()
    if source is None:
        return None
    due = _due_since(source)
    earliest = max(since or due, started - RETENTION)
    done = Reconciled(name=source.name)
    try:
        _ask(source, since=earliest, until=time.monotonic() + MOST_SECONDS, done=done)
    except (TryLater, DomainError) as trouble:
        done.trouble = str(trouble)
    _note(source, done, at=started, complete=earliest <= max(due, started - RETENTION))
    log.info("facebook_page_reconciled", tenant=tenant_id, source=source_id, leads=done.leads, missing=done.missing, trouble=done.trouble)
    return done


def _due_since(source: Source) -> datetime:
    until = instant_of(source.options.get(_UNTIL)) if isinstance(source.options, dict) else None
    return until - OVERLAP if until else timezone.now() - RETENTION


def _ask(source: Source, *, since: datetime, until: float, done: Reconciled) -> None:
    """One form that Facebook cannot show does not hide the others."""
    graph, lost = graph_of(source), ""
    forms = [form for page in _within(until, graph.forms(source.external_id)) for form in page if id_of(form.get("id"))]
    _name_mappings(source, forms)
    for form in forms:
        try:
            _ask_form(source, graph, id_of(form["id"]), since=since, until=until, done=done)
        except CannotRead as refusal:
            lost = refusal.message
        done.forms += 1
    if lost:
        raise CannotRead(lost)


def _ask_form(source: Source, graph: Graph, form_id: str, *, since: datetime, until: float, done: Reconciled) -> None:
    for leads in _within(until, graph.leads(form_id, since=since)):
        arrivals = [
            _arrival_of(lead, source, form_id) for lead in leads if id_of(lead.get("id")) and isinstance(lead.get("field_data"), list)
        ]
        done.leads += len(arrivals)
        with tenant_scope(source.tenant_id, by=Actor.system(tenant_id=source.tenant_id, door=Door.TASK, label=DOOR)):
            done.missing += accept_all(arrivals)


def _within(until: float, pages: Iterable[list[dict[str, Any]]]) -> Iterator[list[dict[str, Any]]]:
    for page in pages:
        yield page
        if time.monotonic() > until:
            raise TryLater("Facebook took too long to list all leads; the rest is asked for next time.")


def _arrival_of(lead: Mapping[str, Any], source: Source, form_id: str) -> Arrival:
    created = instant_of(lead.get("created_time"))
    named = {
        "leadgen_id": lead["id"],
        "form_id": form_id,
        "page_id": source.external_id,
        "ad_id": lead.get("ad_id"),
        "campaign_id": lead.get("campaign_id"),
        "created_time": int(created.timestamp()) if created else None,
    }
    payload = {"leadgen": named, "details": lead, "reconciled": True}
    return arrival_of(named, page_id=source.external_id, door_id=source.pk, payload=payload)


def _name_mappings(source: Source, forms: Sequence[Mapping[str, Any]]) -> None:
    """Call mappings that were made by a form's number by the form's name."""
    names = {id_of(form["id"]): storable(form["name"])[:150] for form in forms if isinstance(form.get("name"), str)}
    with tenant_scope(source.tenant_id):
        nameless = list(FieldMapping.objects.filter(source=source, form_id__in=list(names), form_name=""))
        for mapping in nameless:
            mapping.form_name = names[mapping.form_id]
        FieldMapping.objects.bulk_update(nameless, ["form_name"])


def _note(source: Source, done: Reconciled, *, at: datetime, complete: bool) -> None:
    with tenant_scope(source.tenant_id, by=Actor.system(tenant_id=source.tenant_id, door=Door.TASK, label=DOOR)):
        kept = Source.objects.select_for_update(of=("self",)).filter(pk=source.pk).first()
        if kept is None:
            return
        kept.checked_at, changed = at, ["checked_at", "last_error", "last_error_at"]
        kept.last_error, kept.last_error_at = done.trouble[:500], at if done.trouble else None
        if complete and not done.trouble:
            kept.options = {**kept.options, _UNTIL: at.isoformat()}
            changed.append("options")
        kept.save(update_fields=changed)
