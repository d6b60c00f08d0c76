"""Reconciliation: what the pages have and no delivery brought."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest
import time_machine
from celery import current_app
from django.core.management import CommandError, call_command

from crm.actors import Actor
from crm.tenancy.models import Tenant
from leads.models import Arrival, Lead
from tests.factories import inside
from tests.webhooks.facebook_cast import PAGE, connect_page, delivery, graph_in_place, named, send
from tests.webhooks.graph_server import Fault, error
from webhooks import tasks
from webhooks.models import ArrivalJob, FieldMapping, Source
from webhooks.services import reconciliation
from webhooks.services.arrivals import process_due
from webhooks.services.reconciliation import reconcile_page, reconcile_pages
from webhooks.services.sources import save_mapping

NOW = datetime(2024, 6, 12, 2, 40, tzinfo=UTC)


@pytest.fixture
def graph(settings, monkeypatch):
    with graph_in_place(settings, monkeypatch) as server:
        yield server


@pytest.fixture(autouse=True)
def _at_night():
    with time_machine.travel(NOW, tick=False):
        yield


@pytest.fixture
def page(tenant) -> Source:
    return connect_page(tenant, PAGE, name="Acme's page")


def reconcile(source: Source, **more):
    return reconcile_page(tenant_id=source.tenant_id, source_id=source.pk, **more)


def source_now(source: Source) -> Source:
    with inside(source.tenant_id):
        return Source.objects.get(pk=source.pk)


def ids(tenant: Tenant) -> list[str]:
    with inside(tenant.pk):
        return sorted(Arrival.objects.values_list("source_lead_id", flat=True))


def test_missing_leads_are_stored_with_their_answers_and_become_leads(tenant, page, graph):
    graph.add_form(PAGE, "7")
    graph.add_lead("1", ad_id="8", campaign_id="9")
    done = reconcile(page)
    assert (done.forms, done.leads, done.missing, done.trouble) == (1, 1, 1, "")
    with inside(tenant.pk):
        arrival = Arrival.objects.get()
    assert (arrival.door, arrival.door_id, arrival.page_id, arrival.form_id) == ("facebook", page.pk, PAGE, "7")
    assert (arrival.ad_id, arrival.campaign_id, arrival.created_time.isoformat()) == ("8", "9", "2024-06-10T15:23:10+00:00")
    assert arrival.payload["reconciled"] is True
    assert arrival.payload["leadgen"] == named("1")["value"]
    asked = len(graph.asked)
    assert process_due() == 1
    assert len(graph.asked) == asked
    with inside(tenant.pk):
        assert Lead.objects.get().email == "lead1@example.com"


def test_done_again_nothing_changes(tenant, page, graph):
    graph.add_form(PAGE, "7")
    for number in range(3):
        graph.add_lead(str(number), created_time="2024-06-11T12:00:00+0000")
    assert reconcile(page).missing == 3
    process_due()
    again = reconcile(page)
    assert (again.leads, again.missing) == (3, 0)
    assert (ids(tenant), ArrivalJob.objects.count()) == (["0", "1", "2"], 0)
    with inside(tenant.pk):
        assert Lead.objects.count() == 1


def test_what_a_delivery_brought_is_not_missing_and_the_other_way_round(tenant, page, graph):
    graph.add_form(PAGE, "7")
    for number in ("1", "2"):
        graph.add_lead(number)
    send(delivery(named("1")))
    assert reconcile(page).missing == 1
    send(delivery(named("2")))
    assert ids(tenant) == ["1", "2"]
    assert ArrivalJob.objects.count() == 2


def test_long_lists_are_walked_page_by_page_and_never_by_the_ready_address(tenant, page, graph):
    graph.page_size = 2
    for form in ("7", "8", "9"):
        graph.add_form(PAGE, form)
    for number in range(7):
        graph.add_lead(str(number), form_id="7" if number < 5 else "9")
    done = reconcile(page)
    assert (done.forms, done.leads, done.missing) == (3, 7, 7)
    assert len(ids(tenant)) == 7
    assert {asked.path.rsplit("/", 1)[-1] for asked in graph.asked} == {"leadgen_forms", "leads"}
    assert {asked.headers["host"] for asked in graph.asked} == {graph.url.removeprefix("http://")}
    assert not any("page-token" in str(asked.query) for asked in graph.asked)
    # Two pages of forms; three, one and one of leads.
    assert len(graph.asked) == 2 + 3 + 1 + 1


def test_a_cursor_that_leads_in_a_ring_ends(tenant, page, graph):
    ring = {"data": [], "paging": {"cursors": {"after": "same"}, "next": "http://evil.invalid/"}}
    graph.faults_at["/leadgen_forms"] = Fault(body=orjson.dumps(ring))
    assert reconcile(page).trouble == ""
    assert len(graph.asked) == 2


def test_only_what_is_new_is_asked_for_with_a_day_to_spare(tenant, page, graph):
    graph.add_form(PAGE, "7")
    reconcile(page)
    first = orjson.loads(graph.asked[-1].query["filtering"])[0]["value"]
    assert first == int((NOW - timedelta(days=90)).timestamp())
    assert source_now(page).options == {"reconciled_until": NOW.isoformat()}
    with time_machine.travel(NOW + timedelta(days=3), tick=False):
        reconcile(page)
    second = orjson.loads(graph.asked[-1].query["filtering"])[0]["value"]
    assert second == int((NOW - timedelta(days=1)).timestamp())
    with time_machine.travel(NOW + timedelta(days=300), tick=False):
        reconcile(page)
    third = orjson.loads(graph.asked[-1].query["filtering"])[0]["value"]
    assert third == int((NOW + timedelta(days=210)).timestamp())


def test_a_later_start_by_hand_leaves_the_gap_to_the_next_night(tenant, page, graph):
    graph.add_form(PAGE, "7")
    graph.add_lead("1", created_time="2024-06-01T00:00:00+0000")
    done = reconcile(page, since=NOW - timedelta(days=2))
    assert (done.leads, source_now(page).options) == (0, {})
    assert reconcile(page, since=NOW - timedelta(days=900)).missing == 1
    assert source_now(page).options == {"reconciled_until": NOW.isoformat()}


@pytest.mark.parametrize("options", [{"reconciled_until": "nonsense"}, {"reconciled_until": {}}, {"more": 1}])
def test_settings_of_a_source_stay_and_nonsense_in_them_does_no_harm(tenant, page, graph, options):
    graph.add_form(PAGE, "7")
    with inside(tenant.pk):
        Source.objects.update(options=options)
    assert reconcile(page).trouble == ""
    assert source_now(page).options == {**options, "reconciled_until": NOW.isoformat()}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (error(190, status=401, message="Expired"), "Facebook: Expired (code 190)"),
        (error(80_005, message="Too many"), "Facebook: Too many (code 80005)"),
        (Fault(status=500), "Facebook answered 500 with something else than was asked for."),
        (Fault(body=b'{"data": {}}'), "Facebook's answer is not a list."),
    ],
)
def test_trouble_is_noted_and_the_time_asked_for_stays(tenant, page, graph, fault, said):
    graph.add_form(PAGE, "7")
    graph.add_lead("1")
    graph.faults.append(fault)
    assert reconcile(page).trouble == said
    noted = source_now(page)
    assert (noted.last_error, noted.last_error_at, noted.checked_at, noted.options) == (said, NOW, NOW, {})
    assert reconcile(page).missing == 1
    noted = source_now(page)
    assert (noted.last_error, noted.last_error_at) == ("", None)


def test_what_was_had_before_the_trouble_is_kept(tenant, page, graph):
    graph.page_size = 1
    graph.add_form(PAGE, "7")
    graph.add_lead("1")
    graph.add_lead("2", created_time="2024-06-09T00:00:00+0000")
    graph.faults_at["/8/leads"] = error(2)
    graph.add_form(PAGE, "8")
    assert reconcile(page).trouble.startswith("Facebook: No.")
    assert ids(tenant) == ["1", "2"]
    assert source_now(page).options == {}


def test_a_form_that_is_gone_does_not_hide_the_others(tenant, page, graph):
    for form in ("6", "7"):
        graph.add_form(PAGE, form)
    graph.add_lead("1")
    graph.faults_at["/6/leads"] = error(100, subcode=33)
    done = reconcile(page)
    assert (done.forms, done.missing) == (2, 1)
    assert "after 90 days" in done.trouble


def test_a_page_stops_after_its_time(tenant, page, graph, monkeypatch):
    monkeypatch.setattr(reconciliation, "MOST_SECONDS", -1)
    graph.add_form(PAGE, "7")
    graph.add_lead("1")
    assert "took too long" in reconcile(page).trouble
    assert source_now(page).options == {}


def test_malformed_leads_and_forms_are_left_out(tenant, page, graph):
    graph.add_form(PAGE, "7")
    graph.forms[PAGE] += [{"id": "../x", "name": "Bad"}, {"name": "No id"}]
    graph.add_lead("1")
    for number, broken in enumerate(({"id": "a b"}, {"field_data": {}}, {"id": {}})):
        graph.leads[f"broken{number}"] = {**graph.add_lead("spare"), **broken}
    del graph.leads["spare"]
    done = reconcile(page)
    assert (done.forms, done.leads, ids(tenant)) == (1, 1, ["1"])


def test_mappings_get_the_names_of_their_forms(tenant, page, graph):
    graph.add_form(PAGE, "7", name="Summer\x00 form")
    graph.add_form(PAGE, "8", name="Other")
    with inside(tenant.pk):
        for form_id, name in (("7", ""), ("8", "Mine")):
            save_mapping(source=page, form_id=form_id, form_name=name, rules=[], by=Actor.system(tenant_id=tenant.pk))
    reconcile(page)
    with inside(tenant.pk):
        assert dict(FieldMapping.objects.values_list("form_id", "form_name")) == {"7": "Summer form", "8": "Mine"}


# --- all pages ---


def test_tenants_get_their_own_pages_leads(tenant, next_door, page, graph):
    theirs = connect_page(next_door, "333")
    graph.add_form(PAGE, "7")
    graph.add_form("333", "9")
    graph.add_lead("1")
    graph.add_lead("2", form_id="9")
    for source in (page, theirs):
        reconcile(source)
    assert (ids(tenant), ids(next_door)) == (["1"], ["2"])


def test_another_tenants_source_is_not_found(tenant, next_door, page, graph):
    assert reconcile_page(tenant_id=next_door.pk, source_id=page.pk) is None
    assert graph.asked == []


def test_pages_that_take_no_leads_are_not_asked(tenant, graph):
    assert reconcile(connect_page(tenant, PAGE, is_active=False)) is None
    assert graph.asked == []


def test_every_night_each_page_is_asked_by_a_task_of_its_own(tenant, next_door, page, graph, monkeypatch):
    theirs = connect_page(next_door, "333")
    closed = connect_page(Tenant.objects.create(name="closed", is_active=False), "444")
    sent = []
    monkeypatch.setattr(current_app, "send_task", lambda name, kwargs: sent.append((name, kwargs)))
    tasks.reconcile_facebook()
    assert sent == [
        ("webhooks.reconcile_facebook_page", {"tenant_id": tenant.pk, "source_id": page.pk}),
        ("webhooks.reconcile_facebook_page", {"tenant_id": next_door.pk, "source_id": theirs.pk}),
    ]
    assert closed.pk not in {kwargs["source_id"] for _name, kwargs in sent}
    graph.add_form(PAGE, "7")
    graph.add_lead("1")
    tasks.reconcile_facebook_page(**sent[0][1])
    assert ids(tenant) == ["1"]


def test_a_broker_that_is_away_only_delays(tenant, page, monkeypatch):
    def away(*_args, **_kwargs):
        raise ConnectionError("no broker")

    monkeypatch.setattr(current_app, "send_task", away)
    reconcile_pages()


def test_the_command_tells_of_every_page_and_one_broken_stops_no_other(tenant, next_door, page, graph, capsys, monkeypatch):
    connect_page(next_door, "333", name="Broken", token="no-such")
    odd = connect_page(tenant, "555", name="Odd")
    last = connect_page(next_door, "777", name="Last")
    graph.add_form(PAGE, "7")
    graph.add_form(last.external_id, "9")
    graph.add_lead("1")
    graph.add_lead("2", form_id="9")
    real = reconciliation.graph_of

    def odd_one(source):
        if source.pk == odd.pk:
            raise ZeroDivisionError("a bug")
        return real(source)

    monkeypatch.setattr(reconciliation, "graph_of", odd_one)
    with pytest.raises(CommandError, match="2 of the pages"):
        call_command("reconcile_facebook")
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "Acme's page: 1 forms, 1 leads, 1 missing.",
        "Broken: 0 forms, 0 leads, 0 missing. Facebook: Malformed access token … (code 190)",
        "Last: 1 forms, 1 leads, 1 missing.",
    ]
    assert "ZeroDivisionError" in told.err
    assert (ids(tenant), ids(next_door)) == (["1"], ["2"])


def test_the_command_takes_a_date(tenant, page, graph):
    graph.add_form(PAGE, "7")
    call_command("reconcile_facebook", "--since", "2024-06-11")
    assert orjson.loads(graph.asked[-1].query["filtering"])[0]["value"] == int(datetime(2024, 6, 11, tzinfo=UTC).timestamp())
    with pytest.raises(CommandError, match="give a date"):
        call_command("reconcile_facebook", "--since", "yesterday")


def test_lists_are_stored_in_as_many_queries_for_one_lead_as_for_many(tenant, page, graph, django_assert_max_num_queries):
    graph.page_size = 100
    graph.add_form(PAGE, "7")
    for number in range(100):
        graph.add_lead(str(number))
    with django_assert_max_num_queries(35):
        assert reconcile(page).missing == 100
