"""The engine by itself: methods, capacities, reasons."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assignments.enums import Fallback, Method, Nobody, Skip
from assignments.services.engine import Engine, Known, LeadFacts, Rule, Territory, Worker
from crm.worktime import WorkingTime, read_week

MONDAY_NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
OFFICE = WorkingTime(zone=ZoneInfo("UTC"), week=read_week({str(day): ["09:00", "17:00"] for day in range(5)}))


def rule(method: Method = Method.ROUND_ROBIN, members=((1, 1), (2, 1), (3, 1)), **fields) -> Rule:
    return Rule(**{"id": 1, "name": "Rule", "method": method, "members": members, "heed_shifts": False, **fields})


def engine(*rules: Rule, workers=None, known=None, at=MONDAY_NOON, **of_workers) -> Engine:
    people = workers or {pk: Worker(id=pk) for pk in (1, 2, 3)}
    return Engine(rules=rules or [rule()], workers=people, known=known or Known(), credits={}, at=at)


def give(to: Engine, number: int, **facts) -> list[int | None]:
    places = range(len(to.rules))
    return [to.decide(LeadFacts(id=pk, **facts), list(places)).user_id for pk in range(number)]


def test_turns_go_round():
    assert give(engine(), 7) == [1, 2, 3, 1, 2, 3, 1]


def test_turns_go_on_where_they_stopped():
    first = engine()
    given_first = give(first, 4)
    second = Engine(
        rules=first.rules, workers={pk: Worker(id=pk) for pk in (1, 2, 3)}, known=Known(), credits=first.credits, at=MONDAY_NOON
    )
    assert given_first + give(second, 2) == [1, 2, 3, 1, 2, 3]


def test_weights_are_kept_and_spread_out():
    found = give(engine(rule(Method.WEIGHTED, ((1, 5), (2, 1), (3, 1)))), 7)
    assert found == [1, 1, 2, 1, 3, 1, 1]


def test_least_loaded_fills_up_the_emptiest():
    workers = {pk: Worker(id=pk, open_leads=load) for pk, load in ((1, 3), (2, 0), (3, 1))}
    assert give(engine(rule(Method.LEAST_LOADED), workers=workers), 6) == [2, 2, 3, 2, 3, 1]


def test_company_owner_keeps_the_company_also_within_one_run():
    known = Known(company_owner={"acme": 3})
    rules = (rule(Method.COMPANY_OWNER, None), rule())
    one = engine(*rules, known=known)
    assert give(one, 2, company="acme") == [3, 3]
    assert give(one, 3, company="new") == [1, 1, 1]
    assert give(one, 2) == [2, 3]


def test_company_owner_without_one_says_so():
    outcome = engine(rule(Method.COMPANY_OWNER, None)).decide(LeadFacts(id=1, company="acme"), [0])
    assert (outcome.user_id, outcome.why.passed) == (None, ((0, Nobody.NO_COMPANY_OWNER, ()),))


def test_sticky_prefers_who_had_the_lead_then_the_person_and_leaves_the_company_to_its_own_rule():
    known = Known(company_owner={"acme": 1}, person_owner={"jane@acme.example": 2})
    one = engine(rule(Method.STICKY, None), known=known)
    assert one.decide(LeadFacts(id=1, company="acme", keys=("jane@acme.example",), earlier=3), [0]).user_id == 3
    assert engine(rule(Method.STICKY, None), known=known).decide(LeadFacts(id=2, keys=("jane@acme.example",)), [0]).user_id == 3
    alone = engine(rule(Method.STICKY, None), known=Known(company_owner={"acme": 1})).decide(LeadFacts(id=3, company="acme"), [0])
    assert (alone.user_id, alone.why.passed) == (None, ((0, Nobody.NO_EARLIER_OWNER, ()),))


def test_territory_the_most_exact_wins():
    places = (
        Territory(country="us", state="", city="", members=(1,)),
        Territory(country="us", state="california", city="", members=(2,)),
        Territory(country="us", state="california", city="oakland", members=(3,)),
    )
    one = engine(rule(Method.TERRITORY, None, territories=places))
    assert give(one, 1, country="us", state="texas") == [1]
    assert give(one, 1, country="us", state="california", city="fresno") == [2]
    assert give(one, 1, country="us", state="california", city="oakland") == [3]
    outcome = one.decide(LeadFacts(id=9, country="france"), [0])
    assert (outcome.user_id, outcome.why.passed[0][1]) == (None, Nobody.NO_TERRITORY)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"active": False}, Skip.INACTIVE),
        ({"paused": True}, Skip.PAUSED),
        ({"leave": ((date(2026, 3, 1), date(2026, 3, 2)),)}, Skip.ON_LEAVE),
        ({"hours": OFFICE}, Skip.OFF_SHIFT),
        ({"per_day": 2, "given_today": 2}, Skip.FULL_TODAY),
        ({"in_total": 5, "open_leads": 9}, Skip.FULL),
    ],
)
def test_who_cannot_is_skipped_and_it_is_said_why(fields, reason):
    workers = {1: Worker(id=1, **fields), 2: Worker(id=2)}
    at = MONDAY_NOON if reason != Skip.OFF_SHIFT else datetime(2026, 3, 1, 12, tzinfo=UTC)
    one = engine(rule(members=((1, 1), (2, 1)), heed_shifts=True), workers=workers, at=at)
    outcome = one.decide(LeadFacts(id=1), [0])
    assert (outcome.user_id, outcome.why.candidates, outcome.why.skipped) == (2, (2,), ((reason, (1,)),))


def test_leads_weighed_alike_share_one_reasoning():
    one = engine()
    assert len({one.decide(LeadFacts(id=pk), [0]).why for pk in range(50)}) == 1


def test_rule_may_limit_more_than_the_person():
    workers = {pk: Worker(id=pk, in_total=10) for pk in (1, 2, 3)}
    one = engine(rule(in_total=1), rule(in_total=2), workers=workers)
    assert sorted(pk for pk in give(one, 8) if pk) == [1, 1, 2, 2, 3, 3]
    assert give(one, 1) == [None]


@pytest.mark.parametrize(("fallback", "expected"), [(Fallback.NEXT, 2), (Fallback.WAIT, None), (Fallback.USER, 3)])
def test_fallback_decides_when_nobody_can(fallback, expected):
    workers = {1: Worker(id=1, active=False), 2: Worker(id=2), 3: Worker(id=3)}
    one = engine(rule(members=((1, 1),), fallback=fallback, fallback_user=3), rule(members=((2, 1),)), workers=workers)
    assert give(one, 1) == [expected]


@settings(max_examples=60, deadline=None)
@given(
    people=st.integers(1, 6),
    limits=st.lists(st.one_of(st.none(), st.integers(0, 8)), min_size=6, max_size=6),
    leads=st.integers(0, 60),
    method=st.sampled_from([Method.ROUND_ROBIN, Method.WEIGHTED, Method.LEAST_LOADED]),
)
def test_nobody_gets_more_than_they_can_take_and_none_waits_while_somebody_could(people, limits, leads, method):
    workers = {pk: Worker(id=pk, in_total=limits[pk - 1]) for pk in range(1, people + 1)}
    one = engine(rule(method, tuple((pk, pk) for pk in workers)), workers=workers)
    found = give(one, leads)
    got = {pk: found.count(pk) for pk in workers}
    room = sum(leads if worker.in_total is None else worker.in_total for worker in workers.values())
    assert all(worker.in_total is None or got[pk] <= worker.in_total for pk, worker in workers.items())
    assert sum(got.values()) == min(leads, room)
    unlimited = [got[pk] for pk, worker in workers.items() if worker.in_total is None]
    if method == Method.ROUND_ROBIN and unlimited:
        assert max(unlimited) - min(unlimited) <= 1
