"""Personal calendar addresses, and the iCalendar that other programs read there."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _
from icalendar import Calendar, Event

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, CalendarFeed
from activities.selectors import activities_visible_to
from activities.services.calendar import usual_length
from activities.services.mentions import plain_text
from crm.actors import Actor, Door
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.rest.throttles import Limit, spend
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope

PAST, AHEAD = timedelta(days=30), timedelta(days=365)
MOST = 1000
# Calendar programs ask every quarter of an hour at most.
CALLS_AN_HOUR = 120
_COLUMNS = (
    "tenant", "lead", "activity_type", "description", "due_at", "duration", "status", "location", "created_at", "updated_at",
    "lead__tenant", "lead__email", "lead__first_name", "lead__last_name", "lead__company", "lead__phone",
)  # fmt: skip
PRODUCT = "-//SalesMagnet//SalesMagnet CRM//EN"


# --- addresses ---


def make_feed(*, by: Actor) -> str:
    """Give the actor a secret address, and answer its token, which is not kept. One made earlier ends."""
    secret = secrets.token_urlsafe(32)
    CalendarFeed.objects.update_or_create(
        user_id=by.user_id, defaults={"secret_hash": _fingerprint(secret), "created_at": timezone.now(), "read_at": None}
    )
    return f"{by.tenant_id}-{secret}"


def revoke_feed(*, by: Actor) -> bool:
    """End the actor's address. False where there was none."""
    return CalendarFeed.objects.filter(user_id=by.user_id).delete()[0] > 0


def feed_of(actor: Actor) -> CalendarFeed | None:
    return CalendarFeed.objects.filter(user_id=actor.user_id).first()


def _fingerprint(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


# --- the calendar ---


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A calendar as it is now. `body` is empty where the reader has this very one."""

    etag: str
    body: bytes


def read_feed(*, token: str, known: str = "", now: datetime) -> Feed | None:
    """The calendar at an address: the person's open and recent activities on leads in their sight. None where the address leads nowhere.

    Raises TooManyRequests.
    """
    number, _dash, secret = token.partition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 10 and secret):
        return None
    if not Tenant.objects.filter(pk=int(number), is_active=True).exists():
        return None
    with tenant_scope(int(number)):
        feed = CalendarFeed.objects.select_related("user__tenant").filter(secret_hash=_fingerprint(secret), user__is_active=True).first()
        if feed is None:
            return None
        spend([Limit(key=f"calendar:{feed.pk}:h", calls=CALLS_AN_HOUR, seconds=3600)])
        _note_reading(feed, now)
        rows = _rows(feed.user, now)
        etag = _etag(feed.user, rows)
        return Feed(etag=etag, body=b"" if etag == known else _calendar(feed.user, rows).to_ical())


def _note_reading(feed: CalendarFeed, now: datetime) -> None:
    """Once an hour at most."""
    if feed.read_at is None or now - feed.read_at > timedelta(hours=1):
        CalendarFeed.objects.filter(pk=feed.pk).update(read_at=now)


def _rows(user: User, now: datetime) -> list[Activity]:
    rows = activities_visible_to(actor_for(user, door=Door.API)).filter(user=user, due_at__gte=now - PAST, due_at__lt=now + AHEAD)
    rows = rows.select_related("lead").only(*_COLUMNS).order_by("due_at", "pk")
    # What is still to be done comes first, then what was done last.
    found = list(rows.filter(status=ActivityStatus.PENDING)[:MOST])
    found += rows.filter(status=ActivityStatus.COMPLETED).order_by("-due_at", "-pk")[: MOST - len(found)]
    return sorted(found, key=lambda row: (row.due_at or now, row.pk))


def _etag(user: User, rows: list[Activity]) -> str:
    told = [(row.pk, row.updated_at, row.status, row.due_at, row.lead.display_name, row.lead.phone) for row in rows]
    return f'"{sha256(repr((settings.SITE_URL, user.full_name, told)).encode()).hexdigest()[:40]}"'


def _calendar(user: User, rows: list[Activity]) -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", f"SalesMagnet · {user.full_name}")
    calendar.add("refresh-interval", timedelta(minutes=30), parameters={"VALUE": "DURATION"})
    for row in rows:
        calendar.add_component(_event(row))
    return calendar


def _event(row: Activity) -> Event:
    assert row.due_at is not None
    done = row.status == ActivityStatus.COMPLETED
    text, place = plain_text(row.description), f"{settings.SITE_URL}/leads/{row.lead_id}"
    event = Event()
    event.add("uid", uid_of(row.pk))
    # When this state of it was made, so that the same state is the same text.
    event.add("dtstamp", _utc(row.updated_at))
    event.add("last-modified", _utc(row.updated_at))
    event.add("created", _utc(row.created_at))
    event.add("sequence", max(int((row.updated_at - row.created_at).total_seconds()), 0))
    event.add("dtstart", _utc(row.due_at))
    event.add("dtend", _utc(row.due_at + timedelta(minutes=row.duration or usual_length(row.activity_type))))
    name = f"{row.get_activity_type_display()}: {row.lead.display_name}"
    event.add("summary", f"✓ {name}" if done else name)
    event.add("description", "\n".join(line for line in (text, row.lead.phone and _("Phone: %s") % row.lead.phone, place) if line))
    event.add("url", place)
    if row.location:
        event.add("location", row.location)
    busy = row.activity_type == ActivityType.MEETING and not done
    event.add("transp", "OPAQUE" if busy else "TRANSPARENT")
    event.add("status", "CONFIRMED")
    return event


def uid_of(activity_id: int) -> str:
    """An activity's name in all calendars, the same for good."""
    return f"activity-{activity_id}@{urlsplit(settings.SITE_URL).hostname or 'salesmagnet'}"


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
