"""The outbox: one row for each (event, subscriber), written with the data, deleted with the subscriber's effect."""

from django.db import models
from django.db.models.functions import Now


class OutboxEntry(models.Model):
    """A delivery still owed. Unpoliced: workers deliver for all tenants; it holds ids and plain values."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, null=True, related_name="+", db_index=False)
    event = models.CharField(max_length=80)
    subscriber = models.CharField(max_length=120)
    payload = models.JSONField()
    context = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True, db_default=Now(), help_text="Empty: given up, a person must look.")
    last_error = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "outbox entries"
        indexes = [models.Index(fields=["next_try_at", "id"], name="outbox_due")]

    def __str__(self) -> str:
        return f"{self.event} → {self.subscriber}"
