"""Connections and their mappings, as managers set them up."""

import pytest

from crm.sealed import unseal
from leads.models import Arrival, Lead
from tests.factories import acting, inside
from tests.webhooks.inbox_parts import TOKEN, form_answers, make_arrival, make_source
from webhooks.models import FieldMapping, Source, SourceKey
from webhooks.services.arrivals import process_due
from webhooks.services.sources import save_mapping

FAILED = {"processing_status": "failed", "error": "Unreadable."}
RULES = [
    {"field": "name", "from": ["wer"], "join": " ", "default": ""},
    {"field": "email", "from": ["post"], "join": " ", "default": ""},
]


def text_of(answer) -> str:
    return answer.content.decode()


def only_source(tenant) -> Source:
    with inside(tenant.pk):
        return Source.objects.select_related("key").get()


def rules_of(tenant, form_id: str = "") -> list | None:
    with inside(tenant.pk):
        found = FieldMapping.objects.filter(form_id=form_id).first()
    return found.rules if found else None


@pytest.fixture
def source(tenant):
    return make_source(tenant)


# --- the list ---


def test_list_says_how_each_connection_fares(tenant, source, alice, pages):
    off = make_source(tenant, kind="webhook", name="Old fair", is_active=False)
    make_arrival(tenant, source, **FAILED)
    with inside(tenant.pk):
        Source.objects.filter(pk=source.pk).update(last_error="There is no access token for this page.")
    answer = pages(alice).get("/settings/connections")
    rows = {row["source"].pk: row for row in answer.context["rows"]}
    assert (rows[source.pk]["failed"], rows[off.pk]["failed"]) == (1, 0)
    assert rows[source.pk]["source"].last_arrival_at is not None
    for part in ("There is no access token", "Trouble", "Off", f"/arrivals?state=failed&amp;origin=facebook:{source.pk}"):
        assert part in text_of(answer), part


def test_first_connection_is_offered_by_kind(alice, pages):
    text = text_of(pages(alice).get("/settings/connections"))
    assert "Connect the first" in text
    for kind in ("facebook", "webhook", "email"):
        assert f"/settings/connections/new?kind={kind}" in text


@pytest.mark.parametrize("count", [1, 30])
def test_list_query_count_is_flat(tenant, alice, pages, count, django_assert_max_num_queries):
    for number in range(count):
        found = make_source(tenant, kind="webhook", name=f"Fair {number}")
        make_arrival(tenant, found, number=number, **FAILED)
    client = pages(alice)
    client.get("/settings/connections")
    with django_assert_max_num_queries(12):
        assert len(client.get("/settings/connections").context["rows"]) == count


@pytest.mark.parametrize("count", [1, 30])
def test_page_and_editor_query_counts_are_flat(tenant, source, alice, pages, count, django_assert_max_num_queries):
    for number in range(count):
        make_arrival(tenant, source, number=number, form_id=str(number % 7))
    client = pages(alice)
    for path in (f"/settings/connections/{source.pk}", f"/settings/connections/{source.pk}/mapping"):
        client.get(path)
        with django_assert_max_num_queries(18):
            assert client.get(path).status_code == 200


# --- making and changing ---


def test_facebook_page_is_connected_and_its_token_never_comes_back(tenant, alice, pages):
    client = pages(alice)
    answer = client.post(
        "/settings/connections/new?kind=facebook",
        {"name": "Our page", "external_id": "4711", "token": TOKEN, "tags": "ad, vip", "is_active": "on"},
    )
    made = only_source(tenant)
    assert answer.headers["Location"] == f"/settings/connections/{made.pk}"
    assert (made.key.key, made.tags, unseal(made.token)) == ("facebook:4711", ["ad", "vip"], TOKEN)
    page = text_of(client.get(f"/settings/connections/{made.pk}"))
    assert TOKEN not in page
    assert made.token not in page
    assert "An access token is kept." in page
    client.post(f"/settings/connections/{made.pk}", {"name": "Renamed", "external_id": "4711", "token": "", "tags": ""})
    kept = only_source(tenant)
    assert (kept.name, unseal(kept.token), kept.is_active, kept.tags) == ("Renamed", TOKEN, False, [])


