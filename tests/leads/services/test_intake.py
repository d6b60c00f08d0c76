"""Capture: one service behind every door."""

import threading

import pytest
from django.db import connection

from crm.actors import Actor, Door
from crm.errors import Forbidden, InvalidInput
from crm.events.models import OutboxEntry
from crm.tenancy.scope import tenant_scope
from leads.enums import Platform, Priority
from leads.errors import DuplicateLead
from leads.models import Arrival, Lead, Tag
from leads.services import intake
from leads.services.drafts import LeadDraft
from leads.services.intake import capture_lead, receive_arrival
from tests.factories import acting, actor, inside, make_lead, make_tenant, make_user


def test_capture_lead_stores_it_normalised_scored_and_attributed(alice):
    with acting(alice, door=Door.API) as by:
        captured = capture_lead(
            draft=LeadDraft(
                name="  Dr. Jane   van der Berg ",
                email="Jane.Berg+crm@Gmail.com",
                phone="(415) 555-0134",
                company="Acme\x00 Inc",
                lead_source="linkedin",
                priority=Priority.HIGH,
                tags=["VIP", "vip", " "],
                platform_key=Platform.API,
            ),
            by=by,
        )
        lead = Lead.objects.get(pk=captured.lead.pk)
        assert (lead.first_name, lead.last_name) == ("Jane", "van der Berg")
        assert (lead.email, lead.email_key) == ("Jane.Berg+crm@gmail.com", "janeberg@gmail.com")
        assert (lead.phone, lead.raw_field_data) == ("+14155550134", {"phone_as_typed": "(415) 555-0134"})
        assert (lead.company, lead.lead_source, lead.tags) == ("Acme Inc", "LinkedIn", ["VIP"])
        assert (lead.status.code, lead.created_by_id, lead.created_via) == ("new", alice.pk, "api")
        assert (lead.score, lead.quality_grade, lead.lifecycle_stage) == (8 + 8 + 2 + 2 + 10 + 3 + 1 + 2, "D", "Lead")
        assert list(Tag.objects.values_list("name", flat=True)) == ["VIP"]
        assert not captured.duplicates


@pytest.mark.parametrize(
    ("known", "again", "matched"),
    [
        ({"email": "jane.doe@gmail.com"}, {"email": "JaneDoe+news@googlemail.com"}, ["email"]),
        ({"email": "jane@ACME.example"}, {"email": "Jane@acme.example"}, ["email"]),
        ({"phone": "+1 415 555 0134"}, {"phone": "415.555.0134"}, ["phone"]),
        ({"phone": "+14155550134"}, {"phone": "1-415-555-0134"}, ["phone"]),
        ({"email": "a@acme.example", "phone": "4155550134"}, {"email": "A@acme.example", "phone": "(415)5550134"}, ["email", "phone"]),
        ({"phone": "ask at the desk"}, {"phone": "ask  at the desk"}, ["phone"]),
    ],
)
def test_capture_lead_refuses_the_same_person_in_another_notation(alice, known, again, matched):
    with acting(alice) as by:
        first = capture_lead(draft=LeadDraft(name="One", **known), by=by).lead
        with pytest.raises(DuplicateLead) as refusal:
            capture_lead(draft=LeadDraft(name="Two", **again), by=by)
        assert Lead.objects.count() == 1
    (candidate,) = refusal.value.details["candidates"]
    assert (candidate["id"], candidate["matched_on"]) == (first.pk, matched)


def test_capture_lead_adds_a_known_one_when_told_to(alice):
    with acting(alice) as by:
        first = capture_lead(draft=LeadDraft(name="One", email="a@acme.example"), by=by)
        second = capture_lead(draft=LeadDraft(name="Two", email="a@acme.example"), ignore_duplicates=True, by=by)
        assert [item.lead for item in second.duplicates] == [first.lead]
        assert Lead.objects.count() == 2


def test_capture_lead_takes_no_notice_of_the_bin_nor_of_other_tenants(alice, next_door):
    make_lead(next_door, email="a@acme.example")
    with acting(alice) as by:
        gone = capture_lead(draft=LeadDraft(name="One", email="a@acme.example"), by=by).lead
        Lead.objects.filter(pk=gone.pk).update(deleted_at=gone.created_at)
        assert not capture_lead(draft=LeadDraft(name="Two", email="a@acme.example"), by=by).duplicates


def test_duplicate_out_of_sight_is_named_without_its_name(alice, bob, tenant):
    hidden = make_lead(tenant, first_name="Secret", company="Hidden Ltd", email="s@acme.example", owner=alice)
    with acting(bob) as by, pytest.raises(DuplicateLead) as refusal:
        capture_lead(draft=LeadDraft(name="X", email="s@acme.example"), by=by)
    (candidate,) = refusal.value.details["candidates"]
    assert (candidate["id"], candidate["name"], candidate["company"]) == (hidden.pk, None, None)


