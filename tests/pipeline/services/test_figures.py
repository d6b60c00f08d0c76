"""The figures of stages are what a slow, obvious count of the stays says, whatever is done to the leads and wherever days begin."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm.tenancy.scope import tenant_scope
from leads.models import Lead, LeadStatus
from leads.permissions import SEE_ALL
from pipeline.models import LeadStage
from pipeline.selectors.figures import Period, kept_to, late_now, past_within, present_state, range_within, work_within
from pipeline.selectors.measures import Kept, Stay
from pipeline.services import ledger
from tests.factories import acting, make_tenant, make_user

pytestmark = pytest.mark.django_db
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Australia/Lord_Howe")
# Around a change of the clocks, a month's and a year's end.
BASES = (datetime(2024, 3, 9, 22, tzinfo=UTC), datetime(2024, 10, 31, 20, tzinfo=UTC), datetime(2024, 12, 31, 3, tzinfo=UTC))
CODES = ("new", "qualified", "contacted", "won", "lost")


@dataclass
class Life:
    """What is obvious about one lead: its stays as [status, from, entered, left, by whom], and whether it counts."""

    stays: list = field(default_factory=list)
    live: bool = True


def reference(lives: list[Life], start, end) -> dict[str, Stay]:
    found: dict[str, Stay] = {}
    inside = lambda at: at is not None and (start is None or at >= start) and (end is None or at < end)  # noqa: E731
    for life in lives:
        for number, (status, _came, entered, left, _by) in enumerate(life.stays):
            if not life.live:
                continue
            stay = found.setdefault(status, Stay())
            stay.entries += inside(entered)
            if inside(left):
                spent = left - entered
                stay.exits += 1
                stay.spent += spent
                stay.over_24h += spent > timedelta(hours=24)
                stay.over_48h += spent > timedelta(hours=48)
                target = life.stays[number + 1][0]
                count, total = stay.went_to.get(target, (0, timedelta()))
                stay.went_to[target] = (count + 1, total + spent)
    return {status: stay for status, stay in found.items() if stay.entries or stay.exits}


works = st.lists(
    st.tuples(
        st.sampled_from(["create", "move", "move", "move", "bin", "restore", "purge", "bulk", "nothing"]),
        st.integers(0, 5),
        st.sampled_from(CODES),
        st.integers(0, 200_000),
        st.integers(0, 2),
    ),
    min_size=1,
    max_size=16,
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    works=works,
    base=st.sampled_from(BASES),
    zone=st.sampled_from(ZONES),
    days=st.tuples(st.integers(-1, 6), st.integers(0, 6)),
    fold=st.booleans(),
)
def test_figures_equal_a_slow_count(works, base, zone, days, fold):
    tenant = make_tenant(time_zone=zone)
    people = [None, make_user(tenant), make_user(tenant, role="sales_rep")]
    lives: dict[int, Life] = {}
    clock = base
    for kind, which, code, seconds, person in works:
        clock += timedelta(seconds=seconds)
        by = people[person]
        ids = sorted(lives)
        with acting(by) if by else tenant_scope(tenant.pk):
            statuses = {status.code: status for status in LeadStatus.objects.all()}
            chosen = ids[which % len(ids) :][: 3 if kind == "bulk" else 1] if ids else []
            if kind == "create" or not chosen:
                lead = Lead.objects.create(
                    last_name="A", status=statuses[code], status_changed_at=clock, created_at=clock, created_by=by, owner=people[which % 3]
                )
                lives[lead.pk] = Life(stays=[[code, None, clock, None, by]])
            elif kind in ("move", "bulk"):
                Lead.objects.filter(pk__in=chosen).update(status=statuses[code], status_changed_at=clock)
                for pk in chosen:
                    stays = lives[pk].stays
                    if stays[-1][0] != code:
                        stays[-1][3] = clock
                        stays.append([code, stays[-1][0], clock, None, by])
            elif kind in ("bin", "restore"):
                Lead.objects.filter(pk__in=chosen).update(deleted_at=clock if kind == "bin" else None)
                for pk in chosen:
                    lives[pk].live = kind == "restore"
            elif kind == "purge":
                Lead.objects.filter(pk__in=chosen).delete()
                for pk in chosen:
                    del lives[pk]
    if fold:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "FOLD_ABOVE", 0)
            ledger.compact_figures()
            ledger.compact_figures()
    first = date(base.year, base.month, base.day) + timedelta(days=days[0])
    period = Period(first=first, last=first + timedelta(days=days[1]), zone=ZoneInfo(zone))
    for start, end in ((period.start, period.end), (None, None), (None, period.end), (period.start, None)):
        _compare(tenant, people, lives, start, end, clock)
    with tenant_scope(tenant.pk):
        assert ledger.figures_that_differ() == []
        assert ledger.stays_that_differ() == []


def _compare(tenant, people, lives, start, end, clock):
    with acting(people[1]) as manager:
        codes = {status.pk: status.code for status in LeadStatus.objects.all()}
        owners = dict(Lead.objects.values_list("pk", "owner_id"))
        _compare_for(manager, list(lives.values()), codes, start, end, clock)
        inside = lambda at: at is not None and (start is None or at >= start) and (end is None or at < end)  # noqa: E731
        moves: dict[tuple, int] = {}
        for life in (life for life in lives.values() if life.live):
            for status, came, entered, _left, by in life.stays:
                if by and came and inside(entered):
                    moves[by.pk, status] = moves.get((by.pk, status), 0) + 1
        work = work_within(start=start, end=end, user_id=None)
        assert {(person, codes[pk]): item.moves for person, by in work.items() for pk, item in by.items() if item.moves} == moves
    with acting(people[2]) as rep:
        own = [life for pk, life in lives.items() if owners.get(pk) == people[2].pk]
        _compare_for(rep, own, codes, start, end, clock)


def _compare_for(by, lives, codes, start, end, clock):
    """All that somebody is told of these leads."""
    live = [life for life in lives if life.live]
    stays = [stay for life in live for stay in life.stays]
    past = past_within(start=start, end=end, extremes=True, by=by)
    assert _named(past.stays, codes) == reference(lives, start, end)
    before = lambda at: at is not None and (end is None or at < end)  # noqa: E731
    present: dict[str, int] = {}
    for status, _came, entered, left, _by in stays:
        present[status] = present.get(status, 0) + before(entered) - before(left)
    assert {codes[pk]: number for pk, number in past.present.items() if number} == {
        code: number for code, number in present.items() if number
    }
    ranges = past.ranges or range_within(start=start, end=end, status_ids=list(codes))
    spans: dict[str, list] = {}
    for status, _came, entered, left, _by in stays:
        if before(left) and (start is None or left >= start):
            spans.setdefault(status, []).append(left - entered)
    if by.can(SEE_ALL) or spans:
        assert {codes[pk]: span for pk, span in ranges.items()} == {code: (min(all_of), max(all_of)) for code, all_of in spans.items()}
    plain = past_within(start=start, end=end, by=by)
    assert plain.present == past.present
    assert {codes[pk]: (stay.entries, stay.exits, stay.spent) for pk, stay in plain.stays.items()} == {
        code: (stay.entries, stay.exits, stay.spent) for code, stay in reference(lives, start, end).items()
    }
    for hours in (1, 24):
        limit = timedelta(hours=hours)
        late = sum(left is None and clock - entered > limit for _status, _came, entered, left, _by in stays)
        assert late_now(now=clock, hours=hours, status_ids=list(codes), by=by) == late
        kept = {codes[pk]: item for pk, item in kept_to(now=clock, hours=hours, status_ids=list(codes), by=by).items()}
        assert kept == {
            code: Kept(
                ended=sum(left is not None for _entered, left in mine),
                within=sum(left is not None and left - entered <= limit for entered, left in mine),
                waiting=sum(left is None for _entered, left in mine),
                late=sum(left is None and clock - entered > limit for entered, left in mine),
            )
            for code in {stay[0] for stay in stays}
            if (mine := [(entered, left) for status, _came, entered, left, _by in stays if status == code])
        }
    since = clock - timedelta(days=1)
    state = present_state(now=clock, since=since, status_ids=list(codes), over=(1, 24), by=by)
    now_in = [life.stays[-1] for life in live]
    assert {codes[pk]: (item.leads, item.oldest, item.over) for pk, item in state.waiting.items()} == {
        code: (len(mine), min(mine), tuple(sum(clock - at > timedelta(hours=hours) for at in mine) for hours in (1, 24)))
        for code in {stay[0] for stay in now_in}
        if (mine := [stay[2] for stay in now_in if stay[0] == code])
    }
    for pk, item in state.waiting.items():
        waits = [clock - stay[2] for stay in now_in if stay[0] == codes[pk]]
        assert abs(item.average - sum(waits, timedelta()) / len(waits)) < timedelta(milliseconds=1)
    assert {codes[pk]: (stay.entries, stay.exits) for pk, stay in state.lately.items() if stay.entries or stay.exits} == {
        code: (stay.entries, stay.exits) for code, stay in reference(lives, since, clock).items()
    }


def _named(found: dict[int, Stay], codes: dict[int, str]) -> dict[str, Stay]:
    for stay in found.values():
        stay.went_to = {codes[pk]: pair for pk, pair in stay.went_to.items()}
    return {codes[pk]: stay for pk, stay in found.items()}


def test_stages_of_leads_that_were_there_before_are_filled_from_history(tenant, alice):
    base = datetime(2024, 5, 1, 9, tzinfo=UTC)
    with acting(alice):
        statuses = {status.code: status for status in LeadStatus.objects.all()}
        leads = [
            Lead.objects.create(last_name="A", status=statuses["new"], status_changed_at=base, created_at=base, created_by=alice)
            for _ in range(2)
        ]
        for hours, code in ((1, "qualified"), (3, "contacted")):
            Lead.objects.filter(pk=leads[0].pk).update(status=statuses[code], status_changed_at=base + timedelta(hours=hours))
        Lead.objects.filter(pk=leads[0].pk).update(company="Acme")
        columns = (
            "lead_id",
            "status_id",
            "came_from_id",
            "left_to_id",
            "entered_at",
            "exited_at",
            "user_id",
            "rules_skipped",
            "is_counted",
        )
        before = list(LeadStage.objects.order_by("lead_id", "pk").values_list(*columns))
        assert len(before) == 4
        LeadStage.objects.all().delete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pipeline_fill_stages(%s)", [tenant.pk])
            assert cursor.fetchone() == (4,)
        assert list(LeadStage.objects.order_by("lead_id", "pk").values_list(*columns)) == before
        assert ledger.figures_that_differ() == ledger.stays_that_differ() == []
