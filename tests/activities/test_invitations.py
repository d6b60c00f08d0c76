"""Meetings by mail: invited once, told of what changed, called off; at least once each, never two at a time."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core import mail
from django.utils import timezone
from icalendar import Calendar

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity, MeetingInvitation
from activities.services import invitations
from activities.services.changes import edit_activity, reschedule, update_status
from activities.services.invitations import GIVE_UP_AFTER, LEASE, SETTLES, mail_invitations
from activities.services.logging import ActivityDraft, log_activity
from tests.factories import acting, inside, make_lead, make_user

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
AT = datetime(2026, 3, 30, 13, 0, tzinfo=UTC)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def host(tenant):
    return make_user(tenant, first_name="Ann", last_name="Lee", email="ann@home.example", time_zone="Europe/Berlin")


@pytest.fixture
def lead(tenant, host):
    return make_lead(tenant, first_name="Jane", owner=host)


def meet(lead, host, **fields):
    draft = {
        "activity_type": ActivityType.MEETING, "description": "Demo\nBring the offer", "due_at": AT, "duration": 45,
        "attendees": ["jane@acme.example", "Bob@acme.example"], "location": "Room 4", "invite": True, **fields,
    }  # fmt: skip
    with acting(host) as by:
        return log_activity(lead_id=lead.pk, draft=ActivityDraft(**draft), by=by)


def sent():
    """Mail what is due and answer the mails, by recipient."""
    mail.outbox.clear()
    mail_invitations()
    return {message.to[0]: message for message in mail.outbox}


def event_of(message):
    ics, mimetype = message.alternatives[0]
    calendar = Calendar.from_ical(ics)
    assert mimetype == f"text/calendar; method={calendar['method']}"
    return calendar["method"], calendar.walk("VEVENT")[0]


def test_attendees_are_invited_each_by_a_mail_with_a_calendar_part(clock, lead, host):
    row = meet(lead, host)
    mails = sent()
    assert set(mails) == {"jane@acme.example", "bob@acme.example"}
    message = mails["jane@acme.example"]
    method, event = event_of(message)
    assert (message.subject, message.reply_to) == ("Invitation: Demo", ["ann@home.example"])
    assert message.from_email.startswith('"Ann Lee via SalesMagnet" <') or message.from_email.startswith("Ann Lee via SalesMagnet <")
    assert "March 30, 2026, 3 p.m. (Europe/Berlin), 45 minutes" in message.body
    assert "Bring the offer" in message.body
    assert (method, event["uid"], event["sequence"]) == ("REQUEST", f"activity-{row.pk}@localhost", 0)
    assert (event["dtstart"].dt, event["dtend"].dt) == (AT, AT + timedelta(minutes=45))
    assert (event["organizer"], event["organizer"].params["CN"]) == ("mailto:ann@home.example", "Ann Lee")
    assert [str(address) for address in event["attendee"]] == ["mailto:jane@acme.example", "mailto:bob@acme.example"]
    assert event["attendee"][0].params["RSVP"] == "TRUE"
    part = next(part for part in message.message().walk() if part.get_content_type() == "text/calendar")
    assert (part.get_param("method"), part.get_content_charset()) == ("REQUEST", "utf-8")
    assert sent() == {}


def test_nobody_is_invited_who_was_not_asked_for_nor_to_what_took_place(clock, lead, host):
    meet(lead, host, invite=False)
    meet(lead, host, status=ActivityStatus.COMPLETED, occurred_at=NOW)
    meet(lead, host, activity_type=ActivityType.CALL)
    meet(lead, host, attendees=())
    assert sent() == {}


def test_a_new_time_is_told_once_it_has_settled_and_moved_back_it_is_not(clock, lead, host):
    row = meet(lead, host)
    sent()
    with acting(host) as by:
        reschedule(activity_id=row.pk, due_at=AT + timedelta(hours=1), by=by)
    assert sent() == {}
    clock.shift(SETTLES)
    mails = sent()
    method, event = event_of(mails["bob@acme.example"])
    assert (mails["bob@acme.example"].subject, method, event["sequence"]) == ("Changed: Demo", "REQUEST", 1)
    assert event["dtstart"].dt == AT + timedelta(hours=1)
    with acting(host) as by:
        reschedule(activity_id=row.pk, due_at=AT, by=by)
        reschedule(activity_id=row.pk, due_at=AT + timedelta(hours=1), by=by)
        edit_activity(activity_id=row.pk, data={"priority": 4}, by=by)
    clock.shift(SETTLES)
    assert sent() == {}


def test_called_off_and_on_again(clock, lead, host):
    row = meet(lead, host)
    sent()
    with acting(host) as by:
        update_status(activity_id=row.pk, status=ActivityStatus.CANCELLED, by=by)
    clock.shift(SETTLES)
    message = sent()["jane@acme.example"]
    method, event = event_of(message)
    assert (message.subject, method, event["status"], event["sequence"]) == ("Called off: Demo", "CANCEL", "CANCELLED", 1)
    assert (event["dtstart"].dt, str(event["attendee"])) == (AT, "mailto:jane@acme.example")
    assert "has called off this meeting" in message.body
    with acting(host) as by:
        update_status(activity_id=row.pk, status=ActivityStatus.PENDING, by=by)
    clock.shift(SETTLES)
    method, event = event_of(sent()["jane@acme.example"])
    assert (method, event["sequence"]) == ("REQUEST", 2)


def test_what_is_called_off_before_anybody_was_told_is_not_told_and_what_took_place_neither(clock, lead, host):
    first, second = meet(lead, host), meet(lead, host)
    with acting(host) as by:
        update_status(activity_id=first.pk, status=ActivityStatus.CANCELLED, by=by)
        update_status(activity_id=second.pk, status=ActivityStatus.COMPLETED, by=by)
    clock.shift(SETTLES)
    assert sent() == {}


def test_a_meeting_that_loses_its_date_is_called_off(clock, lead, host):
    row = meet(lead, host)
    sent()
    with acting(host) as by:
        reschedule(activity_id=row.pk, due_at=None, by=by)
    clock.shift(SETTLES)
    assert event_of(sent()["jane@acme.example"])[0] == "CANCEL"


def test_nothing_in_a_text_or_a_name_becomes_a_header_or_a_property(clock, tenant, lead):
    host = make_user(tenant, first_name='An"n\r\nBcc: x@evil.example', last_name="Lee;X=1:y", email="ann2@home.example")
    meet(lead, host, description="Hi\u2028Bcc: x@evil.example\r\nATTENDEE:mailto:x@evil.example", location="A\nDTSTART:19700101T000000Z")
    message = sent()["jane@acme.example"].message()
    assert message["Bcc"] is None
    assert "\n" not in message["Subject"]
    ics = next(part for part in message.walk() if part.get_content_type() == "text/calendar").get_payload(decode=True)
    (event,) = Calendar.from_ical(ics).walk("VEVENT")
    assert [str(address) for address in event["attendee"]] == ["mailto:jane@acme.example", "mailto:bob@acme.example"]
    assert event["dtstart"].dt == AT
    assert event["organizer"] == "mailto:ann2@home.example"


def test_a_mail_that_is_refused_is_tried_again_later_and_given_up_at_last(clock, tenant, lead, host, monkeypatch):
    meet(lead, host, attendees=["jane@acme.example"])

    def refuse(*_args):
        raise OSError("no")

    with monkeypatch.context() as patch:
        patch.setattr("django.core.mail.EmailMultiAlternatives.send", refuse)
        assert sent() == {}
        clock.shift(timedelta(minutes=1))
        assert mail_invitations() == 0
        with inside(tenant.pk):
            assert MeetingInvitation.objects.get().tries == 1
        for _number in range(GIVE_UP_AFTER):
            clock.shift(timedelta(days=1))
            mail_invitations()
    with inside(tenant.pk):
        row = MeetingInvitation.objects.get()
        assert (row.tries, row.send_at, row.told) == (GIVE_UP_AFTER, None, "")
    clock.shift(timedelta(days=1))
    assert sent() == {}


def test_a_worker_that_dies_in_between_mails_it_once_more(clock, tenant, lead, host):
    meet(lead, host, attendees=["jane@acme.example"])
    assert len(invitations._claim(tenant.pk)) == 1
    assert sent() == {}
    clock.shift(LEASE)
    assert set(sent()) == {"jane@acme.example"}


def test_what_changes_while_it_is_mailed_is_told_afterwards(clock, tenant, lead, host):
    row = meet(lead, host, attendees=["jane@acme.example"])
    ((claimed, zone),) = invitations._claim(tenant.pk)
    with acting(host) as by:
        reschedule(activity_id=row.pk, due_at=AT + timedelta(hours=2), by=by)
    mail.outbox.clear()
    assert invitations._mail(tenant.pk, claimed, zone)
    assert event_of(mail.outbox[0])[1]["dtstart"].dt == AT
    clock.shift(SETTLES)
    _method, event = event_of(sent()["jane@acme.example"])
    assert (event["dtstart"].dt, event["sequence"]) == (AT + timedelta(hours=2), 1)


def test_the_next_of_a_recurring_meeting_invites_the_same_people(clock, tenant, lead, host):
    row = meet(lead, host, recurrence="FREQ=WEEKLY")
    sent()
    with acting(host) as by:
        update_status(activity_id=row.pk, status=ActivityStatus.COMPLETED, by=by)
    _method, event = event_of(sent()["jane@acme.example"])
    # The clocks go forward on 29 March; three in the afternoon stays three in the afternoon.
    assert event["dtstart"].dt == AT + timedelta(days=7)
    with inside(tenant.pk):
        assert event["uid"] == f"activity-{Activity.objects.get(series=row.pk, status='pending').pk}@localhost"


def test_the_form_and_the_api_invite_where_it_is_asked_for(pages, api, tenant, lead, host):
    at = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    form = {"activity_type": "meeting", "description": "Demo", "due_at": at, "attendees": "a@acme.example; b@acme.example"}
    assert 'name="invite"' in pages(host).get(f"/leads/{lead.pk}").content.decode()
    pages(host).post(f"/leads/{lead.pk}/activities", form)
    assert sent() == {}
    pages(host).post(f"/leads/{lead.pk}/activities", {**form, "invite": "on"})
    assert set(sent()) == {"a@acme.example", "b@acme.example"}
    body = {
        "lead_id": lead.pk,
        "activity_type": "meeting",
        "next_follow_up_date": f"{at}:00Z",
        "attendees": ["c@acme.example"],
        "invite": True,
    }
    assert api(host).post("/api/activities/log", body).status_code == 201
    assert set(sent()) == {"c@acme.example"}
