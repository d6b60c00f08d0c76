"""The provider that asks an HTTP service, against a local server that is well, slow, failing or hostile."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import RedisError

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.events.valkey import client as valkey
from crm.sealed import seal, unseal
from enrichment.models import CachedAnswer, Enrichment, FieldSource, ProviderSettings
from enrichment.services import asking, limits
from enrichment.services.bulk import enrich_due, enrich_new
from enrichment.services.enriching import Options
from enrichment.services.http_provider import Rule, build, clean_headers, clean_options, value_at
from enrichment.services.outside import Refused, Unreachable, ask, checked_address, is_public
from enrichment.services.providers import LeadFacts, ProviderTrouble
from enrichment.services.settings import Trial, Wanted, delete_provider, save_provider, try_provider
from leads.models import Lead
from tests.enrichment.parts import enrich_leads
from tests.enrichment.people_server import Fault, PeopleServer, people_server
from tests.factories import acting, inside, make_lead

PERSON = {
    "company": {"industry": "Fishing", "employees": 120, "tags": ["a", "b"]},
    "people": [{"title": "Skipper"}],
    "linkedin": "https://l.example/ann",
}
RULES = "company.industry -> industry\ncompany.employees -> company_size\npeople[0].title -> title 0.8\nlinkedin -> linkedin_url\ncompany.name -> company"


@pytest.fixture
def server(settings, monkeypatch) -> Iterator[PeopleServer]:
    settings.ALLOW_PRIVATE_HOSTS = True
    monkeypatch.setattr(asking, "_FIRST_PAUSE", 0.01)
    with people_server() as running:
        yield running


@pytest.fixture
def provider(tenant, admin, server) -> ProviderSettings:
    with inside(tenant.pk):
        ProviderSettings.objects.filter(kind="inference").update(is_active=False)
    return add(admin, url=f"{server.url}/people?email={{email}}")


def add(admin: Any, *, headers: str = "X-Key: secret", on_capture: bool = False, name: str = "People", **options: Any) -> ProviderSettings:
    wanted = Wanted(name=name, on_capture=on_capture, options={"rules": RULES, "timeout": 1.0, "per_minute": 0, **options}, headers=headers)
    with acting(admin) as by:
        made = save_provider(provider=None, wanted=wanted, by=by)
    valkey().delete(*(f"enrichment:{admin.tenant_id}:{made.pk}:{part}" for part in ("bucket", "failures", "resting")))
    return made


def enrich(user: Any, *leads: Lead, **options: Any) -> list[Any]:
    with acting(user) as by:
        return enrich_leads(lead_ids=[lead.pk for lead in leads], options=Options(skip_recent=False, **options), by=by)


def tried(provider: ProviderSettings, lead: Lead, by: Actor) -> Trial:
    trial = try_provider(provider=provider, lead_id=lead.pk, by=by)
    trial.ask()
    return trial


def people(tenant: Any, number: int) -> list[Lead]:
    return [make_lead(tenant, first_name=f"P{n}", email=f"p{n}@acme.example") for n in range(number)]


# --- well ---


def test_answer_is_mapped_into_the_lead_and_beside_it(tenant, alice, provider, server):
    server.people["ann@acme.example"] = PERSON
    lead = make_lead(tenant, first_name="Ann", email="ann@acme.example", title="Captain")
    (result,) = enrich(alice, lead)
    with inside(tenant.pk):
        lead = Lead.objects.get(pk=lead.pk)
        known = {source.field: source for source in FieldSource.objects.filter(lead=lead)}
    assert (lead.industry, lead.company_size, lead.title, lead.company) == ("Fishing", "50-200", "Captain", "")
    assert known["linkedin_url"].value == "https://l.example/ann"
    assert (known["title"].applied, known["industry"].provider, known["title"].confidence) == (False, "People", 0.8)
    assert result.data["linkedin_url"] == "https://l.example/ann"
    assert server.asked[0]["headers"]["X-Key"] == "secret"
    assert server.asked[0]["given"] == {"email": "ann@acme.example"}


def test_facts_cannot_break_out_of_address_or_body(tenant, alice, admin, server, provider):
    post = add(admin, name="Post", url=f"{server.url}/{{company}}", method="POST", body='{"domain": "{domain}", "who": {"name": "{name}"}}')
    lead = make_lead(tenant, first_name='A", "x": "', email="a@acme.example", company="../x?y=1&z#f/é")
    enrich(alice, lead)
    asked = next(item for item in server.asked if item["path"] != f"/people?email={'a%40acme.example'}")
    assert asked["given"] == {"domain": "acme.example", "who": {"name": 'A", "x": "'}}
    assert asked["path"] == "/..%2Fx%3Fy%3D1%26z%23f%2F%C3%A9"
    assert post.kind == "http"


def test_a_lead_without_the_facts_is_not_asked_about(tenant, alice, provider, server):
    (result,) = enrich(alice, make_lead(tenant, first_name="Ann"))
    assert (result.success, result.fields, server.asked) == (True, 0, [])


def test_answers_are_cached_and_shared_by_the_same_question(tenant, alice, admin, server, provider):
    with acting(admin) as by:
        save_provider(provider=provider, wanted=Wanted(name="People", options={"url": f"{server.url}/d?domain={{domain}}"}), by=by)
    server.people["acme.example"] = PERSON
    leads = people(tenant, 4)
    results = enrich(alice, *leads)
    assert [result.data["industry"] for result in results] == ["Fishing"] * 4
    assert len(server.asked) == 1
    enrich(alice, *leads)
    assert len(server.asked) == 1
    with inside(tenant.pk):
        assert "acme" not in CachedAnswer.objects.get().key
    with acting(admin) as by:
        save_provider(provider=ProviderSettings.objects.get(pk=provider.pk), wanted=Wanted(name="People"), by=by)
    enrich(alice, leads[0])
    assert len(server.asked) == 2
    assert server.asked[1]["headers"]["X-Key"] == "secret"


def test_at_most_so_many_at_once(tenant, alice, provider, server):
    server.delay = 0.1
    leads = people(tenant, 9)
    started = time.monotonic()
    enrich(alice, *leads, max_concurrent=3)
    assert server.most_at_once == 3
    assert time.monotonic() - started < 0.9 * 9 * 0.1 + 0.5


# --- failing ---


@pytest.mark.parametrize("status", [500, 503, 429])
def test_passing_trouble_is_tried_again(tenant, alice, provider, server, status):
    server.people["p0@acme.example"] = PERSON
    server.faults.extend([Fault(status=status), Fault(status=status)])
    (result,) = enrich(alice, *people(tenant, 1))
    assert (result.success, len(server.asked)) == (True, 3)


def test_lasting_trouble_is_not(tenant, alice, provider, server):
    server.always = Fault(status=403)
    (result,) = enrich(alice, *people(tenant, 1))
    assert (result.success, result.reason, len(server.asked)) == (False, "People: It answered 403. Check its key.", 1)
    with inside(tenant.pk):
        row = Enrichment.objects.get()
        assert (row.outcome, row.error) == ("failed", "People: It answered 403. Check its key.")
    assert enrich(alice, Lead(pk=row.lead_id))[0].skipped is False


def test_one_that_fails_does_not_hide_what_another_knows(tenant, alice, provider, server):
    with inside(tenant.pk):
        ProviderSettings.objects.filter(kind="inference").update(is_active=True)
    server.always = Fault(status=403)
    (result,) = enrich(alice, *people(tenant, 1))
    assert result.success is True
    assert result.data["business_likelihood"] == "high_business"
    assert "403" in result.reason


def test_after_some_failures_it_is_left_alone(tenant, alice, provider, server):
    server.always = Fault(status=500)
    results = enrich(alice, *people(tenant, 10), max_concurrent=1)
    assert len(server.asked) == limits.FAILURES
    assert not any(result.success for result in results)
    assert "left alone" in results[-1].reason
    server.always = None
    assert enrich(alice, *people(tenant, 1))[0].success is False
    valkey().delete(f"enrichment:{tenant.pk}:{provider.pk}:resting")
    assert enrich(alice, *people(tenant, 1))[0].success is True


def test_calls_a_minute_are_kept(tenant, alice, admin, server, provider, monkeypatch):
    monkeypatch.setattr(asking, "BATCH_SECONDS", 0.5)
    with inside(tenant.pk):
        provider.delete()
    add(admin, url=f"{server.url}/?email={{email}}", per_minute=3)
    results = enrich(alice, *people(tenant, 6), max_concurrent=6)
    assert len(server.asked) == 3
    assert sorted(result.success for result in results) == [False] * 3 + [True] * 3


def test_with_the_store_away_it_is_asked_without_a_limit(tenant, alice, provider, server, monkeypatch):
    class Away:
        def __getattr__(self, name: str) -> Any:
            def fail(*_: Any, **__: Any) -> Any:
                raise RedisError("away")

            return fail

    monkeypatch.setattr(limits, "client", Away)
    server.people["p0@acme.example"] = PERSON
    assert enrich(alice, *people(tenant, 1))[0].success is True


# --- slow and hostile ---


@pytest.mark.parametrize(
    "fault",
    [
        Fault(hang=30),
        Fault(body=b'{"a": 1}' * 100, drip=0.2),
        Fault(body=b"x" * 5_000_000),
    ],
    ids=["hangs", "drips", "huge"],
)
def test_time_and_size_are_bounded(tenant, server, provider, fault):
    server.always = fault
    with inside(tenant.pk):
        made = build(provider)
    started = time.monotonic()
    with pytest.raises(ProviderTrouble) as trouble:
        made.enrich(LeadFacts(lead_id=1, email="a@acme.example"))
    assert time.monotonic() - started < 2.5
    assert trouble.value.passing


def test_redirects_are_not_followed(tenant, server, provider):
    server.always = Fault(status=302, headers={"Location": f"{server.url}/elsewhere"})
    with inside(tenant.pk):
        made = build(provider)
    with pytest.raises(ProviderTrouble, match="302"):
        made.enrich(LeadFacts(lead_id=1, email="a@acme.example"))
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[1, 2]", b'"text"', b"null", b'{"company": "no object"}', b'{"company": {"industry": {"deep": 1}, "employees": [1]}, "people": {}}',
     b'{"company": {"industry": null, "employees": true}}', b"\xff\xfe"],
)  # fmt: skip
def test_wrong_types_write_nothing(tenant, alice, provider, server, body):
    server.always = Fault(body=body)
    lead = people(tenant, 1)[0]
    enrich(alice, lead)
    with inside(tenant.pk):
        lead = Lead.objects.get(pk=lead.pk)
    assert (lead.industry, lead.company_size, lead.title) == ("", "", "")


def test_long_and_strange_texts_are_cut_and_cleaned(tenant, alice, provider, server):
    server.people["p0@acme.example"] = {
        "company": {"industry": "x\x00\n" + "y" * 10_000, "employees": 10**300},
        "people": [{"title": "=1+1"}],
        "linkedin": -1e300,
    }
    lead = people(tenant, 1)[0]
    enrich(alice, lead)
    with inside(tenant.pk):
        lead = Lead.objects.get(pk=lead.pk)
    assert lead.industry.startswith("x y")
    assert len(lead.industry) == 100


# --- into this network ---


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1",
     "2002:0a00:0001::", "64:ff9b::a00:1", "fe80::1%eth0", "64:ff9b:1::1", "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "3fff::1", "5f00::1",
     "168.63.129.16", "::ffff:168.63.129.16"],
)  # fmt: skip
def test_private_addresses_are_known(address):
    assert not is_public(address)


def test_public_addresses_are_known():
    assert is_public("93.184.216.34")
    assert is_public("2606:4700:4700::1111")


def test_a_name_that_has_one_private_address_is_refused(settings):
    settings.ALLOW_PRIVATE_HOSTS = False
    assert checked_address("a.example", ["93.184.216.34"]) == "93.184.216.34"
    with pytest.raises(Refused):
        checked_address("a.example", ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Unreachable):
        checked_address("a.example", [])


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001"])
def test_this_machine_is_not_asked(settings, server, host):
    settings.ALLOW_PRIVATE_HOSTS = False
    port = server.url.rpartition(":")[2]
    with pytest.raises((Refused, Unreachable)):
        ask(method="GET", url=f"http://{host}:{port}/", headers={}, body=None, timeout=2)
    assert server.asked == []


# --- settings ---


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "ftp://a.example/"}, "url"),
        ({"url": "https://{domain}/"}, "url"),
        ({"url": "https://user:pw@a.example/"}, "url"),
        ({"url": "https://a.example/{shoe_size}"}, "url"),
        ({"url": "https://a.example:port/"}, "url"),
        ({"url": "//a.example"}, "url"),
        ({"method": "DELETE"}, "method"),
        ({"body": "{broken"}, "body"),
        ({"body": '"{shoe_size}"'}, "body"),
        ({"rules": ""}, "rules"),
        ({"rules": "nonsense"}, "rules"),
        ({"rules": "a -> email"}, "rules"),
        ({"rules": [{"path": "a"}]}, "rules"),
        ({"rules": "a -> b 1.5"}, "rules"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"per_minute": -1}, "per_minute"),
    ],
)
def test_settings_that_make_none_are_refused_by_name(options, field):
    with pytest.raises(InvalidInput) as refused:
        clean_options({"url": "https://a.example/", "rules": "a -> industry", **options})
    assert list(refused.value.problems) == [field]


@pytest.mark.parametrize("text", ["Authorization", "Bad Name: x", "X: \x07", "Host: evil.example", "X: é"])
def test_headers_that_are_none_are_refused(text):
    with pytest.raises(InvalidInput):
        clean_headers(text)


def test_secret_headers_are_sealed_and_kept(tenant, admin, provider):
    assert "secret" not in provider.secret
    assert "secret" in unseal(provider.secret)
    with acting(admin) as by:
        kept = save_provider(provider=provider, wanted=Wanted(name="People"), by=by)
        assert unseal(kept.secret) == '{"X-Key":"secret"}'
        assert save_provider(provider=provider, wanted=Wanted(name="People", headers=""), by=by).secret == ""


def test_a_secret_of_another_key_is_said_and_no_bug(tenant, alice, admin, provider, settings):
    provider.secret = seal("{}")[:-4] + "xxxx"
    with inside(tenant.pk):
        provider.save()
        lead = people(tenant, 1)[0]
    with acting(admin) as by:
        assert "Enter it again" in tried(provider, lead, by).problem


def test_paths_read_what_stands_there():
    data = {"a": [{"b": 1}], "c": {"d": None}}
    assert [value_at(data, path) for path in ("a[0].b", "a[1].b", "c.d.e", "x", "a.b")] == [1, None, None, None, None]
    assert Rule(path="a", field="b").confidence == 0.9


def test_trying_it_writes_nothing(tenant, alice, admin, provider, server):
    server.people["p0@acme.example"] = PERSON
    lead = people(tenant, 1)[0]
    with acting(admin) as by:
        trial = tried(provider, lead, by)
        assert trial.answer["industry"].value == "Fishing"
        assert (FieldSource.objects.count(), CachedAnswer.objects.count()) == (0, 0)
        server.always = Fault(status=401)
        assert "401" in tried(provider, lead, by).problem


def test_a_built_in_one_is_not_deleted(tenant, admin):
    with acting(admin) as by:
        inference = ProviderSettings.objects.get(kind="inference")
        with pytest.raises(InvalidInput):
            delete_provider(provider=inference, by=by)


# --- new leads ---


def test_new_leads_wait_for_it_and_are_asked_about_once(tenant, admin, provider, server):
    with acting(admin) as by:
        save_provider(provider=provider, wanted=Wanted(name="People", on_capture=True), by=by)
    server.people["p0@acme.example"] = PERSON
    one, two = people(tenant, 2)
    with inside(tenant.pk):
        enrich_new(lead_ids=[one.pk, two.pk], by=Actor.system(tenant_id=tenant.pk))
    assert server.asked == []
    assert enrich_due() == 2
    assert enrich_due() == 0
    assert len(server.asked) == 2
    with inside(tenant.pk):
        assert Lead.objects.get(pk=one.pk).industry == "Fishing"
        assert set(Enrichment.objects.values_list("outcome", "due_at")) == {("enriched", None), ("nothing", None)}


def test_one_that_went_to_the_bin_waits_for_nothing(tenant, admin, provider, server):
    with acting(admin) as by:
        save_provider(provider=provider, wanted=Wanted(name="People", on_capture=True), by=by)
    (lead,) = people(tenant, 1)
    with inside(tenant.pk):
        enrich_new(lead_ids=[lead.pk], by=Actor.system(tenant_id=tenant.pk))
        Lead.objects.filter(pk=lead.pk).update(deleted_at=lead.created_at)
    assert enrich_due() == 0
    with inside(tenant.pk):
        assert Enrichment.objects.get().due_at is None


# --- pages ---


def test_settings_pages_add_try_and_delete(tenant, admin, bob, pages, server):
    server.people["p0@acme.example"] = PERSON
    lead = people(tenant, 1)[0]
    client = pages(admin)
    assert "Inference" in client.get("/settings/enrichment").content.decode()
    form = {"name": "People", "method": "GET", "url": f"{server.url}/?email={{email}}", "headers": "X-Key: very-secret", "rules": RULES,
            "timeout": "2", "per_minute": "0", "cache_hours": "1", "is_active": "on"}  # fmt: skip
    wrong = client.post("/settings/enrichment/new", {**form, "url": "nonsense"})
    assert wrong.status_code == 422
    assert "Must begin with" in wrong.content.decode()
    answer = client.post("/settings/enrichment/new", form)
    where = answer.headers["Location"]
    text = client.get(where).content.decode()
    assert "very-secret" not in text
    assert "company.industry -&gt; industry" in text
    tried = client.post(f"{where}/action", {"action": "try", "lead": f"http://testserver/leads/{lead.pk}"}).content.decode()
    assert "Fishing" in tried
    assert "very-secret" not in tried
    assert "number of a lead" in client.post(f"{where}/action", {"action": "try", "lead": "x"}).content.decode()
    again = client.post("/settings/enrichment/new", form)
    assert "Another provider has this name." in again.content.decode()
    assert client.post(f"{where}/action", {"action": "delete"}).headers["Location"] == "/settings/enrichment"
    assert client.get(where).status_code == 404
    assert pages(bob).get("/settings/enrichment").status_code == 403


def test_built_in_page_switches_it(tenant, admin, pages):
    with inside(tenant.pk):
        pk = ProviderSettings.objects.get(kind="inference").pk
    client = pages(admin)
    assert client.get(f"/settings/enrichment/{pk}").status_code == 200
    client.post(f"/settings/enrichment/{pk}", {"is_active": "on"})
    with inside(tenant.pk):
        assert ProviderSettings.objects.values_list("is_active", "on_capture").get(pk=pk) == (True, False)