@pytest.mark.parametrize(
    ("draft", "fields"),
    [
        (LeadDraft(), {"name"}),
        (LeadDraft(name=" \t "), {"name"}),
        (LeadDraft(name="X", email="no-address"), {"email"}),
        (LeadDraft(name="X", company="y" * 201, title="t" * 151), {"company", "title"}),
        (LeadDraft(name="X", tags=["t" * 51]), {"tags"}),
        (LeadDraft(name="X", tags=[f"t{n}" for n in range(51)]), {"tags"}),
        (LeadDraft(name="X", status="dreaming"), {"status"}),
        (LeadDraft(name="X", owner_id=10**12), {"assigned_to"}),
    ],
)
def test_capture_lead_refuses_by_field(alice, draft, fields):
    with acting(alice) as by:
        with pytest.raises(InvalidInput) as refusal:
            capture_lead(draft=draft, by=by)
        assert set(refusal.value.problems) == fields
        assert not Lead.objects.exists()


@pytest.mark.parametrize(
    ("word", "code", "reason"),
    [
        ("new", "new", ""),
        ("Qualified", "qualified", ""),
        ("PROPOSAL SENT", "proposal_sent", ""),
        ("meeting-scheduled", "meeting_scheduled", ""),
        ("6", "negotiation", ""),
        ("Follow-up", "contacted", ""),
        ("Converted", "won", ""),
        ("Not Interested", "lost", "not_interested"),
        ("Lost", "lost", ""),
    ],
)
def test_capture_lead_understands_both_vocabularies_of_status(alice, word, code, reason):
    with acting(alice) as by:
        lead = capture_lead(draft=LeadDraft(name="X", status=word), by=by).lead
    assert (lead.status.code, lead.lost_reason) == (code, reason)


def test_rep_may_take_a_new_lead_and_not_give_it_away(alice, bob):
    with acting(bob) as by:
        assert capture_lead(draft=LeadDraft(name="Mine", owner_id=bob.pk), by=by).lead.owner_id == bob.pk
        with pytest.raises(Forbidden):
            capture_lead(draft=LeadDraft(name="Yours", owner_id=alice.pk), by=by)
        assert list(Lead.objects.values_list("last_name", "first_name")) == [("", "Mine")]


def test_support_may_not_add(tenant):
    support = make_user(tenant, role="support")
    with acting(support) as by, pytest.raises(Forbidden):
        capture_lead(draft=LeadDraft(name="X"), by=by)


def test_owner_of_another_tenant_is_unknown(alice, mallory):
    with acting(alice) as by, pytest.raises(InvalidInput):
        capture_lead(draft=LeadDraft(name="X", owner_id=mallory.pk), by=by)


def test_phone_that_is_none_is_kept_with_a_warning(alice):
    with acting(alice) as by:
        captured = capture_lead(draft=LeadDraft(name="X", phone="123"), by=by)
    assert (captured.lead.phone, captured.warnings) == ("123", ["Phone kept as typed: it is not a possible number."])


def test_capture_publishes_once_with_owner(alice, monkeypatch):
    told = []
    monkeypatch.setattr(intake, "publish", told.append)
    with acting(alice) as by:
        lead = capture_lead(draft=LeadDraft(name="X", owner_id=alice.pk), by=by).lead
    assert [(event.name, event.lead_ids) for event in told] == [("lead.captured", (lead.pk,)), ("lead.assigned", (lead.pk,))]
    assert not OutboxEntry.objects.exists()


# --- arrivals ---


def arrival(source_lead_id: str = "s-1") -> Arrival:
    return Arrival(platform_key=Platform.WEBSITE, source_lead_id=source_lead_id, payload={"a": 1})


def test_arrival_of_a_known_lead_is_attached_to_it(tenant):
    known = make_lead(tenant, email="a@acme.example")
    by = Actor.system(tenant_id=tenant.pk, door=Door.WEBHOOK)
    with tenant_scope(tenant.pk, by=by):
        taken, new = receive_arrival(arrival=arrival(), draft=LeadDraft(email="A@acme.example"), by=by)
        assert (taken.lead_id, taken.was_duplicate, new) == (known.pk, True, True)
        again, new = receive_arrival(arrival=arrival(), draft=LeadDraft(email="other@acme.example"), by=by)
        assert (again.pk, new) == (taken.pk, False)
        assert (Lead.objects.count(), Arrival.objects.count()) == (1, 1)


def test_arrival_keeps_what_a_visitor_mistyped(tenant):
    by = Actor.system(tenant_id=tenant.pk, door=Door.WEBHOOK)
    with tenant_scope(tenant.pk, by=by):
        taken, _new = receive_arrival(arrival=arrival(), draft=LeadDraft(name="x" * 300, email="not an address", company="c" * 500), by=by)
        lead = Lead.objects.get(pk=taken.lead_id)
    assert (lead.email, len(lead.first_name), len(lead.company)) == ("not an address", 100, 200)


# --- at once ---


def in_threads(count, work):
    results, start = [], threading.Barrier(count)

    def run(number):
        start.wait()
        try:
            results.append(work(number))
        except Exception as error:
            results.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.slow
def test_the_same_person_from_eight_doors_at_once_makes_one_lead(committed_db):
    tenant = make_tenant()
    alice = make_user(tenant)
    by = actor(alice)

    def capture(number):
        with tenant_scope(tenant.pk, by=by):
            return capture_lead(draft=LeadDraft(name=f"N{number}", email=f"jane+{number}@acme.example", phone="4155550134"), by=by).lead.pk

    results = in_threads(8, capture)
    assert sum(isinstance(result, int) for result in results) == 1
    assert sum(isinstance(result, DuplicateLead) for result in results) == 7
    with inside(tenant.pk):
        assert Lead.objects.count() == 1
