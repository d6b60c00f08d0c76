"""Operations, their row errors, and the claims by which workers find them."""

from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.identity.models import User
from crm.operations.enums import RowOutcome, State
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned


def upload_path(operation: "Operation", filename: str) -> str:
    return f"tenant-{operation.tenant_id}/operations/{timezone.now():%Y/%m}/{filename[-80:]}"


class Operation(TenantOwned):
    """A piece of long work. It commits in chunks: counters and `cursor` move with the rows they count, so it resumes exactly.

    `created + updated + skipped + failed = done` always.
    """

    kind = models.CharField(_("kind"), max_length=60)
    title = models.CharField(_("title"), max_length=200)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    params = models.JSONField(default=dict)
    cursor = models.JSONField(default=dict)
    result = models.JSONField(default=dict)
    file = models.FileField(_("file"), upload_to=upload_path, max_length=255, blank=True)
    total = models.PositiveBigIntegerField(_("rows"), null=True)
    done = models.PositiveBigIntegerField(_("done"), default=0)
    created = models.PositiveBigIntegerField(_("created"), default=0)
    updated = models.PositiveBigIntegerField(_("updated"), default=0)
    skipped = models.PositiveBigIntegerField(_("skipped"), default=0)
    failed = models.PositiveBigIntegerField(_("failed"), default=0)
    error = models.TextField(_("error"), blank=True)
    undo_of = TenantForeignKey("self", models.SET_NULL, null=True, related_name="undone_by", verbose_name=_("takes back"))
    created_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("by"))
    created_at = models.DateTimeField(_("asked for"), auto_now_add=True)
    started_at = models.DateTimeField(_("started"), null=True)
    finished_at = models.DateTimeField(_("finished"), null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "-id"], name="operations_newest")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(done=models.F("created") + models.F("updated") + models.F("skipped") + models.F("failed")),
                name="operations_counters_add_up",
            ),
            # An operation is taken back once; an attempt that failed or was stopped may be made again.
            models.UniqueConstraint(
                fields=["tenant", "undo_of"],
                condition=models.Q(undo_of__isnull=False) & ~models.Q(state__in=[State.FAILED, State.CANCELLED]),
                name="operations_undone_once",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_over(self) -> bool:
        return self.state in (State.DONE, State.FAILED, State.CANCELLED)

    @property
    def percent(self) -> int | None:
        """Progress from 0 to 100; None while the total is unknown."""
        if self.state == State.DONE:
            return 100
        return None if not self.total else min(100, self.done * 100 // self.total)

    @property
    def rate(self) -> float:
        """Rows a second since the start."""
        if self.started_at is None:
            return 0.0
        seconds = ((self.finished_at or timezone.now()) - self.started_at).total_seconds()
        return round(self.done / seconds, 1) if seconds > 0 else 0.0

    @property
    def time_left(self) -> timedelta | None:
        if self.is_over or not self.total or not self.rate:
            return None
        return timedelta(seconds=round((self.total - self.done) / self.rate))


class OperationRow(TenantOwned):
    """A row that failed or was passed over: where, why, what it held, and the record that was in the way."""

    operation = TenantForeignKey(Operation, models.CASCADE, related_name="rows")
    outcome = models.CharField(_("outcome"), max_length=7, choices=RowOutcome, default=RowOutcome.FAILED)
    row = models.PositiveBigIntegerField(_("row"))
    field = models.CharField(_("field"), max_length=80, blank=True)
    message = models.CharField(_("message"), max_length=500)
    values = models.JSONField(default=dict)
    record_id = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["row", "id"]
        indexes = [models.Index(fields=["tenant", "operation", "outcome", "row"], name="operations_row")]

    def __str__(self) -> str:
        return f"{self.row}: {self.message}"


class Claim(models.Model):
    """An operation that is not over, and until when a worker holds it. Unpoliced: workers look across tenants; ids only."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    operation_id = models.BigIntegerField(unique=True)
    held_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["held_until"], name="operations_claim_due")]

    def __str__(self) -> str:
        return f"claim on {self.operation_id}"
