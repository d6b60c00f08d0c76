"""The REST doors of leads."""

from datetime import timedelta

import pytest
from django.utils import timezone

from leads.models import Lead, LeadShare
from tests.factories import acting, inside, make_lead, make_user

URL = "/api/leads"


def ids(answer) -> list[int]:
    data = answer.json()["data"]
    return [lead["id"] for lead in (data["leads"] if isinstance(data, dict) else data)]


def listed(client, **query) -> list[int]:
    answer = client.get(URL, query)
    assert answer.status_code == 200, answer.content
    return ids(answer)


@pytest.fixture
def client(alice, api):
    return api(alice)


# --- three ways to page ---


def test_list_by_page_is_document_0s(client, tenant):
    made = [make_lead(tenant, first_name=f"N{number}") for number in range(5)]
    body = client.get(URL, {"page": 2, "limit": 2}).json()
    assert [lead["name"] for lead in body["data"]["leads"]] == ["N2", "N1"]
    assert body["data"]["pagination"] == {
        "current_page": 2, "per_page": 2, "total_items": 5, "total_pages": 3, "has_next": True, "has_previous": True,
    }  # fmt: skip
    assert body["meta"]["pagination"] == {"page": 2, "limit": 2, "total": 5, "hasNext": True, "hasPrev": True}
    assert listed(client, page=9) == []
    assert len(listed(client)) == len(made)


def test_list_by_offset_is_document_1s(client, tenant):
    for number in range(5):
        make_lead(tenant, first_name=f"N{number}")
    body = client.get(URL, {"offset": 3, "limit": 4, "status": "new"}).json()
    assert [lead["first_name"] for lead in body["data"]] == ["N1", "N0"]
    assert (body["filters"], body["total"]) == ({"status": "new", "limit": 4, "offset": 3}, 5)
    assert client.get(URL, {"offset": 99}).json()["data"] == []


def test_list_by_cursor_walks_all_rows_once(client, tenant):
    made = [make_lead(tenant).pk for _ in range(7)]
    seen, cursor = [], ""
    while cursor is not None:
        body = client.get(URL, {"cursor": cursor, "limit": 3}).json()
        assert "total" not in body["meta"]["pagination"]
        seen += [lead["id"] for lead in body["data"]["leads"]]
        cursor = body["meta"]["pagination"]["nextCursor"]
    assert seen == made[::-1]
    assert client.get(URL, {"cursor": "", "include_total": "true"}).json()["meta"]["pagination"]["total"] == 7


def test_v1_answers_the_same(client, tenant):
    lead = make_lead(tenant)
    assert ids(client.get("/v1/leads")) == ids(client.get("/api/leads/")) == [lead.pk]
    assert client.get(f"/v1/leads/{lead.pk}").json()["data"]["id"] == lead.pk


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"page": "0"}, "page"), ({"page": "x"}, "page"), ({"page": "1.5"}, "page"), ({"limit": "201"}, "limit"), ({"limit": "0"}, "limit"),
        ({"limit": "²"}, "limit"), ({"offset": "-1"}, "offset"), ({"offset": "9" * 30}, "offset"), ({"page": "9" * 30}, "page"),
        ({"sort_by": "secret"}, "sort_by"), ({"sort_order": "up"}, "sort_order"), ({"status": "dreaming"}, "status"), ({"priority": "soon"}, "priority"),
        ({"assigned_to": "bob"}, "assigned_to"), ({"assigned_user_id": "x"}, "assigned_user_id"), ({"score_min": "many"}, "score_min"),
        ({"score_min": "nan"}, "score_min"), ({"score_max": "1e400"}, "score_max"), ({"created_after": "some day"}, "created_after"),
        ({"created_before": "2024-02-31"}, "created_before"), ({"created_after": "9999-99-99T00:00"}, "created_after"), ({"platform": "fax"}, "platform"),
        ({"grade": "E"}, "grade"), ({"cursor": "!!"}, "cursor"), ({"cursor": "bm9uZQ"}, "cursor"), ({"include_deleted": "maybe"}, "include_deleted"),
        ({"search": "a\x00b"}, "search"), ({"industry": "x\x00"}, "industry"), ({"follow_up": "perhaps"}, "follow_up"),
    ],
)  # fmt: skip
def test_list_refuses_by_parameter(client, query, field):
    answer = client.get(URL, query)
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_empty_parameters_and_unknown_ones_are_let_be(client, tenant):
    lead = make_lead(tenant)
    assert listed(client, status="", search="", score_min="", unknown="x") == [lead.pk]


