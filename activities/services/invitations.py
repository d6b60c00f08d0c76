"""Invite people to a meeting by mail, and tell them when it is moved or called off.

What is to be told is found out when it is mailed, by comparing the meeting with what each address was told last: moved and
moved back at once, it tells nothing. What is due is leased before it is mailed and settled afterwards, with no transaction open
while the mail server is asked: a kill in between mails it once more, never not at all.
"""

from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formataddr, parseaddr
from functools import partial
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import transaction
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from icalendar import Calendar, Event, vCalAddress, vText

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, MeetingInvitation
from activities.services.calendar import usual_length
from activities.services.feeds import PRODUCT, uid_of
from activities.services.mentions import plain_text
from crm.actors import Actor
from crm.events import nudge
from crm.identity.hours import zone_of
from crm.identity.models import User
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope

log = structlog.get_logger(__name__)
MAIL_TASK = "activities.mail_invitations"
LEASE = timedelta(minutes=10)
# A change is told after so long, so that a second thought is not.
SETTLES = timedelta(seconds=20)
CLAIMED_AT_ONCE = 20
GIVE_UP_AFTER = 8
# What attendees are told of.
TOLD_FIELDS = frozenset({"status", "due_at", "description", "duration", "location", "attendees"})


# --- who is to be told ---


def invite_attendees(*, activity: Activity, by: Actor) -> int:
    """Have a planned meeting's attendees invited in the actor's name. Answers how many are. Inviting twice changes nothing."""
    if activity.activity_type != ActivityType.MEETING or not activity.is_open or activity.due_at is None:
        return 0
    now = timezone.now()
    addresses = list(dict.fromkeys(address.lower() for address in activity.attendees))
    MeetingInvitation.objects.bulk_create(
        [MeetingInvitation(activity=activity, organizer_id=by.user_id, address=address, send_at=now) for address in addresses],
        ignore_conflicts=True,
    )
    if addresses:
        transaction.on_commit(partial(nudge.once, MAIL_TASK))
    return len(addresses)


def invite_to_next(*, activity: Activity, following: Activity, by: Actor) -> int:
    """Invite to a recurring meeting's next one, if people were invited to this one."""
    return invite_attendees(activity=following, by=by) if activity.invitations.exists() else 0


def look_again(*, activity_ids: tuple[int, ...], fields: tuple[str, ...]) -> int:
    """Have the invitations to changed meetings looked at in a moment. Answers how many there are."""
    if not TOLD_FIELDS.intersection(fields):
        return 0
    rows = MeetingInvitation.objects.filter(activity_id__in=activity_ids)
    return rows.update(send_at=timezone.now() + SETTLES, tries=0)


# --- mailing ---


def mail_invitations() -> int:
    """Mail what is due, of all tenants. Safe in any number of workers at once. Answers how many mails were sent."""
    sent = 0
    for tenant_id in list(Tenant.objects.filter(is_active=True).values_list("pk", flat=True)):
        while claimed := _claim(tenant_id):
            sent += sum(_mail(tenant_id, row, zone) for row, zone in claimed)
    return sent


def _claim(tenant_id: int) -> list[tuple[MeetingInvitation, ZoneInfo]]:
    """Lease the next due ones. With each, the zone in which its organizer reads times."""
    now = timezone.now()
    with tenant_scope(tenant_id):
        due = MeetingInvitation.objects.select_for_update(skip_locked=True, of=("self",)).filter(send_at__lte=now)
        rows = list(due.select_related("activity", "organizer").order_by("send_at", "pk")[:CLAIMED_AT_ONCE])
        held = now + LEASE
        MeetingInvitation.objects.filter(pk__in=[row.pk for row in rows]).update(send_at=held)
        for row in rows:
            row.send_at = held
        return [(row, zone_of(row.organizer) if row.organizer is not None else ZoneInfo("UTC")) for row in rows]


def _mail(tenant_id: int, row: MeetingInvitation, zone: ZoneInfo) -> bool:
    meeting = _meeting(row)
    settled: dict[str, Any] = {}
    again: datetime | None = None
    if meeting is not None and meeting.fingerprint != row.told:
        try:
            _message(row, meeting, zone).send()
        except Exception as error:
            log.error("invitation_not_mailed", invitation=row.pk, tries=row.tries + 1, error=str(error))
            settled = {"tries": row.tries + 1}
            again = None if row.tries + 1 >= GIVE_UP_AFTER else timezone.now() + timedelta(minutes=2 ** (row.tries + 1))
        else:
            settled = {"told": meeting.fingerprint, "told_for": meeting.at, "sequence": row.sequence + 1, "tries": 0}
            settled["sent_at"] = timezone.now()
    with tenant_scope(tenant_id):
        mine = MeetingInvitation.objects.filter(pk=row.pk)
        if settled:
            mine.update(**settled)
        # Changed meanwhile, it is looked at again when that change says so.
        mine.filter(send_at=row.send_at).update(send_at=again)
    return "told" in settled


