"""Agents and their queues, the calls, the people at work, and who may not be called.

`public_id` is what addresses, the API and telephone companies know a thing by; the database joins by `id`.
"""

import uuid
from datetime import time
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
from django.db import models
from django.db.models import Func, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from uuid6 import uuid7

from activities.models import Activity
from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from dialer.enums import (
    LIVE,
    AgentKind,
    AnsweredBy,
    CallEventKind,
    CallOutcome,
    CallResult,
    CallStatus,
    DialMode,
    Disposition,
    EntryStatus,
    PauseReason,
    ProviderName,
    SessionState,
    WaitReason,
)
from leads.models import Lead

_LIVE_CALL = Q(status__in=LIVE)
_WAITING = Q(deleted_at__isnull=True) & ~Q(status=EntryStatus.DONE)


def public_id() -> uuid.UUID:
    """A version 7 id: later ones sort later."""
    return uuid.UUID(bytes=uuid7().bytes)


@track(exclude=("auth_token",))
class DialerSettings(TenantOwned):
    """One row a tenant: who places its calls, and when anybody may be called. Without a row the defaults here hold.

    The window is in the zone of who is called. `auth_token` is sealed.
    """

    provider = models.CharField(_("calls are placed by"), max_length=10, choices=ProviderName, default=ProviderName.SIMULATOR)
    account_sid = models.CharField(_("account SID"), max_length=64, blank=True)
    auth_token = models.TextField(blank=True, editable=False)
    caller_id = models.CharField(_("caller id"), max_length=16, blank=True)
    window_start = models.TimeField(_("not before"), default=time(8))
    window_end = models.TimeField(_("not after"), default=time(21))
    # 0 is Monday.
    window_days = ArrayField(models.PositiveSmallIntegerField(), verbose_name=_("days"), default=list, blank=True)
    most_calls_a_day = models.PositiveSmallIntegerField(_("calls to one number a day"), default=3)
    # In percent of the calls that a person answered, over the last 30 days.
    most_abandoned = models.DecimalField(_("abandoned calls, at most"), max_digits=4, decimal_places=1, default=Decimal("3.0"))
    record_calls = models.BooleanField(_("record calls"), default=False)
    keep_recordings_days = models.PositiveSmallIntegerField(_("keep recordings for"), default=90)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant"], name="dialer_settings_one")]

    def __str__(self) -> str:
        return str(self.get_provider_display())


class VoiceKey(models.Model):
    """The secret part of the addresses at which a tenant's calls are reported. Unpoliced: the tenant is found by it."""

    tenant = models.OneToOneField("tenancy.Tenant", models.CASCADE, related_name="+")
    key = models.CharField(max_length=40, unique=True)

    def __str__(self) -> str:
        return f"voice key of tenant {self.tenant_id}"


@track(exclude=("updated_at",))
class CallingAgent(TenantOwned):
    """A queue with its rules, worked by people or dialled by the machine: document 2's agent.

    `business_hours` as `crm.worktime.read_week` reads them; empty hours and an empty zone are the tenant's. `most_calls` is how many
    calls it may have at once. Without members everybody who may call works in it.
    """

    public_id = models.UUIDField(default=public_id, editable=False)
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("worked by"), max_length=9, choices=AgentKind, default=AgentKind.HUMAN)
    is_active = models.BooleanField(_("calls"), default=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    business_hours = models.JSONField(_("hours"), default=dict, blank=True)
    holidays = ArrayField(models.DateField(), verbose_name=_("holidays"), default=list, blank=True)
    keeps_tenant_holidays = models.BooleanField(_("keeps the company's holidays"), default=True)
    max_attempts = models.PositiveSmallIntegerField(_("attempts, at most"), default=3)
    retry_delay_minutes = models.PositiveIntegerField(_("minutes between attempts"), default=60)
    most_calls = models.PositiveSmallIntegerField(_("calls at once"), default=1)
    caller_id = models.CharField(_("caller id"), max_length=16, blank=True)
    mode = models.CharField(_("mode"), max_length=11, choices=DialMode, default=DialMode.PREVIEW)
    # Of a power dialer: how many leads are called at once for one person.
    lines = models.PositiveSmallIntegerField(_("lines a person"), default=2)
    ring_seconds = models.PositiveSmallIntegerField(_("ring for, seconds"), default=25)
    countdown_seconds = models.PositiveSmallIntegerField(_("seconds before the next call"), default=5)
    detect_machines = models.BooleanField(_("tell answering machines"), default=True)
    # With {first_name}, {company} and other fields of the lead; said by the machine, read by people.
    script = models.TextField(_("script"), blank=True)
    created_at = models.DateTimeField(_("made"), default=timezone.now)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["name", "id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="dialer_agent_public"),
            models.UniqueConstraint(fields=["tenant", "name"], condition=Q(deleted_at=None), name="dialer_agent_name"),
        ]

    def __str__(self) -> str:
        return self.name


@track()
class AgentMember(TenantOwned):
    """A person who works in an agent's queue."""

    agent = TenantForeignKey(CallingAgent, models.CASCADE, related_name="members")
    user = TenantForeignKey(User, models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "agent", "user"], name="dialer_member_once")]
        indexes = [models.Index(fields=["tenant", "user"], name="dialer_member_user")]

    def __str__(self) -> str:
        return f"user {self.user_id} in agent {self.agent_id}"