def test_webhook_shows_its_address_and_how_to_post(tenant, alice, pages, settings):
    client = pages(alice)
    fields = {"name": "Fair", "id_path": "data.id", "hourly_limit": "50", "signature": "github", "channel": "api", "is_active": "on"}
    client.post("/settings/connections/new?kind=webhook", fields)
    made = only_source(tenant)
    assert made.options == {"id_path": "data.id", "form_path": "", "hourly_limit": 50, "signature": "github", "channel": "api"}
    assert f"{settings.SITE_URL}/api/webhooks/in/{made.key.key}" in text_of(client.get(f"/settings/connections/{made.pk}"))


def test_mailbox_keeps_its_password_and_what_its_door_notes(tenant, alice, pages, settings):
    client = pages(alice)
    fields = {
        "name": "Sales", "host": "imap.acme.example", "port": "993", "security": "tls", "user": "sales", "token": "pa55-word", "folder": "INBOX",
        "after_read": "seen", "mailgun_key": "key-abcdef", "is_active": "on",
    }  # fmt: skip
    client.post("/settings/connections/new?kind=email", fields)
    made = only_source(tenant)
    with inside(tenant.pk):
        Source.objects.filter(pk=made.pk).update(options={**made.options, "seen": {"uid": 7}})
    client.post(f"/settings/connections/{made.pk}", {**fields, "token": "", "mailgun_key": "", "security": "starttls"})
    kept = only_source(tenant)
    assert (unseal(kept.token), unseal(kept.options["mailgun_key"]), kept.options["seen"], kept.options["security"]) == (
        "pa55-word",
        "key-abcdef",
        {"uid": 7},
        "starttls",
    )
    client.post(f"/settings/connections/{made.pk}", {**fields, "token": "", "user": "desk"})
    assert "seen" not in only_source(tenant).options
    page = text_of(client.get(f"/settings/connections/{made.pk}"))
    assert f"{settings.SITE_URL}/api/webhooks/email/{kept.key.key}" in page
    for secret in ("pa55-word", "key-abcdef", kept.token):
        assert secret not in page


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        ("facebook", {"name": "x", "external_id": "page"}, "external_id"),
        ("facebook", {"external_id": "1"}, "name"),
        ("webhook", {"name": "x", "hourly_limit": "0", "signature": "github", "channel": "api"}, "hourly_limit"),
        ("email", {"name": "x", "port": "99999", "security": "tls", "after_read": "seen"}, "port"),
        ("email", {"name": "x", "port": "993", "security": "tls", "after_read": "move"}, "move_to"),
    ],
)
def test_wrong_settings_are_said_at_the_field(tenant, alice, pages, kind, fields, field):
    answer = pages(alice).post(f"/settings/connections/new?kind={kind}", fields)
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, [field])
    with inside(tenant.pk):
        assert Source.objects.count() == 0


def test_page_of_another_tenant_is_taken(tenant, next_door, alice, pages):
    theirs = make_source(next_door)
    answer = pages(alice).post("/settings/connections/new?kind=facebook", {"name": "Ours", "external_id": theirs.external_id})
    assert (answer.status_code, list(answer.context["form"].errors)) == (422, ["external_id"])
    with inside(tenant.pk):
        assert Source.objects.count() == 0


def test_unknown_kind_is_404(alice, pages):
    assert pages(alice).get("/settings/connections/new?kind=pigeon").status_code == 404


# --- key, signature, deletion ---


def test_new_address_and_signature(tenant, alice, pages):
    made, client = make_source(tenant, kind="webhook", name="Fair"), pages(alice)
    action, page, old = f"/settings/connections/{made.pk}/action", f"/settings/connections/{made.pk}", only_source(tenant).key.key
    client.post(action, {"action": "rotate"})
    assert only_source(tenant).key.key != old
    client.post(action, {"action": "sign"})
    secret = unseal(only_source(tenant).signing_secret)
    assert secret
    assert secret in text_of(client.get(page))
    assert secret not in text_of(client.get(page)), "shown once"
    client.post(action, {"action": "unsign"})
    assert only_source(tenant).signing_secret == ""


