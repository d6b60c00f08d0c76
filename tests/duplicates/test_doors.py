"""S0-09, the queue, the lead's panel and the settings page."""

import pytest

from crm.events.services import deliver_outbox
from duplicates.models import Decision, DuplicateGroup, DuplicateSettings, Merge
from tests.duplicates.conftest import ANN
from tests.factories import inside, make_lead, make_user

pytestmark = pytest.mark.django_db
URL = "/api/leads/duplicates"
STRANGERS = [
    {"first_name": first, "last_name": last, "email": f"{first}@{last}.example".lower()}
    for first, last in (("Xaver", "Quist"), ("Mirelle", "Thorne"), ("Bogdan", "Okafor"))
]


def test_groups_with_advice(alice, api, twins):
    data = api(alice).get(URL).json()["data"]
    group = data["duplicate_groups"][0]
    similarity = group["highest_similarity"]
    assert data["summary"] == {
        "total_groups": 1,
        "total_duplicates": 1,
        "highest_similarity": similarity,
        "auto_merge_candidates": 1,
        "potential_savings": 1,
    }
    assert (group["primary_lead"]["id"], group["duplicates"][0]["id"], group["group_size"]) == (twins[0].pk, twins[1].pk, 2)
    assert (group["duplicates"][0]["confidence"], group["duplicates"][0]["recommended_action"]) == ("high", "auto_merge")
    assert group["duplicates"][0]["reasons"] == ["same e-mail", "same company", "name nearly the same"]
    merge = data["recommendations"]["high_confidence_merges"][0]
    assert (merge["action"], merge["primary_lead"]["id"]) == ("auto_merge_recommended", twins[0].pk)
    assert data["recommendations"]["manual_review_required"] == []


def test_below_the_automatic_threshold_somebody_should_look(alice, api, twins):
    data = api(alice).get(URL, {"auto_merge_threshold": "1"}).json()["data"]
    assert data["recommendations"]["high_confidence_merges"] == []
    assert data["recommendations"]["manual_review_required"] == data["duplicate_groups"]
    assert data["duplicate_groups"][0]["duplicates"][0]["recommended_action"] == "review_for_merge"


def test_suggestions_may_be_left_out(alice, api, twins):
    assert "recommendations" not in api(alice).get(URL, {"include_suggestions": "false"}).json()["data"]


@pytest.mark.parametrize(
    "query",
    [{"threshold": "2"}, {"threshold": "x"}, {"threshold": "nan"}, {"limit": "0"}, {"include_suggestions": "maybe"}, {"cursor": "x"}],
)
def test_a_wrong_query_is_refused_by_name(alice, api, query):
    answer = api(alice).get(URL, query)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == next(iter(query))


def test_a_tenant_next_door_sees_nothing(mallory, api, twins):
    data = api(mallory).get(URL).json()["data"]
    assert (data["duplicate_groups"], data["summary"]["total_groups"]) == ([], 0)


def test_a_rep_sees_and_counts_only_own_leads(bob, api, twins):
    data = api(bob).get(URL).json()["data"]
    assert (data["duplicate_groups"], data["summary"]["total_groups"], data["summary"]["highest_similarity"]) == ([], 0, 0.0)


def test_groups_are_paged(tenant, alice, api, refreshed):
    leads = [make_lead(tenant, **STRANGERS[place]) for place in range(3) for _ in (1, 2)]
    refreshed(*leads)
    seen, cursor = [], ""
    for _ in range(3):
        answer = api(alice).get(URL, {"limit": "1", "cursor": cursor or ""}).json()
        seen += [group["primary_lead"]["id"] for group in answer["data"]["duplicate_groups"]]
        cursor = answer["meta"]["pagination"]["nextCursor"]
    assert cursor is None
    assert sorted(seen) == [leads[0].pk, leads[2].pk, leads[4].pk]


