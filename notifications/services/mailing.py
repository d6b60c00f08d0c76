"""Mail what people were told: each thing as it is due, the rest in the morning's summary.

What is due is leased before it is mailed and settled afterwards, with no transaction open while the mail server is asked: a
kill in between mails it once more when the lease is over, never not at all.
"""

from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.template.loader import render_to_string
from django.utils import timezone

from crm.actors import Door
from crm.identity.hours import zone_of
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from notifications.models import Habits, Notification
from notifications.registry import DigestPart, digest_parts, shown_kind
from notifications.services.unsubscribing import DIGEST, unsubscribe_link

log = structlog.get_logger(__name__)
MAIL_TASK = "notifications.mail_due"
LEASE = timedelta(minutes=10)
CLAIMED_AT_ONCE = 20
# A server that refuses a mail so often will not take it.
GIVE_UP_AFTER = 8
DIGEST_HOUR = 8
MOST_IN_DIGEST = 50


def mail_due() -> int:
    """Mail what is due, of all tenants. Safe in any number of workers at once. Answers how many mails were sent."""
    sent = 0
    for tenant_id in _tenants():
        while rows := _claim(tenant_id):
            sent += sum(_mail(tenant_id, row) for row in rows)
    return sent


def _tenants() -> list[int]:
    return list(Tenant.objects.filter(is_active=True).values_list("pk", flat=True))


def _claim(tenant_id: int) -> list[Notification]:
    """Lease the next due ones. Those that were read meanwhile, or whose reader is gone, are dropped."""
    now = timezone.now()
    with tenant_scope(tenant_id):
        due = Notification.objects.select_for_update(skip_locked=True, of=("self",)).filter(mail_at__lte=now)
        rows = list(due.select_related("user__tenant").order_by("mail_at")[:CLAIMED_AT_ONCE])
        unwanted = [row.pk for row in rows if not row.user.is_active or (row.in_page and row.read_at is not None)]
        Notification.objects.filter(pk__in=unwanted).update(mail_at=None)
        Notification.objects.filter(pk__in=[row.pk for row in rows if row.pk not in unwanted]).update(mail_at=now + LEASE)
        if unwanted and len(unwanted) == len(rows):
            return _claim(tenant_id)
    return [row for row in rows if row.pk not in unwanted]


def _mail(tenant_id: int, row: Notification) -> bool:
    try:
        _send(
            "notification",
            user=row.user,
            about=row.kind,
            title=row.title,
            body=row.body,
            address=_address(row.url),
            kind=shown_kind(row.kind),
        )
    except Exception as error:
        log.error("notification_not_mailed", notification=row.pk, tries=row.mail_tries + 1, error=str(error))
        tries = row.mail_tries + 1
        again = None if tries >= GIVE_UP_AFTER else timezone.now() + timedelta(minutes=2**tries)
        settled: dict[str, Any] = {"mail_tries": tries, "mail_at": again}
    else:
        settled = {"mail_at": None, "mailed_at": timezone.now()}
    with tenant_scope(tenant_id):
        Notification.objects.filter(pk=row.pk).update(**settled)
    return "mailed_at" in settled


# --- the morning's summary ---


def mail_digests() -> int:
    """Mail their summary to those whose morning has come. After downtime it comes late, once. Answers how many were sent."""
    return sum(_mail_digest(tenant_id, pk) for tenant_id in _tenants() for pk in _digests_due(tenant_id))


def _digests_due(tenant_id: int) -> list[int]:
    """Lease the summaries that are due; people seen for the first time get theirs the next morning."""
    now = timezone.now()
    with tenant_scope(tenant_id):
        new = User.objects.filter(is_active=True).exclude(pk__in=Habits.objects.exclude(next_digest_at=None).values("user_id"))
        for user in new:
            Habits.objects.update_or_create(user=user, defaults={"next_digest_at": next_morning(user, now)})
        due = Habits.objects.select_for_update(skip_locked=True, of=("self",)).filter(next_digest_at__lte=now)
        ids = list(due.values_list("pk", flat=True)[:500])
        Habits.objects.filter(pk__in=ids).update(next_digest_at=now + LEASE)
    return ids


def next_morning(user: User, now: datetime) -> datetime:
    """The next DIGEST_HOUR in the person's zone."""
    local = now.astimezone(zone_of(user))
    morning = local.replace(hour=DIGEST_HOUR, minute=0, second=0, microsecond=0, fold=0)
    return morning if morning > local else morning + timedelta(days=1)


def _mail_digest(tenant_id: int, habits_id: int) -> bool:
    with tenant_scope(tenant_id):
        habits = Habits.objects.select_related("user__tenant").get(pk=habits_id)
        user, parts, now = habits.user, [], timezone.now()
        if user.is_active and habits.digest:
            parts = _parts(user, since=habits.last_digest_at)
        coming = next_morning(user, now)
    settled: dict[str, Any] = {"next_digest_at": coming}
    if parts:
        try:
            _send("digest", user=user, about=DIGEST, parts=parts)
            settled["last_digest_at"] = now
        except Exception as error:
            log.error("digest_not_mailed", user=user.pk, error=str(error))
            # Tried again after the lease, until the next morning.
            settled = {}
    with tenant_scope(tenant_id):
        Habits.objects.filter(pk=habits_id).update(**(settled or {"next_digest_at": min(now + LEASE, coming)}))
    return bool(parts and settled)


def _parts(user: User, *, since: datetime | None) -> list[dict[str, Any]]:
    actor = actor_for(user, door=Door.TASK)
    found = [part for make in digest_parts.of("main") if (part := make(actor)) is not None]
    told = Notification.objects.filter(user=user, in_digest=True, read_at=None)
    if since is not None:
        told = told.filter(created_at__gt=since)
    rows = list(told.order_by("-id")[:MOST_IN_DIGEST])
    if rows:
        found.append(DigestPart(title="What happened", lines=[(row.title, row.url) for row in rows]))
    return [{"title": part.title, "lines": [(text, _address(url)) for text, url in part.lines]} for part in found]


# --- both ---


def _address(url: str) -> str:
    return f"{settings.SITE_URL}{url}" if url.startswith("/") else url


def _send(template: str, *, user: User, about: str, **context: Any) -> None:
    stop = unsubscribe_link(user=user, kind=about)
    text = render_to_string(f"notifications/mail/{template}.txt", {"user": user, "stop": stop, "site": settings.SITE_URL, **context})
    subject, _, body = text.partition("\n")
    EmailMessage(
        subject=subject.strip(),
        body=body.strip() + "\n",
        to=[user.email],
        headers={
            "List-Unsubscribe": f"<{stop}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "Auto-Submitted": "auto-generated",
        },
    ).send()
