"""From a lead Facebook named to a lead: asked for at the Graph API, read by the form's mapping, tried again where it must be."""

import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone

from crm.actors import Actor
from crm.sealed import seal
from crm.tenancy.models import Tenant
from leads.models import Arrival, Lead
from tests.factories import inside, make_lead
from tests.webhooks.facebook_cast import PAGE, connect_page, delivery, graph_in_place, named, send
from tests.webhooks.graph_server import Fault, error
from webhooks.models import ArrivalJob, FieldMapping, Source
from webhooks.services import graph as graph_module
from webhooks.services.arrivals import FIRST_PAUSE, MOST_ATTEMPTS, draft_of, leaves_of, process, process_due, replay_arrival
from webhooks.services.facebook import instant_of
from webhooks.services.graph import Graph
from webhooks.services.sources import delete_source, save_mapping


@pytest.fixture
def graph(settings, monkeypatch):
    with graph_in_place(settings, monkeypatch) as server:
        yield server


@pytest.fixture
def page(tenant) -> Source:
    return connect_page(tenant, PAGE, name="Acme's page")


def named_arrival(tenant: Tenant, lead_id: str = "444", **more) -> Arrival:
    """A delivery that names one lead."""
    assert send(delivery(named(lead_id, **more))).status_code == 200
    with inside(tenant.pk):
        return Arrival.objects.get(source_lead_id=lead_id)


def again(arrival: Arrival) -> Arrival:
    with inside(arrival.tenant_id):
        return Arrival.objects.select_related("lead").get(pk=arrival.pk)


@contextmanager
def acting_manager(tenant: Tenant) -> Iterator[Actor]:
    with inside(tenant.pk):
        yield Actor.system(tenant_id=tenant.pk)


def read(arrival: Arrival) -> Arrival:
    """One try at an arrival, and what it left."""
    process(arrival.tenant_id, arrival.pk)
    return again(arrival)


def source_now(source: Source) -> Source:
    with inside(source.tenant_id):
        return Source.objects.get(pk=source.pk)


def pause_of(arrival: Arrival) -> timedelta:
    return ArrivalJob.objects.get(arrival_id=arrival.pk).due_at - timezone.now()


# --- from end to end ---


def test_the_documented_example_becomes_a_lead(tenant, page, graph):
    graph.add_lead("444", ad_name="Ad", campaign_name="Summer", campaign_id="9")
    arrival = named_arrival(tenant)
    assert process_due() == 1
    arrival = again(arrival)
    lead = arrival.lead
    assert (arrival.outcome, arrival.error, arrival.payload["details"]["campaign_name"]) == ("created", "", "Summer")
    assert (lead.full_name, lead.email, lead.phone) == ("Jane Roe", "lead444@example.com", "+12025550123")
    assert (lead.platform_key, lead.lead_source, lead.created_via) == ("facebook", "Facebook", "webhook")
    assert (lead.source_page_id, lead.source_page_name) == (PAGE, "Acme's page")
    assert lead.created_at == datetime(2024, 6, 10, 15, 23, 10, tzinfo=UTC)
    assert lead.raw_field_data["email"] == "lead444@example.com"
    assert not ArrivalJob.objects.exists()
    (asked,) = graph.asked
    assert asked.path == "/v23.0/444"
    assert "page-token" not in json.dumps(asked.query)
    assert set(asked.query) == {"fields", "appsecret_proof"}


def test_a_known_person_is_joined_and_not_made_twice(tenant, page, graph):
    known = make_lead(tenant, email="lead444@example.com")
    graph.add_lead("444")
    arrival = read(named_arrival(tenant))
    assert (arrival.outcome, arrival.lead_id) == ("merged", known.pk)


def test_reading_twice_asks_once_and_makes_one_lead(tenant, page, graph):
    graph.add_lead("444")
    arrival = read(named_arrival(tenant))
    assert read(arrival).lead_id == arrival.lead_id
    assert len(graph.asked) == 1
    with inside(tenant.pk):
        assert Lead.objects.count() == 1


def test_answers_fetched_before_a_failure_are_not_fetched_again(tenant, page, graph):
    graph.add_lead("444", field_data=[{"name": "colour", "values": ["red"]}])
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.error) == ("failed", "Give at least one of name, e-mail, phone or company.")
    with acting_manager(tenant) as by:
        save_mapping(source=page, rules=[{"field": "name", "from": "colour"}], by=by)
        replay_arrival(arrival_id=arrival.pk, by=by)
    process_due()
    assert again(arrival).lead.first_name == "red"
    assert len(graph.asked) == 1


