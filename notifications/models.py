"""What people were told, and how they wish to be told."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.identity.models import User
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.models import TenantOwned
from notifications.enums import ByMail


class Notification(TenantOwned):
    """One thing one person is told. `once` is a key under which they are told at most once, ever.

    `mail_at` is when it is to be mailed, unless it has been read by then; empty where it is not, or no longer. Who wants a kind
    by mail alone does not see it `in_page`.
    """

    user = TenantForeignKey(User, models.CASCADE, related_name="notifications")
    kind = models.CharField(_("kind"), max_length=40)
    title = models.CharField(_("title"), max_length=200)
    body = models.CharField(_("text"), max_length=1000, blank=True)
    url = models.CharField(_("page"), max_length=500, blank=True)
    once = models.CharField(max_length=120, null=True, editable=False)
    in_page = models.BooleanField(_("in the page"), default=True)
    in_digest = models.BooleanField(_("for the daily summary"), default=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    read_at = models.DateTimeField(_("read"), null=True)
    mail_at = models.DateTimeField(_("to be mailed"), null=True)
    mailed_at = models.DateTimeField(_("mailed"), null=True)
    mail_tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["tenant", "user", "-id"], name="notifications_newest", condition=Q(in_page=True)),
            models.Index(fields=["tenant", "user"], name="notifications_unread", condition=Q(in_page=True, read_at=None)),
            models.Index(fields=["tenant", "user", "-id"], name="notifications_for_digest", condition=Q(in_digest=True)),
            models.Index(fields=["tenant", "mail_at"], name="notifications_to_mail", condition=Q(mail_at__isnull=False)),
            models.Index(fields=["tenant", "created_at"], name="notifications_age"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "user", "once"], name="notifications_once", condition=Q(once__isnull=False))
        ]

    def __str__(self) -> str:
        return self.title


class Preference(TenantOwned):
    """What one person chose for one kind. Without a row the kind's own default holds."""

    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    kind = models.CharField(_("kind"), max_length=40)
    in_page = models.BooleanField(_("in the page"), default=True)
    by_mail = models.CharField(_("by e-mail"), max_length=7, choices=ByMail, default=ByMail.NEVER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user", "kind"], name="notifications_preference_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind}"


class Habits(TenantOwned):
    """When one person wishes to be left alone, and whether they get the morning's summary. Without a row: the defaults."""

    user = TenantForeignKey(User, models.CASCADE, related_name="+")
    digest = models.BooleanField(_("daily summary"), default=True)
    quiet_from = models.TimeField(_("quiet from"), null=True, blank=True)
    quiet_to = models.TimeField(_("quiet until"), null=True, blank=True)
    next_digest_at = models.DateTimeField(null=True, editable=False)
    last_digest_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        indexes = [models.Index(fields=["tenant", "next_digest_at"], name="notifications_digest_due")]
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="notifications_habits_once")]

    def __str__(self) -> str:
        return str(self.user_id)
