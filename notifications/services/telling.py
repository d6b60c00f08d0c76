"""Tell people something: in the page at once, by mail as each wishes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction
from django.utils import timezone

from crm.actors import Actor
from crm.events import live, nudge
from crm.identity.hours import zone_of
from crm.identity.models import User
from notifications.enums import ByMail
from notifications.models import Habits, Notification
from notifications.selectors import Wishes, wishes_of
from notifications.services.mailing import MAIL_TASK

# Who is looking at the page has read it by then, and gets no mail beside it.
GRACE = timedelta(minutes=1)
MADE = "notification.made"


def notify(*, kind: str, user_ids: Sequence[int], title: str, body: str = "", url: str = "", once: str = "", by: Actor) -> int:
    """Tell active users of the open tenant, in the caller's transaction. Answers how many were told.

    Whoever acts is not told of what they did themselves. `url` is a path of this site; `once` is a key under which a person is
    told at most once, whatever is repeated.
    """
    wanted = [pk for pk in dict.fromkeys(user_ids) if pk != by.user_id]
    people = list(User.objects.filter(pk__in=wanted, is_active=True)) if wanted else []
    if not people:
        return 0
    wishes = wishes_of([user.pk for user in people])
    now = timezone.now()
    made = (_row(user, wishes[user.pk], kind=kind, title=title, body=body, url=url, once=once, now=now) for user in people)
    rows = [row for row in made if row is not None]
    if once:
        known = set(Notification.objects.filter(once=once, user_id__in=[row.user_id for row in rows]).values_list("user_id", flat=True))
        rows = [row for row in rows if row.user_id not in known]
    Notification.objects.bulk_create(rows, ignore_conflicts=bool(once))
    for row in rows:
        if row.in_page:
            live.announce(MADE, data={"title": row.title, "url": row.url, "kind": row.kind}, user_id=row.user_id)
    if any(row.mail_at is not None for row in rows):
        transaction.on_commit(lambda: nudge.once(MAIL_TASK))
    return len(rows)


def _row(user: User, wishes: Wishes, *, kind: str, title: str, body: str, url: str, once: str, now: datetime) -> Notification | None:
    """The notification of one person, or None where they wish to hear of this nowhere."""
    choice = wishes.choice(kind)
    if not choice.in_page and choice.by_mail == ByMail.NEVER:
        return None
    mail_at = None
    if choice.by_mail == ByMail.AT_ONCE:
        mail_at = awake_at(wishes.habits, now + GRACE if choice.in_page else now, zone_of(user))
    return Notification(
        tenant_id=user.tenant_id,
        user=user,
        kind=kind,
        # A line of its own in mails, so no line breaks.
        title=" ".join(title.split())[:200],
        body=body[:1000],
        url=url[:500],
        once=once[:120] or None,
        in_page=choice.in_page,
        in_digest=choice.by_mail == ByMail.DAILY,
        mail_at=mail_at,
    )


def awake_at(habits: Habits, at: datetime, zone: ZoneInfo) -> datetime:
    """The first moment from `at` on outside the person's quiet hours, which may go past midnight."""
    start, end = habits.quiet_from, habits.quiet_to
    if start is None or end is None or start == end:
        return at
    local = at.astimezone(zone)
    quiet = start <= local.time() < end if start < end else local.time() >= start or local.time() < end
    if not quiet:
        return at
    day = local.date() if local.time() < end else local.date() + timedelta(days=1)
    return max(datetime.combine(day, end, tzinfo=zone), at)
