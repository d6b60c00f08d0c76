"""The sure groups merged as one operation, and taken back as one."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.services.undo import undo_operation
from crm.actors import Actor
from crm.errors import Forbidden, InvalidInput
from crm.events.services import deliver_outbox
from crm.operations.models import Claim, Operation, OperationRow
from crm.operations.runner import run
from duplicates.enums import ScanState
from duplicates.models import Decision, DuplicateGroup, DuplicatePair, Merge, Scan
from duplicates.selectors.certain import count_sure_groups, sure_groups
from duplicates.selectors.groups import WEIGHTY, groups_after
from duplicates.services.auto_merge import KIND, UNDO_KIND, AlreadyMerging, NothingSure, begin_auto_merge, count_auto_merge
from duplicates.services.deciding import keep_separate, put_off
from duplicates.services.merge_rules import MergeRules
from duplicates.services.merging import merge_leads
from duplicates.services.scanning import ask_for_nightly_scans, ask_for_scan, run_scan, scanned_by
from duplicates.services.settings import save_settings
from leads.models import Lead
from leads.services.editing import edit_lead
from tests.duplicates.conftest import ANN
from tests.factories import acting, inside, make_lead, make_user

pytestmark = pytest.mark.django_db
XAVER = {"first_name": "Xaver", "last_name": "Quist", "email": "xaver@quist.example", "phone": "+14155550999", "company": "Quist"}
FIELDS = [{"name": name, "comparator": name} for name in ("email", "phone")]


@pytest.fixture
def couples(tenant, refreshed):
    """Two sure groups of two; the first of each says the most."""
    leads = (
        make_lead(tenant, title="CTO", tags=["vip"], notes="Called.", custom_fields={"a": "1"}, **ANN),
        make_lead(tenant, tags=["fair"], notes="From the fair.", city="Bern", custom_fields={"b": "2"}, **ANN),
        make_lead(tenant, title="CEO", **XAVER),
        make_lead(tenant, **XAVER),
    )
    refreshed(*leads)
    return leads


@pytest.fixture
def merged(alice, couples):
    """The two groups merged by Alice's operation."""
    with acting(alice) as by:
        operation = begin_auto_merge(by=by)
    run(operation.pk)
    return again(alice, operation)


def again(user, operation) -> Operation:
    with inside(user.tenant_id):
        return Operation.objects.get(pk=operation.pk)


def undone(user, operation) -> Operation:
    with acting(user) as by:
        undo = undo_operation(operation=operation, by=by)
    run(undo.pk)
    return again(user, undo)


def live(tenant) -> set[int]:
    with inside(tenant.pk):
        return set(Lead.objects.live().values_list("pk", flat=True))


def test_each_sure_group_becomes_the_lead_that_says_the_most(tenant, alice, couples, merged):
    ann, _ann, xaver, _xaver = couples
    assert (merged.state, merged.updated, merged.failed, merged.skipped, merged.total) == ("done", 2, 0, 0, 2)
    assert merged.result == {"merged_leads": 2}
    assert live(tenant) == {ann.pk, xaver.pk}
    with inside(tenant.pk):
        lead = Lead.objects.get(pk=ann.pk)
        assert (lead.tags, lead.notes, lead.custom_fields) == (["vip", "fair"], "Called.\n\nFrom the fair.", {"a": "1", "b": "2"})
        assert (lead.title, lead.city) == ("CTO", "Bern")
        assert set(Merge.objects.values_list("operation_id", "merged_by_id")) == {(merged.pk, alice.pk)}
        assert not DuplicateGroup.objects.exists()


def test_taken_back_as_one_operation_everything_stands_as_before(tenant, alice, couples, merged):
    with inside(tenant.pk):
        assert Lead.objects.get(pk=couples[0].pk).city == "Bern"
    undo = undone(alice, merged)
    assert (undo.kind, undo.state, undo.updated, undo.failed) == (UNDO_KIND, "done", 2, 0)
    assert undo.result == {"parted": 2, "changed_since": 0}
    assert live(tenant) == {lead.pk for lead in couples}
    with inside(tenant.pk):
        for before in couples:
            now = Lead.objects.get(pk=before.pk)
            same = ("tags", "notes", "custom_fields", "city", "title", "email")
            assert [getattr(now, name) for name in same] == [getattr(before, name) for name in same]
    deliver_outbox()
    with inside(tenant.pk):
        assert DuplicateGroup.objects.count() == 2