@track()
class RetryRule(TenantOwned):
    """What follows a result: call again after a while, so often at most, then stop with a disposition.

    Without a rule for a result the agent's `max_attempts` and `retry_delay_minutes` decide. No rule calls more often than `max_attempts`.
    """

    agent = TenantForeignKey(CallingAgent, models.CASCADE, related_name="retry_rules")
    result = models.CharField(_("after"), max_length=14, choices=CallResult)
    delay_minutes = models.PositiveIntegerField(_("call again after minutes"), default=60)
    # 0 stops at once.
    most_tries = models.PositiveSmallIntegerField(_("times, at most"), default=3)
    another_hour = models.BooleanField(_("at another time of day"), default=False)
    disposition = models.CharField(_("then close as"), max_length=14, choices=Disposition, default=Disposition.NO_ANSWER)

    class Meta:
        ordering = ["agent", "result"]
        constraints = [models.UniqueConstraint(fields=["tenant", "agent", "result"], name="dialer_rule_once")]

    def __str__(self) -> str:
        return f"{self.get_result_display()}: {self.most_tries}"


@track()
class DoNotCall(TenantOwned):
    """A number that must not be called: by anybody, or by one agent; for good, or until a day."""

    phone = models.CharField(_("phone"), max_length=16)
    agent = TenantForeignKey(CallingAgent, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("only for"))
    until = models.DateField(_("until"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=200, blank=True)
    created_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_via = models.CharField(_("created via"), max_length=10, blank=True)
    operation_id = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(_("added"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = _("numbers not to call")
        constraints = [models.UniqueConstraint(fields=["tenant", "phone", "agent"], nulls_distinct=False, name="dialer_dnc_once")]
        indexes = [
            models.Index(fields=["tenant", "operation_id", "id"], name="dialer_dnc_operation", condition=Q(operation_id__isnull=False))
        ]

    def __str__(self) -> str:
        return self.phone


@track(
    exclude=(
        "next_at", "is_immediate", "held_by", "attempts_count", "tried_hours", "last_result", "last_called_at", "waits_for", "updated_at",
        "callback_activity_id", "search",
    )
)  # fmt: skip
class QueueEntry(TenantOwned):
    """A lead to be called by an agent: document 2's lead.

    `next_at` is when it is looked at next: asked for, a retry's time, or when its hours open; `waits_for` says which. Who dials it moves
    `next_at` ahead and leaves a name in `held_by`: should they die, it comes due again by itself. `callback_for` is whose it is alone.
    """

    public_id = models.UUIDField(default=public_id, editable=False)
    agent = TenantForeignKey(CallingAgent, models.CASCADE, related_name="entries")
    lead = TenantForeignKey(Lead, models.CASCADE, related_name="queue_entries")
    first_name = models.CharField(_("first name"), max_length=120)
    phone = models.CharField(_("phone"), max_length=16)
    # Of who is called; empty is told by the number.
    zone = models.CharField(_("time zone"), max_length=64, blank=True)
    custom_fields = models.JSONField(_("further fields"), default=dict, blank=True)
    status = models.CharField(_("status"), max_length=11, choices=EntryStatus, default=EntryStatus.NEW)
    disposition = models.CharField(_("disposition"), max_length=14, choices=Disposition, blank=True)
    schedule_at = models.DateTimeField(_("planned for"), default=timezone.now)
    is_immediate = models.BooleanField(_("asked for at once"), default=False)
    next_at = models.DateTimeField(default=timezone.now, editable=False)
    waits_for = models.CharField(max_length=14, choices=WaitReason, blank=True, editable=False)
    held_by = models.CharField(max_length=60, blank=True, editable=False)
    callback_for = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("callback for"))
    # The pending activity that the agreed callback is on its person's list.
    callback_activity_id = models.BigIntegerField(null=True, editable=False)
    attempts_count = models.PositiveSmallIntegerField(_("attempts"), default=0)
    # Hours of the day, in the zone of who is called, at which it was tried.
    tried_hours = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True, editable=False)
    last_result = models.CharField(_("last result"), max_length=14, choices=CallResult, blank=True)
    last_called_at = models.DateTimeField(_("last called"), null=True, editable=False)
    # The operation that made it, and the last one that put it into the queue, made or found there.
    operation_id = models.BigIntegerField(null=True, editable=False)
    batch_id = models.BigIntegerField(null=True, editable=False)
    created_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_via = models.CharField(max_length=10, blank=True)
    created_at = models.DateTimeField(_("queued"), default=timezone.now)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Words of the name, and the number in every way in which it may be asked for.
    search = models.GeneratedField(
        expression=Func("first_name", "phone", function="dialer_search_vector"), output_field=SearchVectorField(), db_persist=True
    )

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = _("queue entries")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="dialer_entry_public"),
            models.UniqueConstraint(fields=["tenant", "agent", "phone"], condition=Q(deleted_at=None), name="dialer_entry_number"),
            models.CheckConstraint(condition=Q(disposition="") | Q(status=EntryStatus.DONE), name="dialer_open_has_no_disposition"),
        ]
        indexes = [
            # The order in which a queue is dialled.
            models.Index(fields=["tenant", "agent", "-is_immediate", "next_at", "id"], name="dialer_entry_due", condition=_WAITING),
            models.Index(fields=["tenant", "agent", "batch_id", "next_at", "id"], name="dialer_entry_batch", condition=_WAITING),
            models.Index(fields=["tenant", "-id"], name="dialer_entry_newest", condition=Q(deleted_at=None)),
            models.Index(fields=["tenant", "agent", "status", "-id"], name="dialer_entry_agent", condition=Q(deleted_at=None)),
            models.Index(fields=["tenant", "lead"], name="dialer_entry_lead"),
            models.Index(fields=["tenant", "phone"], name="dialer_entry_phone"),
            models.Index(fields=["tenant", "operation_id", "id"], name="dialer_entry_operation", condition=Q(operation_id__isnull=False)),
            GinIndex(fields=["tenant", "search"], name="dialer_entry_search", condition=Q(deleted_at=None), fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"{self.first_name} {self.phone}"


class DialSession(TenantOwned):
    """A person at work in the workspace, on an agent's queue or on what one operation put into it.

    `heartbeat_at` is when the person's page was last heard of: silence pauses the session. A power session may have several live calls;
    the one that was answered is the person's.
    """

    public_id = models.UUIDField(default=public_id, editable=False)
    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    agent = TenantForeignKey(CallingAgent, models.CASCADE, related_name="sessions")
    batch_id = models.BigIntegerField(null=True, editable=False)
    mode = models.CharField(_("mode"), max_length=11, choices=DialMode)
    state = models.CharField(_("state"), max_length=8, choices=SessionState, default=SessionState.WAITING)
    pause_reason = models.CharField(_("pause"), max_length=12, choices=PauseReason, blank=True)
    state_since = models.DateTimeField(default=timezone.now)
    # The entry in front of the person, and the person's own line that calls are joined to.
    entry = TenantForeignKey(QueueEntry, models.SET_NULL, null=True, related_name="+")
    own_phone = models.CharField(_("own phone"), max_length=16, blank=True)
    own_call_id = models.CharField(max_length=64, blank=True, editable=False)
    # Until when the worker that calls that line has it, and since when the person is on it.
    own_call_held_until = models.DateTimeField(null=True, editable=False)
    own_answered_at = models.DateTimeField(null=True, editable=False)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended"), null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="dialer_session_public"),
            models.UniqueConstraint(fields=["tenant", "user"], condition=Q(ended_at=None), name="dialer_session_one_a_person"),
        ]
        indexes = [
            models.Index(fields=["tenant", "agent"], name="dialer_session_agent", condition=Q(ended_at=None)),
            models.Index(fields=["tenant", "user", "-started_at"], name="dialer_session_user"),
        ]

    def __str__(self) -> str:
        return f"user {self.user_id} at agent {self.agent_id}"


class SessionSpan(TenantOwned):
    """How long a person was in a state: the coaching view's minutes."""

    session = TenantForeignKey(DialSession, models.CASCADE, related_name="spans")
    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=SessionState)
    pause_reason = models.CharField(max_length=12, choices=PauseReason, blank=True)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "user", "started_at"], name="dialer_span_user")]

    def __str__(self) -> str:
        return f"{self.state} of user {self.user_id}"