# --- filters ---


def test_every_filter_narrows(client, tenant, alice, bob):
    now = timezone.now()
    match = make_lead(
        tenant,
        status="contacted",
        first_name="Zed",
        company="Acme",
        priority=4,
        owner=bob,
        lead_source="LinkedIn",
        platform_key="facebook",
        industry="Retail",
        company_size="11-50",
        score=80,
        quality_grade="B",
        tags=["vip", "hot"],
        created_at=now - timedelta(days=10),
        next_follow_up_at=now,
    )
    other = make_lead(tenant, score=10, tags=["hot"])
    for query in (
        {"status": "contacted"}, {"status": "Follow-up"}, {"status": "contacted,won"}, {"status": "3"}, {"priority": "Critical"}, {"priority": "urgent"},
        {"priority": "high,critical"}, {"assigned_to": bob.pk}, {"assigned_user_id": bob.pk}, {"owner": f"{bob.pk},{alice.pk}"}, {"lead_source": "linkedin"},
        {"platform": "FACEBOOK"}, {"platform_key": "facebook"}, {"industry": "Retail"}, {"industry": "Retail,Energy"}, {"company_size": "11-50"},
        {"score_min": 80}, {"grade": "b"}, {"tags": "vip"}, {"tags": "hot,vip"}, {"created_before": (now - timedelta(days=5)).date().isoformat()},
        {"follow_up": "yes"}, {"follow_up_before": (now + timedelta(days=1)).isoformat()}, {"search": "zed acme"}, {"q": "zed"},
        {"status": "contacted", "priority": "critical", "search": "acme", "tags": "vip", "score_min": 1, "assigned_to": bob.pk},
    ):  # fmt: skip
        assert listed(client, **query) == [match.pk], query
        assert client.get(URL, query).json()["data"]["pagination"]["total_items"] == 1, query
    for query in (
        {"assigned_to": "none"}, {"score_max": 79}, {"created_after": (now - timedelta(days=5)).date().isoformat()}, {"follow_up": "no"}, {"status": "new"},
    ):  # fmt: skip
        assert listed(client, **query) == [other.pk], query
    assert listed(client, assigned_to="me") == []
    assert set(listed(client, assigned_to=f"none,{bob.pk}")) == {match.pk, other.pk}
    assert listed(client, tags="vip,none") == []


def test_not_interested_and_lost_differ_by_the_reason(client, tenant):
    cold = make_lead(tenant, status="lost", lost_reason="not_interested")
    poor = make_lead(tenant, status="lost", lost_reason="no_budget")
    assert listed(client, status="Not Interested") == [cold.pk]
    assert client.get(URL, {"status": "Not Interested"}).json()["data"]["pagination"]["total_items"] == 1
    assert poor.pk in listed(client, status="lost")


def test_deleted_leads_are_listed_on_request_only(client, tenant):
    live, gone = make_lead(tenant), make_lead(tenant, deleted_at=tenant.created_at)
    assert listed(client) == [live.pk]
    assert set(listed(client, include_deleted="true")) == {live.pk, gone.pk}
    assert client.get(URL, {"include_deleted": "true"}).json()["data"]["pagination"]["total_items"] == 2


