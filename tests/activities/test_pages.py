"""The lead's page with composer, open work and timeline; Today; what is done with a click."""

import html
import re
from datetime import timedelta

import pytest
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity
from activities.services.logging import ActivityDraft, log_activity
from leads.models import Lead
from notifications.models import Notification
from tests.factories import acting, inside, make_lead, make_user

HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def web(pages, alice):
    return pages(alice)


def text(answer):
    return answer.content.decode()


def plan(lead, user, *, kind=ActivityType.FOLLOW_UP, **fields):
    with acting(user) as by:
        return log_activity(
            lead_id=lead.pk, draft=ActivityDraft(activity_type=kind, **{"description": "Ask about the offer", **fields}), by=by
        )


def stored(row):
    with inside(row.tenant_id):
        return type(row).objects.get(pk=row.pk)


# --- the composer ---


def test_a_note_is_recorded_and_stands_in_the_timeline(web, tenant):
    lead = make_lead(tenant, first_name="Jane")
    answer = web.post(f"/leads/{lead.pk}/activities", {"activity_type": "note", "description": "Likes <b>tea</b>"}, follow=True)
    assert answer.redirect_chain == [(f"/leads/{lead.pk}", 302)]
    assert "Likes &lt;b&gt;tea&lt;/b&gt;" in text(answer)


def test_a_call_with_its_outcome_closes_what_was_due_and_sets_the_next(web, tenant, alice):
    lead = make_lead(tenant, owner=alice, next_follow_up_at=timezone.now() - timedelta(hours=1))
    with inside(tenant.pk):
        due = Activity.objects.get(lead=lead)
    assert f'name="closes" value="{due.pk}"' in text(web.get(f"/leads/{lead.pk}"))
    soon = timezone.localtime() + timedelta(days=2)
    web.post(
        f"/leads/{lead.pk}/activities",
        {
            "activity_type": "call", "description": "Talked prices", "duration": "12", "outcome": "Interested", "closes": due.pk, "closing": "on",
            "then_at": soon.strftime("%Y-%m-%dT%H:%M"),
        },
    )  # fmt: skip
    assert stored(due).status == "completed"
    with inside(tenant.pk):
        call = Activity.objects.get(lead=lead, activity_type="call")
        after = Lead.objects.get(pk=lead.pk)
    assert (call.status, call.duration, call.outcome) == ("completed", 12, "Interested")
    assert (after.last_contact_at, after.next_follow_up_at) == (call.completed_at, soon.replace(second=0, microsecond=0))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"activity_type": "note"}, "Say what it is about"),
        ({"activity_type": "meeting", "description": "x"}, "Choose a day and time"),
        ({"activity_type": "meeting", "description": "x", "due_at": "2030-01-01T10:00", "attendees": "nobody"}, "nobody"),
        ({"activity_type": "call", "then_at": "2001-01-01T10:00"}, "Choose a time ahead"),
    ],
)
def test_the_composer_says_what_is_wrong_and_keeps_what_was_typed(web, tenant, data, said):
    lead = make_lead(tenant)
    answer = web.post(f"/leads/{lead.pk}/activities", data)
    assert answer.status_code == 422
    assert said in text(answer)
    with inside(tenant.pk):
        assert not Activity.objects.exists()


def undo_address(answer, path):
    """What the latest message of a page offers to post."""
    return html.unescape(re.findall(rf'"({re.escape(path)}\?[^"]+)"', text(answer))[-1])


