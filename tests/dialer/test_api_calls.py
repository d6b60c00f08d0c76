"""S2-08 and S2-09: the history of calls and their figures, by the ledgers and by a slow and obvious count."""

import random
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dialer.enums import CallOutcome, CallResult, CallStatus
from dialer.models import Call, CallCount
from dialer.selectors.history import CallsAsked, history_page
from dialer.selectors.metrics import by_agent, by_day, by_result, by_user, metrics
from dialer.services.counts import compact_counts, wrong_counts
from tests.dialer.api_parts import make_agent, make_call, make_entry
from tests.factories import acting, inside, make_user

KEYS = {
    "id", "lead_id", "agent_id", "lead_name", "lead_phone", "agent_name", "status", "outcome", "duration_seconds", "transcript_url", "summary", "created_at",
}  # fmt: skip
RESULTS = [result for result in CallResult if result != CallResult.NOT_PLACED]
AT = datetime(2025, 6, 23, 14, 15, tzinfo=UTC)


@pytest.fixture
def agent(tenant):
    return make_agent(tenant, name="Sales Agent")


def ids(answer):
    return [row["id"] for row in answer.json()["calls"]]


def test_a_call_is_answered_as_documented(alice, agent, api):
    entry = make_entry(agent, first_name="John", phone="+14155552671")
    call = make_call(entry, at=AT, summary="Customer interested in premium plan")
    with inside(alice.tenant_id):
        call.transcript.save("transcript.txt", ContentFile(b"Hello, this is John."))
    body = api(alice).get("/api/v1/calls/history").json()
    assert set(body) == {"calls", "total", "page", "per_page"}
    assert (body["total"], body["page"], body["per_page"]) == (1, 1, 10)
    (row,) = body["calls"]
    assert set(row) >= KEYS
    assert {name: row[name] for name in KEYS - {"transcript_url"}} == {
        "id": str(call.public_id),
        "lead_id": str(entry.public_id),
        "agent_id": str(agent.public_id),
        "lead_name": "John",
        "lead_phone": "+14155552671",
        "agent_name": "Sales Agent",
        "status": "completed",
        "outcome": "answered",
        "duration_seconds": 180,
        "summary": "Customer interested in premium plan",
        "created_at": "2025-06-23T14:15:00Z",
    }
    path = row["transcript_url"].removeprefix("http://testserver")
    file = api(alice).get(path)
    assert (b"".join(file.streaming_content), file.headers["Content-Type"]) == (b"Hello, this is John.", "text/plain; charset=utf-8")
    assert api(alice).get(path.replace("transcript", "recording")).json() == {"detail": "Call not found"}


def test_history_is_what_is_over_and_was_placed(alice, agent, api):
    entry = make_entry(agent)
    over = make_call(entry, at=AT)
    make_call(entry, at=AT, result=CallResult.NOT_PLACED, status=CallStatus.FAILED)
    make_call(entry, at=AT, status=CallStatus.RINGING, result=CallResult.COMPLETED, outcome="", ended_at=None)
    answer = api(alice).get("/api/v1/calls/history")
    assert (ids(answer), answer.json()["total"]) == ([str(over.public_id)], 1)