def test_a_page_without_a_token_of_its_own_uses_the_installs(tenant, graph, settings):
    settings.FB_PAGE_ACCESS_TOKEN, settings.FB_PAGE_ACCESS_TOKEN_TENANTS = "install-token", [tenant.pk]
    graph.tokens = {"install-token"}
    connect_page(tenant, PAGE, token=None)
    graph.add_lead("444")
    assert read(named_arrival(tenant)).outcome == "created"


def test_a_pages_own_token_is_asked_with_and_no_other(tenant, next_door, page, graph, settings):
    settings.FB_PAGE_ACCESS_TOKEN, settings.FB_PAGE_ACCESS_TOKEN_TENANTS = "install-token", [tenant.pk]
    connect_page(next_door, "333", token="their-token")
    graph.tokens = {"page-token"}
    graph.add_lead("444")
    graph.add_lead("555")
    assert read(named_arrival(tenant)).outcome == "created"
    send(delivery(named("555", page_id="333"), page_id="333"))
    with inside(next_door.pk):
        theirs = Arrival.objects.get()
    assert read(theirs).processing_status == "received"
    assert [asked.headers["authorization"] for asked in graph.asked] == ["Bearer page-token", "Bearer their-token"]


def test_no_proof_is_sent_without_an_app_secret(graph, settings):
    settings.FB_APP_SECRET = graph.app_secret = ""
    graph.add_lead("1")
    assert Graph(token="page-token").lead("1")["id"] == "1"
    assert set(graph.asked[0].query) == {"fields"}


# --- how answers are read ---


def field_data(**answers) -> list[dict]:
    return [{"name": name, "values": value if isinstance(value, list) else [value]} for name, value in answers.items()]


STANDARD = {
    "first_name": "Jane",
    "last_name": "Roe",
    "work_email": "jane@acme.example",
    "work_phone_number": "+12025550123",
    "company_name": "Acme",
    "job_title": "CTO",
    "street_address": "1 Main St",
    "city": "Springfield",
    "province": "Ontario",
    "country": "CA",
    "post_code": "K1A 0B1",
    "date_of_birth": "01/02/1980",
    "website": "https://acme.example",
}


def test_facebooks_own_questions_fill_the_leads_fields(tenant, page, graph):
    graph.add_lead("444", field_data=field_data(**STANDARD, **{"which_days?": ["mon", "tue"], "do_you_use_node.js?": "yes"}))
    lead = read(named_arrival(tenant)).lead
    assert (lead.full_name, lead.email, lead.phone, lead.company) == ("Jane Roe", "jane@acme.example", "+12025550123", "Acme")
    assert (lead.title, lead.city, lead.state, lead.country, lead.website) == (
        "CTO",
        "Springfield",
        "Ontario",
        "CA",
        "https://acme.example",
    )
    assert lead.custom_fields == {
        "street_address": "1 Main St",
        "post_code": "K1A 0B1",
        "date_of_birth": "01/02/1980",
        "which_days?": "mon, tue",
        "do_you_use_node.js?": "yes",
    }
    assert lead.raw_field_data == {**STANDARD, "which_days?": "mon, tue", "do_you_use_node.js?": "yes"}


def test_two_addresses_leave_the_second_beside_the_first(tenant, page, graph):
    graph.add_lead("444", field_data=field_data(email="jane@home.example", work_email="jane@acme.example"))
    lead = read(named_arrival(tenant)).lead
    assert (lead.email, lead.custom_fields) == ("jane@home.example", {"work_email": "jane@acme.example"})


