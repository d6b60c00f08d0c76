"""What people do with leads and mean to do, and the ledger of how much of it there is."""

from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from activities.enums import ActivityPriority, ActivityStatus, ActivityType
from crm.history import track
from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from leads.models import Lead

_PENDING = Q(status="pending")
_DUE = _PENDING & Q(due_at__isnull=False)
_DONE_WITH_A_TIME = Q(status="completed", due_at__isnull=False)


@track(exclude=("reminded_for", "overdue_told_for", "awaits_next", "updated_at"))
class Activity(TenantOwned):
    """Document 1's `lead_activities`. `user` is who did it or is to do it, `due_at` its `next_follow_up_date`.

    `occurred_at` is its place in the lead's timeline: when it was recorded, and once it is done, when it was done.
    The earliest `due_at` of a lead's pending activities is the lead's `next_follow_up_at`: the database keeps the two equal.
    """

    lead = TenantForeignKey(Lead, models.CASCADE, related_name="activities")
    user = TenantForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="activities", verbose_name=_("person"))
    activity_type = models.CharField(_("type"), max_length=13, choices=ActivityType)
    description = models.TextField(_("what it is about"), blank=True)
    priority = models.PositiveSmallIntegerField(_("priority"), choices=ActivityPriority, default=ActivityPriority.MEDIUM)
    status = models.CharField(_("state"), max_length=9, choices=ActivityStatus, default=ActivityStatus.PENDING)
    due_at = models.DateTimeField(_("due"), null=True, blank=True)
    occurred_at = models.DateTimeField(_("happened"), default=timezone.now)
    completed_at = models.DateTimeField(_("done"), null=True, blank=True)
    duration = models.PositiveIntegerField(_("minutes"), null=True, blank=True)
    outcome = models.CharField(_("outcome"), max_length=300, blank=True)
    notes = models.TextField(_("notes"), blank=True)
    location = models.CharField(_("place"), max_length=200, blank=True)
    attendees = ArrayField(models.CharField(max_length=254), verbose_name=_("attendees"), default=list, blank=True)
    # Minutes before it is due, kept whatever becomes of the date; and the moment of the next reminder, a snooze's or that one.
    remind_before = models.IntegerField(_("minutes before"), null=True, blank=True)
    remind_at = models.DateTimeField(_("remind"), null=True, blank=True)
    snoozed_until = models.DateTimeField(_("snoozed until"), null=True, blank=True)
    recurrence = models.CharField(_("repeats"), max_length=200, blank=True, help_text=_("An iCalendar rule, such as FREQ=WEEKLY;BYDAY=MO"))
    # The first activity of a recurring one, by which the later ones know one another.
    series = models.BigIntegerField(null=True, editable=False)
    # Closed by the database, which cannot reckon the next one: `repeat_closed` makes it.
    awaits_next = models.BooleanField(default=False, db_default=False, editable=False)
    # The moments for which the person has been reminded and told that it is overdue.
    reminded_for = models.DateTimeField(null=True, editable=False)
    overdue_told_for = models.DateTimeField(null=True, editable=False)
    created_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+", verbose_name=_("recorded by"))
    created_via = models.CharField(_("created via"), max_length=10, blank=True)
    operation_id = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    class Meta:
        ordering = ["-occurred_at", "-id"]
        verbose_name_plural = _("activities")
        constraints = [
            models.CheckConstraint(
                condition=Q(status="completed", completed_at__isnull=False) | (~Q(status="completed") & Q(completed_at=None)),
                name="activities_done_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "lead", "-occurred_at", "-id"], name="activities_lead"),
            models.Index(fields=["tenant", "lead", "due_at"], name="activities_lead_open", condition=_PENDING),
            models.Index(fields=["tenant", "user", "due_at", "id"], name="activities_due", include=["lead", "priority"], condition=_DUE),
            models.Index(fields=["tenant", "due_at", "id"], name="activities_all_due", condition=_DUE),
            models.Index(fields=["tenant", "user", "due_at", "id"], name="activities_done_due", condition=_DONE_WITH_A_TIME),
            models.Index(fields=["tenant", "-created_at", "-id"], name="activities_newest"),
            models.Index(fields=["tenant", "user", "-created_at", "-id"], name="activities_of_user"),
            models.Index(fields=["tenant", "remind_at"], name="activities_remind", condition=_PENDING & Q(remind_at__isnull=False)),
            models.Index(fields=["tenant", "operation_id", "id"], name="activities_by_operation", condition=Q(operation_id__isnull=False)),
            models.Index(fields=["tenant", "lead", "id"], name="activities_awaiting_next", condition=Q(awaits_next=True)),
        ]

    def __str__(self) -> str:
        return f"{self.get_activity_type_display()}: {self.description[:60]}" if self.description else str(self.get_activity_type_display())

    @property
    def is_open(self) -> bool:
        return self.status == ActivityStatus.PENDING

    def reminder(self) -> datetime | None:
        """The moment that `remind_before` means, unless the person has been reminded then."""
        if self.due_at is None or self.remind_before is None:
            return None
        at = self.due_at - timedelta(minutes=self.remind_before)
        return at if at != self.reminded_for else None


class _Ledger(TenantOwned):
    """How many activities were recorded on a day of the tenant's zone: the sum of `activities` over the matching rows.

    Kept by statement triggers in the writer's transaction, folded by beat: exact inside any transaction.
    """

    day = models.DateField()
    user_id = models.BigIntegerField(null=True)
    status = models.CharField(max_length=9)
    activities = models.BigIntegerField()
    is_folded = models.BooleanField(default=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.day}: {self.activities}"


class TypeCount(_Ledger):
    """The ledger by type."""

    activity_type = models.CharField(max_length=13)

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "day"], include=["user_id", "activity_type", "status", "activities"], name="activities_types_day"
            ),
            models.Index(fields=["tenant", "day", "id"], name="activities_types_new", condition=Q(is_folded=False)),
        ]


