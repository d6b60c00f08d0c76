"""Files of calls: recordings are fetched from the telephone company, kept for the tenant's days, opened only for who may see the call."""

from datetime import datetime, timedelta

import structlog
from django.core.files.base import ContentFile, File
from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.events import nudge
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.enums import CallEventKind
from dialer.errors import NoSuchCall
from dialer.models import Call, CallEvent, RecordingJob
from dialer.selectors.queues import calls_visible_to
from dialer.services.session_state import tell
from dialer.services.settings import provider_of, settings_now
from dialer.services.telephony.base import ProviderTrouble

log = structlog.get_logger(__name__)
FETCH = "dialer.fetch_recordings"
# Longer than a recording may take to come.
LEASE = timedelta(minutes=5)
FIRST_PAUSE, MOST_ATTEMPTS = timedelta(seconds=30), 8
AT_ONCE = 500


def want_recording(*, call: Call, recording_id: str, now: datetime) -> None:
    """Have a recording fetched that the company told us of. One that is there already, or on its way, stays."""
    if call.recording:
        return
    RecordingJob.objects.bulk_create(
        [RecordingJob(tenant_id=call.tenant_id, call_id=call.pk, recording_id=recording_id, due_at=now)], ignore_conflicts=True
    )
    transaction.on_commit(lambda: nudge.once(FETCH))


def fetch_due(*, now: datetime, most: int = 200) -> int:
    """Fetch what waits. Safe in any number of workers at once. Answers how many came."""
    nudge.starting(FETCH)
    done = 0
    for _ in range(most):
        job = _claim(now)
        if job is None:
            break
        try:
            done += _fetch(job)
        except ProviderTrouble as trouble:
            _postpone(job, str(trouble), now=now)
        except Exception as error:
            log.exception("recording_not_fetched", tenant=job.tenant_id, call=job.call_id)
            _postpone(job, type(error).__name__, now=now)
    return done


def _claim(now: datetime) -> RecordingJob | None:
    with transaction.atomic():
        job = RecordingJob.objects.select_for_update(skip_locked=True).filter(due_at__lte=now).order_by("due_at", "id").first()
        if job is not None:
            RecordingJob.objects.filter(pk=job.pk).update(due_at=now + LEASE)
    return job


def _fetch(job: RecordingJob) -> bool:
    with tenant_scope(job.tenant_id):
        provider = provider_of(settings_now())
        wanted = Call.objects.filter(pk=job.call_id, recording="").exists()
    sound = provider.fetch_recording(job.recording_id) if wanted else None
    with tenant_scope(job.tenant_id):
        call = Call.objects.select_for_update(of=("self",)).select_related("session").filter(pk=job.call_id).first()
        RecordingJob.objects.filter(pk=job.pk).delete()
        if sound is None or call is None or call.recording:
            return False
        call.recording.save(f"recording{sound.suffix}", ContentFile(sound.content), save=False)
        call.save(update_fields=["recording"])
        if call.session is not None:
            tell(call.session, call)
    return True


def _postpone(job: RecordingJob, trouble: str, *, now: datetime) -> None:
    attempts = job.attempts + 1
    if attempts < MOST_ATTEMPTS:
        RecordingJob.objects.filter(pk=job.pk).update(attempts=attempts, due_at=now + FIRST_PAUSE * 2**attempts)
        return
    log.warning("recording_given_up", tenant=job.tenant_id, call=job.call_id, trouble=trouble)
    with tenant_scope(job.tenant_id):
        RecordingJob.objects.filter(pk=job.pk).delete()
        if Call.objects.filter(pk=job.call_id).exists():
            CallEvent.objects.create(
                tenant_id=job.tenant_id, call_id=job.call_id, kind=CallEventKind.TROUBLE, text=f"The recording could not be fetched: {trouble}"[:300],
                fingerprint=f"no-recording-{job.pk}", at=now,
            )  # fmt: skip


def forget_old(*, now: datetime | None = None) -> int:
    """Delete recordings that were kept for their days, in every tenant. Answers how many."""
    now, forgotten = now or timezone.now(), 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        while True:
            with tenant_scope(tenant_id):
                before = now - timedelta(days=settings_now().keep_recordings_days)
                calls = list(Call.objects.filter(created_at__lt=before).exclude(recording="").order_by("created_at", "pk")[:AT_ONCE])
                files = [(call.recording.storage, call.recording.name) for call in calls]
                Call.objects.filter(pk__in=[call.pk for call in calls]).update(recording="")
            # Only once nothing points at them any more.
            for storage, name in files:
                storage.delete(name)
            forgotten += len(calls)
            if len(calls) < AT_ONCE:
                break
    return forgotten


def open_recording(*, call: Call, by: Actor) -> "File[bytes]":
    """A call's recording for reading, for who may see the call. Raises NoSuchCall, also where there is none."""
    found = calls_visible_to(by).filter(pk=call.pk).exclude(recording="").first()
    if found is None:
        raise NoSuchCall
    try:
        file: File[bytes] = found.recording.open("rb")
    except FileNotFoundError:
        raise NoSuchCall from None
    return file