def test_a_form_is_read_by_its_own_mapping_else_by_the_pages(tenant, page, graph):
    with acting_manager(tenant) as by:
        save_mapping(
            source=page,
            form_id="7",
            rules=[
                {"field": "name", "from": ["vorname", "nachname"]},
                {"field": "email", "from": "mail"},
                {"field": "notes", "from": ["q1", "q2"], "join": "\n"},
                {"field": "priority", "from": "urgency", "default": "High"},
                {"field": "lead_source", "default": "Event"},
                {"field": "tags", "default": "facebook, fair"},
                {"field": "custom:campaign", "from": "campaign_name"},
            ],
            by=by,
        )
        save_mapping(source=page, rules=[{"field": "company", "from": "vorname"}], by=by)
    answers = field_data(vorname="Jana", nachname="Roe", mail="jana@acme.example", q1="One", q2="Two", shoe_size="42")
    graph.add_lead("444", form_id="7", campaign_name="Summer", field_data=answers)
    graph.add_lead("445", form_id="8", field_data=answers)
    lead = read(named_arrival(tenant)).lead
    assert (lead.full_name, lead.email, lead.notes, lead.priority, lead.lead_source, lead.tags) == (
        "Jana Roe",
        "jana@acme.example",
        "One\nTwo",
        3,
        "Event",
        ["facebook", "fair"],
    )
    assert lead.custom_fields == {"campaign": "Summer", "shoe_size": "42"}
    other = read(named_arrival(tenant, "445", form_id="8")).lead
    assert (other.company, other.email, other.custom_fields["mail"]) == ("Jana", "", "jana@acme.example")


def test_a_mapping_that_no_longer_holds_fails_visibly(tenant, page, graph):
    with inside(tenant.pk):
        FieldMapping.objects.create(source=page, form_id="7", rules=[{"field": "status"}])
    graph.add_lead("444")
    arrival = read(named_arrival(tenant))
    assert arrival.processing_status == "failed"
    assert "field must be one of" in arrival.error


def test_a_source_gives_its_leads_owner_tags_and_source(tenant, bob, graph):
    connect_page(tenant, PAGE, lead_source="Partner", tags=["social"], default_owner=bob)
    graph.add_lead("444")
    lead = read(named_arrival(tenant)).lead
    assert (lead.owner_id, lead.tags, lead.lead_source) == (bob.pk, ["social"], "Partner")


def test_an_owner_who_left_gets_nothing(tenant, bob, graph):
    connect_page(tenant, PAGE, default_owner=bob)
    with inside(tenant.pk):
        bob.is_active = False
        bob.save()
    graph.add_lead("444")
    assert read(named_arrival(tenant)).lead.owner_id is None


def test_a_lead_from_instagram_says_so(tenant, page, graph):
    graph.add_lead("444", platform="ig")
    arrival = read(named_arrival(tenant))
    assert (arrival.lead.platform_key, arrival.lead.lead_source) == ("instagram", "Instagram")
    # Facebook numbers the leads of both, so a repeat is known as one whichever it turned out to be.
    assert arrival.platform_key == "facebook"
    assert named_arrival(tenant).pk == arrival.pk


@pytest.mark.parametrize(
    ("responses", "given"),
    [
        ([{"checkbox_key": "a", "is_checked": "1"}, {"checkbox_key": "b", "is_checked": True}], True),
        ([{"checkbox_key": "a", "is_checked": "1"}, {"checkbox_key": "b", "is_checked": ""}], False),
        ([{"checkbox_key": "a"}], False),
        ([], False),
        (None, False),
        ("1", False),
        (["1"], False),
    ],
)
def test_consent_counts_only_where_every_box_was_ticked(tenant, page, graph, responses, given):
    graph.add_lead("444", custom_disclaimer_responses=responses)
    lead = read(named_arrival(tenant)).lead
    assert lead.consent_time == (datetime(2024, 6, 10, 15, 23, 10, tzinfo=UTC) if given else None)


def test_a_lead_of_the_test_tool_comes_through(tenant, page, graph):
    dummy = {name: f"<test lead: dummy data for {name}>" for name in ("full_name", "email", "phone_number")}
    graph.add_lead("444", field_data=field_data(**dummy))
    arrival = read(named_arrival(tenant))
    assert arrival.outcome == "created"
    assert arrival.lead.raw_field_data["full_name"] == dummy["full_name"]


def test_what_rules_may_name_are_the_answers_and_the_names_beside_them(tenant, page, graph):
    graph.add_lead("444", ad_name="Ad", field_data=field_data(email="a@acme.example"))
    arrival = read(named_arrival(tenant))
    assert leaves_of(arrival) == {"email": "a@acme.example", "ad_name": "Ad"}


@pytest.mark.parametrize(
    "payload",
    [{}, {"details": None}, {"details": []}, {"details": {"field_data": "x"}}, {"details": {"field_data": [None, 1, {"name": 1}, {}]}}],
)
def test_a_payload_without_answers_is_an_empty_draft(tenant, page, payload):
    with inside(tenant.pk):
        draft = draft_of(Arrival(tenant=tenant, door="facebook", door_id=page.pk, payload=payload, received_at=timezone.now()))
    assert (draft.name, draft.email, draft.custom_fields, draft.raw_field_data) == ("", "", {}, {})


