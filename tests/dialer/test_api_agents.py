"""S2-10, and what the agents are made of."""

from datetime import time

import pytest

from dialer.enums import CallResult
from dialer.models import CallingAgent, DialerSettings, RetryRule
from tests.dialer.api_parts import fresh, make_agent, make_call, make_entry
from tests.factories import inside


def test_agents_are_listed_by_name(alice, tenant, api):
    for name in ("Zoe", "Ada"):
        make_agent(tenant, name=name)
    body = api(alice).get("/api/v1/agents/").json()
    assert [agent["name"] for agent in body["agents"]] == ["Ada", "Zoe"]
    assert (body["total"], body["page"], body["per_page"]) == (2, 1, 10)
    assert [agent["name"] for agent in api(alice).get("/api/v1/agents?per_page=1&page=2").json()["agents"]] == ["Zoe"]


@pytest.mark.parametrize("number", [1, 3])
def test_the_list_asks_the_database_the_same_however_many_there_are(alice, tenant, api, django_assert_num_queries, number):
    for _ in range(number):
        make_agent(tenant, alice)
    client = api(alice)
    with django_assert_num_queries(10):
        assert len(client.get("/api/v1/agents/").json()["agents"]) == number


def test_an_agent_is_made_read_changed_and_taken_out_of_use(alice, bob, tenant, api):
    client = api(alice)
    wanted = {
        "name": "Evening line",
        "kind": "automated",
        "time_zone": "America/New_York",
        "business_hours": {"monday": [["09:00", "12:00"], ["13:00", "17:00"]], "friday": ["10:00", "24:00"]},
        "holidays": ["2025-12-25", "2025-12-25", "2025-07-04"],
        "max_attempts": 5,
        "retry_delay_minutes": 30,
        "max_concurrent_calls": 4,
        "caller_id": "(415) 555-0100",
        "members": [bob.pk],
        "retry_rules": [{"result": "busy", "delay_minutes": 5, "max_tries": 2, "another_hour": True, "disposition": "no_answer"}],
    }
    made = client.post("/api/v1/agents/", wanted)
    body = made.json()
    assert made.status_code == 200
    assert body == client.get(f"/api/v1/agents/{body['id']}").json()
    assert {name: body[name] for name in wanted} == {
        **wanted,
        "business_hours": {"monday": [["09:00", "12:00"], ["13:00", "17:00"]], "friday": [["10:00", "24:00"]]},
        "holidays": ["2025-07-04", "2025-12-25"],
        "caller_id": "+14155550100",
        "members": [{"id": bob.pk, "name": "Bob Baker"}],
    }
    changed = client.put(
        f"/api/v1/agents/{body['id']}", {"is_active": False, "time_zone": None, "business_hours": None, "members": []}
    ).json()
    assert (changed["is_active"], changed["time_zone"], changed["business_hours"], changed["members"]) == (False, None, {}, [])
    assert changed["max_attempts"] == 5
    assert client.delete(f"/api/v1/agents/{body['id']}").json() == {"message": "Agent deleted"}
    assert client.get(f"/api/v1/agents/{body['id']}").json() == {"detail": "Agent not found"}
    assert client.post("/api/v1/agents/", wanted).status_code == 200


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ({}, ["body", "name"]),
        ({"name": "x", "time_zone": "Mars/Base"}, ["body", "time_zone"]),
        ({"name": "x", "business_hours": {"monday": [["17:00", "09:00"]]}}, ["body", "business_hours"]),
        ({"name": "x", "business_hours": {"someday": [["09:00", "17:00"]]}}, ["body", "business_hours"]),
        ({"name": "x", "business_hours": {"monday": [["09:00", "12:00"], ["11:00", "17:00"]]}}, ["body", "business_hours"]),
        ({"name": "x", "business_hours": {"monday": []}}, ["body", "business_hours"]),
        ({"name": "x", "business_hours": {"monday": [["09:00", "12:00"]], "0": [["13:00", "17:00"]]}}, ["body", "business_hours"]),
        ({"name": "x", "business_hours": {"monday": 9}}, ["body", "business_hours"]),
        ({"name": "x", "max_attempts": 0}, ["body", "max_attempts"]),
        ({"name": "x", "max_attempts": 51}, ["body", "max_attempts"]),
        ({"name": "x", "maxConcurrentCalls": 0}, ["body", "maxConcurrentCalls"]),
        ({"name": "x", "caller_id": "nobody"}, ["body", "caller_id"]),
        ({"name": "x", "members": [999999]}, ["body", "members"]),
        ({"name": "x", "mode": "loud"}, ["body", "mode"]),
        ({"name": "x", "holidays": ["soon"]}, ["body", "holidays", 0]),
        ({"name": "x", "retry_rules": [{"result": "completed"}]}, ["body", "retry_rules", 0, "result"]),
        ({"name": "x", "retry_rules": [{"result": "busy"}, {"result": "busy"}]}, ["body", "retry_rules", 1, "result"]),
    ],
)
def test_what_no_agent_could_have_is_422_with_its_place(alice, api, values, place):
    answer = api(alice).post("/api/v1/agents/", values)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, place)
    with inside(alice.tenant_id):
        assert not CallingAgent.objects.exists()