@pytest.mark.parametrize("item_count", [1, 3])
def test_query_count_is_flat(tenant, alice, api, refreshed, item_count, django_assert_max_num_queries):
    leads = [make_lead(tenant, **STRANGERS[place]) for place in range(item_count) for _ in (1, 2)]
    refreshed(*leads)
    client = api(alice)
    with django_assert_max_num_queries(14):
        assert len(client.get(URL).json()["data"]["duplicate_groups"]) == item_count


def test_a_leads_answer_names_its_duplicates(alice, api, twins):
    answer = api(alice).get(f"/api/leads/{twins[0].pk}", {"include_duplicates": "true"}).json()["data"]
    found = answer["potential_duplicates"]
    assert [(item["id"], item["matched_on"]) for item in found] == [(twins[1].pk, ["email"])]
    assert 0.9 < found[0]["similarity_score"] <= 1


def test_a_lead_with_the_same_phone_is_named_at_once(tenant, alice, api):
    one, other = (make_lead(tenant, owner=alice, first_name=name, phone="+14155550177") for name in ("Xaver", "Quentin"))
    found = api(alice).get(f"/api/leads/{one.pk}", {"include_duplicates": "true"}).json()["data"]["potential_duplicates"]
    assert [(item["id"], item["matched_on"]) for item in found] == [(other.pk, ["phone"])]


def test_the_leads_page_shows_how_many_are_similar(alice, pages, twins):
    page = pages(alice).get(f"/leads/{twins[0].pk}").content.decode()
    assert "1 similar" in page
    assert "same e-mail" in page


def test_the_queue_shows_why_and_takes_a_decision(alice, pages, twins):
    client = pages(alice)
    page = client.get("/duplicates").content.decode()
    assert "same e-mail" in page
    assert "name nearly the same" in page
    answer = client.post(
        "/duplicates/decide", {"decision": "separate", "lead": [lead.pk for lead in twins], "next": "/duplicates"}, follow=True
    )
    assert "Kept separate" in answer.content.decode()
    assert "No two leads" in answer.content.decode() or "None found yet" in answer.content.decode()
    undo = next(message.extra_tags for message in answer.context["messages"])
    client.post(undo)
    with inside(alice.tenant_id):
        assert not Decision.objects.exists()
    assert "same e-mail" in client.get("/duplicates").content.decode()


def test_a_group_shows_only_what_differs(alice, pages, twins):
    page = pages(alice).get("/duplicates").context["groups"][0]["id"]
    shown = pages(alice).get(f"/duplicates/{page}")
    assert [row["label"] for row in shown.context["rows"]] == ["Name", "Company", "Phone"]


def test_a_foreign_group_is_not_there(alice, mallory, pages, twins):
    group = pages(alice).get("/duplicates").context["groups"][0]["id"]
    assert pages(mallory).get(f"/duplicates/{group}").status_code == 404


def test_a_scan_can_be_asked_for(alice, pages, tenant):
    assert "looked through" in pages(alice).post("/duplicates/scan", follow=True).content.decode()


def test_the_settings_page_saves(admin, pages, tenant):
    client = pages(admin)
    form = client.get("/settings/duplicates").context["form"]
    values = {name: form.initial.get(name, "") for name in form.fields} | {"threshold": "70", "custom-0": "born", "custom-how-0": "date"}
    assert client.post("/settings/duplicates", values).status_code == 302
    with inside(tenant.pk):
        settings = DuplicateSettings.objects.get()
    assert settings.threshold == 0.7
    assert {"name": "custom:born", "comparator": "date"} in settings.fields
    assert client.post("/settings/duplicates", values | {"threshold": "20"}).status_code == 422


