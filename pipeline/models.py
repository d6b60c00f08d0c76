"""The stays of leads in their statuses, the figures kept of them, and service levels."""

from datetime import timedelta
from decimal import Decimal

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from leads.models import Lead, LeadStatus
from pipeline.enums import SlaHours, SlaKind, SlaState

_OPEN = Q(exited_at=None)
_COUNTED = Q(is_counted=True)


# What people write is tracked; the rest is written by the database and never again.
@track(exclude=("entered_at", "exited_at", "duration", "left_to", "came_from", "is_counted", "rules_skipped"))
class LeadStage(TenantOwned):
    """One stay of a lead in a status: document 1's `lead_stages`.

    Written by statement triggers of the lead's table (migration 0002), whatever door, operation or raw statement moved the lead. The
    stays of a lead follow each other without gap or overlap. `is_counted` is false while the lead is in the bin, or merged into another.
    """

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="stages", verbose_name=_("lead"))
    status = TenantForeignKey(LeadStatus, models.PROTECT, related_name="+", verbose_name=_("status"))
    came_from = TenantForeignKey(LeadStatus, models.PROTECT, null=True, related_name="+", verbose_name=_("came from"))
    left_to = TenantForeignKey(LeadStatus, models.PROTECT, null=True, related_name="+", verbose_name=_("left to"))
    entered_at = models.DateTimeField(_("entered"))
    exited_at = models.DateTimeField(_("left"), null=True)
    duration = models.GeneratedField(
        expression=F("exited_at") - F("entered_at"),
        output_field=models.DurationField(null=True),
        db_persist=True,
        verbose_name=_("duration"),
    )
    user = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("moved by"))
    notes = models.TextField(_("notes"), blank=True)
    next_action_required = models.CharField(_("next action"), max_length=255, blank=True)
    rules_skipped = models.BooleanField(_("past the rules"), default=False)
    is_counted = models.BooleanField(default=True, editable=False)

    class Meta:
        ordering = ["id"]
        verbose_name = _("stage")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "lead"], name="pipeline_stage_one_open", condition=_OPEN),
            models.CheckConstraint(condition=Q(exited_at=None) | Q(exited_at__gte=F("entered_at")), name="pipeline_stage_forwards"),
        ]
        indexes = [
            # A lead's stays; and the figures of somebody's own leads, which are counted from it alone.
            models.Index(
                fields=["tenant", "lead", "id"],
                include=["status", "left_to", "entered_at", "exited_at", "is_counted"],
                name="pipeline_stage_lead",
            ),
            models.Index(
                fields=["tenant", "status", "entered_at", "id"], name="pipeline_stage_waiting", condition=_OPEN & _COUNTED
            ),
            # The parts of days that the daily figures cannot tell.
            models.Index(fields=["tenant", "entered_at"], include=["status", "user", "came_from"], name="pipeline_stage_entered", condition=_COUNTED),
            models.Index(
                fields=["tenant", "exited_at"],
                include=["status", "left_to", "user", "duration"],
                name="pipeline_stage_exited",
                condition=_COUNTED & Q(exited_at__isnull=False),
            ),
            # The shortest and the longest stay.
            models.Index(
                fields=["tenant", "status", "duration"],
                include=["exited_at"],
                name="pipeline_stage_spans",
                condition=_COUNTED & Q(exited_at__isnull=False),
            ),
            models.Index(
                fields=["tenant", "entered_at", "id"], name="pipeline_stage_moves", condition=_COUNTED & Q(came_from__isnull=False)
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.status}"

    @property
    def duration_hours(self) -> Decimal | None:
        """Hours with two decimals (rule 1.37), once the stay is over."""
        if self.exited_at is None:
            return None
        hours = Decimal((self.exited_at - self.entered_at).total_seconds()) / 3600
        return hours.quantize(Decimal("0.01"))


class Ledger(TenantOwned):
    """Base of figures kept by statement triggers in the writer's transaction and folded by beat.

    A figure is the sum over its rows, exact inside any transaction. `is_folded` tells the rows that beat has summed up already.
    """

    is_folded = models.BooleanField(default=False)

    class Meta:
        abstract = True


class StageDay(Ledger):
    """Entries into and exits from each status by day in UTC; exits by where they went, with the time spent.

    `waiting` of those that came in on the day are there still, and came in `waiting_from` after its beginning, all added up.
    """

    day = models.DateField()
    status_id = models.BigIntegerField()
    left_to_id = models.BigIntegerField(null=True)
    entries = models.BigIntegerField()
    exits = models.BigIntegerField()
    spent = models.DurationField()
    over_24h = models.BigIntegerField()
    over_48h = models.BigIntegerField()
    waiting = models.BigIntegerField(default=0)
    waiting_from = models.DurationField(default=timedelta)

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "day", "status_id"], name="pipeline_day"),
            models.Index(fields=["tenant", "id"], name="pipeline_day_fresh", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.entries} in, {self.exits} out"


