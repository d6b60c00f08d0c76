"""The look through all leads, and configured fields."""

import pytest

from crm.errors import Forbidden, InvalidInput
from duplicates.enums import ScanState
from duplicates.models import DuplicateGroup, DuplicatePair, LeadKeys, MatchWeights, Scan
from duplicates.services.deciding import keep_separate
from duplicates.services.scanning import ask_for_nightly_scans, ask_for_scan, run_scan, scanned_by
from duplicates.services.settings import save_settings
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
