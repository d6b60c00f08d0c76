"""New leads find their owner by the rules, as soon as they are there; the catch-all queue is tried again when somebody can take one."""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

import orjson
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.models import CatchAllEntry, QueueWatch
from assignments.permissions import RULES
from assignments.selectors import count_waiting, current_version, people_who_can, start_of_day
from assignments.services.engine import Engine, Known
from assignments.services.running import CHUNK_LEADS, Placed, active_rules, assign_by_rules
from assignments.services.snapshot import read_rules, read_workers
from crm.actors import Actor
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from leads.models import Lead
from leads.selectors import open_status_ids
from notifications.services import notify

# Leads that waited longer than this are left to people.
RETRIED_FOR = timedelta(days=30)
QUEUE_GREW = "catch_all_grew"


def rules_at_work() -> Actor:
    return Actor.system(tenant_id=current_tenant_id(), label=_("assignment rules"))


def assign_captured(*, lead_ids: Sequence[int]) -> Placed:
    """Let the rules give new leads that came without an owner.

    It is part of the operation that made a lead, so that taking back an import takes back whom its leads went to.
    """
    placed = Placed()
    if not active_rules():
        return placed
    by_operation: dict[int | None, list[int]] = {}
    for chunk in _chunks(lead_ids):
        rows = Lead.objects.filter(pk__in=chunk, owner_id=None, deleted_at=None).order_by("pk")
        for pk, operation_id in rows.values_list("pk", "operation_id"):
            by_operation.setdefault(operation_id, []).append(pk)
    by = rules_at_work()
    for operation_id, ids in by_operation.items():
        with tenant_scope(by.tenant_id, by=by, operation_id=operation_id):
            for chunk in _chunks(ids):
                found = assign_by_rules(lead_ids=chunk, by=by)
                placed.given |= found.given
                placed.waiting += found.waiting
    if placed.waiting:
        tell_that_queue_grew()
    return placed


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), CHUNK_LEADS):
        yield ids[start : start + CHUNK_LEADS]


def tell_that_queue_grew() -> int:
    """Tell who sets the rules, once a day and again whenever there are twice as many."""
    number = count_waiting()
    if not number:
        return 0
    title = ngettext("%(n)s lead waits in the catch-all queue", "%(n)s leads wait in the catch-all queue", number) % {"n": f"{number:,}"}
    return notify(
        kind=QUEUE_GREW,
        user_ids=people_who_can(RULES),
        title=title,
        body=_("No rule could place them. The queue says why for each."),
        url="/assignments/queue",
        once=f"{QUEUE_GREW}:{start_of_day():%Y-%m-%d}:{number.bit_length()}",
        by=rules_at_work(),
    )


# --- trying again ---


def retry_queues() -> int:
    """Try every tenant's queue where something changed since the last try. Answers how many leads found an owner."""
    given = 0
    for tenant_id in Tenant.objects.filter(is_active=True).values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            busy = CatchAllEntry.objects.exists()
        if busy:
            given += _retry_tenant(tenant_id)
    return given


def _retry_tenant(tenant_id: int) -> int:
    with tenant_scope(tenant_id):
        # What was won or lost waits for nobody.
        CatchAllEntry.objects.exclude(lead__status_id__in=open_status_ids()).delete()
        seen = _who_is_free()
        watch, _made = QueueWatch.objects.get_or_create()
        if watch.seen == seen:
            return 0
    given, after = 0, (timezone.now() - RETRIED_FOR, 0)
    while True:
        with tenant_scope(tenant_id):
            by = rules_at_work()
            later = Q(since__gt=after[0]) | Q(since=after[0], pk__gt=after[1])
            rows = list(
                CatchAllEntry.objects.filter(later, since__gte=after[0])
                .order_by("since", "pk")
                .values_list("since", "pk", "lead_id", "lead__operation_id")[:CHUNK_LEADS]
            )
            by_operation: dict[int | None, list[int]] = {}
            for _since, _pk, lead_id, operation_id in rows:
                by_operation.setdefault(operation_id, []).append(lead_id)
            for operation_id, ids in by_operation.items():
                with tenant_scope(tenant_id, by=by, operation_id=operation_id):
                    given += len(assign_by_rules(lead_ids=ids, by=by).given)
        if len(rows) < CHUNK_LEADS:
            break
        after = rows[-1][0], rows[-1][1]
    with tenant_scope(tenant_id):
        # As it was before: who came free meanwhile is a reason to try again.
        QueueWatch.objects.update(seen=seen, updated_at=timezone.now())
    return given


def _who_is_free() -> str:
    """A mark that changes with the rules, with who can take a lead by them or why not, and every hour.

    What else places a lead that waits is rare: somebody took the company, or a condition speaks of time. The hour is for those.
    """
    rules, now = active_rules(), timezone.now()
    read = read_rules(rules)
    engine = Engine(rules=read, workers=read_workers(at=now, rules=read), known=Known(), credits={}, at=now)
    states = [[(pk, str(engine.why_not(pk, rule) or "")) for pk in engine.workers] for rule in engine.rules]
    facts = orjson.dumps([current_version(), f"{now:%Y-%m-%d %H}", states])
    return hashlib.blake2s(facts, digest_size=16).hexdigest()