def test_graphs_own_answer_can_be_tried_as_a_payload(tenant, page):
    with inside(tenant.pk):
        draft = draft_of(
            Arrival(tenant=tenant, door="facebook", door_id=page.pk, payload={"field_data": field_data(email="a@acme.example")})
        )
    assert draft.email == "a@acme.example"


@pytest.mark.parametrize(
    ("value", "read_as"),
    [
        (1718032990, "2024-06-10T15:23:10+00:00"),
        (1718032990.7, "2024-06-10T15:23:10+00:00"),
        ("1718032990", "2024-06-10T15:23:10+00:00"),
        ("2024-06-10T15:23:10+0000", "2024-06-10T15:23:10+00:00"),
        ("2024-06-10T15:23:10", None),
        ("", None),
        (None, None),
        (True, None),
        (0, None),
        (2**62, None),
        ("9" * 5000, None),
        ("9999-01-01T00:00:00+0000", None),
        ({}, None),
    ],
)
def test_times_are_read_where_they_can_be_one(value, read_as):
    moment = instant_of(value)
    assert (moment and moment.isoformat()) == read_as


# --- a Graph API that is slow, away, over its limits or not itself ---


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(status=500), "Facebook answered 500"),
        (Fault(status=503, body=b"<html>"), "Facebook answered 503"),
        (Fault(status=302, headers={"Location": "http://127.0.0.1:1/"}), "Facebook answered 302"),
        (Fault(body=b"no json"), "Facebook answered 200 with something else"),
        (Fault(body=b"[]"), "Facebook answered 200 with something else"),
        (Fault(body=b'{"error": "no"}'), "Facebook answered 200 with something else"),
        (Fault(body=b'{"id": "445", "field_data": []}'), "is not the lead that was asked for"),
        (Fault(body=b'{"id": "444"}'), "is not the lead that was asked for"),
        (Fault(body=b'{"id": "444", "field_data": {}}'), "is not the lead that was asked for"),
        (Fault(body=gzip.compress(b'{"id": "444", "field_data": []}'), headers={"Content-Encoding": "gzip"}), "something else"),
        (Fault(body=b"{}", cut=True), "Facebook cannot be reached: RemoteProtocolError"),
        (error(1, status=500, message="Unknown"), "Facebook: Unknown (code 1)"),
        (error(2, status=503, message="Service"), "Facebook: Service (code 2)"),
        (error(100, message="Tried accessing nonexisting field (x)"), "nonexisting field"),
        (error(9_999), "(code 9999)"),
    ],
)
def test_what_may_pass_is_tried_again_soon(tenant, page, graph, fault, said):
    graph.faults.append(fault)
    graph.add_lead("444")
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.attempts) == ("received", 1)
    assert said in arrival.error
    assert timedelta() < pause_of(arrival) <= FIRST_PAUSE
    assert source_now(page).last_error == ""
    assert read(arrival).outcome == "created"


@pytest.mark.parametrize("code", [4, 17, 32, 341, 368, 613, 80_000, 80_005, 80_014])
def test_over_a_limit_we_wait_some_minutes(tenant, page, graph, code):
    graph.faults.append(error(code))
    graph.add_lead("444")
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.attempts) == ("received", 1)
    assert timedelta(minutes=4) < pause_of(arrival) <= timedelta(minutes=5)


USAGE = json.dumps({"42": [{"type": "leadgen", "call_count": 100, "estimated_time_to_regain_access": 19}, {"type": "pages"}], "43": None})


@pytest.mark.parametrize(
    ("fault", "minutes"),
    [
        (Fault(status=429), 5),
        (Fault(status=429, headers={"Retry-After": "600"}), 10),
        (error(80_005, X_Business_Use_Case_Usage=USAGE), 19),
        (error(4, status=429, Retry_After="1800", X_Business_Use_Case_Usage=USAGE), 30),
        (error(4, Retry_After="nonsense", X_Business_Use_Case_Usage="{"), 5),
        (error(4, X_Business_Use_Case_Usage="[1]"), 5),
        (error(4, Retry_After="9" * 40), 24 * 60),
        (error(4, X_Business_Use_Case_Usage=USAGE.replace("19", "999999")), 24 * 60),
        (error(2, status=503, Retry_After="120"), 2),
    ],
)
def test_the_pause_facebook_asks_for_is_kept(tenant, page, graph, fault, minutes):
    graph.faults.append(fault)
    arrival = read(named_arrival(tenant))
    assert timedelta(minutes=minutes - 0.5) < pause_of(arrival) <= timedelta(minutes=minutes)