def test_a_name_is_taken_once(alice, tenant, api):
    make_agent(tenant, name="Line")
    answer = api(alice).post("/api/v1/agents/", {"name": " Line "})
    assert (answer.status_code, answer.json()) == (409, {"detail": "An agent has this name already."})


def test_retry_rules_are_set_as_a_whole(alice, tenant, api):
    agent = make_agent(tenant)
    client, path = api(alice), f"/api/v1/agents/{agent.public_id}/retry-rules"
    client.put(path, {"retry_rules": [{"result": "busy"}, {"result": "no_answer", "max_tries": 0}]})
    with inside(tenant.pk):
        busy = RetryRule.objects.get(result="busy").pk
    body = client.put(path, {"retry_rules": [{"result": "busy", "delay_minutes": 10}]}).json()
    assert body == {
        "retry_rules": [{"result": "busy", "delay_minutes": 10, "max_tries": 3, "another_hour": False, "disposition": "no_answer"}]
    }
    assert client.get(path).json() == body
    with inside(tenant.pk):
        assert RetryRule.objects.get().pk == busy


def test_who_only_calls_changes_no_agent(bob, tenant, api):
    agent = make_agent(tenant)
    client, path = api(bob), f"/api/v1/agents/{agent.public_id}"
    answers = [
        client.post("/api/v1/agents/", {"name": "x"}),
        client.put(path, {"name": "x"}),
        client.delete(path),
        client.put(f"{path}/retry-rules", {"retry_rules": []}),
        client.get("/api/v1/settings"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert client.get(path).status_code == 200


def test_settings_are_read_and_changed_but_never_answer_their_secret(admin, api):
    client = api(admin)
    body = client.get("/api/v1/settings").json()
    assert (body["provider"], body["has_auth_token"], body["window_start"], body["window_end"]) == ("simulator", False, "08:00", "21:00")
    secret = "0123456789abcdef0123456789abcdef"
    wanted = {
        "provider": "twilio",
        "account_sid": "AC" + "0" * 32,
        "auth_token": secret,
        "caller_id": "+14155550100",
        "window_days": [0, 1],
    }
    changed = client.put("/api/v1/settings", wanted)
    assert changed.status_code == 200
    assert (changed.json()["provider"], changed.json()["has_auth_token"], changed.json()["window_days"]) == ("twilio", True, [0, 1])
    assert secret not in changed.content.decode() + client.get("/api/v1/settings").content.decode()
    with inside(admin.tenant_id):
        assert secret not in DialerSettings.objects.get().auth_token
    assert client.put("/api/v1/settings", {"window_days": [9]}).json()["detail"][0]["loc"] == ["body", "window_days", 0]


def test_what_came_of_the_last_call_is_said_once_and_by_who_made_it(alice, bob, tenant, api):
    entry = make_entry(make_agent(tenant), attempts_count=1, status="in_progress")
    client, path = api(alice), f"/api/v1/leads/{entry.public_id}/outcome"
    assert client.post(path, {"result": "completed"}).json() == {"detail": "Call not found"}
    call = make_call(entry, user=alice, result=CallResult.COMPLETED, awaits_outcome=True)
    assert client.post(path, {"result": "callback"}).json()["detail"][0]["loc"] == ["body", "callback_at"]
    assert client.post(path, {"result": "not_placed"}).json()["detail"][0]["loc"] == ["body", "result"]
    assert api(bob).post(path, {"result": "completed"}).status_code in (403, 404)
    body = client.post(path, {"result": "Not interested", "notes": "Has one already."}).json()
    assert (body["id"], body["result"], body["outcome"], body["notes"]) == (
        str(call.public_id),
        "not_interested",
        "answered",
        "Has one already.",
    )
    after = fresh(entry)
    assert (after.status, after.disposition) == ("done", "not_interested")


def test_why_says_what_a_lead_waits_for(alice, tenant, api):
    agent = make_agent(tenant, is_active=False)
    body = api(alice).get(f"/api/v1/leads/{make_entry(agent).public_id}/why").json()
    assert (body["may_call"], body["reason"], body["text"]) == (False, "agent_paused", "The agent is paused.")


def test_why_says_of_a_peoples_queue_that_it_waits_for_a_person(alice, tenant, api):
    with inside(tenant.pk):
        DialerSettings.objects.create(tenant=tenant, window_start=time(0), window_end=time(23, 59, 59))
    people, machine = make_agent(tenant), make_agent(tenant, kind="automated")
    told = {agent.kind: api(alice).get(f"/api/v1/leads/{make_entry(agent).public_id}/why").json() for agent in (people, machine)}
    assert {kind: (body["may_call"], body["reason"], body["text"]) for kind, body in told.items()} == {
        "human": (True, None, "May be called now; waits for somebody to take it."),
        "automated": (True, None, "Can be called now."),
    }
