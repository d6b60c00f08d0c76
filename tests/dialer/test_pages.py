"""The dialer's pages, as people who call and people who steer use them."""

from datetime import time, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone

from activities.models import Activity
from crm.actors import Actor
from crm.operations.models import Operation
from crm.operations.runner import run
from crm.savedviews.services import ViewSettings, save_view
from dialer.enums import CallResult, PauseReason, SessionState
from dialer.models import Call, CallingAgent, DialerSettings, DialSession, DoNotCall, QueueEntry
from dialer.services.entries import queue_lead
from dialer.services.scheduling import simulate
from dialer.services.sessions import pause_silent
from dialer.services.settings import save_settings
from dialer.services.telephony.simulator import fate_of
from tests.dialer.api_parts import fresh, make_agent, make_call, make_entry
from tests.factories import acting, inside, make_lead, make_user

ALWAYS = {str(day): [["00:00", "24:00"]] for day in range(7)}
HTMX = {"HTTP_HX_REQUEST": "true"}


@pytest.fixture
def agent(tenant) -> CallingAgent:
    """A queue that is open at any hour, whose people may be called at any hour."""
    with inside(tenant.pk):
        save_settings(values={"window_start": time(0), "window_end": time(0), "most_calls_a_day": 20}, by=Actor.system(tenant_id=tenant.pk))
    return make_agent(tenant, name="New leads", business_hours=ALWAYS, script="Hi {first_name}, about {company}?", max_attempts=5)


def answering(kind: str, *, but: frozenset[str] = frozenset()) -> str:
    """A fiction number at which the simulator meets this fate at the first try."""
    for number in range(100, 200):
        for area in (212, 415, 512, 206, 303, 312, 404, 617):
            phone = f"+1{area}5550{number}"
            if phone not in but and fate_of(phone=phone, attempt=1, ring_seconds=25).kind == kind:
                return phone
    raise AssertionError(kind)


def start(client, agent, **data):
    return client.post("/dialer", {"agent": str(agent.public_id), **data})


def act(client, name, **data):
    return client.post(f"/dialer/work/{name}", data, **HTMX)


def text_of(answer) -> str:
    return answer.content.decode()


def state_of(user) -> str:
    with inside(user.tenant_id):
        return DialSession.objects.filter(user=user).latest("pk").state


def later(tenant, seconds: int) -> None:
    """Let the simulator report what happens meanwhile."""
    simulate(now=timezone.now() + timedelta(seconds=seconds))


def test_pages_are_for_who_calls_coaches_or_manages(tenant, alice, bob, agent, pages, support):
    entry = make_entry(agent)
    call = make_call(entry, user=bob)
    seen = ["/dialer", "/dialer/calls", "/dialer/numbers", f"/dialer/queues/{agent.public_id}", f"/dialer/calls/{call.public_id}"]
    steered = [
        "/dialer/coaching",
        "/settings/agents",
        "/settings/agents/new",
        f"/settings/agents/{agent.public_id}",
        "/settings/do-not-call",
    ]
    for path in seen:
        assert (pages(alice).get(path).status_code, pages(bob).get(path).status_code) == (200, 200), path
        assert pages(support).get(path).status_code in (403, 404), path
    for path in steered:
        assert (pages(alice).get(path).status_code, pages(bob).get(path).status_code) == (200, 403), path
    assert pages(alice).get("/settings/dialer").status_code == 403


@pytest.fixture
def support(tenant):
    return make_user(tenant, role="support")


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("page", ["/dialer", "/dialer/calls", "/dialer/numbers", "/dialer/coaching", "queue", "work", "lead"])
def test_query_counts_are_flat(tenant, alice, agent, pages, page, count, django_assert_max_num_queries):
    lead = make_lead(tenant, phone=answering("human"))
    entries = [make_entry(agent, **({"lead": lead} if number == 0 else {})) for number in range(count)]
    for entry in entries:
        make_call(entry, user=alice)
    client = pages(alice)
    if page == "work":
        start(client, agent)
    path = {"queue": f"/dialer/queues/{agent.public_id}", "work": "/dialer/work", "lead": f"/dialer/leads/{lead.pk}"}.get(page, page)
    client.get(path)
    with django_assert_max_num_queries(36):
        assert client.get(path).status_code == 200