def test_rep_lists_what_a_rep_sees_with_exact_totals(api, bob, alice, tenant):
    own, free, shared = make_lead(tenant, owner=bob), make_lead(tenant), make_lead(tenant, owner=alice)
    make_lead(tenant, owner=alice)
    with acting(alice):
        LeadShare.objects.create(lead=shared, user=bob)
        LeadShare.objects.create(lead=own, user=bob)
    client = api(bob)
    assert listed(client) == [shared.pk, free.pk, own.pk]
    assert client.get(URL).json()["data"]["pagination"]["total_items"] == 3
    assert client.get(f"{URL}/{shared.pk}").status_code == 200
    assert ids(client.get(f"{URL}/my-leads")) == [own.pk]
    assert ids(client.get(f"{URL}/unassigned")) == [free.pk]


@pytest.mark.parametrize("role", ["manager", "sales_rep"])
def test_list_takes_the_same_queries_at_1_3_and_30_leads(api, tenant, bob, role, django_assert_max_num_queries, django_assert_num_queries):
    client = api(make_user(tenant, role=role))
    taken = []
    for target in (1, 3, 30):
        with inside(tenant.pk):
            missing = target - Lead.objects.count()
        for number in range(missing):
            make_lead(tenant, owner=bob if number % 2 and role == "manager" else None, tags=["t"])
        with django_assert_max_num_queries(20) as captured:
            assert len(listed(client, limit=50)) == target
        taken.append(len(captured))
    assert len(set(taken)) == 1, taken
    assert taken[0] <= 14


# --- one lead ---


def test_read_a_lead_with_its_timeline_and_duplicates(client, tenant, alice):
    early = timezone.now() - timedelta(days=1)
    lead = make_lead(tenant, first_name="Jane", email="j@acme.example", company="Old", created_at=early)
    twin = make_lead(tenant, first_name="J.", email="J@acme.example")
    client.put(f"{URL}/{lead.pk}", {"company": "New", "status": "qualified"})
    data = client.get(f"{URL}/{lead.pk}", {"include_duplicates": "true"}).json()["data"]
    assert data["id"] == data["lead"]["id"] == lead.pk
    assert [(entry["activity_type"], entry["user_id"]) for entry in data["timeline"]] == [
        ("status_changed", alice.pk),
        ("lead_created", "system"),
    ]
    assert [entry["id"] for entry in data["potential_duplicates"]] == [twin.pk]
    plain = client.get(f"{URL}/{lead.pk}", {"include_timeline": "false"}).json()["data"]
    assert (plain["timeline"], plain["potential_duplicates"]) == ([], [])


def test_created_lead_answers_as_documented_and_can_be_read(client, alice):
    answer = client.post(URL, {"fullName": "Jane Roe", "companySize": "11-50", "email": "j@acme.example", "assignedTo": str(alice.pk)})
    data = answer.json()["data"]
    assert answer.status_code == 201
    assert data["lead"]["first_name"] == "Jane"
    assert (data["lead"]["company_size"], data["lead"]["assigned_to"], data["lead"]["created_via"]) == ("11-50", alice.pk, "api")
    assert data["duplicate_check"] == {"performed": True, "duplicates_found": 0, "ignored": False}
    assert data["enrichment_status"] == "attempted"
    assert client.get(f"{URL}/{data['lead']['id']}").status_code == 200


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["name"]),
        ({"name": "X", "email": "bad"}, ["email"]),
        ({"name": ["X"]}, ["name"]),
        ({"name": {"a": 1}}, ["name"]),
        ({"name": "X", "company": "c" * 201}, ["company"]),
        ({"name": "X", "notes": "a\x00b"}, ["notes"]),
        ({"name": "X", "priority": 7}, ["priority"]),
        ({"name": "X", "tags": "vip"}, ["tags"]),
        ({"name": "X", "tags": [None]}, ["tags.0"]),
        ({"name": "X", "assigned_to": "bob"}, ["assigned_to"]),
        ({"name": "X", "assigned_to": 10**15}, ["assigned_to"]),
        ({"name": "X", "address": "here"}, ["address"]),
        ({"name": "X", "address": {"city": "c" * 101}}, ["address.city"]),
        ({"name": "X", "custom_fields": [1]}, ["custom_fields"]),
        ({"name": "X", "custom_fields": {"a": "\x00"}}, ["custom_fields"]),
        ({"name": "X", "custom_fields": {"a": [{"b\x00": 1}]}}, ["custom_fields"]),
        ({"name": "X", "conversion_probability": 2}, ["conversion_probability"]),
        ({"name": "X", "conversion_probability": "high"}, ["conversion_probability"]),
        ({"name": "X", "next_follow_up": "soon"}, ["next_follow_up"]),
        ({"name": "X", "status": "dreaming"}, ["status"]),
        ({"name": "X", "ignore_duplicates": "perhaps"}, ["ignore_duplicates"]),
        ({"name": "X", "platform_key": "fax"}, ["platform_key"]),
    ],
)
def test_create_refuses_by_field_and_writes_nothing(client, tenant, body, fields):
    answer = client.post(URL, body)
    assert answer.status_code == 400, answer.content
    assert [error["field"] for error in answer.json()["errors"]] == fields
    with inside(tenant.pk):
        assert not Lead.objects.exists()