def test_a_date_to_try_again_is_understood(graph):
    graph.faults.append(error(4, Retry_After="Mon, 10 Jun 2024 16:00:00 GMT"))
    with time_machine.travel("2024-06-10T15:48:00Z", tick=False), pytest.raises(graph_module.TryLater) as trouble:
        Graph(token="page-token").lead("1")
    assert trouble.value.after == timedelta(minutes=12)


@pytest.mark.parametrize("fault", [Fault(hang=30), Fault(body=b"x" * 1000, drip=0.05), Fault(body=b"", cut=True, hang=30)])
def test_a_slow_answer_is_left_after_the_time_allowed_for_all_of_it(tenant, page, graph, settings, fault):
    settings.FB_GRAPH_TIMEOUT = 0.3
    graph.faults.append(fault)
    begun = datetime.now(tz=UTC)
    arrival = read(named_arrival(tenant))
    assert datetime.now(tz=UTC) - begun < timedelta(seconds=5)
    assert (arrival.processing_status, arrival.error) == ("received", "Facebook did not answer within 0.3 seconds.")


def test_a_silent_server_holds_up_one_lead_and_not_each_that_waits(tenant, page, graph, settings, monkeypatch):
    settings.FB_GRAPH_TIMEOUT = 0.2
    graph.faults.append(Fault(hang=30))
    for number in range(20):
        graph.add_lead(str(number))
    send(delivery(*(named(str(number)) for number in range(20))))
    assert process_due() == 20
    assert len(graph.asked) == 1
    with inside(tenant.pk):
        assert set(Arrival.objects.values_list("error", flat=True)) == {
            "Facebook did not answer within 0.2 seconds.",
            "Facebook did not answer a moment ago.",
        }
        last = Arrival.objects.last()
    monkeypatch.setattr(graph_module, "_quiet_until", {})
    assert read(last).outcome == "created"


def test_an_answer_without_end_is_left(graph, monkeypatch):
    monkeypatch.setattr(graph_module, "MOST_BYTES", 1000)
    graph.faults.append(Fault(body=b"x" * 2000))
    with pytest.raises(graph_module.TryLater, match="too large"):
        Graph(token="page-token").lead("1")


def test_nobody_listening_is_tried_again(tenant, page, graph, settings):
    settings.FB_GRAPH_URL = "http://127.0.0.1:1"
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.error) == ("received", "Facebook cannot be reached: ConnectError.")


def test_a_redirect_is_not_followed_with_the_token(graph):
    graph.faults.append(Fault(status=301, headers={"Location": f"{graph.url}/v23.0/stolen?fields=id"}))
    with pytest.raises(graph_module.TryLater):
        Graph(token="page-token").lead("1")
    assert [asked.path for asked in graph.asked] == ["/v23.0/1"]


@pytest.mark.parametrize("lead_id", ["../me", "me/accounts", "1?fields=access_token", "1#"])
def test_an_id_stays_one_word_of_the_path(graph, lead_id):
    with pytest.raises(Exception, match="Unsupported get request"):
        Graph(token="page-token").lead(lead_id)
    (asked,) = graph.asked
    assert asked.path.count("/") == 2
    assert asked.query["fields"] == graph_module.LEAD_FIELDS


# --- lost leads and tokens ---


def test_a_lead_that_facebook_no_longer_has_fails_at_once(tenant, page, graph):
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.attempts) == ("failed", 0)
    assert "does not exist" in arrival.error
    assert "after 90 days" in arrival.error
    assert not ArrivalJob.objects.exists()


@pytest.mark.parametrize("code", [10, 102, 190, 200, 283, 299])
def test_trouble_with_the_token_waits_an_hour_and_is_seen_on_the_source(tenant, page, graph, code):
    graph.faults.append(error(code, status=401, message="Session has expired", subcode=463))
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.attempts) == ("received", 1)
    assert timedelta(minutes=59) < pause_of(arrival) <= timedelta(hours=1)
    noted = source_now(page)
    assert noted.last_error == f"Facebook: Session has expired (code {code}, 463)"
    assert noted.last_error_at is not None