def test_a_call_from_the_first_look_to_the_outcome(tenant, bob, agent, pages):
    lead = make_lead(tenant, first_name="Ann", company="Northwind", phone=answering("human"))
    entry = make_entry(agent, lead=lead, phone=lead.phone, first_name="Ann")
    client = pages(bob)
    assert start(client, agent)["Location"] == "/dialer/work"
    assert "about Northwind?" in text_of(act(client, "next"))
    assert "Queued" in text_of(act(client, "dial")) or state_of(bob) == SessionState.DIALING
    later(tenant, 60)
    answer = client.post("/dialer/work/beat", {"seen": "something else"}, **HTMX)
    assert 'data-state="on_call"' in text_of(answer) or 'data-state="wrap_up"' in text_of(answer)
    # Without an outcome nothing else begins.
    assert "Say what came of the call before first." in text_of(act(client, "next")) or state_of(bob) != SessionState.PREVIEW
    act(client, "outcome", result="completed", notes="Wants the offer.")
    with inside(tenant.pk):
        call = Call.objects.get(entry=entry)
        assert (call.result, call.outcome, call.notes) == (CallResult.COMPLETED, "answered", "Wants the offer.")
        activity = Activity.objects.get(lead=lead, activity_type="call")
        assert (activity.status, "Wants the offer." in activity.description) == ("completed", True)
    assert (fresh(entry).status, fresh(entry).disposition) == ("done", "completed")
    assert "Last:" in text_of(client.get("/dialer/work"))


def test_who_does_not_answer_is_tried_again_without_a_word(tenant, bob, agent, pages):
    entry = make_entry(agent, phone=answering("no_answer"))
    client = pages(bob)
    start(client, agent)
    act(client, "next")
    act(client, "dial")
    later(tenant, 120)
    assert state_of(bob) == SessionState.WAITING
    assert (fresh(entry).status, fresh(entry).attempts_count, fresh(entry).last_result) == ("in_progress", 1, "no_answer")
    assert fresh(entry).next_at > timezone.now()


def test_a_callback_is_asked_for_in_words_or_by_the_clock(tenant, bob, agent, pages):
    taken = frozenset[str]()
    for data in ({"when": "1d"}, {"when": "at", "callback_at": (timezone.localtime() + timedelta(days=2)).strftime("%Y-%m-%dT%H:%M")}):
        phone = answering("human", but=taken)
        taken |= {phone}
        entry = make_entry(agent, phone=phone)
        client = pages(bob)
        start(client, agent)
        act(client, "next")
        act(client, "dial")
        later(tenant, 40)
        assert "Say when to call back." in text_of(act(client, "outcome", result="callback"))
        act(client, "outcome", **data)
        assert fresh(entry).callback_for_id == bob.pk
        assert fresh(entry).next_at > timezone.now()
    with inside(tenant.pk):
        assert Activity.objects.filter(user=bob, activity_type="call", status="pending", due_at__isnull=False).count() == 2


def test_put_off_paused_gone_on_with_and_ended(tenant, bob, agent, pages):
    entry = make_entry(agent)
    client = pages(bob)
    start(client, agent)
    act(client, "next")
    act(client, "skip", minutes="60")
    assert timedelta(minutes=58) < fresh(entry).next_at - timezone.now() < timedelta(minutes=61)
    answer = act(client, "pause", reason="lunch")
    assert 'data-state="paused"' in text_of(answer)
    assert "Lunch" in text_of(answer)
    assert "Resume first." in text_of(act(client, "next"))
    act(client, "resume")
    assert state_of(bob) == SessionState.WAITING
    assert act(client, "end")["HX-Redirect"] == "/dialer"
    assert client.get("/dialer/work")["Location"] == "/dialer"


def test_a_beat_answers_the_desk_only_where_it_changed(tenant, bob, agent, pages):
    make_entry(agent)
    client = pages(bob)
    start(client, agent)
    seen = client.get("/dialer/work").context["version"]
    assert client.post("/dialer/work/beat", {"seen": seen}, **HTMX).status_code == 204
    act(client, "next")
    assert client.post("/dialer/work/beat", {"seen": seen}, **HTMX).status_code == 200