def test_number_beyond_64_bits_is_refused_by_field(client):
    answer = client.post(URL, b'{"name": "X", "assigned_to": 1180591620717411303424}')
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "assigned_to")


def test_text_that_only_looks_like_a_nul_is_kept(client):
    answer = client.post(URL, {"name": "X", "custom_fields": {"a": "\\u0000"}})
    assert answer.json()["data"]["lead"]["custom_fields"] == {"a": "\\u0000"}


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"1", b"[" * 3000])
def test_bodies_that_are_no_objects_are_400(client, tenant, body):
    lead = make_lead(tenant)
    for method, url in (("POST", URL), ("PUT", f"{URL}/{lead.pk}"), ("PATCH", f"{URL}/{lead.pk}")):
        answer = client.send(method, url, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR"), body


def test_wrong_content_type_is_415(client):
    assert client.generic("POST", URL, "name=X", content_type="text/plain").status_code == 415


def test_change_answers_what_changed(client, tenant, alice):
    lead = make_lead(tenant, company="Old")
    data = client.put(f"{URL}/{lead.pk}", {"company": "New", "lastName": "Roe", "notes": "Hi"}).json()["data"]
    assert data["changes_applied"] == {
        "fields_updated": 3,
        "score_recalculated": True,
        "fields_changed": data["changes_applied"]["fields_changed"],
    }
    assert sorted(data["changes_applied"]["fields_changed"]) == ["company", "last_name", "notes"]
    assert data["audit"]["updated_by"] == alice.pk
    nothing = client.put(f"{URL}/{lead.pk}", {"company": "New"}).json()["data"]["changes_applied"]
    assert nothing == {"fields_updated": 0, "score_recalculated": False, "fields_changed": []}


def test_delete_puts_into_the_bin(client, tenant, api, bob):
    lead = make_lead(tenant)
    assert api(bob).delete(f"{URL}/{lead.pk}").status_code == 403
    assert client.delete(f"{URL}/{lead.pk}").json()["data"] == {"id": lead.pk, "deleted": True}
    assert client.delete(f"{URL}/{lead.pk}").status_code == 404
    assert client.get(f"{URL}/{lead.pk}").status_code == 404
    assert client.put(f"{URL}/{lead.pk}", {"company": "X"}).status_code == 404


def test_pipeline_shows_the_newest_of_each_status_with_exact_counts(client, tenant):
    newest = [make_lead(tenant, status=status).pk for status in ("new", "new", "won")]
    data = client.get(f"{URL}/pipeline", {"limit": 1}).json()["data"]
    assert [lead["id"] for lead in data["pipeline"]["new"]] == [newest[1]]
    assert data["pipeline"]["lost"] == []
    counts = {item["status"]: item["count"] for item in data["statusCounts"]}
    assert (counts["new"], counts["won"], counts["lost"], len(counts)) == (2, 1, 0, 8)
    assert client.get(f"{URL}/counts").json()["data"] == data["statusCounts"]
