"""The life of entries, tried in every order that comes to mind: whatever happens, the same few things hold."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from crm.errors import DomainError
from dialer.enums import BY_PERSON, LIVE, CallResult, CallStatus, PauseReason
from dialer.models import Call, CallingAgent, DialSession, QueueEntry
from dialer.services import calls, placing, scheduling, sessions
from dialer.services.claiming import claim_due
from dialer.services.progress import note_progress
from dialer.services.telephony.base import Progress
from tests.dialer.services.cast import NOON, machine, make_agent, make_entry, make_settings, working
from tests.factories import acting, inside, make_tenant, make_user

pytestmark = [pytest.mark.django_db, pytest.mark.slow]


class QueueLife(RuleBasedStateMachine):
    """One tenant, a queue of the machine and one of people; two numbers are in both."""

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.savepoint()
        self.tenant = make_tenant()
        make_settings(self.tenant, window_start="00:00", window_end="00:00", most_calls_a_day=50)
        self.machine = make_agent(self.tenant, most_calls=2, max_attempts=2, retry_delay_minutes=10)
        self.people = make_agent(self.tenant, kind="human", max_attempts=2, retry_delay_minutes=10)
        self.user = make_user(self.tenant, role="sales_rep")
        self.now = NOON
        self.count = 0
        for _ in range(2):
            entry = make_entry(self.machine)
            make_entry(self.people, phone=entry.phone)
        make_entry(self.people)
        self.session: DialSession | None = None

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.savepoint_rollback(self.savepoint)

    @rule(minutes=st.sampled_from([0, 1, 5, 11, 30, 300]))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes, seconds=1)

    @rule()
    def a_worker_runs(self) -> None:
        scheduling.run_agent(tenant_id=self.tenant.pk, agent_id=self.machine.pk, now=self.now)

    @rule(places=st.booleans())
    def a_worker_dies(self, places: bool) -> None:
        with working(self.tenant) as by:
            claimed = claim_due(agent_id=self.machine.pk, most=2, worker="dies", now=self.now, by=by).calls
            kept = placing.settings_now()
            if places and claimed:
                agent = CallingAgent.objects.get(pk=self.machine.pk)
                placing.provider_of(kept).place([placing.order_for(call, agent, kept) for call in claimed], now=self.now)

    @rule()
    def leases_return(self) -> None:
        placing.return_leases_of(tenant_id=self.tenant.pk, now=self.now)

    @rule()
    def the_company_reports(self) -> None:
        scheduling.simulate(now=self.now, tenant_id=self.tenant.pk)

    @rule(pick=st.integers(0, 9), status=st.sampled_from(list(CallStatus)), again=st.booleans())
    def a_report_comes_at_any_time(self, pick: int, status: CallStatus, again: bool) -> None:
        with working(self.tenant) as by:
            known = list(Call.objects.order_by("pk"))
            if known:
                call = known[pick % len(known)]
                self.count += 1
                progress = Progress(status=status, fingerprint=f"r{0 if again else self.count}-{status}", at=self.now)
                note_progress(call_id=call.pk, progress=progress, now=self.now, by=by)

    @rule(mode=st.sampled_from(["preview", "progressive", "power"]))
    def a_person_begins(self, mode: str) -> None:
        self._person(lambda by: sessions.start_session(agent_id=self.people.pk, mode=mode, now=self.now, by=by), begins=True)

    @rule(what=st.sampled_from(["next", "dial", "skip", "pause", "resume", "beat", "end"]))
    def a_person_acts(self, what: str) -> None:
        acts: dict[str, Any] = {
            "next": lambda by: sessions.next_entry(session_id=self._id(), now=self.now, by=by),
            "dial": lambda by: sessions.dial(session_id=self._id(), now=self.now, by=by),
            "skip": lambda by: sessions.skip_entry(session_id=self._id(), minutes=20, now=self.now, by=by),
            "pause": lambda by: sessions.pause(session_id=self._id(), reason=PauseReason.LUNCH, now=self.now, by=by),
            "resume": lambda by: sessions.resume(session_id=self._id(), now=self.now, by=by),
            "beat": lambda by: sessions.beat(session_id=self._id(), now=self.now, by=by),
            "end": lambda by: sessions.end_session(session_id=self._id(), now=self.now, by=by),
        }
        if self.session is not None:
            self._person(acts[what])

    @rule(result=st.sampled_from(BY_PERSON))
    def a_person_says_what_came_of_it(self, result: CallResult) -> None:
        at = self.now + timedelta(hours=1) if result == CallResult.CALLBACK else None
        for call in self._own_calls():
            self._person(lambda by, pk=call.pk: calls.record_outcome(call_id=pk, result=result, callback_at=at, now=self.now, by=by))

    @rule()
    def a_person_hangs_up(self) -> None:
        for call in self._own_calls():
            self._person(lambda by, pk=call.pk: calls.hang_up(call_id=pk, now=self.now, by=by))

    @rule()
    def silence_is_noticed(self) -> None:
        sessions.pause_silent_of(tenant_id=self.tenant.pk, now=self.now)

    def _own_calls(self) -> list[Call]:
        with inside(self.tenant.pk):
            return list(Call.objects.filter(user_id=self.user.pk).exclude(result__gt="").order_by("pk"))

    def _id(self) -> int:
        assert self.session is not None
        return self.session.pk

    def _person(self, act: Any, *, begins: bool = False) -> None:
        with acting(self.user) as by:
            try:
                with transaction.atomic():
                    done = act(by)
            except DomainError:
                return
        if begins:
            self.session = done

    @invariant()
    def what_always_holds(self) -> None:
        if not hasattr(self, "tenant"):
            return
        with inside(self.tenant.pk):
            live = list(Call.objects.filter(status__in=LIVE).values_list("phone", flat=True))
            assert len(live) == len(set(live)), "a number in two calls"
            assert Call.objects.filter(agent_id=self.machine.pk, status__in=LIVE).count() <= 2
            for entry in QueueEntry.objects.defer("search"):
                own = list(Call.objects.filter(entry_id=entry.pk).order_by("pk"))
                settled = [call for call in own if call.outcome]
                agreed = sum(call.result == "callback" for call in settled)
                assert entry.attempts_count == len(settled)
                assert len(settled) <= 2 + agreed
                assert len(own) - sum(call.result == "not_placed" for call in own) <= 2 + agreed
                if entry.status == "done":
                    assert entry.disposition
                    assert not any(call.is_live or call.awaits_outcome for call in own)
                elif any(call.is_live or call.awaits_outcome for call in own):
                    assert entry.held_by
                    assert entry.next_at > self.now - timedelta(days=1)
                else:
                    # It waits: sooner or later it is looked at.
                    assert entry.next_at <= self.now + timedelta(days=2)


def test_the_life_of_a_queue(db: None) -> None:
    assert connection.in_atomic_block
    machine(make_tenant())
    options = settings(
        max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, print_blob=False
    )
    run_state_machine_as_test(QueueLife, settings=options)
