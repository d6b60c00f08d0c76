"""Look through all leads of a tenant: learn the weights from them, find the similar pairs, make the groups."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import numpy as np
import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.utils import timezone

from crm.actors import Actor, Door
from crm.bulk import insert_records
from crm.events import nudge
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from duplicates.enums import ScanState
from duplicates.models import DuplicatePair, LeadKeys, MatchWeights, Scan
from duplicates.permissions import DECIDE
from duplicates.selectors import Configuration, configuration, settings_of_tenant
from duplicates.services.auto_merge import begin_nightly_merge
from duplicates.services.checking import STORED_FROM, refresh_leads, write_keys
from duplicates.services.features import Features, key_number, keys_of, read_features
from duplicates.services.grouping import lock_pairs, write_groups
from leads.models import Lead
from matching.linking import Found, search

log = structlog.get_logger(__name__)
TASK = "duplicates.scan"
_LOCK = 0x73636E
# So many of the most frequent values of a field are remembered for checking single leads.
_MOST_COMMON = 500
_KEYS_AT_ONCE = 20_000


def ask_for_scan(*, by: Actor) -> Scan:
    """Have all leads looked through. Whoever asks while one waits or runs gets that one."""
    by.require(DECIDE)
    return _ask(by=by)


def _ask(*, by: Actor) -> Scan:
    try:
        with transaction.atomic():
            scan = Scan.objects.create(asked_by_id=by.user_id)
    except IntegrityError:
        return Scan.objects.get(state__in=[ScanState.WAITING, ScanState.RUNNING])
    tenant_id = by.tenant_id
    transaction.on_commit(lambda: nudge.task(TASK, tenant_id=tenant_id))
    return scan


def ask_for_nightly_scans() -> int:
    """Ask for a scan in every tenant that wants one each night. Answers in how many."""
    asked = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            if settings_of_tenant().nightly and Lead.objects.live().exists():
                _ask(by=Actor.system(tenant_id=tenant_id))
                asked += 1
    return asked


def resume_scans(*, at_most: int | None = None) -> int:
    """Nudge the scans that wait, or whose worker died. While one runs, the others' nudges pass by. Answers how many."""
    resumed = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        if resumed == at_most:
            break
        with tenant_scope(tenant_id):
            is_open = Scan.objects.filter(state__in=[ScanState.WAITING, ScanState.RUNNING]).exists()
        if is_open:
            nudge.task(TASK, tenant_id=tenant_id)
            resumed += 1
    return resumed


def run_scan(*, tenant_id: int, by: Actor) -> Scan | None:
    """Run the tenant's waiting scan, unless another worker is at one. A scan that a dying worker left behind starts anew.

    One scan runs at a time, whichever tenant's, as each takes a worker and its memory for minutes: who ends one wakes those that
    wait. Leads are read in one transaction and pairs stored in another; between them nothing is held but the scan's own lock.
    """
    with _alone() as alone:
        if not alone:
            return None
        with tenant_scope(tenant_id):
            scan = Scan.objects.filter(state__in=[ScanState.WAITING, ScanState.RUNNING]).first()
            if scan is None:
                return None
            scan.state, scan.started_at = ScanState.RUNNING, timezone.now()
            scan.save(update_fields=["state", "started_at"])
        try:
            _scan(tenant_id, scan, by=by)
        except Exception as error:
            log.exception("scan_failed", tenant=tenant_id)
            with tenant_scope(tenant_id):
                Scan.objects.filter(pk=scan.pk).update(
                    state=ScanState.FAILED, finished_at=timezone.now(), error=f"Stopped by an error: {type(error).__name__}."
                )
        with tenant_scope(tenant_id):
            scan.refresh_from_db()
            # What people asked for, they look at themselves.
            if scan.state == ScanState.DONE and scan.asked_by_id is None:
                begin_nightly_merge(by=by)
        return scan


def _scan(tenant_id: int, scan: Scan, *, by: Actor) -> None:
    # A lead changed in a transaction that was open when reading began has an earlier time than its commit.
    began = timezone.now() - timedelta(seconds=60)
    with tenant_scope(tenant_id):
        wanted = configuration()
        features = read_features(Lead.objects.live(), wanted)
        known = wanted.general_model(len(features.ids))
    found = search(features.columns, wanted.spec, threshold=STORED_FROM, known=known)
    with tenant_scope(tenant_id):
        lock_pairs()
        # Other fields compared: keys written before may be of others.
        anew = not MatchWeights.objects.filter(compared=wanted.signature).exists()
        _keep_weights(wanted, features, found)
        number, groups = _store(features, wanted, found)
        scan.leads, scan.candidates, scan.pairs, scan.groups = len(features.ids), found.candidates, number, groups
        scan.state, scan.finished_at, scan.error = ScanState.DONE, timezone.now(), ""
        scan.save()
    _fill_keys(tenant_id, features, wanted, anew=anew)
    _catch_up(tenant_id, began, by=by)