def recording_path(call: "Call", filename: str) -> str:
    return f"tenant-{call.tenant_id}/calls/{call.created_at:%Y/%m}/{call.public_id}/{filename[-60:]}"


class Call(TenantOwned):
    """One attempt. Names and numbers are kept as they were. `provider_call_id` is the telephone company's id.

    `entry` and `agent` are empty for a call that somebody made by a click on a number. `previous_at` is the entry's call before this
    one: from it the metrics tell how many different leads a span of days reached. A call that was never placed has no outcome and counts nowhere.
    """

    public_id = models.UUIDField(default=public_id, editable=False)
    entry = TenantForeignKey(QueueEntry, models.SET_NULL, null=True, related_name="calls")
    lead = TenantForeignKey(Lead, models.SET_NULL, null=True, related_name="calls")
    agent = TenantForeignKey(CallingAgent, models.SET_NULL, null=True, related_name="calls")
    user = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("person"))
    session = TenantForeignKey(DialSession, models.SET_NULL, null=True, related_name="calls")
    activity = TenantForeignKey(Activity, models.SET_NULL, null=True, related_name="+")
    lead_name = models.CharField(_("lead"), max_length=250)
    phone = models.CharField(_("phone"), max_length=16)
    agent_name = models.CharField(_("agent"), max_length=100, blank=True)
    caller_id = models.CharField(_("caller id"), max_length=16, blank=True)
    mode = models.CharField(_("mode"), max_length=11, choices=DialMode, blank=True)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    status = models.CharField(_("status"), max_length=11, choices=CallStatus, default=CallStatus.QUEUED)
    result = models.CharField(_("result"), max_length=14, choices=CallResult, blank=True)
    outcome = models.CharField(_("outcome"), max_length=9, choices=CallOutcome, blank=True)
    answered_by = models.CharField(_("answered by"), max_length=7, choices=AnsweredBy, blank=True)
    # Whether a person still has to say what came of it.
    awaits_outcome = models.BooleanField(default=False)
    # Until when its worker has it while it is queued.
    held_until = models.DateTimeField(null=True, editable=False)
    placed_at = models.DateTimeField(_("placed"), null=True)
    answered_at = models.DateTimeField(_("answered"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    duration_seconds = models.PositiveIntegerField(_("seconds"), default=0)
    previous_at = models.DateTimeField(null=True, editable=False)
    provider = models.CharField(max_length=10, choices=ProviderName)
    provider_call_id = models.CharField(max_length=64, blank=True)
    # How far the company's reports have been read: those with a lower number are late.
    provider_sequence = models.IntegerField(default=-1, editable=False)
    error = models.CharField(_("trouble"), max_length=300, blank=True)
    recording = models.FileField(_("recording"), upload_to=recording_path, max_length=255, blank=True)
    transcript = models.FileField(_("transcript"), upload_to=recording_path, max_length=255, blank=True)
    summary = models.TextField(_("summary"), blank=True)
    notes = models.TextField(_("notes"), blank=True)
    created_at = models.DateTimeField(_("called"), default=timezone.now)
    search = models.GeneratedField(
        expression=Func("lead_name", "phone", function="dialer_search_vector"), output_field=SearchVectorField(), db_persist=True
    )

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "public_id"], name="dialer_call_public"),
            # Nobody is called twice at once, whoever calls.
            models.UniqueConstraint(fields=["tenant", "phone"], condition=_LIVE_CALL, name="dialer_call_one_live"),
            models.UniqueConstraint(
                fields=["tenant", "provider", "provider_call_id"], condition=~Q(provider_call_id=""), name="dialer_call_provider"
            ),
            models.CheckConstraint(
                condition=(_LIVE_CALL & Q(ended_at=None)) | (~_LIVE_CALL & Q(ended_at__isnull=False)), name="dialer_call_over_has_end"
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="dialer_call_newest"),
            models.Index(fields=["tenant", "agent", "-created_at", "-id"], name="dialer_call_agent"),
            models.Index(fields=["tenant", "user", "-created_at", "-id"], name="dialer_call_user"),
            models.Index(fields=["tenant", "lead", "-created_at", "-id"], name="dialer_call_lead"),
            models.Index(fields=["tenant", "entry", "-id"], name="dialer_call_entry"),
            models.Index(fields=["tenant", "phone", "-created_at"], name="dialer_call_number"),
            models.Index(fields=["tenant", "agent"], name="dialer_call_live_agent", condition=_LIVE_CALL),
            models.Index(fields=["tenant", "session"], name="dialer_call_live_session", condition=_LIVE_CALL),
            models.Index(fields=["tenant", "user"], name="dialer_call_unsaid", condition=Q(awaits_outcome=True)),
            models.Index(fields=["tenant", "created_at"], name="dialer_call_recorded", condition=~Q(recording="")),
            models.Index(fields=["tenant", "held_until"], name="dialer_call_held", condition=Q(held_until__isnull=False)),
            # Of calls that count: those that are over and were placed.
            GinIndex(fields=["tenant", "search"], name="dialer_call_search", condition=~Q(outcome=""), fastupdate=False),
        ]

    def __str__(self) -> str:
        return f"{self.lead_name} {self.phone}"

    @property
    def is_live(self) -> bool:
        return self.status in LIVE


