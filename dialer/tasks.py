"""Celery entry points of the dialer. Those that take a while read the clock anew as they go."""

from celery import shared_task
from django.utils import timezone

from dialer.services import counts, placing, scheduling, sessions
from dialer.services.progress import end_at_company
from dialer.services.telephony import recordings


@shared_task(name="dialer.schedule")
def schedule(**_: object) -> None:
    scheduling.schedule(now=timezone.now())


@shared_task(name="dialer.run_agents")
def run_agents(**_: object) -> None:
    scheduling.run_due(now=timezone.now(), clock=timezone.now)


@shared_task(name="dialer.place_waiting")
def place_waiting(**_: object) -> None:
    placing.place_waiting(now=timezone.now(), clock=timezone.now)


@shared_task(name="dialer.return_leases")
def return_leases(**_: object) -> None:
    placing.return_leases(now=timezone.now(), clock=timezone.now)


@shared_task(name="dialer.simulate")
def simulate(**_: object) -> None:
    scheduling.simulate(now=timezone.now())


@shared_task(name="dialer.pause_silent")
def pause_silent(**_: object) -> None:
    sessions.pause_silent(now=timezone.now())


@shared_task(name="dialer.hang_up")
def hang_up(*, tenant_id: int, call_id: int, provider_call_id: str, **_: object) -> None:
    end_at_company(tenant_id=tenant_id, call_id=call_id, provider_call_id=provider_call_id, now=timezone.now())


@shared_task(name="dialer.fetch_recordings")
def fetch_recordings(**_: object) -> None:
    recordings.fetch_due(now=timezone.now())


@shared_task(name="dialer.forget_recordings")
def forget_recordings(**_: object) -> None:
    recordings.forget_old(now=timezone.now())


@shared_task(name="dialer.compact_counts")
def compact_call_counts(**_: object) -> None:
    counts.compact_counts()
