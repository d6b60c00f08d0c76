"""A stretch of a day with everything in it, and the check that finds what would be wrong with it."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction

from crm.tenancy.scope import tenant_scope
from dialer.models import Call, DoNotCall, QueueEntry
from dialer.services.proof import prove
from dialer.services.rehearsal import Plan, Rehearsal, rehearse

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
# On this Sunday the clocks of London go forward.
PLAN = Plan(begins=datetime(2025, 3, 30, 15, 0, tzinfo=UTC), hours=0.7, entries=100, seed=7, step=30, reps=2, deaths=0.2)


def test_a_morning_keeps_every_rule() -> None:
    run, proof = rehearse(PLAN, tenant_name="rehearsal")
    assert proof.violations == []
    assert proof.calls > 60
    assert run.deaths > 0
    assert {"completed", "no_answer", "voicemail"} <= set(proof.results)
    _break_things(run)


def _break_things(run: Rehearsal) -> None:
    """Each wrong that is done to the tables is found."""
    wrongs: list[tuple[str, Callable[[], object]]] = [
        ("do-not-call", lambda: DoNotCall.objects.create(tenant=run.tenant, phone=Call.objects.exclude(result="not_placed").values_list("phone", flat=True)[0], created_at=PLAN.begins - timedelta(days=1))),
        ("lawful hours", lambda: Call.objects.filter(phone__startswith="+4420").update(created_at=PLAN.begins - timedelta(hours=12))),
        ("attempts are counted", lambda: QueueEntry.objects.filter(status="done").update(attempts_count=9)),
        ("held by nobody", lambda: QueueEntry.objects.exclude(status="done").update(held_by="ghost", next_at=PLAN.begins + timedelta(days=3))),
        ("forgotten", lambda: QueueEntry.objects.filter(agent_id=run.agents[1], status="new").update(next_at=PLAN.begins, waits_for="")),
        ("two calls to one number", lambda: Call.objects.exclude(ended_at=None).update(phone="+442079460000")),
        ("timeline", lambda: Call.objects.exclude(activity=None).update(activity=None)),
    ]  # fmt: skip
    for rule, wrong in wrongs:
        with tenant_scope(run.tenant.pk):
            try:
                wrong()
                found = prove(now=PLAN.begins + timedelta(hours=5), began=PLAN.begins - timedelta(days=1)).violations
                assert any(rule in violation for violation in found), rule
                raise _Undo
            except _Undo:
                transaction.set_rollback(True)


class _Undo(Exception):
    """Everything back as it was."""