class CallEvent(TenantOwned):
    """What was heard of a call, in order. A report that comes twice has the same fingerprint and stands once."""

    call = TenantForeignKey(Call, models.CASCADE, related_name="events")
    kind = models.CharField(max_length=13, choices=CallEventKind)
    status = models.CharField(max_length=30, blank=True)
    text = models.CharField(max_length=300, blank=True)
    fingerprint = models.CharField(max_length=64)
    payload = models.JSONField(default=dict)
    user = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "call", "fingerprint"], name="dialer_event_once")]

    def __str__(self) -> str:
        return f"{self.kind} {self.status}"


class AgentJob(models.Model):
    """An agent whose queue the machine looks after, and when it does so next. A worker at work holds it by moving `due_at` ahead.

    Unpoliced: workers look across tenants; ids only.
    """

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    agent_id = models.BigIntegerField(unique=True)
    due_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["due_at", "id"], name="dialer_job_due")]

    def __str__(self) -> str:
        return f"agent {self.agent_id}"


class SimulatedStep(models.Model):
    """What the simulator reports of a call next, and when. Unpoliced: workers look across tenants; ids and words only."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    call_id = models.BigIntegerField()
    number = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=11, choices=CallStatus)
    answered_by = models.CharField(max_length=7, choices=AnsweredBy, blank=True)
    due_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["call_id", "number"], name="dialer_step_once")]
        indexes = [models.Index(fields=["due_at", "id"], name="dialer_step_due")]

    def __str__(self) -> str:
        return f"{self.status} of call {self.call_id}"


class RecordingJob(models.Model):
    """A recording that the telephone company holds and we do not have yet. Held by moving `due_at` ahead.

    Unpoliced: workers look across tenants; ids only, never an address: what is fetched is the company's own, from the address we know it by.
    """

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    call_id = models.BigIntegerField(unique=True)
    recording_id = models.CharField(max_length=64)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [models.Index(fields=["due_at", "id"], name="dialer_recording_due")]

    def __str__(self) -> str:
        return f"recording of call {self.call_id}"


class CallCount(TenantOwned):
    """A ledger of calls that are over, by day of the tenant's zone: the sum of `calls` over the matching rows.

    Kept by statement triggers in the writer's transaction, folded by beat: exact inside any transaction.
    """

    day = models.DateField()
    agent_id = models.BigIntegerField(null=True)
    user_id = models.BigIntegerField(null=True)
    result = models.CharField(max_length=14, choices=CallResult)
    calls = models.BigIntegerField()
    seconds = models.BigIntegerField()
    is_folded = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "day"], include=["agent_id", "user_id", "result", "calls", "seconds"], name="dialer_count_day"),
            models.Index(fields=["tenant", "user_id", "day"], include=["agent_id", "result", "calls", "seconds"], name="dialer_count_user"),
            models.Index(fields=["tenant", "day", "id"], name="dialer_count_new", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.calls}"


class AgentCount(TenantOwned):
    """The same whoever called: a few rows a day, so that the figures of years are summed at once."""

    day = models.DateField()
    agent_id = models.BigIntegerField(null=True)
    result = models.CharField(max_length=14, choices=CallResult)
    calls = models.BigIntegerField()
    seconds = models.BigIntegerField()
    is_folded = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "day"], include=["agent_id", "result", "calls", "seconds"], name="dialer_agents_day"),
            models.Index(fields=["tenant", "day", "id"], name="dialer_agents_new", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.calls}"


class ReachCount(TenantOwned):
    """The same calls by the day of the entry's call before. An entry is reached in a span of days once for each call whose previous day lies before it."""

    day = models.DateField()
    agent_id = models.BigIntegerField(null=True)
    previous_day = models.DateField(null=True)
    calls = models.BigIntegerField()
    is_folded = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "day"], include=["agent_id", "previous_day", "calls"], name="dialer_reach_day"),
            models.Index(fields=["tenant", "day", "id"], name="dialer_reach_new", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.calls}"
