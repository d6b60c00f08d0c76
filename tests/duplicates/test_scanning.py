"""The look through all leads, and configured fields."""

import threading

import pytest
from django.db import connection

from crm.errors import Forbidden, InvalidInput
from duplicates.enums import ScanState
from duplicates.models import DuplicateGroup, DuplicatePair, LeadKeys, MatchWeights, Scan
from duplicates.services.deciding import keep_separate
from duplicates.services.scanning import ask_for_nightly_scans, ask_for_scan, run_scan, scanned_by
from duplicates.services.settings import save_settings
from duplicates.tasks import scan_leads
from tests.duplicates.conftest import ANN
from tests.factories import acting, inside, make_lead

# A scan runs in transactions of its own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scan(tenant, alice):
    def run():
        with acting(alice) as by:
            ask_for_scan(by=by)
        return run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk))

    return run


def test_scan_finds_what_was_there_before(tenant, scan):
    one, other = make_lead(tenant, **ANN), make_lead(tenant, **{**ANN, "last_name": "Leihgton", "company": "Acme Robotics GmbH"})
    make_lead(tenant, first_name="Zed", last_name="Quirk", email="zed@quirk.example")
    done = scan()
    assert (done.state, done.leads, done.pairs, done.groups) == (ScanState.DONE, 3, 1, 1)
    with inside(tenant.pk):
        assert DuplicatePair.objects.values_list("first_id", "second_id").get() == (one.pk, other.pk)
        assert LeadKeys.objects.count() == 3
        assert MatchWeights.objects.get().leads == 3


def test_scan_again_keeps_decisions_and_the_day_of_finding(tenant, alice, scan):
    one, other = make_lead(tenant, **ANN), make_lead(tenant, **ANN)
    three, four = (make_lead(tenant, first_name="Xaver", last_name="Quist", email="x@quist.example") for _ in range(2))
    scan()
    with acting(alice) as by:
        found = DuplicateGroup.objects.get(pairs__first=three).found_at
        keep_separate(lead_ids=[one.pk, other.pk], by=by)
    again = scan()
    assert (again.pairs, again.groups) == (2, 1)
    with inside(tenant.pk):
        group = DuplicateGroup.objects.get()
        assert group.found_at == found
        assert list(group.pairs.values_list("first_id", "second_id")) == [(three.pk, four.pk)]
        assert MatchWeights.objects.get().version == 2


def test_whoever_asks_while_one_waits_gets_that_one(tenant, alice, bob):
    with acting(alice) as by:
        first = ask_for_scan(by=by)
    with acting(bob) as by:
        assert ask_for_scan(by=by) == first


def test_scan_of_a_tenant_without_leads_is_done(scan):
    assert scan().state == ScanState.DONE


def test_nothing_waits_nothing_runs(tenant):
    assert run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk)) is None


class Killed(BaseException):
    """What no `except Exception` catches, as a process that is killed."""


@pytest.mark.parametrize("where", ["search", "write_groups", "_fill_keys", "_catch_up"])
def test_a_scan_whose_worker_dies_begins_anew_and_ends_right(tenant, scan, monkeypatch, where):
    one, other = make_lead(tenant, **ANN), make_lead(tenant, **ANN)

    def dies(*_given, **_named):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(f"duplicates.services.scanning.{where}", dies)
        with pytest.raises(Killed):
            scan()
    done = run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk)) or scan()
    assert (done.state, done.pairs, done.groups, done.error) == (ScanState.DONE, 1, 1, "")
    with inside(tenant.pk):
        assert list(DuplicatePair.objects.values_list("first_id", "second_id")) == [(one.pk, other.pk)]
        assert DuplicateGroup.objects.count() == 1
        assert LeadKeys.objects.count() == 2
        assert not Scan.objects.filter(state__in=[ScanState.WAITING, ScanState.RUNNING]).exists()