def test_nobody_to_call_says_why_and_does_not_ask_again_at_once(tenant, bob, pages):
    closed = make_agent(
        tenant, name="Closed", business_hours=ALWAYS, holidays=[timezone.localdate() + timedelta(days=n) for n in (-1, 0, 1)]
    )
    make_entry(closed)
    client = pages(bob)
    start(client, closed)
    answer = text_of(act(client, "next"))
    assert "Nobody is to be called just now" in answer
    assert 'hx-trigger="submit, every 20s"' in answer


def test_a_session_on_a_saved_view_calls_its_leads_alone(tenant, alice, agent, pages):
    make_entry(agent, first_name="Other")
    wanted = make_lead(tenant, first_name="Vera", phone=answering("human"), status="qualified")
    with acting(alice) as by:
        view = save_view(view=None, list_name="leads", wanted=ViewSettings(name="Hot", query={"status": "qualified"}), by=by)
    client = pages(alice)
    start(client, agent, view=view.pk)
    with inside(tenant.pk):
        operation = Operation.objects.get(kind="dialer.fill")
    run(operation.pk)
    assert "Vera" in text_of(act(client, "next"))
    with inside(tenant.pk):
        entry = QueueEntry.objects.get(lead=wanted)
        assert entry.batch_id == operation.pk
        assert DialSession.objects.get(user=alice, ended_at=None).entry_id == entry.pk


def test_leads_of_the_list_are_put_into_a_queue(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, phone="+14155550134")
    client = pages(bob)
    assert agent.name in text_of(client.post("/dialer/fill", {"ids": lead.pk}))
    client.post("/dialer/fill", {"ids": lead.pk, "agent": str(agent.public_id)})
    with inside(tenant.pk):
        operation = Operation.objects.get(kind="dialer.fill")
    run(operation.pk)
    with inside(tenant.pk):
        assert QueueEntry.objects.get().lead_id == lead.pk


def test_a_queue_shows_why_finds_people_and_pages_by_key(tenant, alice, agent, pages, monkeypatch):
    monkeypatch.setattr("dialer.pages.queue.ROWS", 2)
    now = timezone.now()
    for number in range(3):
        make_entry(agent, first_name=f"Person{number}", next_at=now - timedelta(minutes=9 - number))
    done = make_entry(agent, first_name="Done", status="done", disposition="completed")
    urgent = make_entry(agent, first_name="Urgent", is_immediate=True)
    client = pages(alice)
    answer = client.get(f"/dialer/queues/{agent.public_id}")
    assert [row["entry"].first_name for row in answer.context["rows"]] == ["Urgent", "Person0", "Person1"]
    answer = client.get(f"/dialer/queues/{agent.public_id}{answer.context['more_url']}", **HTMX)
    assert [row["entry"].first_name for row in answer.context["rows"]] == ["Person2"]
    assert [row["entry"].pk for row in client.get(f"/dialer/queues/{agent.public_id}?which=done").context["rows"]] == [done.pk]
    found = client.get(f"/dialer/queues/{agent.public_id}?search=urgent")
    assert [row["entry"].pk for row in found.context["rows"]] == [urgent.pk]
    with inside(tenant.pk):
        DoNotCall.objects.create(phone=urgent.phone)
    assert "do-not-call" in text_of(client.get(f"/dialer/queues/{agent.public_id}")).lower()
    assert client.get(f"/dialer/queues/{agent.public_id}?cursor=nonsense").status_code == 302