def test_what_was_changed_since_stays_and_is_listed(tenant, alice, couples, merged, pages):
    with acting(alice) as by:
        edit_lead(lead_id=couples[0].pk, data={"city": "Basel"}, by=by)
    undo = undone(alice, merged)
    assert undo.result == {"parted": 2, "changed_since": 1}
    with inside(tenant.pk):
        assert Lead.objects.get(pk=couples[0].pk).city == "Basel"
    page = pages(alice).get(f"/operations/{undo.pk}").content.decode()
    assert "What was changed since and stayed" in page
    assert '<span class="tiny muted">City</span>' in page


def test_a_merge_that_was_parted_by_hand_is_passed_over(alice, couples, merged, pages):
    with inside(alice.tenant_id):
        one = Merge.objects.order_by("pk").first()
    pages(alice).post(f"/duplicates/merges/{one.pk}/undo")
    assert undone(alice, merged).result["parted"] == 1


def test_merges_that_nobody_may_part_any_more_are_listed_as_failed(tenant, admin, alice, couples, merged):
    with acting(admin):
        Lead.objects.filter(pk=couples[0].pk).update(deleted_at=timezone.now())
        other = make_lead(tenant, **{**ANN, "email": "z@z.example"})
    with acting(admin) as by:
        Lead.objects.filter(pk=couples[0].pk).update(deleted_at=None)
        merge_leads(target_id=other.pk, source_ids=[couples[0].pk], rules=MergeRules(), by=by)
    undo = undone(alice, merged)
    # The winner is part of a third one by now: its loser comes back all the same.
    assert (undo.updated, undo.failed) == (2, 0)
    assert couples[1].pk in live(tenant)


@pytest.mark.parametrize("decide", [keep_separate, put_off])
def test_what_somebody_decided_about_is_left_alone(alice, couples, decide):
    with acting(alice) as by:
        decide(lead_ids=[couples[0].pk, couples[1].pk], by=by)
        counted, _threshold = count_auto_merge(by=by)
        assert (counted.groups, counted.leads) == (1, 1)
        groups, _last = sure_groups(threshold=0.95, after=0, until=2**60, most=10)
        assert [(group.primary_id, list(group.other_ids)) for group in groups] == [(couples[2].pk, [couples[3].pk])]


def test_a_group_of_three_counts_only_when_all_are_like_the_primary(tenant, alice, refreshed):
    leads = [make_lead(tenant, title="CTO" if place == 0 else "", **ANN) for place in range(3)]
    refreshed(*leads)
    with acting(alice):
        assert count_sure_groups(threshold=0.95).leads == 2
        pair = DuplicatePair.objects.filter(first=leads[0]).first()
        DuplicatePair.objects.filter(pk=pair.pk).update(similarity=0.94)
        assert count_sure_groups(threshold=0.95).groups == 0
        DuplicatePair.objects.filter(pk=pair.pk).update(similarity=0.99)
        # Not with the primary lead: the others are sure to be that one, so they are each other.
        DuplicatePair.objects.exclude(first=leads[0]).update(similarity=0.5)
        groups, _last = sure_groups(threshold=0.95, after=0, until=2**60, most=10)
        assert [(group.primary_id, list(group.other_ids)) for group in groups] == [(leads[0].pk, [leads[1].pk, leads[2].pk])]


def test_two_that_are_kept_separate_within_a_larger_group_stop_all_of_it(tenant, alice, refreshed):
    leads = [make_lead(tenant, title="CTO" if place == 0 else "", **ANN) for place in range(4)]
    refreshed(*leads)
    with acting(alice) as by:
        keep_separate(lead_ids=[leads[2].pk, leads[3].pk], by=by)
        assert count_sure_groups(threshold=0.95).groups == 0


def test_the_primary_is_the_one_the_queue_shows(tenant, alice, refreshed):
    full = {
        "title": "CTO",
        "industry": "Legal",
        "company_size": "200-500",
        "last_contact_at": timezone.now(),
        "next_follow_up_at": timezone.now(),
    }
    assert set(full) < set(WEIGHTY)
    leads = [make_lead(tenant, **ANN, **dict(list(full.items())[:place])) for place in (1, 5, 3)]
    refreshed(*leads)
    with acting(alice) as by:
        shown = groups_after(by, threshold=0.8, limit=5)[0][0].primary["id"]
        groups, _last = sure_groups(threshold=0.9, after=0, until=2**60, most=5)
    assert shown == groups[0].primary_id == leads[1].pk