def test_filters_narrow_the_list_and_its_total(alice, agent, api):
    other = make_agent(alice.tenant, name="Évening Line")
    john, ada = make_entry(agent, first_name="John", phone="+14155552671"), make_entry(other, first_name="Ada", phone="+442071838750")
    first = make_call(john, at=AT, result=CallResult.NO_ANSWER)
    second = make_call(john, at=AT + timedelta(days=1), result=CallResult.VOICEMAIL)
    third = make_call(ada, at=AT + timedelta(days=2), result=CallResult.NOT_INTERESTED)
    fourth = make_call(ada, at=AT + timedelta(days=30), result=CallResult.FAILED)
    client = api(alice)
    for query, expected in (
        ("", [fourth, third, second, first]),
        (f"agent_id={agent.public_id}", [second, first]),
        ("outcome=answered", [third]),
        ("outcome=no_answer", [second, first]),
        (f"agent_id={other.public_id}&outcome=failed", [fourth]),
        ("start_date=2025-06-24&end_date=2025-06-25", [third, second]),
        ("start_date=2025-06-26", [fourth]),
        ("end_date=2025-06-23", [first]),
        ("search=john", [second, first]),
        ("search=020+7183+8750", [fourth, third]),
        ("search=555-2671", [second, first]),
        ("search=evening", [fourth, third]),
        ("search=sales+agent&outcome=no_answer", [second, first]),
        ("search=ada&start_date=2025-07-01", [fourth]),
        ("search=nobody", []),
        ("page=2&per_page=3", [first]),
        ("page=3&per_page=3", []),
        ("search=john&page=2&per_page=1", [first]),
    ):
        answer = client.get(f"/api/v1/calls/history?{query}")
        assert ids(answer) == [str(call.public_id) for call in expected], query
        assert answer.json()["total"] == {"page=2&per_page=3": 4, "page=3&per_page=3": 4, "search=john&page=2&per_page=1": 2}.get(
            query, len(expected)
        ), query


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("outcome=maybe", "outcome"),
        ("start_date=23.06.2025", "start_date"),
        ("start_date=2025-06-31", "start_date"),
        ("start_date=2025-06-30&end_date=2025-06-01", "end_date"),
        ("per_page=101", "per_page"),
        ("agent_id=x", "agent_id"),
    ],
)
def test_parameters_that_cannot_be_read_are_422(alice, api, query, place):
    answer = api(alice).get(f"/api/v1/calls/history?{query}")
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["query", place])


@pytest.mark.parametrize("query", ["start_date=0001-01-01&end_date=9999-12-31", "start_date=0001-01-01&end_date=9999-12-31&search=john"])
def test_days_at_the_ends_of_the_calendar_are_taken(alice, agent, api, query):
    alice.tenant.time_zone = "Asia/Kolkata"
    alice.tenant.save()
    make_call(make_entry(agent), at=AT)
    assert api(alice).get(f"/api/v1/calls/history?{query}").json()["total"] == 1
    assert api(alice).get("/api/v1/calls/metrics?start_date=0001-01-01&end_date=9999-12-31").json()["total_calls"] == 1


@pytest.mark.parametrize("number", [1, 3])
def test_pages_ask_the_database_the_same_however_many_there_are(alice, agent, api, django_assert_num_queries, number):
    for _ in range(number):
        make_call(make_entry(agent), at=AT)
    client = api(alice)
    with django_assert_num_queries(10):
        assert len(client.get("/api/v1/calls/history").json()["calls"]) == number


# --- metrics ---


def test_metrics_have_the_documents_keys_and_meanings(alice, agent, api):
    idle = make_agent(alice.tenant)
    john, ada = make_entry(agent), make_entry(agent)
    first = make_call(john, at=AT, result=CallResult.NO_ANSWER)
    second = make_call(john, at=AT + timedelta(days=1), result=CallResult.COMPLETED, previous_at=first.created_at)
    make_call(john, at=AT + timedelta(days=1, hours=1), result=CallResult.FAILED, previous_at=second.created_at)
    make_call(ada, at=AT, result=CallResult.VOICEMAIL)
    client = api(alice)
    body = client.get("/api/v1/calls/metrics").json()
    assert body == {
        "total_calls": 4,
        "answered_calls": 1,
        "no_answer_calls": 2,
        "failed_calls": 1,
        "pickup_rate": 25.0,
        "average_attempts_per_lead": 2.0,
        "active_agents": 1,
    }
    day = client.get("/api/v1/calls/metrics?start_date=2025-06-24&end_date=2025-06-24").json()
    assert (day["total_calls"], day["pickup_rate"], day["average_attempts_per_lead"], day["active_agents"]) == (2, 50.0, 2.0, 1)
    empty = client.get(f"/api/v1/calls/metrics?agent_id={idle.public_id}").json()
    assert set(empty.values()) == {0}
    assert client.get("/api/v1/calls/metrics?start_date=2025-06-30&end_date=2025-06-01").status_code == 422