def _keep_weights(wanted: Configuration, features: Features, found: Found) -> None:
    """The weights for checking single leads until the next scan, and the values that many leads hold."""
    common = {}
    for item in wanted.fields:
        if item.frequencies:
            column = features.columns[item.counts]
            shares = column.shares
            top = np.argsort(shares, kind="stable")[::-1][:_MOST_COMMON]
            common[item.name] = {
                str(key_number(column.values[place])): round(float(shares[place]), 9)
                for place in top.tolist()
                if place < len(column.values) and shares[place] > 0
            }
    kept, made = MatchWeights.objects.update_or_create(
        defaults={"compared": wanted.signature, "weights": found.model.as_json(), "common": common, "leads": len(features.ids)}
    )
    if not made:
        MatchWeights.objects.filter(pk=kept.pk).update(version=F("version") + 1)


def _store(features: Features, wanted: Configuration, found: Found) -> tuple[int, int]:
    """Put the pairs and groups in place of those there were. Answers how many there are now."""
    names = [item.name for item in wanted.fields]
    pairs = found.pairs
    one, other = features.ids[pairs.one], features.ids[pairs.other]
    live = set(Lead.objects.live().filter(pk__in=np.unique(np.concatenate((one, other))).tolist()).values_list("pk", flat=True))
    known = {(first, second): at for first, second, at in DuplicatePair.objects.values_list("first_id", "second_id", "found_at")}
    groups_found: dict[int, datetime] = {}
    for first, at in DuplicatePair.objects.filter(group__isnull=False).values_list("first_id", "group__found_at"):
        groups_found[first] = min(at, groups_found.get(first, at))
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM duplicates_duplicatepair WHERE tenant_id = %s", [current_tenant_id()])
        cursor.execute("DELETE FROM duplicates_duplicategroup WHERE tenant_id = %s", [current_tenant_id()])
    now = timezone.now()
    rows = []
    tenant_id = current_tenant_id()
    for first, second, similarity, levels in zip(
        np.minimum(one, other).tolist(), np.maximum(one, other).tolist(), pairs.probability.tolist(), pairs.levels.tolist(), strict=True
    ):
        if first in live and second in live:
            rows.append(
                DuplicatePair(
                    tenant_id=tenant_id, first_id=first, second_id=second, similarity=similarity,
                    levels=dict(zip(names, levels, strict=True)), found_at=known.get((first, second), now),
                )
            )  # fmt: skip
    for start in range(0, len(rows), 20_000):
        insert_records(rows[start : start + 20_000])
    groups = write_groups([(row.first_id, row.second_id, row.similarity) for row in rows], found_at=groups_found)
    return len(rows), groups


def fill_keys(*, tenant_id: int, by: Actor) -> int:
    """Give keys to all live leads that have none or others. Answers how many leads there are."""
    with tenant_scope(tenant_id, by=by):
        wanted = configuration()
        features = read_features(Lead.objects.live(), wanted)
    _fill_keys(tenant_id, features, wanted, anew=True)
    return len(features.ids)


def _fill_keys(tenant_id: int, features: Features, wanted: Configuration, *, anew: bool) -> None:
    """Write the keys of leads that have none, or `anew` those of all, a part at a time."""
    with tenant_scope(tenant_id):
        there = set() if anew else set(LeadKeys.objects.values_list("lead_id", flat=True).iterator(chunk_size=50_000))
    ids = features.ids.tolist()
    missing = [place for place, lead in enumerate(ids) if lead not in there]
    for start in range(0, len(missing), _KEYS_AT_ONCE):
        part = missing[start : start + _KEYS_AT_ONCE]
        own = features.only(np.array(part, dtype=np.int64))
        with tenant_scope(tenant_id):
            # A lead deleted for good meanwhile has no place for keys.
            still = set(Lead.objects.live().filter(pk__in=own.ids.tolist()).values_list("pk", flat=True))
            keys = keys_of(own, wanted)
            kept = [place for place, lead in enumerate(own.ids.tolist()) if lead in still]
            write_keys(own.ids[kept].tolist(), {name: [values[place] for place in kept] for name, values in keys.items()}, gone=set())


def _catch_up(tenant_id: int, since: datetime, *, by: Actor) -> None:
    """Compare anew what changed while all leads were looked through."""
    with tenant_scope(tenant_id, by=by):
        changed = list(Lead.objects.filter(updated_at__gte=since).order_by("updated_at").values_list("pk", flat=True))
        refresh_leads(lead_ids=changed, by=by)


@contextmanager
def _alone() -> Iterator[bool]:
    """Hold the turn to scan, as long as this connection lives; False where another worker has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        row = cursor.fetchone()
    held = bool(row and row[0])
    try:
        yield held
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def scanned_by(tenant_id: int) -> Actor:
    return Actor.system(tenant_id=tenant_id, door=Door.TASK, label="duplicates")