def test_a_lead_that_changed_a_moment_ago_is_compared_once_more(tenant, alice, couples):
    with acting(alice) as by:
        operation = begin_auto_merge(by=by)
        # Before its event is delivered: the stored pair still says they are one.
        edit_lead(lead_id=couples[1].pk, data={"name": "Robert Ray", "email": "rob@ray.example", "phone": "", "company": "Ray"}, by=by)
    run(operation.pk)
    done = again(alice, operation)
    assert (done.updated, done.skipped, done.failed) == (1, 1, 0)
    assert couples[1].pk in live(tenant)
    with inside(tenant.pk):
        row = OperationRow.objects.get(operation=done)
        assert (row.record_id, "less alike" in row.message) == (couples[0].pk, True)


def test_a_refusal_is_a_failed_row_and_the_rest_goes_on(tenant, alice, couples, monkeypatch):
    with acting(alice) as by:
        operation = begin_auto_merge(by=by)
    monkeypatch.setattr("duplicates.services.merging.MOST_AT_ONCE", 0)
    run(operation.pk)
    done = again(alice, operation)
    assert (done.state, done.updated, done.failed) == ("done", 0, 2)
    assert len(live(tenant)) == 4


def test_killed_in_between_it_goes_on_where_it_stopped(tenant, alice, couples, monkeypatch):
    class Killed(BaseException):
        pass

    calls = []

    def dies(**given):
        calls.append(given["target_id"])
        if len(calls) == 2:
            raise Killed
        return merge_leads(**given)

    with acting(alice) as by:
        operation = begin_auto_merge(by=by)
    with monkeypatch.context() as patch:
        patch.setattr("duplicates.services.auto_merge.merge_leads", dies)
        with pytest.raises(Killed):
            run(operation.pk)
    with inside(tenant.pk):
        assert (again(alice, operation).done, Merge.objects.count()) == (1, 1)
    # The lease of a worker that died runs out.
    Claim.objects.filter(operation_id=operation.pk).update(held_until=timezone.now() - timedelta(seconds=1))
    run(operation.pk)
    assert (again(alice, operation).state, again(alice, operation).updated) == ("done", 2)


def test_who_may(tenant, bob, couples):
    with acting(bob) as by, pytest.raises(Forbidden):
        begin_auto_merge(by=by)


@pytest.mark.parametrize("threshold", [0.5, 0.89, 1.01, float("nan")])
def test_a_threshold_that_is_too_low_is_refused(alice, couples, threshold):
    with acting(alice) as by, pytest.raises(InvalidInput):
        begin_auto_merge(threshold=threshold, by=by)


def test_nothing_to_merge_and_merging_already_are_said(alice, tenant, couples):
    with acting(alice) as by:
        begin_auto_merge(by=by)
        with pytest.raises(AlreadyMerging):
            begin_auto_merge(by=by)
        Operation.objects.update(state="cancelled")
        DuplicateGroup.objects.all().delete()
        with pytest.raises(NothingSure):
            begin_auto_merge(by=by)


# --- every night ---


def set_up(admin, *, auto_merge):
    with acting(admin) as by:
        save_settings(fields=FIELDS, threshold=0.8, nightly=True, auto_merge=auto_merge, auto_merge_from=0.9, by=by)
        Scan.objects.all().delete()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("auto_merge", [True, False])
def test_after_the_nightly_scan_where_the_setting_is_on(tenant, admin, couples, auto_merge):
    set_up(admin, auto_merge=auto_merge)
    ask_for_nightly_scans()
    assert run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk)).state == ScanState.DONE
    with inside(tenant.pk):
        operations = list(Operation.objects.filter(kind=KIND))
    assert len(operations) == auto_merge
    for operation in operations:
        run(operation.pk)
        assert (operation.created_by_id, again(admin, operation).updated) == (None, 2)
        assert undone(admin, again(admin, operation)).result["parted"] == 2


@pytest.mark.django_db(transaction=True)
def test_not_after_a_scan_that_somebody_asked_for(tenant, admin, couples):
    set_up(admin, auto_merge=True)
    with acting(admin) as by:
        ask_for_scan(by=by)
    run_scan(tenant_id=tenant.pk, by=scanned_by(tenant.pk))
    with inside(tenant.pk):
        assert not Operation.objects.exists()