def test_people_see_their_own_calls_and_those_of_their_queues(alice, bob, tenant, api):
    own, others = make_agent(tenant, bob), make_agent(tenant, alice)
    in_queue = make_call(make_entry(own), at=AT)
    by_hand = make_call(make_entry(others), at=AT + timedelta(hours=1), agent=None, entry=None, agent_name="", user=bob)
    in_others = make_call(make_entry(others), at=AT + timedelta(hours=2), user=bob)
    hidden = make_call(make_entry(others, first_name="Hidden"), at=AT + timedelta(hours=3), user=alice)
    seen = [str(call.public_id) for call in (in_others, by_hand, in_queue)]
    client = api(bob)
    assert ids(client.get("/api/v1/calls/history")) == seen
    assert ids(client.get("/api/v1/calls/history?search=john")) == seen
    assert client.get("/api/v1/calls/history?search=hidden").json()["total"] == 0
    assert client.get("/api/v1/calls/metrics").json()["total_calls"] == 3
    assert client.get(f"/api/v1/calls/history?agent_id={others.public_id}").json() == {"detail": "Agent not found"}
    assert api(alice).get("/api/v1/calls/history").json()["total"] == 4
    assert client.get(f"/api/v1/calls/{hidden.public_id}/transcript").json() == {"detail": "Call not found"}
    assert api(alice).get("/api/v1/calls/history").json()["calls"][2]["lead_id"] is None


# --- the ledgers ---