# --- what they are told ---


@dataclass(frozen=True, kw_only=True)
class _Meeting:
    """What a meeting's attendees are told of it."""

    summary: str
    text: str
    location: str
    at: datetime | None
    minutes: int
    attendees: tuple[str, ...]
    is_off: bool

    @property
    def fingerprint(self) -> str:
        return "off" if self.is_off else sha256(repr(astuple(self)).encode()).hexdigest()


def _meeting(row: MeetingInvitation) -> _Meeting | None:
    """The meeting as it stands; None where there is nothing to tell: it took place, or nobody was told of one that is off."""
    activity = row.activity
    if activity.status == ActivityStatus.COMPLETED or row.organizer is None:
        return None
    is_off = activity.status == ActivityStatus.CANCELLED or activity.due_at is None
    if is_off and not row.told:
        return None
    text = plain_text(activity.description)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return _Meeting(
        summary=_one_line(first)[:120] or _("Meeting with %s") % _one_line(row.organizer.full_name),
        text=text,
        location=_one_line(activity.location),
        at=row.told_for if is_off else activity.due_at,
        minutes=activity.duration or usual_length(activity.activity_type),
        attendees=tuple(dict.fromkeys(address.lower() for address in activity.attendees)),
        is_off=is_off,
    )


def _message(row: MeetingInvitation, meeting: _Meeting, zone: ZoneInfo) -> EmailMultiAlternatives:
    """The mail to one attendee: words for people, and the calendar part by which programs enter, move or remove it."""
    organizer = row.organizer
    assert organizer is not None
    subject = {"off": _("Called off: %s"), "new": _("Invitation: %s"), "changed": _("Changed: %s")}[
        "off" if meeting.is_off else "changed" if row.told else "new"
    ]
    method = "CANCEL" if meeting.is_off else "REQUEST"
    ics = _calendar(row, meeting, organizer, method).to_ical().decode()
    context = {"meeting": meeting, "organizer": organizer, "is_new": not row.told}
    if meeting.at is not None:
        local = meeting.at.astimezone(zone)
        context["when"] = f"{date_format(local, 'DATETIME_FORMAT')} ({zone.key})"
    body = render_to_string("activities/mail/invitation.txt", context).strip() + "\n"
    _name, address = parseaddr(settings.DEFAULT_FROM_EMAIL)
    mail = EmailMultiAlternatives(
        subject=subject % meeting.summary,
        body=body,
        from_email=formataddr((_("%s via SalesMagnet") % _one_line(organizer.full_name), address)),
        to=[row.address],
        reply_to=[organizer.email],
    )
    mail.attach_alternative(ics, f"text/calendar; method={method}")
    mail.attach("invite.ics", ics.encode(), "application/ics")
    return mail


def _calendar(row: MeetingInvitation, meeting: _Meeting, organizer: User, method: str) -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", PRODUCT)
    calendar.add("version", "2.0")
    calendar.add("method", method)
    event = Event()
    event.add("uid", uid_of(row.activity_id))
    event.add("dtstamp", datetime.now(UTC).replace(microsecond=0))
    event.add("sequence", row.sequence)
    event.add("summary", meeting.summary)
    event.add("status", "CANCELLED" if meeting.is_off else "CONFIRMED")
    if meeting.at is not None:
        start = meeting.at.astimezone(UTC).replace(microsecond=0)
        event.add("dtstart", start)
        event.add("dtend", start + timedelta(minutes=meeting.minutes))
    if meeting.text:
        event.add("description", meeting.text)
    if meeting.location:
        event.add("location", meeting.location)
    event.add("organizer", _person(organizer.email, name=organizer.full_name))
    for address in (row.address,) if meeting.is_off else meeting.attendees:
        attendee = _person(address)
        attendee.params.update({"ROLE": vText("REQ-PARTICIPANT"), "PARTSTAT": vText("NEEDS-ACTION"), "RSVP": vText("TRUE")})
        event.add("attendee", attendee, encode=False)
    calendar.add_component(event)
    return calendar


def _person(address: str, *, name: str = "") -> vCalAddress:
    person = vCalAddress(f"mailto:{address}")
    # A quotation mark cannot stand in a parameter.
    name = _one_line(name).replace('"', "'")
    if name:
        person.params["CN"] = vText(name)
    return person


def _one_line(text: str) -> str:
    """Without line breaks and control characters, which would end a header."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