class PriorityCount(_Ledger):
    """The ledger by priority."""

    priority = models.PositiveSmallIntegerField()

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "day"], include=["user_id", "priority", "status", "activities"], name="activities_priorities_day"
            ),
            models.Index(fields=["tenant", "day", "id"], name="activities_priorities_new", condition=Q(is_folded=False)),
        ]


class OwnerCount(TenantOwned):
    """How many activities hang on the live leads of an owner: the sum of `activities` over the matching rows. 0 stands for nobody.

    What somebody sees who is told of their own and of unassigned leads, kept and folded as the other two are.
    """

    owner_id = models.BigIntegerField()
    user_id = models.BigIntegerField()
    activity_type = models.CharField(max_length=13)
    priority = models.PositiveSmallIntegerField()
    status = models.CharField(max_length=9)
    activities = models.BigIntegerField()
    is_folded = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(
                fields=["tenant", "owner_id"],
                include=["user_id", "activity_type", "priority", "status", "activities"],
                name="activities_owners",
            ),
            models.Index(fields=["tenant", "id"], name="activities_owners_new", condition=Q(is_folded=False)),
        ]

    def __str__(self) -> str:
        return f"{self.owner_id}: {self.activities}"


@track(exclude=("secret_hash", "read_at"))
class CalendarFeed(TenantOwned):
    """The secret address under which a person's calendar is read by other programs. Of its secret only a fingerprint is kept."""

    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    secret_hash = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(_("made"), default=timezone.now)
    read_at = models.DateTimeField(_("last read"), null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user"], name="activities_feed_user"),
            models.UniqueConstraint(fields=["tenant", "secret_hash"], name="activities_feed_secret"),
        ]

    def __str__(self) -> str:
        return f"calendar of user {self.user_id}"


class MeetingInvitation(TenantOwned):
    """A meeting's invitation to one address: what was told last, and when to look whether there is something new to tell.

    `told` is a fingerprint of what was mailed; empty, nothing was. `send_at` is moved ahead by the worker that holds it.
    """

    activity = TenantForeignKey(Activity, models.CASCADE, related_name="invitations")
    organizer = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+")
    address = models.CharField(max_length=254)
    sequence = models.PositiveIntegerField(default=0)
    told = models.CharField(max_length=64, blank=True)
    told_for = models.DateTimeField(null=True)
    send_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "activity", "address"], name="activities_invitation_address")]
        indexes = [models.Index(fields=["tenant", "send_at"], name="activities_invitation_due", condition=Q(send_at__isnull=False))]

    def __str__(self) -> str:
        return f"activity {self.activity_id}: {self.address}"