def slow_count(calls, zone, since, until, agent_id):
    """The figures as anybody would count them, from all calls in the order in which they were made."""
    seen, inside_span = set(), []
    for call in sorted(calls, key=lambda call: (call.created_at, call.pk)):
        day = call.created_at.astimezone(zone).date()
        if (since is None or day >= since) and (until is None or day <= until) and (agent_id is None or call.agent_id == agent_id):
            inside_span.append(call)
            seen.add(call.entry_id)
    counted = {outcome: sum(call.outcome == outcome for call in inside_span) for outcome in CallOutcome}
    total = len(inside_span)
    return {
        "total_calls": total,
        "answered_calls": counted[CallOutcome.ANSWERED],
        "no_answer_calls": counted[CallOutcome.NO_ANSWER],
        "failed_calls": counted[CallOutcome.FAILED],
        "pickup_rate": round(counted[CallOutcome.ANSWERED] / total * 100, 2) if total else 0.0,
        "average_attempts_per_lead": round(total / len(seen), 2) if seen else 0.0,
        "active_agents": len({call.agent_id for call in inside_span}),
    }, inside_span


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10**6), zone=st.sampled_from(["UTC", "Asia/Kolkata", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
)
def test_ledgers_pages_and_figures_agree_with_a_slow_count(alice, bob, seed, zone):
    """Random calls around changes of the clocks, written by random statements, read by every way there is."""
    dice = random.Random(seed)
    tenant = alice.tenant
    with inside(tenant.pk):
        Call.objects.all().delete()
    type(tenant).objects.filter(pk=tenant.pk).update(time_zone=zone)
    agents = [make_agent(tenant), make_agent(tenant, alice)]
    for entry in [make_entry(agents[number % 2], first_name=dice.choice(("John", "Ada"))) for number in range(6)]:
        at, before = datetime(2025, 3, 8, tzinfo=UTC) + timedelta(minutes=dice.randrange(3000)), None
        for _ in range(dice.randrange(5)):
            call = make_call(entry, at=at, result=dice.choice(RESULTS), user=dice.choice((alice, bob, None)), previous_at=before)
            before, at = call.created_at, at + timedelta(minutes=dice.choice((1, 50, 600, 1500)))
    with inside(tenant.pk):
        Call.objects.filter(pk__in=list(Call.objects.values_list("pk", flat=True))[::5]).delete()
        for call in Call.objects.all()[::4]:
            Call.objects.filter(pk=call.pk).update(result="busy", outcome="no_answer", duration_seconds=7)
        # What was called before a call that is gone is the call before that one.
        for entry_id in set(Call.objects.values_list("entry_id", flat=True)):
            earlier = None
            for call in Call.objects.filter(entry_id=entry_id).order_by("created_at", "pk"):
                Call.objects.filter(pk=call.pk).update(previous_at=earlier)
                earlier = call.created_at
        calls = list(Call.objects.all())
        assert wrong_counts() == 0
    days = [None, date(2025, 3, 8), date(2025, 3, 9), date(2025, 3, 10)]
    with acting(alice) as by:
        for since in days:
            for until in days:
                if since and until and until < since:
                    continue
                for agent in (None, *agents):
                    pk = agent.pk if agent else None
                    expected, rows = slow_count(calls, ZoneInfo(zone), since, until, pk)
                    found = metrics(actor=by, agent_id=pk, since=since, until=until)
                    if since is None and until is None:
                        expected["active_agents"] = found["active_agents"]
                    assert found == expected
                    rows.sort(key=lambda call: (call.created_at, call.pk), reverse=True)
                    asked = CallsAsked(agent_id=pk, since=since, until=until)
                    assert walked(by, asked) == ([call.pk for call in rows], len(rows))
                    johns = [call.pk for call in rows if call.lead_name == "John"]
                    assert walked(by, CallsAsked(agent_id=pk, since=since, until=until, search="john")) == (johns, len(johns))
        total = sum(figures["calls"] for figures in by_day(actor=by).values())
        assert total == len(calls) == sum(figures["calls"] for figures in by_result(actor=by).values())
        assert {None if pk is None else pk for pk in by_user(actor=by)} == {call.user_id for call in calls}
        assert {pk: figures["calls"] for pk, figures in by_agent(actor=by).items()} == {
            agent.pk: n for agent in agents if (n := sum(call.agent_id == agent.pk for call in calls))
        }
    with acting(bob) as by:
        mine = [call for call in calls if call.agent_id == agents[0].pk or call.user_id == bob.pk]
        mine.sort(key=lambda call: (call.created_at, call.pk), reverse=True)
        assert walked(by, CallsAsked()) == ([call.pk for call in mine], len(mine))


def walked(by, asked):
    """The history page by page, and the total that every page answers."""
    found, totals = [], set()
    for page in range(1, 100):
        calls, total = history_page(actor=by, asked=asked, page=page, per_page=4)
        totals.add(total)
        found += [call.pk for call in calls]
        if not calls:
            break
    (total,) = totals
    return found, total


def test_a_frequent_word_is_walked_to_and_counted_exactly(alice, agent, monkeypatch):
    monkeypatch.setattr("dialer.selectors.history.MOST_CANDIDATES", 2)
    evening = make_agent(alice.tenant, name="John's line")
    calls = [make_call(make_entry(agent), at=AT + timedelta(hours=number)) for number in range(6)]
    calls += [make_call(make_entry(evening, first_name="Ada"), at=AT + timedelta(hours=number, minutes=5)) for number in range(3)]
    calls.sort(key=lambda call: call.created_at, reverse=True)
    with acting(alice) as by:
        assert walked(by, CallsAsked(search="john")) == ([call.pk for call in calls], 9)
        assert walked(by, CallsAsked(search="john", agent_id=agent.pk))[1] == 6


def test_ledgers_are_folded_and_proved(alice, agent, monkeypatch):
    monkeypatch.setattr("dialer.services.counts.FOLD_ABOVE", 2)
    for number in range(6):
        make_call(make_entry(agent), at=AT + timedelta(minutes=number))
    with acting(alice) as by:
        before = metrics(actor=by)
    assert compact_counts() == 3
    with acting(alice) as by:
        assert CallCount.objects.count() == 1
        assert metrics(actor=by) == before
    call_command("verify_call_counts", verbosity=0)
    with inside(alice.tenant_id):
        CallCount.objects.update(calls=7)
    with pytest.raises(CommandError):
        call_command("verify_call_counts")
    call_command("verify_call_counts", mend=True)
    with inside(alice.tenant_id):
        assert wrong_counts() == 0


def test_support_hears_nothing_of_calls(tenant, api):
    assert api(make_user(tenant, role="support")).get("/api/v1/calls/metrics").status_code == 403