def test_a_lead_is_added_called_next_and_taken_out(tenant, alice, bob, agent, pages):
    client = pages(bob)
    client.post(f"/dialer/queues/{agent.public_id}/add", {"first_name": "Zoe", "phone": "415-555-0177"})
    with inside(tenant.pk):
        entry = QueueEntry.objects.get()
        assert (entry.phone, entry.lead.phone) == ("+14155550177", "+14155550177")
    again = client.post(f"/dialer/queues/{agent.public_id}/add", {"first_name": "Zoe", "phone": "415-555-0177"})
    assert again.status_code == 422
    assert "already exists" in text_of(again)
    assert "Invalid phone" in text_of(client.post(f"/dialer/queues/{agent.public_id}/add", {"first_name": "Zoe", "phone": "12"}))
    client.post(f"/dialer/entries/{entry.public_id}/now")
    assert fresh(entry).is_immediate
    assert client.post(f"/dialer/entries/{entry.public_id}/remove").status_code == 403
    pages(alice).post(f"/dialer/entries/{entry.public_id}/remove")
    assert fresh(entry).deleted_at is not None


def test_a_click_on_a_number_calls_it(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, phone=answering("human"))
    client = pages(bob)
    answer = client.post("/dialer/call", {"phone": lead.phone, "lead": lead.pk})
    with inside(tenant.pk):
        call = Call.objects.get()
        assert (call.lead_id, call.user_id, call.agent_id) == (lead.pk, bob.pk, None)
    assert answer["Location"] == f"/dialer/calls/{call.public_id}"
    later(tenant, 40)
    assert "Outcome (hangs up)" in text_of(client.get(answer["Location"])) or "What came of it?" in text_of(client.get(answer["Location"]))
    client.post(f"/dialer/calls/{call.public_id}/outcome", {"result": "not_interested", "notes": "No budget."})
    with inside(tenant.pk):
        call.refresh_from_db()
        assert (call.result, call.notes) == ("not_interested", "No budget.")
    refused = client.post("/dialer/call", {"phone": "12"}, HTTP_REFERER="/leads", follow=True)
    assert "no number that could be called" in text_of(refused)


def test_a_click_finds_the_lead_and_the_entry_of_its_number(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, first_name="Vera", phone=answering("human"))
    entry = make_entry(agent, lead=lead, phone=lead.phone, first_name="Vera")
    pages(bob).post("/dialer/call", {"phone": lead.phone})
    with inside(tenant.pk):
        call = Call.objects.get()
        assert (call.lead_id, call.entry_id, call.agent_id) == (lead.pk, entry.pk, agent.pk)


def test_a_click_in_a_session_brings_its_lead_to_the_desk(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, first_name="Vera", phone=answering("human"))
    client = pages(bob)
    start(client, agent)
    assert client.post("/dialer/call", {"phone": lead.phone})["Location"] == "/dialer/work"
    answer = text_of(client.get("/dialer/work"))
    assert "Vera" in answer
    assert "Nobody is to be called just now" not in answer
    # While it rings there is no outcome to say.
    assert "Outcome (hangs up)" not in answer
    later(tenant, 40)
    assert "Outcome (hangs up)" in text_of(client.get("/dialer/work"))


def test_what_was_left_unsaid_is_asked_for_at_the_desk(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, first_name="Vera", phone=answering("human"))
    client = pages(bob)
    client.post("/dialer/call", {"phone": lead.phone})
    later(tenant, 600)
    make_entry(agent, first_name="Next")
    start(client, agent)
    answer = text_of(client.get("/dialer/work"))
    assert "What came of it?" in answer
    assert "Vera" in answer
    act(client, "outcome", result="completed")
    assert state_of(bob) == SessionState.WAITING


def test_typing_a_number_shows_nobody_a_colleagues_lead(tenant, alice, bob, agent, pages):
    make_lead(tenant, owner=alice, first_name="Secretia", last_name="Hidden", notes="TOP SECRET", phone="+14155550133")
    client = pages(bob)
    client.post(f"/dialer/queues/{agent.public_id}/add", {"first_name": "Ann", "phone": "+14155550133"})
    start(client, agent)
    pages_seen = [
        text_of(act(client, "next")),
        text_of(client.get(f"/dialer/queues/{agent.public_id}")),
        text_of(client.get("/dialer/work")),
    ]
    for answer in pages_seen:
        assert "Ann" in answer
        assert "Secretia" not in answer
        assert "TOP SECRET" not in answer