def test_a_task_stands_open_and_is_done_put_off_and_had_back(web, tenant, alice):
    lead = make_lead(tenant, owner=alice)
    tomorrow = (timezone.localtime() + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M")
    web.post(
        f"/leads/{lead.pk}/activities", {"activity_type": "task", "description": "Send the contract", "due_at": tomorrow, "priority": "3"}
    )
    with inside(tenant.pk):
        task = Activity.objects.get(lead=lead)
    assert f'id="open-{task.pk}"' in text(web.get(f"/leads/{lead.pk}"))
    web.post(f"/activities/{task.pk}/put-off", {"in": "3d"})
    put_off = stored(task)
    assert timezone.localtime(put_off.due_at).hour == 9
    done = web.post(f"/activities/{task.pk}/done", {}, follow=True)
    assert stored(task).status == "completed"
    undo = undo_address(done, f"/activities/{task.pk}/reopen")
    for forged in (undo.split("?")[0], undo.replace("was=", "was=x"), f"{undo.split('?')[0]}?due=2001-01-01T09:00:00%2B00:00"):
        web.post(forged)
        assert stored(task).status == "completed"
    web.post(undo)
    assert (stored(task).status, stored(task).due_at, stored(task).completed_at) == ("pending", put_off.due_at, None)


def test_an_activity_is_edited_rested_and_given_up(web, tenant, alice):
    lead = make_lead(tenant, owner=alice)
    task = plan(lead, alice, due_at=timezone.now() + timedelta(days=1))
    assert "Ask about the offer" in text(web.get(f"/activities/{task.pk}"))
    web.post(
        f"/activities/{task.pk}", {"description": "Ask again", "due_at": "2030-05-01T10:30", "priority": "4", "location": "", "outcome": ""}
    )
    changed = stored(task)
    assert (changed.description, changed.priority, timezone.localtime(changed.due_at).strftime("%Y-%m-%d %H:%M")) == (
        "Ask again",
        4,
        "2030-05-01 10:30",
    )
    web.post(f"/activities/{task.pk}/snooze", {"in": "1h"})
    assert stored(task).snoozed_until is not None
    web.post(f"/activities/{task.pk}/cancel")
    assert stored(task).status == "cancelled"


def test_support_sees_and_changes_nothing(pages, tenant, alice):
    web = pages(make_user(tenant, role="support"))
    lead = make_lead(tenant, owner=alice)
    task = plan(lead, alice, due_at=timezone.now() + timedelta(days=1))
    page = text(web.get(f"/leads/{lead.pk}"))
    assert ("data-composer" in page, f'id="open-{task.pk}"' in page, f"/activities/{task.pk}/done" in page) == (False, True, False)
    assert web.post(f"/leads/{lead.pk}/activities", {"activity_type": "note", "description": "x"}).status_code == 403
    assert web.post(f"/activities/{task.pk}/done").status_code == 403
    assert stored(task).status == "pending"


# --- mentions ---


def test_colleagues_are_offered_named_and_told(web, tenant, alice, bob):
    names = web.get("/activities/people", {"q": bob.first_name[:2]}).json()["names"]
    assert bob.full_name in names
    lead = make_lead(tenant, first_name="Jane", owner=bob)
    web.post(f"/leads/{lead.pk}/activities", {"activity_type": "note", "description": f"@{bob.full_name} please look, a@b.example"})
    with inside(tenant.pk):
        note = Activity.objects.get(lead=lead)
        assert note.description == f"@[{bob.full_name}]({bob.pk}) please look, a@b.example"
        told = Notification.objects.get(kind="mention")
        assert (told.user_id, told.url) == (bob.pk, f"/leads/{lead.pk}#activity-{note.pk}")
    assert f'<span class="mention">@{bob.full_name}</span>' in text(web.get(f"/leads/{lead.pk}"))


def test_who_may_not_see_the_lead_is_not_told(web, tenant, alice):
    rep = make_user(tenant, role="sales_rep", first_name="Rita", last_name="Rep")
    lead = make_lead(tenant, owner=alice)
    web.post(f"/leads/{lead.pk}/activities", {"activity_type": "note", "description": f"@{rep.full_name} <script>"})
    with inside(tenant.pk):
        assert not Notification.objects.filter(kind="mention").exists()
    assert "&lt;script&gt;" in text(web.get(f"/leads/{lead.pk}"))


# --- the timeline ---


def test_the_timeline_is_filtered_folded_and_loads_more(web, tenant, alice):
    lead = make_lead(tenant, owner=alice)
    with acting(alice):
        for number in range(4):
            Lead.objects.filter(pk=lead.pk).update(company=f"Company {number}")
    page = text(web.get(f"/leads/{lead.pk}"))
    assert "changed 4 fields" in page
    plan(lead, alice, kind=ActivityType.NOTE, status=ActivityStatus.COMPLETED, description="Only note")
    notes = text(web.get(f"/leads/{lead.pk}?show=notes"))
    assert ("Only note" in notes, "changed 4 fields" in notes) == (True, False)
    for number in range(45):
        plan(lead, alice, kind=ActivityType.NOTE, status=ActivityStatus.COMPLETED, description=f"Note number {number:02d}.")
    first = web.get(f"/leads/{lead.pk}")
    assert ("Note number 44." in text(first), "Note number 03." in text(first)) == (True, False)
    more = web.get(first.context["more_url"], **HTMX)
    assert ("Note number 03." in text(more), "<html" in text(more)) == (True, False)
    assert web.get(first.context["more_url"]).status_code == 200


# --- today ---


def queue(answer):
    return [(row["lead"]["first_name"], row["item"].kind) for row in answer.context["rows"]]


def test_today_queues_what_is_due_and_what_is_fresh(pages, bob, alice, tenant):
    now = timezone.now()
    make_lead(tenant, first_name="Late", owner=bob, next_follow_up_at=now - timedelta(days=2), status="qualified")
    make_lead(tenant, first_name="Fresh")
    make_lead(tenant, first_name="Not mine", owner=alice, next_follow_up_at=now - timedelta(days=2))
    make_lead(tenant, first_name="Won", owner=bob, next_follow_up_at=now - timedelta(days=2), status="won")
    make_lead(tenant, first_name="Stale", created_at=now - timedelta(days=9))
    make_lead(tenant, first_name="Binned", owner=bob, next_follow_up_at=now, deleted_at=now)
    assert queue(pages(bob).get("/")) == [("Late", "follow_up"), ("Fresh", "fresh")]


def test_today_orders_by_value_times_urgency(pages, bob, tenant):
    now = timezone.now()
    due = {"owner": bob, "status": "qualified"}
    make_lead(tenant, first_name="Later", next_follow_up_at=now - timedelta(minutes=1), priority=1, score=10, **due)
    make_lead(tenant, first_name="Worth more", next_follow_up_at=now - timedelta(minutes=1), priority=4, score=90, **due)
    make_lead(tenant, first_name="Long overdue", next_follow_up_at=now - timedelta(days=3), priority=1, score=10, **due)
    assert [name for name, _kind in queue(pages(bob).get("/"))] == ["Worth more", "Long overdue", "Later"]


def test_today_leaves_out_what_rests_and_keeps_to_ones_sight(pages, alice, tenant):
    rep = make_user(tenant, role="sales_rep")
    mine = make_lead(tenant, first_name="Mine", owner=rep, next_follow_up_at=timezone.now() - timedelta(hours=2), status="qualified")
    hidden = make_lead(tenant, first_name="Hidden", owner=alice, status="qualified")
    with acting(alice) as by:
        draft = ActivityDraft(activity_type=ActivityType.TASK, description="x", due_at=timezone.now() - timedelta(hours=1), user_id=rep.pk)
        log_activity(lead_id=hidden.pk, draft=draft, by=by)
    web = pages(rep)
    assert queue(web.get("/")) == [("Mine", "follow_up")]
    with inside(tenant.pk):
        pk = Activity.objects.get(lead=mine).pk
    web.post(f"/activities/{pk}/snooze", {"in": "1d"})
    assert queue(web.get("/")) == []


def test_today_is_worked_off_by_htmx_with_a_way_back(pages, bob, tenant):
    lead = make_lead(tenant, first_name="Late", owner=bob, next_follow_up_at=timezone.now() - timedelta(days=2), status="qualified")
    web = pages(bob)
    row = web.get("/").context["rows"][0]["item"]
    answer = web.post(row.done_url, {"in": "done", "next": "/"}, follow=True, **HTMX)
    assert "everything due today" in text(answer)
    assert "reopen" in text(answer)
    assert (stored(lead).next_follow_up_at, stored(lead).last_contact_at) == (None, None)


@pytest.mark.parametrize("item_count", [1, 3, 20])
def test_today_takes_the_same_queries_however_much_there_is(pages, bob, tenant, item_count, django_assert_max_num_queries):
    for number in range(item_count):
        make_lead(tenant, owner=bob, next_follow_up_at=timezone.now() - timedelta(hours=number), status="qualified")
    web = pages(bob)
    with django_assert_max_num_queries(22):
        assert len(web.get("/").context["rows"]) == item_count


def test_an_undone_put_off_brings_the_reminder_back(web, tenant, alice):
    lead = make_lead(tenant, owner=alice)
    at = timezone.now().replace(microsecond=0) + timedelta(days=1)
    with acting(alice) as by:
        draft = ActivityDraft(activity_type=ActivityType.TASK, description="Offer", due_at=at, remind_before=15)
        task = log_activity(lead_id=lead.pk, draft=draft, by=by)
    for word in ("put-off", "done", "snooze"):
        answer = web.post(f"/activities/{task.pk}/{word}", {"in": "3d"}, follow=True)
        assert stored(task).remind_at != at - timedelta(minutes=15)
        web.post(undo_address(answer, f"/activities/{task.pk}/reopen"))
        assert (stored(task).due_at, stored(task).remind_at, stored(task).snoozed_until) == (at, at - timedelta(minutes=15), None)


def test_the_author_hears_whom_a_mention_did_not_reach(web, tenant, alice):
    stranger = make_user(tenant, role="sales_rep", first_name="Rita", last_name="Rep")
    lead = make_lead(tenant, owner=alice)
    words = f"Look, @[Rita Rep]({stranger.pk}) and @[Alice]({alice.pk})"
    answer = web.post(f"/leads/{lead.pk}/activities", {"activity_type": "note", "description": words}, follow=True)
    assert "Not told, as they may not see this lead: Rita Rep." in text(answer)
