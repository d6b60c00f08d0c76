"""Document 2's leads: to the letter."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from activities.enums import ActivityStatus, ActivityType
from activities.services.logging import ActivityDraft, log_activity
from dialer.enums import Disposition, EntryStatus, WaitReason
from dialer.models import DoNotCall, QueueEntry
from leads.models import Lead
from tests.dialer.api_parts import fresh, make_agent, make_call, make_entry
from tests.factories import acting, inside, make_lead, make_user

KEYS = {
    "id", "agent_id", "first_name", "phone_e164", "status", "custom_fields", "schedule_at", "attempts_count", "disposition", "created_at", "updated_at",
}  # fmt: skip


@pytest.fixture
def agent(tenant):
    return make_agent(tenant, name="Sales Agent")


def body_for(agent, **changes):
    return {"agent_id": str(agent.public_id), "first_name": "John", "phone_e164": "+14155552670", **changes}


# --- create ---


def test_create_answers_the_lead_as_documented(alice, agent, api):
    full = body_for(
        agent,
        custom_fields={"company": "Acme Corp", "position": "Manager", "notes": "Interested in premium plan"},
        schedule_at="2025-06-24T14:00:00Z",
        what_nobody_knows=1,
    )
    answer = api(alice).post("/api/v1/leads/", full)
    body = answer.json()
    assert answer.status_code == 200
    assert set(body) >= KEYS
    assert {name: body[name] for name in ("agent_id", "first_name", "phone_e164", "status", "custom_fields", "schedule_at")} == {
        "agent_id": str(agent.public_id),
        "first_name": "John",
        "phone_e164": "+14155552670",
        "status": "new",
        "custom_fields": {"company": "Acme Corp", "position": "Manager", "notes": "Interested in premium plan"},
        "schedule_at": "2025-06-24T14:00:00Z",
    }
    assert (body["attempts_count"], body["disposition"]) == (0, None)
    with inside(alice.tenant_id):
        lead = Lead.objects.get(phone="+14155552670")
        assert (lead.first_name, lead.company, lead.title, lead.notes) == ("John", "Acme Corp", "Manager", "Interested in premium plan")


def test_create_without_a_time_is_due_now_and_takes_the_lead_that_has_the_number(alice, agent, api):
    known = make_lead(alice.tenant, first_name="Johanna", phone="+14155552670", company="Hers")
    before = timezone.now() - timedelta(seconds=2)
    body = api(alice).post("/api/v1/leads/", body_for(agent, custom_fields={"company": "Other"})).json()
    assert before <= datetime.fromisoformat(body["schedule_at"]) <= timezone.now()
    assert body["crm_lead_id"] == known.pk
    with inside(alice.tenant_id):
        assert Lead.objects.get().company == "Hers"


@pytest.mark.parametrize(
    ("changes", "loc", "msg", "kind"),
    [
        ({"phone_e164": "4155552670"}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": "+1 415 555 2670"}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": "+1234567890123456"}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": 14155552670}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": None}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": " "}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"phone_e164": ""}, ["body", "phone_e164"], "Phone number must be in E.164 format", "value_error"),
        ({"agent_id": "7"}, ["body", "agent_id"], "Must be a valid UUID.", "value_error"),
        ({"first_name": ""}, ["body", "first_name"], "This field may not be blank.", "value_error"),
        ({"first_name": "x" * 121}, ["body", "first_name"], "Ensure this field has no more than 120 characters.", "value_error"),
        ({"schedule_at": "3999-01-01T00:00:00Z"}, ["body", "schedule_at"], "Choose a time within ten years.", "value_error"),
        ({"custom_fields": []}, ["body", "custom_fields"], 'Expected a dictionary of items but got type "list".', "value_error"),
    ],
)
def test_what_cannot_be_read_is_422_with_its_place(alice, agent, api, changes, loc, msg, kind):
    answer = api(alice).post("/api/v1/leads/", body_for(agent, **changes))
    assert (answer.status_code, answer.json()) == (422, {"detail": [{"loc": loc, "msg": msg, "type": kind}]})
    with inside(alice.tenant_id):
        assert not QueueEntry.objects.exists()


def test_what_is_missing_is_named_each_by_each(alice, agent, api):
    answer = api(alice).post("/api/v1/leads/", {})
    assert answer.status_code == 422
    assert [(fault["loc"], fault["msg"], fault["type"]) for fault in answer.json()["detail"]] == [
        (["body", name], "Field required", "missing") for name in ("agent_id", "first_name", "phone_e164")
    ]


def test_a_body_that_is_no_json_is_422(alice, agent, api):
    answer = api(alice).send("POST", "/api/v1/leads/", b'{"agent_id": ')
    (fault,) = answer.json()["detail"]
    assert (answer.status_code, fault["loc"], fault["type"]) == (422, ["body"], "json_invalid")
    assert api(alice).send("POST", "/api/v1/leads/", b"[1]").json()["detail"][0]["msg"] == "The body must be a JSON object."


def test_e164_that_is_no_possible_number_is_400(alice, agent, api):
    answer = api(alice).post("/api/v1/leads/", body_for(agent, phone_e164="+1415555"))
    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid phone number format"})


def test_the_number_is_unique_for_an_agent(alice, agent, api):
    client, other = api(alice), make_agent(alice.tenant)
    client.post("/api/v1/leads/", body_for(agent))
    again = client.post("/api/v1/leads/", body_for(agent, first_name="Jane"))
    assert (again.status_code, again.json()) == (400, {"detail": "Lead with this phone number already exists for this agent"})
    assert client.post("/api/v1/leads/", body_for(other)).status_code == 200
    with inside(alice.tenant_id):
        assert (QueueEntry.objects.count(), Lead.objects.count()) == (2, 1)


def test_an_agent_that_is_not_there_or_next_door_is_404(alice, mallory, api):
    theirs = make_agent(mallory.tenant)
    for unknown in (theirs.public_id, uuid4()):
        for answer in (
            api(alice).post("/api/v1/leads/", {"agent_id": str(unknown), "first_name": "John", "phone_e164": "+14155552670"}),
            api(alice).get(f"/api/v1/leads/?agent_id={unknown}"),
            api(alice).get(f"/api/v1/calls/history?agent_id={unknown}"),
            api(alice).get(f"/api/v1/calls/metrics?agent_id={unknown}"),
        ):
            assert (answer.status_code, answer.json()) == (404, {"detail": "Agent not found"})


# --- list and read ---


def test_list_pages_filters_and_finds_by_name_and_number(alice, agent, api):
    client, other = api(alice), make_agent(alice.tenant)
    john = make_entry(agent, first_name="John", phone="+14155552671")
    done = make_entry(agent, first_name="Jürgen Stone", phone="+442071838750", status="done", disposition="completed")
    far = make_entry(other, first_name="Ada", phone="+919876543210")
    body = client.get("/api/v1/leads/").json()
    assert set(body) == {"leads", "total", "page", "per_page"}
    assert [row["id"] for row in body["leads"]] == [str(entry.public_id) for entry in (far, done, john)]
    assert (body["total"], body["page"], body["per_page"]) == (3, 1, 10)
    for query, expected in (
        (f"agent_id={agent.public_id}", [done, john]),
        ("status_filter=new", [far, john]),
        ("status_filter=Done", [done]),
        ("search=john", [john]),
        ("search=JURG", [done]),
        ("search=(415)+555-2671", [john]),
        ("search=%2B44+20+7183", [done]),
        (f"search=ada&agent_id={agent.public_id}", []),
        ("page=2&per_page=2", [john]),
        ("page=9", []),
    ):
        found = client.get(f"/api/v1/leads/?{query}").json()
        assert [row["id"] for row in found["leads"]] == [str(entry.public_id) for entry in expected], query
        assert found["total"] == (3 if "page" in query else len(expected)), query


@pytest.mark.parametrize("query", ["per_page=101", "per_page=0", "page=0", "page=x", "status_filter=gone", "agent_id=x", "search=%00"])
def test_parameters_out_of_range_are_422(alice, api, query):
    answer = api(alice).get(f"/api/v1/leads/?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.split("=")[0]]


@pytest.mark.parametrize("number", [1, 3])
def test_lists_ask_the_database_the_same_however_many_there_are(alice, agent, api, django_assert_num_queries, number):
    for _ in range(number):
        make_entry(agent)
    client = api(alice)
    client.get("/api/v1/leads/")
    with django_assert_num_queries(11):
        assert len(client.get("/api/v1/leads/").json()["leads"]) == number


def test_read_answers_with_and_without_a_slash_and_404_in_the_documents_words(alice, agent, api):
    entry = make_entry(agent)
    for path in (f"/api/v1/leads/{entry.public_id}", f"/api/v1/leads/{entry.public_id}/"):
        body = api(alice).get(path).json()
        assert (body["id"], set(body) >= KEYS) == (str(entry.public_id), True)
    answer = api(alice).get(f"/api/v1/leads/{uuid4()}")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Lead not found"})
    bad = api(alice).get("/api/v1/leads/7")
    assert (bad.status_code, bad.json()["detail"][0]["loc"]) == (422, ["path", "lead_id"])


def test_entries_of_a_deleted_agent_are_gone_with_it(alice, bob, agent, api):
    gone = make_agent(alice.tenant)
    kept, lost = make_entry(agent), make_entry(gone)
    client = api(alice)
    assert client.delete(f"/api/v1/agents/{gone.public_id}").status_code == 200
    for person in (alice, bob):
        for query in ("", "?search=john", "?status_filter=new"):
            body = api(person).get(f"/api/v1/leads/{query}").json()
            assert ([row["id"] for row in body["leads"]], body["total"]) == ([str(kept.public_id)], 1), query
        assert api(person).get(f"/api/v1/leads/{lost.public_id}").json() == {"detail": "Lead not found"}
    assert client.put(f"/api/v1/leads/{lost.public_id}", {"first_name": "Ann"}).status_code == 404
    assert client.post("/api/v1/calls/schedule", {"lead_id": str(lost.public_id)}).status_code == 404


def test_large_numbers_among_the_further_fields_stay_numbers(alice, agent, api):
    client = api(alice)
    fields = {"far": 1e308, "near": [-1.5, 1e17], "flag": True, "exact": 2**53}
    body = client.post("/api/v1/leads/", body_for(agent, custom_fields=fields)).json()
    read = client.get(f"/api/v1/leads/{body['id']}").json()
    assert body["custom_fields"] == read["custom_fields"] == fields
    assert read["custom_fields"]["flag"] is True
    assert isinstance(read["custom_fields"]["far"], float)


# --- change ---


def test_put_changes_what_is_named(alice, agent, api):
    entry = make_entry(agent, first_name="John", custom_fields={"company": "Acme"})
    body = api(alice).put(f"/api/v1/leads/{entry.public_id}", {"first_name": "John Smith", "schedule_at": "2099-06-25T10:00:00Z"})
    assert body.status_code == 422
    later = (timezone.now() + timedelta(days=2)).replace(microsecond=0)
    body = api(alice).put(f"/api/v1/leads/{entry.public_id}", {"first_name": "John Smith", "schedule_at": later.isoformat()}).json()
    assert (body["first_name"], body["custom_fields"], datetime.fromisoformat(body["schedule_at"])) == (
        "John Smith",
        {"company": "Acme"},
        later,
    )
    entry = fresh(entry)
    assert (entry.next_at, entry.waits_for) == (later, WaitReason.NOT_DUE)


def test_a_disposition_ends_an_entry_and_a_status_begins_it_again(alice, agent, api):
    entry = make_entry(agent, attempts_count=2, status="in_progress", is_immediate=True)
    client, path = api(alice), f"/api/v1/leads/{entry.public_id}"
    body = client.put(path, {"disposition": "not_interested"}).json()
    assert (body["status"], body["disposition"], body["attempts_count"]) == ("done", "not_interested", 2)
    refused = client.put(path, {"status": "new", "disposition": "completed"})
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "disposition"])
    body = client.put(path, {"status": "new"}).json()
    assert (body["status"], body["disposition"], body["attempts_count"]) == ("new", None, 0)
    entry = fresh(entry)
    assert not entry.is_immediate
    assert client.put(path, {"status": "done"}).json()["disposition"] is None


def test_a_number_is_changed_by_the_same_rules(alice, agent, api):
    entry, other = make_entry(agent), make_entry(agent)
    client, path = api(alice), f"/api/v1/leads/{entry.public_id}"
    assert client.put(path, {"phone_e164": "415"}).status_code == 422
    assert client.put(path, {"phone_e164": "+1415"}).json() == {"detail": "Invalid phone number format"}
    assert client.put(path, {"phone_e164": other.phone}).json() == {"detail": "Lead with this phone number already exists for this agent"}
    assert client.put(path, {"phone_e164": "+442071838750"}).json()["phone_e164"] == "+442071838750"


def test_what_somebody_dials_now_keeps_its_place(alice, agent, api):
    held_until = timezone.now() + timedelta(seconds=30)
    entry = make_entry(agent, held_by="worker 1", next_at=held_until)
    later = timezone.now() + timedelta(days=1)
    api(alice).put(f"/api/v1/leads/{entry.public_id}", {"schedule_at": later.isoformat()})
    api(alice).post("/api/v1/calls/schedule", {"lead_id": str(entry.public_id)})
    entry = fresh(entry)
    assert (entry.schedule_at, entry.next_at, entry.held_by, entry.is_immediate) == (later, held_until, "worker 1", False)


# --- delete ---


def test_delete_keeps_the_row_and_frees_the_number(alice, agent, api):
    entry = make_entry(agent, phone="+14155552670")
    client = api(alice)
    assert client.delete(f"/api/v1/leads/{entry.public_id}").json() == {"message": "Lead deleted"}
    assert client.delete(f"/api/v1/leads/{entry.public_id}").json() == {"detail": "Lead not found"}
    assert client.get("/api/v1/leads/").json()["total"] == 0
    assert client.get("/api/v1/leads/?search=john").json()["total"] == 0
    assert client.post("/api/v1/leads/", body_for(agent)).status_code == 200
    with inside(alice.tenant_id):
        assert QueueEntry.objects.count() == 2


# --- schedule ---


def test_schedule_puts_a_lead_before_all_others(alice, agent, api):
    later = timezone.now() + timedelta(days=3)
    entry = make_entry(agent, schedule_at=later, next_at=later, waits_for=WaitReason.NOT_DUE)
    answer = api(alice).post("/api/v1/calls/schedule", {"lead_id": str(entry.public_id)})
    assert (answer.status_code, answer.json()) == (200, {"message": "Lead scheduled successfully"})
    entry = fresh(entry)
    assert (entry.is_immediate, entry.next_at <= timezone.now(), entry.waits_for) == (True, True, "")


def test_schedule_begins_what_is_done_again_but_never_a_number_on_a_list(alice, agent, api):
    done = make_entry(agent, status=EntryStatus.DONE, disposition=Disposition.NO_ANSWER, attempts_count=3)
    listed = make_entry(agent)
    with inside(alice.tenant_id):
        DoNotCall.objects.create(phone=listed.phone)
    client = api(alice)
    assert client.post("/api/v1/calls/schedule", {"lead_id": str(done.public_id)}).status_code == 200
    done = fresh(done)
    assert (done.status, done.disposition, done.attempts_count) == ("in_progress", "", 3)
    answer = client.post("/api/v1/calls/schedule", {"lead_id": str(listed.public_id)})
    assert (answer.status_code, answer.json()) == (409, {"detail": "This number is on a do-not-call list."})
    assert client.post("/api/v1/calls/schedule", {"lead_id": str(uuid4())}).json() == {"detail": "Lead not found"}
    assert client.post("/api/v1/calls/schedule", {}).json() == {
        "detail": [{"loc": ["body", "lead_id"], "msg": "Field required", "type": "missing"}]
    }


@pytest.mark.parametrize("how", ["status", "disposition", "delete"])
def test_an_agreed_callback_is_called_off_with_its_entry(alice, agent, api, how):
    entry = make_entry(agent, status="in_progress", attempts_count=1)
    with acting(alice) as by:
        draft = ActivityDraft(activity_type=ActivityType.CALL, description="Callback", due_at=timezone.now() + timedelta(days=1))
        planned = log_activity(lead_id=entry.lead_id, draft=draft, by=by)
        QueueEntry.objects.filter(pk=entry.pk).update(callback_activity_id=planned.pk)
    path = f"/api/v1/leads/{entry.public_id}"
    changes = {"status": {"status": "done"}, "disposition": {"disposition": "not_interested"}}
    answer = api(alice).delete(path) if how == "delete" else api(alice).put(path, changes[how])
    assert answer.status_code == 200
    assert fresh(entry).callback_activity_id is None
    with inside(alice.tenant_id):
        planned.refresh_from_db()
        assert planned.status == ActivityStatus.CANCELLED


# --- who ---


def test_whose_lead_has_a_number_is_told_only_to_who_sees_the_lead(alice, bob, agent, api):
    hers = make_lead(alice.tenant, first_name="Hers", phone="+14155552670", owner=alice)
    mine = make_entry(agent, lead=make_lead(alice.tenant, phone="+14155552671", owner=bob), phone="+14155552671")
    body = api(bob).post("/api/v1/leads/", body_for(agent)).json()
    path = f"/api/v1/leads/{body['id']}"
    assert body["crm_lead_id"] is None
    assert api(bob).get(path).json()["crm_lead_id"] is None
    assert api(bob).put(path, {"first_name": "Ann"}).json()["crm_lead_id"] is None
    assert {row["crm_lead_id"] for row in api(bob).get("/api/v1/leads/").json()["leads"]} == {None, mine.lead_id}
    assert {row["crm_lead_id"] for row in api(alice).get("/api/v1/leads/").json()["leads"]} == {hers.pk, mine.lead_id}
    with inside(alice.tenant_id):
        entry = QueueEntry.objects.select_related("agent").get(lead=hers)
    make_call(entry)
    make_call(mine)
    assert [row["crm_lead_id"] for row in api(bob).get("/api/v1/calls/history").json()["calls"]] == [mine.lead_id, None]
    assert [row["crm_lead_id"] for row in api(alice).get("/api/v1/calls/history").json()["calls"]] == [mine.lead_id, hers.pk]


def test_refusals_of_the_door_itself_are_details_too(alice, api, tenant):
    answer = api().get("/api/v1/leads/")
    assert (answer.status_code, set(answer.json())) == (401, {"detail"})
    support = make_user(tenant, role="support")
    for path in ("/api/v1/leads/", "/api/v1/agents/", "/api/v1/calls/history", "/api/v1/calls/metrics"):
        answer = api(support).get(path)
        assert (answer.status_code, answer.json()) == (403, {"detail": "You do not have permission to do this."})
    answer = api(alice).get("/api/v1/nowhere")
    assert (answer.status_code, answer.json()) == (404, {"detail": "Not found."})
    answer = api(alice).put("/api/v1/leads/", {})
    assert (answer.status_code, set(answer.json())) == (405, {"detail"})


def test_over_a_limit_is_429_with_a_detail(alice, api, rate_limits, settings):
    settings.RATE_LIMITS_PER_MINUTE = {**settings.RATE_LIMITS_PER_MINUTE, "standard": 1}
    client = api(alice)
    answers = [client.get("/api/v1/agents/") for _ in range(3)]
    assert answers[-1].status_code == 429
    assert set(answers[-1].json()) == {"detail"}
    assert int(answers[-1].headers["Retry-After"]) >= 1


def test_people_who_call_work_in_their_own_queues(alice, bob, tenant, api):
    own, open_one, others = make_agent(tenant, bob), make_agent(tenant), make_agent(tenant, alice)
    entries = [make_entry(agent) for agent in (own, open_one, others)]
    client = api(bob)
    assert {row["id"] for row in client.get("/api/v1/leads/").json()["leads"]} == {str(entry.public_id) for entry in entries[:2]}
    assert client.get("/api/v1/leads/?search=john").json()["total"] == 2
    assert client.get(f"/api/v1/leads/{entries[2].public_id}").status_code == 404
    assert client.put(f"/api/v1/leads/{entries[0].public_id}", {"first_name": "Ann"}).json()["first_name"] == "Ann"
    assert client.post("/api/v1/leads/", body_for(others)).json() == {"detail": "Agent not found"}
    assert client.post("/api/v1/leads/", body_for(own)).status_code == 200
    assert client.delete(f"/api/v1/leads/{entries[0].public_id}").status_code == 403
    assert {agent["id"] for agent in client.get("/api/v1/agents/").json()["agents"]} == {str(own.public_id), str(open_one.public_id)}


def test_times_are_answered_in_utc(alice, agent, api):
    at = datetime(2025, 6, 24, 16, tzinfo=UTC)
    body = api(alice).post("/api/v1/leads/", body_for(agent, schedule_at="2025-06-24T18:00:00+02:00")).json()
    assert (body["schedule_at"], datetime.fromisoformat(body["schedule_at"])) == ("2025-06-24T16:00:00Z", at)