def test_facebook_page_has_no_key_to_rotate(tenant, source, alice, pages):
    client = pages(alice)
    for action in ("rotate", "sign", "dance"):
        client.post(f"/settings/connections/{source.pk}/action", {"action": action}, HTTP_REFERER="/settings/connections")
    kept = only_source(tenant)
    assert (kept.key.key, kept.signing_secret) == (f"facebook:{kept.external_id}", "")


def test_deleting_leaves_what_came_in(tenant, source, alice, pages):
    make_arrival(tenant, source)
    client = pages(alice)
    assert client.post(f"/settings/connections/{source.pk}/action", {"action": "delete"}).headers["Location"] == "/settings/connections"
    with inside(tenant.pk):
        assert (Source.objects.count(), Arrival.objects.count()) == (0, 1)
        pk = Arrival.objects.get().pk
    assert not SourceKey.objects.filter(tenant=tenant).exists()
    assert client.get("/arrivals").status_code == 200
    assert client.get(f"/arrivals/{pk}").status_code == 200


# --- the mapping editor ---


def posted(*rules: dict, **more) -> dict:
    """The editor's form as a browser sends it."""
    data = dict(more)
    for number, rule in enumerate(rules):
        field, custom = rule.get("field", ""), ""
        if field.startswith("custom:"):
            field, custom = "custom:", field.removeprefix("custom:")
        data |= {
            f"rule-{number}-field": field,
            f"rule-{number}-custom": custom,
            f"rule-{number}-path": rule.get("from", [""]),
            f"rule-{number}-join": rule.get("join", " "),
            f"rule-{number}-default": rule.get("default", ""),
            **({f"rule-{number}-remove": "1"} if rule.get("remove") else {}),
        }
    return data


@pytest.fixture
def editor(source) -> str:
    return f"/settings/connections/{source.pk}/mapping"


def test_editor_shows_paths_values_and_the_present_rules(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, number=1)
    chosen = make_arrival(tenant, source, number=2, payload=form_answers(wer="Zoe Zane", post="zoe@acme.example"))
    make_arrival(tenant, source, number=3)
    with acting(alice) as by:
        save_mapping(source=source, rules=[*RULES, {"field": "custom:Shoe", "from": ["a", "b"], "join": ", "}], by=by)
    answer = pages(alice).get(f"{editor}?arrival={chosen.pk}")
    assert dict(answer.context["leaves"]) == {"wer": "Zoe Zane", "post": "zoe@acme.example"}
    shown = [(row["field"], row["custom"], row["path"], row["open"]) for _number, row in answer.context["rows"]]
    assert shown == [
        ("name", "", "wer", False), ("email", "", "post", False), ("custom:", "Shoe", "a", True), ("", "", "", False), ("", "", "", False),
    ]  # fmt: skip
    assert TOKEN not in text_of(answer)


def test_editor_without_arrivals_says_so(alice, pages, editor):
    answer = pages(alice).get(editor)
    assert "Nothing has come in yet" in text_of(answer)
    refused = pages(alice).post(editor, posted(*RULES, action="test"))
    assert refused.status_code == 422
    assert "Nothing has come in yet that the rules could be tried on." in text_of(refused)


def test_test_shows_the_lead_and_keeps_nothing(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, payload=form_answers(wer="Pat Poe", post="no address", tel="12", farbe="blue"))
    rules = [*RULES, {"field": "phone", "from": ["tel"]}, {"field": "custom:Colour", "from": ["farbe", "none"], "default": "?"}]
    client = pages(alice)
    for headers, whole in (({"HTTP_HX_REQUEST": "true"}, False), ({}, True)):
        answer = client.post(editor, posted(*rules, action="test"), **headers)
        assert answer.status_code == 200
        trial = answer.context["trial"]
        assert (trial.values["first_name"], trial.values["last_name"], trial.custom) == ("Pat", "Poe", {"Colour": "blue"})
        assert [warning.split(":")[0] for warning in trial.warnings] == ["E-mail kept as typed", "Phone kept as typed"]
        assert ("<html" in text_of(answer), "Nothing was saved." in text_of(answer)) == (whole, True)
    assert rules_of(tenant) is None
    with inside(tenant.pk):
        assert Lead.objects.count() == 0