class StageUserDay(Ledger):
    """The moves that a person made into each status by day in UTC, and how long the stays they began took that ended on it."""

    day = models.DateField()
    user_id = models.BigIntegerField()
    status_id = models.BigIntegerField()
    moves = models.BigIntegerField()
    exits = models.BigIntegerField()
    spent = models.DurationField()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "day", "user_id"], name="pipeline_userday"),
            models.Index(fields=["tenant", "id"], name="pipeline_userday_fresh", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.day}: {self.moves} by {self.user_id}"


class StageSpan(Ledger):
    """How many stays in each status took so many hours, begun ones counted whole: what took two hours at most is 1 or 2."""

    status_id = models.BigIntegerField()
    hours = models.IntegerField()
    stays = models.BigIntegerField()

    class Meta:
        indexes = [
            models.Index(fields=["tenant", "status_id", "hours"], name="pipeline_span"),
            models.Index(fields=["tenant", "id"], name="pipeline_span_fresh", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.stays} of {self.hours} h"


@track()
class SlaPolicy(TenantOwned):
    """A service level: which leads, what is measured, how much working time it may take, and what happens when it runs out.

    Of each kind the first policy in order whose conditions a lead fulfils counts. `conditions` is a tree of `crm.conditions`, None
    for all leads. `steps` are in order of time: `{"minutes", "action", "user"}`, minutes of working time before (negative) or after
    the due time.
    """

    name = models.CharField(_("name"), max_length=80)
    position = models.PositiveSmallIntegerField(_("order"), default=0)
    is_active = models.BooleanField(_("active"), default=True)
    kind = models.CharField(_("measures"), max_length=14, choices=SlaKind)
    status = TenantForeignKey(LeadStatus, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("status"))
    conditions = models.JSONField(_("conditions"), null=True, blank=True)
    target_minutes = models.PositiveIntegerField(_("minutes"))
    hours = models.CharField(_("counts"), max_length=6, choices=SlaHours, default=SlaHours.TENANT)
    due_soon_share = models.PositiveSmallIntegerField(_("due soon after (percent)"), default=75)
    steps = models.JSONField(_("escalation"), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["position", "id"]
        verbose_name = _("SLA policy")
        verbose_name_plural = _("SLA policies")
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name"], name="pipeline_policy_name"),
            models.CheckConstraint(condition=Q(target_minutes__gt=0), name="pipeline_policy_target"),
            models.CheckConstraint(condition=Q(due_soon_share__gt=0, due_soon_share__lte=100), name="pipeline_policy_share"),
        ]

    def __str__(self) -> str:
        return self.name


class SlaClock(TenantOwned):
    """The time a lead has under a policy. It runs while `ended_at` is empty; then it is met, or breached.

    `spent_before` is the working time used up before `running_since`: a pause ends one run and begins another. `next_at` is when
    the next thing is to be done: it becomes due soon, breached, or a step is to be taken, of which `steps_done` are behind it.
    `owner_id` is whose the lead was when the clock was last looked at, for counting; who may see it is decided by the lead itself.
    """

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="sla_clocks")
    policy = TenantForeignKey(SlaPolicy, models.CASCADE, related_name="clocks")
    owner_id = models.BigIntegerField(null=True)
    kind = models.CharField(max_length=14, choices=SlaKind)
    started_at = models.DateTimeField()
    running_since = models.DateTimeField()
    spent_before = models.DurationField()
    soon_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=SlaState, default=SlaState.ON_TRACK)
    steps_done = models.PositiveSmallIntegerField(default=0)
    paused_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["due_at", "id"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "lead", "kind", "started_at"], name="pipeline_clock_once"),
            models.UniqueConstraint(fields=["tenant", "lead", "kind"], name="pipeline_clock_one_runs", condition=Q(ended_at=None)),
            models.CheckConstraint(condition=Q(ended_at=None) | Q(state__in=["met", "breached"]), name="pipeline_clock_ended"),
        ]
        indexes = [
            models.Index(fields=["tenant", "next_at"], name="pipeline_clock_next", condition=Q(ended_at=None, next_at__isnull=False)),
            models.Index(fields=["tenant", "due_at", "id"], name="pipeline_clock_due", condition=Q(ended_at=None, paused_at=None)),
            models.Index(fields=["tenant", "policy", "started_at"], include=["state", "ended_at"], name="pipeline_clock_policy"),
            # What is counted in the control room.
            models.Index(
                fields=["tenant", "owner_id", "due_at"], include=["paused_at"], name="pipeline_clock_owner", condition=Q(ended_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.lead_id}: {self.state}"