def test_who_works_a_queue_knows_whom_a_manager_put_there(tenant, alice, bob, agent, pages):
    lead = make_lead(tenant, owner=alice, first_name="Vera", notes="Prefers mornings", phone="+14155550133")
    with acting(alice) as by:
        queue_lead(agent=agent, first_name="Vera", phone=lead.phone, now=timezone.now(), by=by)
    client = pages(bob)
    start(client, agent)
    assert "Prefers mornings" in text_of(act(client, "next"))


def test_calls_are_found_and_opened(tenant, alice, bob, agent, pages):
    ann, zed = make_entry(agent, first_name="Annabel"), make_entry(agent, first_name="Zed")
    first = make_call(ann, user=bob, summary="Wants a demo.")
    make_call(zed, user=bob, result=CallResult.NO_ANSWER)
    client = pages(alice)
    assert client.get("/dialer/calls").context["total"] == 2
    assert [row["call"].pk for row in client.get("/dialer/calls?search=annabel").context["rows"]] == [first.pk]
    assert [row["call"].pk for row in client.get("/dialer/calls?outcome=answered").context["rows"]] == [first.pk]
    assert "A day is written like" in text_of(client.get("/dialer/calls?start_date=yesterday"))
    answer = text_of(client.get(f"/dialer/calls/{first.public_id}"))
    assert "Wants a demo." in answer
    assert "Annabel" in answer
    # Only who made the call says what came of it.
    client.post(f"/dialer/calls/{first.public_id}/note", {"notes": "Not mine."})
    with inside(tenant.pk):
        first.refresh_from_db()
        assert first.notes == ""


def test_numbers_add_up_and_lead_to_the_calls(tenant, alice, bob, agent, pages):
    entry = make_entry(agent)
    make_call(entry, user=bob)
    make_call(make_entry(agent), user=bob, result=CallResult.BUSY)
    context = pages(alice).get("/dialer/numbers").context
    assert (context["figures"]["total_calls"], context["figures"]["answered_calls"], context["figures"]["pickup_rate"]) == (2, 1, 50.0)
    assert sum(column["calls"] for column in context["columns"]) == 2
    assert [(row["name"], row["calls"]) for row in context["by_agent"]] == [("New leads", 2)]
    assert [(row["name"], row["calls"]) for row in context["by_user"]] == [(bob.full_name, 2)]
    assert "Nobody was called in this time" in text_of(pages(alice).get(f"/dialer/numbers?agent={make_agent(tenant).public_id}"))


def test_coaches_see_who_is_on_what(tenant, alice, bob, agent, pages):
    make_call(make_entry(agent, status="done", disposition="completed"), user=bob)
    lead = make_lead(tenant, first_name="Vera", phone=answering("human"))
    make_entry(agent, lead=lead, phone=lead.phone, first_name="Vera")
    client = pages(bob)
    start(client, agent)
    act(client, "next")
    context = pages(alice).get("/dialer/coaching").context
    (row,) = context["rows"]
    assert (row["user"], row["session"].state, row["about"], row["day"].calls) == (bob, SessionState.PREVIEW, lead.display_name, 1)
    act(client, "pause", reason="break")
    act(client, "end")
    context = pages(alice).get("/dialer/coaching").context
    assert context["rows"] == []
    assert [item["user"] for item in context["lately"]] == [bob]


