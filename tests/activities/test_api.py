"""The endpoints of document 1's "Lead Activity Management", with its examples."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.models import Activity
from activities.services.counts import wrong_counts
from activities.services.logging import ActivityDraft, log_activity
from audit.services.undo import undo_operation
from crm.operations import runner
from crm.operations.models import Operation
from tests.factories import acting, inside, make_lead, make_user

NOW = datetime(2024, 6, 11, 10, tzinfo=UTC)
URL = "/api/activities"


@pytest.fixture
def client(clock, api, alice):
    return api(alice)


@pytest.fixture
def clock():
    with time_machine.travel(NOW, tick=False) as traveller:
        yield traveller


@pytest.fixture
def lead(clock, tenant, alice):
    return make_lead(tenant, first_name="Jane", last_name="Smith", email="prospect@example.com", owner=alice)


def log(client, lead, **body):
    given = {"leadId": lead.pk, "activityType": "call", "description": "Initial call made to prospect", **body}
    answer = client.post(f"{URL}/log", given)
    assert answer.status_code == 201, answer.json()
    return answer.json()["data"]["activity"]


def test_log_answers_the_example(client, lead, alice):
    body = {
        "leadId": lead.pk,
        "activityType": "call",
        "description": "Initial call made to prospect",
        "nextFollowUpDate": "2024-06-15T10:00:00Z",
        "priority": "high",
        "status": "pending",
    }
    answer = client.post(f"{URL}/log", body)
    assert (answer.status_code, answer.json()["message"]) == (201, "Activity logged successfully")
    data = answer.json()["data"]
    assert data["activity_id"] == data["activity"]["id"]
    shown = {
        name: data["activity"][name]
        for name in ("lead_id", "user_id", "activity_type", "description", "next_follow_up_date", "priority", "status", "created_at")
    }
    assert shown == {
        "lead_id": lead.pk,
        "user_id": alice.pk,
        "activity_type": "call",
        "description": "Initial call made to prospect",
        "next_follow_up_date": "2024-06-15T10:00:00Z",
        "priority": "high",
        "status": "pending",
        "created_at": "2024-06-11T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"activityType": "dance"}, "activity_type"),
        ({"leadId": "x"}, "lead_id"),
        ({"priority": "huge"}, "priority"),
        ({"status": "maybe"}, "status"),
        ({"nextFollowUpDate": "soon"}, "next_follow_up_date"),
        ({"nextFollowUpDate": "2080-01-01T00:00:00Z"}, "due_at"),
        ({"activityType": "note", "description": ""}, "description"),
        ({"recurrence": "FREQ=SECONDLY", "nextFollowUpDate": "2024-06-15T10:00:00Z"}, "recurrence"),
        ({"recurrence": "FREQ=DAILY"}, "recurrence"),
        ({"attendees": ["nobody"]}, "attendees"),
        ({"user_id": 987654321}, "user_id"),
    ],
)
def test_log_refuses_by_field_and_writes_nothing(client, lead, tenant, body, field):
    answer = client.post(f"{URL}/log", {"leadId": lead.pk, "activityType": "call", "description": "x", **body})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    with inside(tenant.pk):
        assert not Activity.objects.exists()


def test_a_lead_out_of_sight_is_not_there(client, clock, next_door, tenant, api, bob, alice):
    foreign = make_lead(next_door)
    assert client.post(f"{URL}/log", {"leadId": foreign.pk, "activityType": "call"}).status_code == 404
    assert client.get(f"{URL}/lead/{foreign.pk}").status_code == 404
    rep = make_user(tenant, role="sales_rep")
    hidden = make_lead(tenant, owner=alice)
    mine = log(client, hidden)
    assert api(rep).put(f"{URL}/update-status", {"activityId": mine["id"], "status": "completed"}).status_code == 404
    assert api(rep).get(f"{URL}/entity").json()["data"] == []
    assert client.get(f"{URL}/entity").json()["total"] == 1


def test_support_reads_and_does_not_write(api, tenant, lead):
    support = api(make_user(tenant, role="support"))
    assert support.get(f"{URL}/lead/{lead.pk}").status_code == 200
    assert support.post(f"{URL}/log", {"leadId": lead.pk, "activityType": "call"}).status_code == 403


def test_a_leads_activities_are_filtered_and_counted(client, lead, alice):
    log(client, lead, priority="high")
    log(client, lead, activityType="note", status="completed")
    log(client, lead, activityType="email", priority="critical")
    rows = client.get(f"{URL}/lead/{lead.pk}", {"activity_type": "call", "priority": "high", "user_id": alice.pk, "limit": 20}).json()
    assert [row["activity_type"] for row in rows["data"]] == ["call"]
    assert rows["filters"] == {"activity_type": "call", "user_id": alice.pk, "priority": "high", "limit": 20, "offset": 0}
    assert rows["total"] == 1
    assert client.get(f"{URL}/lead/{lead.pk}", {"priority": "urgent"}).json()["data"][0]["activity_type"] == "email"
    paged = client.get(f"{URL}/lead/{lead.pk}", {"limit": 1, "offset": 2}).json()
    assert (len(paged["data"]), paged["total"]) == (1, 3)
    assert client.get(f"{URL}/lead/{lead.pk}", {"date_to": "2024-06-10"}).json()["total"] == 0
    assert client.get(f"{URL}/lead/{lead.pk}", {"date_from": "2024-06-11", "date_to": "2024-06-11"}).json()["total"] == 3
    assert client.get(f"{URL}/lead/{lead.pk}", {"status": "asleep"}).status_code == 400


def test_pending_follow_ups_answer_the_example(client, lead, alice):
    made = log(client, lead, description="Follow-up call needed", nextFollowUpDate="2024-06-12T10:00:00Z", priority="urgent")
    log(client, lead, nextFollowUpDate="2024-06-11T09:00:00Z")
    answer = client.get(f"{URL}/follow-ups/pending", {"priority": "urgent", "limit": 20}).json()
    row = answer["data"][0]
    names = ("id", "lead_id", "user_id", "activity_type", "description", "next_follow_up_date", "priority", "status")
    assert {name: row[name] for name in names} == {name: made[name] for name in names}
    assert (row["hours_until_follow_up"], row["lead_email"], row["lead_first_name"], row["lead_last_name"]) == (
        24, "prospect@example.com", "Jane", "Smith",
    )  # fmt: skip
    assert (answer["filters"], answer["total"]) == ({"priority": "urgent", "limit": 20, "offset": 0}, 1)
    overdue = client.get(f"{URL}/follow-ups/overdue", {"user_id": alice.pk}).json()
    assert [row["hours_until_follow_up"] for row in overdue["data"]] == [-1]


def test_follow_up_summary_counts_by_urgency_and_date(client, lead):
    for days, priority in ((1, "urgent"), (3, "high"), (3, "high"), (20, "low")):
        log(client, lead, nextFollowUpDate=(NOW + timedelta(days=days, hours=-1)).isoformat(), priority=priority)
    log(client, lead)
    assert client.get(f"{URL}/follow-ups/summary").json()["data"] == {
        "total_pending": 4, "urgent_pending": 1, "high_pending": 2, "overdue": 0, "due_within_24h": 1, "due_within_week": 3,
    }  # fmt: skip


def test_status_and_date_are_updated(client, lead, tenant):
    made = log(client, lead, nextFollowUpDate="2024-06-12T10:00:00Z")
    moved = client.put(
        f"{URL}/update-follow-up",
        {"activityId": made["id"], "nextFollowUpDate": "2024-06-20T10:00:00Z", "notes": "Rescheduled for next week"},
    ).json()["data"]
    assert (moved["next_follow_up_date"], moved["notes"]) == ("2024-06-20T10:00:00Z", "Rescheduled for next week")
    done = client.put(f"{URL}/update-status", {"activityId": made["id"], "status": "completed", "notes": "Call completed successfully"})
    assert (done.json()["data"]["status"], done.json()["data"]["completed_at"]) == ("completed", "2024-06-11T10:00:00Z")
    late = client.put(f"{URL}/update-follow-up", {"activityId": made["id"], "nextFollowUpDate": "2024-06-21T10:00:00Z"})
    assert (late.status_code, late.json()["error"]["code"]) == (409, "NOT_PENDING")
    assert client.put(f"{URL}/update-status", {"activityId": made["id"], "status": "pending"}).json()["data"]["completed_at"] is None


def test_bulk_follow_ups_answer_the_example_and_can_be_taken_back(client, lead, tenant, alice):
    ids = [log(client, lead, nextFollowUpDate=f"2024-06-1{day}T10:00:00Z")["id"] for day in (2, 3, 4)]
    over = log(client, lead, status="completed")["id"]
    body = {
        "activityIds": [*ids, over, 99_999_999],
        "nextFollowUpDate": "2024-06-25T10:00:00Z",
        "notes": "Bulk reschedule due to team availability",
    }
    answer = client.put(f"{URL}/bulk-update-follow-ups", body).json()
    assert answer["message"] == "Successfully updated 3 follow-up dates"
    assert (answer["data"]["updated_count"], answer["data"]["next_follow_up_date"]) == (3, "2024-06-25T10:00:00Z")
    assert answer["data"]["failed_count"] == 2
    with inside(tenant.pk):
        operation = Operation.objects.get(pk=answer["data"]["operation_id"])
        assert set(Activity.objects.filter(pk__in=ids).values_list("due_at", flat=True)) == {datetime(2024, 6, 25, 10, tzinfo=UTC)}
    with acting(alice) as by:
        runner.run_inline(undo_operation(operation=operation, by=by))
        assert list(Activity.objects.filter(pk__in=ids).order_by("pk").values_list("due_at__day", flat=True)) == [12, 13, 14]


def test_statistics_answer_the_example(client, lead, tenant):
    for status, number in (("completed", 4), ("pending", 1)):
        for _ in range(number):
            log(client, lead, status=status)
    log(client, lead, activityType="note", status="cancelled", priority="urgent")
    span = {"date_from": "2024-06-01", "date_to": "2024-06-30"}
    assert client.get(f"{URL}/statistics", span).json()["data"] == [
        {
            "activity_type": "call", "total_activities": 5, "completed_activities": 4, "pending_activities": 1, "cancelled_activities": 0,
            "completion_rate": 80.0,
        },
        {
            "activity_type": "note", "total_activities": 1, "completed_activities": 0, "pending_activities": 0, "cancelled_activities": 1,
            "completion_rate": 0.0,
        },
    ]  # fmt: skip
    assert client.get(f"{URL}/statistics", {"date_from": "2024-06-12"}).json()["data"] == []
    spread = client.get(f"{URL}/priority-distribution", span).json()["data"]
    assert [(row["priority"], row["count"], row["percentage"]) for row in spread] == [
        ("urgent", 1, 16.67), ("high", 0, 0.0), ("medium", 5, 83.33), ("low", 0, 0.0),
    ]  # fmt: skip
    summary = client.get(f"{URL}/summary").json()["data"]
    assert (summary["total_activities"], summary["today"], summary["this_week"], summary["by_type"]) == (6, 6, 6, {"call": 5, "note": 1})
    assert client.get(f"{URL}/statistics", {"date_from": "2024-06-12", "date_to": "2024-06-11"}).status_code == 400
    with inside(tenant.pk):
        assert wrong_counts() == 0


def test_performance_is_everybodys_for_a_manager_and_ones_own_for_a_rep(client, api, lead, tenant, alice):
    rep = make_user(tenant, role="sales_rep", first_name="Rita", last_name="Rep")
    own = make_lead(tenant, owner=rep)
    log(client, lead)
    log(api(rep), own, status="completed")
    log(api(rep), own, activityType="email", status="completed")
    everybody = client.get(f"{URL}/user-performance").json()["data"]
    assert [(row["user_id"], row["total_activities"], row["completion_rate"]) for row in everybody] == [
        (rep.pk, 2, 100.0),
        (alice.pk, 1, 0.0),
    ]
    assert everybody[0]["by_type"] == {"call": 1, "email": 1}
    assert [row["user_id"] for row in client.get(f"{URL}/user-performance", {"user_id": rep.pk}).json()["data"]] == [rep.pk]
    assert [row["user_id"] for row in api(rep).get(f"{URL}/user-performance").json()["data"]] == [rep.pk]
    assert api(rep).get(f"{URL}/user-performance", {"user_id": alice.pk}).json()["data"] == []


@pytest.mark.parametrize("item_count", [1, 3])
@pytest.mark.parametrize("path", ["entity", "user", "recent", "follow-ups/pending"])
def test_lists_take_the_same_queries_however_long(client, lead, path, item_count, django_assert_max_num_queries):
    for _ in range(item_count):
        log(client, lead, nextFollowUpDate="2024-06-12T10:00:00Z")
    # What is to be followed up reads the tenant's statuses besides.
    with django_assert_max_num_queries(10 if path == "follow-ups/pending" else 9):
        assert len(client.get(f"{URL}/{path}").json()["data"]) == item_count


def test_snooze_rests_and_reminds(client, lead):
    made = log(client, lead, nextFollowUpDate="2024-06-12T10:00:00Z")
    rested = client.put(f"{URL}/{made['id']}/snooze", {"until": "2024-06-13T09:00:00Z"}).json()["data"]
    assert (rested["snoozed_until"], rested["remind_at"], rested["next_follow_up_date"]) == (
        "2024-06-13T09:00:00Z", "2024-06-13T09:00:00Z", "2024-06-12T10:00:00Z",
    )  # fmt: skip
    assert client.put(f"{URL}/{made['id']}/snooze", {"until": "2024-06-01T09:00:00Z"}).status_code == 400
    assert timezone.now() == NOW


def test_the_date_of_what_is_over_is_the_leads_next_follow_up(client, lead, tenant):
    body = {"leadId": lead.pk, "activityType": "call", "status": "completed", "nextFollowUpDate": "2024-06-15T10:00:00Z"}
    data = client.post(f"{URL}/log", body).json()["data"]
    assert (data["activity"]["status"], data["activity"]["next_follow_up_date"], data["next_follow_up"]) == (
        "completed", None, "2024-06-15T10:00:00Z",
    )  # fmt: skip
    pending = client.get(f"{URL}/follow-ups/pending").json()["data"]
    assert [(row["activity_type"], row["next_follow_up_date"]) for row in pending] == [("follow_up", "2024-06-15T10:00:00Z")]
    held = client.post(f"{URL}/log", {**body, "activityType": "meeting", "nextFollowUpDate": "2024-06-10T10:00:00Z"}).json()["data"]
    assert held["activity"]["next_follow_up_date"] == "2024-06-10T10:00:00Z"


def test_times_without_a_zone_are_the_callers(client, lead, tenant, alice):
    with inside(tenant.pk):
        type(alice).objects.filter(pk=alice.pk).update(time_zone="America/New_York")
    given = {
        "2024-12-01": "2024-12-01T14:00:00Z",
        "2024-06-15T10:00:00": "2024-06-15T14:00:00Z",
        "2024-06-15T10:00:00+02:00": "2024-06-15T08:00:00Z",
    }
    assert {text: log(client, lead, nextFollowUpDate=text)["next_follow_up_date"] for text in given} == given
    for text in ("2024-13-01", "soon", "0001-01-01T00:00:00+14:00"):
        answer = client.post(f"{URL}/log", {"leadId": lead.pk, "activityType": "call", "nextFollowUpDate": text})
        assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["next_follow_up_date"])


def test_what_the_product_records_is_not_for_people_to_log(client, lead):
    answer = client.post(f"{URL}/log", {"leadId": lead.pk, "activityType": "system", "description": "Merged"})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (400, ["activity_type"])
    assert log(client, lead, activityType="status_change")["activity_type"] == "status_change"


def test_lists_have_the_documented_length(client, lead):
    for path, length in (("user", 20), ("recent", 20), ("follow-ups/pending", 20), (f"lead/{lead.pk}", 20), ("entity", 50)):
        assert client.get(f"{URL}/{path}").json()["filters"]["limit"] == length


def test_nobody_follows_up_what_is_won_or_lost(client, api, lead, tenant, alice):
    rep = make_user(tenant, role="sales_rep")
    own = make_lead(tenant, owner=rep)
    for item in (lead, own):
        log(client, item, nextFollowUpDate="2024-06-12T10:00:00Z", userId=rep.pk)
    with inside(tenant.pk):
        own.status = type(own.status).objects.get(code="lost")
        own.save()
    for caller, number in ((client, 1), (api(rep), 0)):
        for query in ({}, {"user_id": rep.pk}):
            answer = caller.get(f"{URL}/follow-ups/pending", query).json()
            assert (len(answer["data"]), answer["total"]) == (number, number)
            assert caller.get(f"{URL}/follow-ups/summary", query).json()["data"]["total_pending"] == number


def test_a_mention_that_reaches_nobody_is_said(client, lead, tenant, alice):
    rep = make_user(tenant, role="sales_rep", first_name="Rita", last_name="Rep")
    body = {"leadId": lead.pk, "activityType": "note", "description": f"Ask @[Rita Rep]({rep.pk})"}
    answer = client.post(f"{URL}/log", body).json()
    assert answer["data"]["not_told"] == ["Rita Rep"]
    assert "Not told" in answer["message"]


# --- the timeline ---


def test_timeline_answers_document_0s_words(api, tenant, alice):
    # The history's times are the database's, so this one runs in real time.
    client, now = api(alice), timezone.now()
    lead = make_lead(tenant, first_name="Jane", last_name="Smith", created_at=now - timedelta(days=3))
    outcome = "Positive - interested in enterprise package"
    with acting(alice) as by:
        draft = ActivityDraft(
            activity_type=ActivityType.CALL, status=ActivityStatus.COMPLETED, duration=15, description="Discussed pricing options", outcome=outcome,
            occurred_at=now - timedelta(days=2, minutes=1),
        )  # fmt: skip
        call = log_activity(lead_id=lead.pk, draft=draft, by=by)
    client.put(f"/api/leads/{lead.pk}", {"status": "qualified"})
    data = client.get(f"/api/leads/{lead.pk}/timeline").json()["data"]
    assert (data["lead_id"], data["lead_name"]) == (lead.pk, "Jane Smith")
    assert [(row["activity_type"], row["category"], row["description"], row["time_ago"]) for row in data["timeline"]] == [
        ("status_changed", "lead_management", 'Status changed from "New" to "Qualified"', "just now"),
        ("call_made", "communication", "Call made (15 minutes): Discussed pricing options", "2 days ago"),
        ("lead_created", "data_management", "Lead created (system)", "3 days ago"),
    ]
    entry = data["timeline"][1]
    assert (entry["id"], entry["data"]["duration"], entry["data"]["outcome"], entry["user_id"]) == (
        f"activity_{call.pk}", "15 minutes", outcome, alice.pk,
    )  # fmt: skip
    last = data["timeline"][0]
    assert data["statistics"] == {
        "total_activities": 3,
        "by_category": {"communication": 1, "lead_management": 1, "engagement": 0, "data_management": 1},
        "last_activity": {"activity_type": "status_changed", "timestamp": last["timestamp"]},
        "activity_frequency": "0.10",
    }
    assert data["summary"] == {
        "total_activities": 3,
        "activities_shown": 3,
        "date_range": {"earliest": data["timeline"][-1]["timestamp"], "latest": last["timestamp"]},
    }


def test_timeline_is_narrowed_and_paged(client, lead, clock):
    for number in range(5):
        clock.move_to(NOW + timedelta(minutes=number + 1))
        log(client, lead, status="completed", description=f"Call {number}")
        client.put(f"/api/leads/{lead.pk}", {"company": f"Company {number}"})
    path = f"/api/leads/{lead.pk}/timeline"
    calls = client.get(path, {"activity_types": "call_made", "limit": 2}).json()["data"]
    assert [row["description"] for row in calls["timeline"]] == ["Call made: Call 4", "Call made: Call 3"]
    assert (calls["summary"]["total_activities"], calls["summary"]["activities_shown"]) == (5, 2)
    assert client.get(path, {"activity_types": "call"}).json()["data"]["summary"]["total_activities"] == 5
    assert client.get(path, {"category": "data_management"}).json()["data"]["summary"]["total_activities"] == 6
    assert client.get(path, {"include_system": "false"}).json()["data"]["summary"]["total_activities"] == 10
    assert client.get(path, {"end_date": "2024-06-10"}).json()["data"]["timeline"] == []
    assert client.get(path, {"activity_types": "sung"}).status_code == 400
    assert client.get(path, {"cursor": "x"}).status_code == 400
    whole = [row["id"] for row in client.get(path).json()["data"]["timeline"]]
    walked, cursor = [], ""
    while cursor is not None:
        page = client.get(path, {"limit": 3, "cursor": cursor}).json()["data"]
        walked += [row["id"] for row in page["timeline"]]
        cursor = page["next_cursor"]
    assert walked == whole
    assert len(whole) == 11
    plain = client.get(f"{URL}/lead/{lead.pk}/timeline", {"limit": 4}).json()
    assert [row["id"] for row in plain["data"]] == whole[:4]


def test_timelines_filters_and_counts_agree(client, lead, clock, alice, bob):
    """The counting statement and the entries themselves are two ways to the same story."""
    steps = [{"company": "A"}, {"status": "qualified"}, {"assigned_to": bob.pk}, {"company": "B", "tags": ["x"]}, {"assigned_to": None}]
    for number, body in enumerate(steps):
        clock.move_to(NOW + timedelta(minutes=number + 1))
        assert client.put(f"/api/leads/{lead.pk}", body).status_code == 200
    path = f"/api/leads/{lead.pk}/timeline"
    entries = client.get(path).json()["data"]["timeline"]
    for kind in {row["activity_type"] for row in entries}:
        data = client.get(path, {"activity_types": kind}).json()["data"]
        expected = [row["id"] for row in entries if row["activity_type"] == kind]
        assert ([row["id"] for row in data["timeline"]], data["summary"]["total_activities"]) == (expected, len(expected)), kind