def test_the_note_goes_once_a_lead_is_had_again(tenant, page, graph):
    graph.add_lead("444")
    graph.faults.append(error(190, status=401))
    arrival = read(named_arrival(tenant))
    assert source_now(page).last_error != ""
    assert read(arrival).outcome == "created"
    noted = source_now(page)
    assert (noted.last_error, noted.last_error_at) == ("", None)


def test_facebook_quoting_the_token_does_not_spread_it(tenant, page, graph):
    graph.tokens = set()
    arrival = read(named_arrival(tenant))
    assert arrival.error == "Facebook: Malformed access token … (code 190)"
    assert "page-token" not in source_now(page).last_error


def test_a_proof_of_another_secret_is_trouble_with_the_token(tenant, page, graph):
    graph.app_secret = "another"
    read(named_arrival(tenant))
    assert "appsecret_proof" in source_now(page).last_error


@pytest.mark.parametrize(
    ("sealed", "said"),
    [
        ("", "There is no access token for this page."),
        (lambda: seal("a\r\nX: b"), "The access token holds characters that no token has."),
        (lambda: seal("tokén"), "The access token holds characters that no token has."),
        ("gAAAAA-no-seal", "This secret was sealed under another SECRET_KEY. Enter it again."),
    ],
)
def test_without_a_usable_token_nobody_is_asked(tenant, page, graph, sealed, said):
    with inside(tenant.pk):
        Source.objects.update(token=sealed() if callable(sealed) else sealed)
    arrival = read(named_arrival(tenant))
    assert (arrival.processing_status, arrival.error, source_now(page).last_error) == ("received", said, said)
    assert graph.asked == []


def test_trouble_is_noted_on_the_source_it_concerns_alone(tenant, next_door, page, graph):
    theirs = connect_page(next_door, "333")
    graph.faults.append(error(190))
    read(named_arrival(tenant))
    assert (source_now(page).last_error != "", source_now(theirs).last_error) == (True, "")


def test_a_page_that_was_disconnected_meanwhile_fails_visibly(tenant, page, graph):
    arrival = named_arrival(tenant)
    with acting_manager(tenant) as by:
        delete_source(source=source_now(page), by=by)
    assert read(arrival).error == "The page is no longer connected."
    assert graph.asked == []


# --- again and again ---


def test_pauses_grow_until_it_is_given_up_and_can_be_replayed(tenant, page, graph):
    graph.always = error(2, status=503)
    graph.add_lead("444")
    arrival, pauses = named_arrival(tenant), []
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(MOST_ATTEMPTS):
            assert process_due() == 1
            arrival = again(arrival)
            if arrival.processing_status == "received":
                pauses.append(pause_of(arrival).total_seconds())
                assert process_due() == 0
                clock.shift(pauses[-1])
    assert pauses == [15, 30, 60, 120, 240, 480, 960, 1920, 3600]
    assert (arrival.processing_status, arrival.attempts, len(graph.asked)) == ("failed", MOST_ATTEMPTS, MOST_ATTEMPTS)
    assert not ArrivalJob.objects.exists()
    graph.always = None
    with acting_manager(tenant) as by:
        replay_arrival(arrival_id=arrival.pk, by=by)
    assert process_due() == 1
    assert again(arrival).outcome == "created"


def test_one_lead_that_cannot_be_had_does_not_hold_up_the_others(tenant, page, graph):
    for number in range(5):
        graph.add_lead(str(number))
    graph.faults_at["/2"] = error(2, status=503)
    send(delivery(*(named(str(number)) for number in range(5))))
    assert process_due() == 5
    with inside(tenant.pk):
        assert sorted(Arrival.objects.values_list("source_lead_id", "processing_status")) == [
            ("0", "processed"),
            ("1", "processed"),
            ("2", "received"),
            ("3", "processed"),
            ("4", "processed"),
        ]


def test_workers_do_not_mix_up_tenants(tenant, next_door, page, graph):
    connect_page(next_door, "333", name="Next door", tags=["theirs"])
    graph.add_lead("1")
    graph.add_lead("2")
    both = delivery(named("1"))
    both["entry"] += delivery(named("2", page_id="333"), page_id="333")["entry"]
    send(both)
    assert process_due() == 2
    for owner, email, tags in ((tenant, "lead1@example.com", []), (next_door, "lead2@example.com", ["theirs"])):
        with inside(owner.pk):
            (lead,) = Lead.objects.all()
            assert (lead.email, lead.tags, lead.tenant_id) == (email, tags, owner.pk)