def test_off_by_default_and_never_below_ninety_percent(tenant, admin):
    with acting(admin) as by:
        saved = save_settings(fields=FIELDS, threshold=0.8, nightly=True, by=by)
        assert (saved.auto_merge, saved.auto_merge_from) == (False, 0.95)
        with pytest.raises(InvalidInput):
            save_settings(fields=FIELDS, threshold=0.8, nightly=True, auto_merge=True, auto_merge_from=0.8, by=by)


def test_the_settings_page_says_it_and_saves_it(admin, pages, tenant):
    client = pages(admin)
    form = client.get("/settings/duplicates").context["form"]
    values = {name: form.initial.get(name, "") for name in form.fields} | {"auto_merge": "on", "auto_merge_from": "97"}
    assert client.post("/settings/duplicates", values).status_code == 302
    shown = client.get("/settings/duplicates")
    assert (shown.context["form"].initial["auto_merge"], shown.context["form"].initial["auto_merge_from"]) == (True, 97)
    del values["nightly"]
    assert "needs the look through all leads" in client.post("/settings/duplicates", values).content.decode()


# --- doors ---


def test_the_queue_offers_it_with_the_number_and_the_page_begins(alice, pages, couples):
    client = pages(alice)
    assert "Merge the 2 sure groups" in client.get("/duplicates").content.decode()
    page = client.get("/duplicates/auto-merge").content.decode()
    assert "Merge 2 sure groups?" in page
    answer = client.post("/duplicates/auto-merge", {"from": "95"})
    with inside(alice.tenant_id):
        operation = Operation.objects.get(kind=KIND)
    assert answer.headers["Location"] == f"/operations/{operation.pk}"
    run(operation.pk)
    shown = client.get(f"/operations/{operation.pk}").content.decode()
    assert "2 leads are part of others now" in shown
    undo = client.post(f"/operations/{operation.pk}/undo")
    with inside(alice.tenant_id):
        taken = Operation.objects.get(kind=UNDO_KIND)
    assert undo.headers["Location"] == f"/operations/{taken.pk}"
    run(taken.pk)
    assert "leads of their own again" in client.get(f"/operations/{taken.pk}").content.decode()


def test_a_rep_is_not_offered_it(bob, pages, couples):
    assert "sure group" not in pages(bob).get("/duplicates").content.decode()
    assert pages(bob).get("/duplicates/auto-merge").status_code == 403


def test_wrong_percentages_are_said(alice, pages, couples):
    client = pages(alice)
    for text in ("20", "x", "1000"):
        assert client.get("/duplicates/auto-merge", {"from": text}).status_code == 200


def test_by_api(alice, api, tenant, couples):
    client = api(alice)
    url = "/api/leads/duplicates/auto-merge"
    counted = client.post(url, {"threshold": 0.95, "dry_run": True}).json()["data"]
    assert counted == {"dry_run": True, "threshold": 0.95, "groups": 2, "leads": 2}
    assert client.post(url, {"threshold": 0.5}).status_code == 400
    answer = client.post(url, {"threshold": 0.95})
    operation = answer.json()["data"]
    assert (answer.status_code, operation["kind"], operation["total"]) == (202, KIND, 2)
    assert client.post(url, {}).json()["error"]["code"] == "ALREADY_RUNNING"
    run(operation["id"])
    merges = client.get("/api/leads/merges", {"operation_id": operation["id"]}).json()["data"]
    assert {merge["operation_id"] for merge in merges} == {operation["id"]}
    assert len(merges) == 2
    undo = client.post(f"/api/operations/{operation['id']}/undo").json()["data"]
    assert (undo["kind"], undo["undo_of"]) == (UNDO_KIND, operation["id"])
    run(undo["id"])
    assert len(live(tenant)) == 4
    assert client.post(f"/api/operations/{undo['id']}/undo").status_code == 409


def test_an_operation_of_a_colleague_is_taken_back_by_who_may(tenant, alice, couples, merged, api):
    rep = make_user(tenant, role="sales_rep")
    assert api(rep).post(f"/api/operations/{merged.pk}/undo").status_code == 404


def test_the_system_merges_as_nobody(tenant, couples):
    with inside(tenant.pk):
        operation = begin_auto_merge(by=Actor.system(tenant_id=tenant.pk))
    run(operation.pk)
    with inside(tenant.pk):
        assert set(Merge.objects.values_list("merged_by_id", flat=True)) == {None}
        assert not Decision.objects.exists()