def test_a_scan_that_meets_an_error_says_so_and_the_next_one_runs(tenant, scan, monkeypatch):
    make_lead(tenant, **ANN)
    with monkeypatch.context() as patch:
        patch.setattr("duplicates.services.scanning.search", lambda *_given, **_named: 1 / 0)
        failed = scan()
    assert (failed.state, "ZeroDivisionError" in failed.error) == (ScanState.FAILED, True)
    assert scan().state == ScanState.DONE


def test_one_scan_runs_at_a_time_and_wakes_the_next(tenant, next_door, alice, mallory, monkeypatch):
    for owner in (tenant, next_door):
        make_lead(owner, **ANN)
    for user in (alice, mallory):
        with acting(user) as by:
            ask_for_scan(by=by)
    answers = []

    def meanwhile(*_given, **_named):
        # Another worker, on a connection of its own.
        thread = threading.Thread(target=lambda: answers.append(_other_worker(next_door.pk)))
        thread.start()
        thread.join()
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("duplicates.services.scanning.search", meanwhile)
        with pytest.raises(Killed):
            run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk))
    assert answers == [None]
    woken = []
    monkeypatch.setattr("duplicates.services.scanning.nudge.task", lambda _name, *, tenant_id: woken.append(tenant_id))
    scan_leads(tenant_id=tenant.pk)
    assert woken == [next_door.pk]
    scan_leads(tenant_id=next_door.pk)
    assert woken == [next_door.pk]
    for owner in (tenant, next_door):
        with inside(owner.pk):
            assert Scan.objects.get().state == ScanState.DONE


def _other_worker(tenant_id):
    try:
        return run_scan(tenant_id=tenant_id, by=scanned_by(tenant_id))
    finally:
        connection.close()


def test_nightly_scans_pass_by_tenants_that_want_none(tenant, next_door, admin):
    make_lead(tenant, **ANN)
    make_lead(next_door, **ANN)
    with acting(admin) as by:
        save_settings(fields=[{"name": "email", "comparator": "email"}], threshold=0.8, nightly=False, by=by)
    with inside(tenant.pk):
        Scan.objects.all().delete()
    assert ask_for_nightly_scans() == 1
    with inside(next_door.pk):
        assert Scan.objects.count() == 1
    with inside(tenant.pk):
        assert Scan.objects.count() == 0


def test_custom_fields_are_compared_and_find_candidates(tenant, admin, scan):
    born = {"custom_fields": {"born": "1990-04-12"}}
    one = make_lead(tenant, first_name="Mara", last_name="Klein", city="Bern", **born)
    other = make_lead(tenant, first_name="Marla", last_name="Kline", city="Bern", **born)
    with acting(admin) as by:
        fields = [
            {"name": "name", "comparator": "person"},
            {"name": "city", "comparator": "text"},
            {"name": "custom:born", "comparator": "date"},
        ]
        save_settings(fields=fields, threshold=0.8, nightly=True, by=by)
    scan()
    with inside(tenant.pk):
        pair = DuplicatePair.objects.get()
        assert (pair.first_id, pair.second_id, pair.levels["custom:born"]) == (one.pk, other.pk, 4)
        assert LeadKeys.objects.exclude(custom_1=None).count() == 2


@pytest.mark.parametrize(
    ("fields", "threshold"),
    [
        ([], 0.8),
        ([{"name": "nonsense", "comparator": "text"}], 0.8),
        ([{"name": "email", "comparator": "nonsense"}], 0.8),
        ([{"name": "city", "comparator": "organisation"}], 0.8),
        ([{"name": "email", "comparator": "email"}] * 2, 0.8),
        ([{"name": "email", "comparator": "email"}], 0.2),
    ],
)
def test_settings_that_make_no_sense_are_refused(admin, fields, threshold):
    with acting(admin) as by, pytest.raises(InvalidInput):
        save_settings(fields=fields, threshold=threshold, nightly=True, by=by)


def test_a_rep_may_not_set_how_duplicates_are_found(bob):
    with acting(bob) as by, pytest.raises(Forbidden):
        save_settings(fields=[{"name": "email", "comparator": "email"}], threshold=0.8, nightly=True, by=by)