def test_test_ignores_other_mappings_and_leaves_them_alone(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, form_id="9")
    with acting(alice) as by:
        save_mapping(source=source, form_id="9", rules=[{"field": "company", "from": ["wer"]}], by=by)
    trial = pages(alice).post(editor, posted(*RULES, action="test")).context["trial"]
    assert (trial.values.get("company"), trial.values["first_name"]) == (None, "Pat")
    assert rules_of(tenant, "9") == [{"field": "company", "from": ["wer"], "join": " ", "default": ""}]


def test_save_keeps_the_rules_of_the_form_only(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, form_id="9")
    client = pages(alice)
    blank, removed = {"field": ""}, {"field": "city", "from": ["ort"], "remove": True}
    combined = {"field": "notes", "from": ["a", "", "b"], "join": "\r\n", "default": " none "}
    unnamed = {"field": "custom:", "from": ["x.shoe"]}
    answer = client.post(f"{editor}?form=9", posted(RULES[0], removed, combined, unnamed, blank, action="save", form_name="Book a call"))
    assert answer.headers["Location"].startswith(f"{editor}?form=9")
    assert rules_of(tenant, "9") == [
        RULES[0],
        {"field": "notes", "from": ["a", "b"], "join": "\n", "default": "none"},
        {"field": "custom:shoe", "from": ["x.shoe"], "join": " ", "default": ""},
    ]
    assert rules_of(tenant) is None
    assert "Book a call" in text_of(client.get(f"/settings/connections/{source.pk}"))


def test_wrong_rules_are_said_at_the_rule_and_nothing_is_kept(tenant, source, alice, pages, editor):
    rules = [RULES[0], {"field": "", "from": ["post"]}, {"field": "name", "from": ["post"]}]
    answer = pages(alice).post(editor, posted(*rules, action="save"))
    assert answer.status_code == 422
    errors = [bool(row["errors"]) for _number, row in answer.context["rows"]]
    assert errors == [False, True, True, False, False]
    assert "name is filled by an earlier rule" in text_of(answer)
    assert rules_of(tenant) is None


def test_save_and_replay_makes_the_leads_that_failed(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, number=1, **FAILED)
    make_arrival(tenant, source, number=2, **FAILED)
    other = make_source(tenant, kind="webhook", name="Fair")
    make_arrival(tenant, other, number=3, **FAILED)
    answer = pages(alice).post(editor, posted(*RULES, action="replay"), follow=True)
    assert "Saved. 2 arrivals are read anew." in text_of(answer)
    process_due()
    with inside(tenant.pk):
        assert sorted(Lead.objects.values_list("email", flat=True)) == ["p1@acme.example", "p2@acme.example"]
        assert list(Arrival.objects.filter(processing_status="failed").values_list("door", flat=True)) == ["webhook"]


def test_suggest_fills_what_is_known_by_its_name_and_more_adds_lines(tenant, source, alice, pages, editor):
    make_arrival(tenant, source, payload=form_answers(full_name="Pat", work_email="p@acme.example", wer="x"))
    client = pages(alice)
    mine = {"field": "name", "from": ["wer"]}
    part = text_of(client.post(editor, posted(mine, action="suggest"), HTTP_HX_REQUEST="true"))
    assert ("<html" in part, 'value="work_email"' in part) == (False, True)
    answer = client.post(editor, posted(mine, action="suggest"))
    assert [(row["field"], row["path"]) for _number, row in answer.context["rows"]][:2] == [("name", "wer"), ("email", "work_email")]
    answer = client.post(editor, posted(mine, action="more"))
    assert len(answer.context["rows"]) == 6
    assert rules_of(tenant) is None


# --- who may ---


def test_reps_and_next_door_are_kept_out(tenant, source, bob, mallory, pages, editor):
    paths = ("/settings/connections", f"/settings/connections/{source.pk}", editor)
    for path in paths:
        assert pages(bob).get(path).status_code == 403, path
    for path in paths[1:]:
        assert pages(mallory).get(path).status_code == 404, path
        assert pages(mallory).post(path, posted(*RULES, action="save")).status_code == 404, path
    for client, status in ((pages(bob), 403), (pages(mallory), 404)):
        assert client.post(f"/settings/connections/{source.pk}/action", {"action": "delete"}).status_code == status
    assert only_source(tenant).pk == source.pk
    assert rules_of(tenant) is None