def test_import_in_one_go_is_compared_within_itself(tenant, alice, api):
    rows = [
        {"name": "Annabel Leighton", "email": "annabel@acme.example", "company": "Acme"},
        {"name": "Anabel Leighton", "email": "a.leighton@acme.example", "company": "ACME Inc", "phone": "+14155550123"},
        {"name": "Annabel Leighton", "phone": "+14155550123", "company": "Acme"},
    ]
    api(alice).post("/api/leads/bulk/import", {"leads": rows, "options": {"skip_duplicates": False}})
    deliver_outbox()
    data = api(alice).get(URL).json()["data"]
    assert data["summary"]["total_groups"] == 1
    assert ANN["email"] in {
        data["duplicate_groups"][0]["primary_lead"]["email"],
        *(item["email"] for item in data["duplicate_groups"][0]["duplicates"]),
    }


# --- decisions and the scan by API ---


def test_decisions_by_api_and_taking_them_back(alice, api, twins):
    client, body = api(alice), {"lead_ids": [lead.pk for lead in twins], "decision": "separate"}
    assert client.post(f"{URL}/decisions", body).json()["data"] == {"pairs": 1}
    assert client.get(URL).json()["data"]["summary"]["total_groups"] == 0
    assert client.send("DELETE", f"{URL}/decisions", {**body, "decision": "later"}).json()["data"] == {"pairs": 0}
    assert client.send("DELETE", f"{URL}/decisions", body).json()["data"] == {"pairs": 1}
    assert client.get(URL).json()["data"]["summary"]["total_groups"] == 1
    assert client.post(f"{URL}/decisions", {"leadIds": [str(lead.pk) for lead in twins], "decision": "later"}).json()["data"] == {
        "pairs": 1
    }
    assert client.get(URL).json()["data"]["summary"]["total_groups"] == 0


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"decision": "maybe"}, "decision"),
        ({"lead_ids": [1]}, "lead_ids"),
        ({"lead_ids": "x"}, "lead_ids"),
        ({"lead_ids": None}, "lead_ids"),
    ],
)
def test_wrong_decisions_are_refused_by_name(alice, api, twins, change, field):
    body = {"lead_ids": [lead.pk for lead in twins], "decision": "separate", **change}
    for method in ("POST", "DELETE"):
        answer = api(alice).send(method, f"{URL}/decisions", body)
        assert (answer.status_code, answer.json()["errors"][0]["field"].partition(".")[0]) == (400, field)


def test_decisions_about_leads_out_of_sight_are_not_found(mallory, bob, api, twins):
    body = {"lead_ids": [lead.pk for lead in twins], "decision": "separate"}
    for user in (mallory, bob):
        for method in ("POST", "DELETE"):
            assert api(user).send(method, f"{URL}/decisions", body).status_code == 404


def test_the_scan_by_api(alice, api, tenant):
    client, support = api(alice), make_user(tenant, role="support")
    assert client.get(f"{URL}/scan").json()["data"] is None
    asked = client.post(f"{URL}/scan")
    assert (asked.status_code, asked.json()["data"]["state"], asked.json()["data"]["asked_by"]) == (202, "waiting", alice.pk)
    assert client.post(f"{URL}/scan").json()["data"]["id"] == asked.json()["data"]["id"]
    assert client.get(f"{URL}/scan").json()["data"]["id"] == asked.json()["data"]["id"]
    assert api(support).get(f"{URL}/scan").status_code == 200
    assert api(support).post(f"{URL}/scan").status_code == 403


# --- after a merge ---


def test_a_merge_from_the_page_closes_the_group_at_once_and_parting_brings_it_back(alice, pages, tenant, twins):
    client = pages(alice)
    answer = client.post(
        "/duplicates/merge", {"lead": [lead.pk for lead in twins], "target": twins[0].pk, "next": "/duplicates"}, follow=True
    )
    assert answer.context["counted"].groups == 0
    assert answer.context["groups"] == []
    with inside(tenant.pk):
        assert not DuplicateGroup.objects.exists()
        merge = Merge.objects.get()
    deliver_outbox()
    client.post(f"/duplicates/merges/{merge.pk}/undo")
    deliver_outbox()
    assert client.get("/duplicates").context["groups"][0]["lead_ids"] == [lead.pk for lead in twins]