def test_an_agent_is_made_with_hours_rules_and_people(tenant, alice, bob, pages):
    client = pages(alice)
    data = {
        "name": "Winback", "kind": "human", "is_active": "on", "own": "on", "open_0": "on", "from_0": "09:00", "to_0": "17:30", "time_zone": "Europe/Paris",
        "holidays": "2026-12-24\n2026-12-31", "max_attempts": 6, "retry_delay_minutes": 90, "most_calls": 1, "mode": "progressive", "lines": 2,
        "ring_seconds": 20, "countdown_seconds": 8, "members": [bob.pk], "own_busy": "on", "delay_busy": 15, "tries_busy": 4, "hour_busy": "on",
        "close_busy": "no_answer", "script": "Hi {first_name}",
    }  # fmt: skip
    assert client.post("/settings/agents/new", data)["Location"] == "/settings/agents"
    with inside(tenant.pk):
        agent = CallingAgent.objects.get(name="Winback")
        assert (agent.business_hours, len(agent.holidays), agent.mode) == ({"0": [["09:00", "17:30"]]}, 2, "progressive")
        (rule,) = agent.retry_rules.all()
        assert (rule.result, rule.delay_minutes, rule.most_tries, rule.another_hour) == ("busy", 15, 4, True)
        assert [member.user_id for member in agent.members.all()] == [bob.pk]
    assert "Mon 09:00–17:30" in text_of(client.get("/settings/agents"))
    refused = client.post(f"/settings/agents/{agent.public_id}", {**data, "holidays": "Christmas", "max_attempts": 0})
    assert refused.status_code == 422
    assert "is no day" in text_of(refused)
    client.post(f"/settings/agents/{agent.public_id}/delete")
    assert client.get(f"/settings/agents/{agent.public_id}").status_code == 404


def test_numbers_are_put_on_the_list_found_and_taken_off(tenant, alice, pages):
    client = pages(alice)
    client.post("/settings/do-not-call", {"phone": "(415) 555-0188", "reason": "Asked us"})
    with inside(tenant.pk):
        listed = DoNotCall.objects.get()
        assert (listed.phone, listed.reason) == ("+14155550188", "Asked us")
    assert "Asked us" in text_of(client.get("/settings/do-not-call?phone=415 555 0188"))
    assert "This number may be called" in text_of(client.get("/settings/do-not-call?phone=415 555 0199"))
    agent = make_agent(tenant, name="Winback")
    file = SimpleUploadedFile("numbers.csv", b"phone,reason\n415-555-0190,List\n")
    client.post("/settings/do-not-call/import", {"file": file, "agent": str(agent.public_id)})
    with inside(tenant.pk):
        operation = Operation.objects.get(kind="dialer.dnc_import")
    run(operation.pk)
    with inside(tenant.pk):
        assert DoNotCall.objects.get(agent=agent).phone == "+14155550190"
        DoNotCall.objects.filter(agent=agent).delete()
    client.post(f"/settings/do-not-call/{listed.pk}/remove")
    with inside(tenant.pk):
        assert not DoNotCall.objects.exists()


def test_the_telephone_is_the_admins(tenant, admin, pages):
    client = pages(admin)
    wanted = {
        "provider": "twilio", "account_sid": f"AC{'0' * 32}", "auth_token": "secret-word", "caller_id": "+14155550100", "window_start": "09:00",
        "window_end": "20:00", "window_days": ["0", "1"], "most_calls_a_day": 3, "most_abandoned": "2.5", "keep_recordings_days": 30,
    }  # fmt: skip
    assert client.post("/settings/dialer", wanted).status_code == 302
    with inside(tenant.pk):
        kept = DialerSettings.objects.get()
        assert (kept.provider, kept.window_days, kept.window_start) == ("twilio", [0, 1], time(9))
        assert "secret-word" not in kept.auth_token
    assert "secret-word" not in text_of(client.get("/settings/dialer"))
    assert client.post("/settings/dialer", {**wanted, "window_end": "08:00"}).status_code == 422


def test_the_leads_page_shows_queues_and_calls(tenant, bob, agent, pages):
    lead = make_lead(tenant, owner=bob, phone="+14155550134")
    entry = make_entry(agent, lead=lead, phone=lead.phone)
    make_call(entry, user=bob, result=CallResult.BUSY)
    client = pages(bob)
    assert f"/dialer/leads/{lead.pk}" in text_of(client.get(f"/leads/{lead.pk}"))
    answer = text_of(client.get(f"/dialer/leads/{lead.pk}", **HTMX))
    assert agent.name in answer
    assert "Busy" in answer


def test_lost_network_pauses_by_itself(tenant, bob, agent, pages):
    start(pages(bob), agent)
    pause_silent(now=timezone.now() + timedelta(minutes=1))
    with inside(tenant.pk):
        session = DialSession.objects.get(user=bob)
        assert (session.state, session.pause_reason) == (SessionState.PAUSED, PauseReason.LOST_NETWORK)
