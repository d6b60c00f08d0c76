"""The assignment rules by API: every change is a new version."""

import pytest

from assignments.models import AssignmentRule, RuleVersion
from assignments.services.rules import change_rule
from tests.assignments.parts import make_rule
from tests.customobjects.parts import make_field
from tests.factories import acting, inside, make_team

PATH = "/api/settings/assignment-rules"


def names(tenant) -> list[str]:
    with inside(tenant.pk):
        return list(AssignmentRule.objects.filter(deleted_at=None).order_by("position").values_list("name", flat=True))


def versions(tenant) -> list[tuple[int, list[str]]]:
    with inside(tenant.pk):
        return [(row.number, [rule["name"] for rule in row.rules]) for row in RuleVersion.objects.order_by("number")]


def test_rules_are_added_changed_ordered_and_deleted(tenant, alice, bob, api):
    client = api(alice)
    team = make_team(tenant, bob)
    tree = {"field": "country", "op": "is", "value": "France"}
    body = {"name": "France", "conditions": tree, "method": "Least loaded", "teamId": team.pk, "perDay": 10}
    added = client.post(PATH, {**body, "method": "least-loaded"})
    assert added.status_code == 201
    first = added.json()["data"]
    assert (first["method"], first["team_id"], first["per_day"], first["conditions"]) == ("least_loaded", team.pk, 10, tree)
    second = client.post(PATH, {"name": "Rest", "user_id": bob.pk}).json()["data"]
    changed = client.patch(f"{PATH}/{first['id']}", {"user_id": bob.pk, "name": "FR"}).json()["data"]
    assert (changed["user_id"], changed["team_id"], changed["name"], changed["per_day"]) == (bob.pk, None, "FR", 10)
    ordered = client.put(PATH, {"rule_ids": [second["id"], first["id"]]}).json()
    assert ([rule["name"] for rule in ordered["data"]], ordered["version"]) == (["Rest", "FR"], 4)
    assert client.delete(f"{PATH}/{second['id']}").status_code == 200
    assert names(tenant) == ["FR"]
    assert versions(tenant) == [(1, ["France"]), (2, ["France", "Rest"]), (3, ["FR", "Rest"]), (4, ["Rest", "FR"]), (5, ["FR"])]
    assert client.get(f"{PATH}/{second['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "method": "by dice"}, "method"),
        ({"name": "x", "conditions": {"field": "shoe", "op": "is", "value": 1}}, "conditions"),
        ({"name": "x", "user_id": 10**12}, "user_id"),
        ({"name": "x", "per_day": 0}, "per_day"),
        ({"name": "x", "fallback": "user"}, "fallback_user_id"),
        ({"name": "x", "method": "territory"}, "territories"),
        ({"name": "x", "method": "territory", "territories": [{"country": "US", "users": [10**12]}]}, "territories"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(tenant, alice, api, body, field):
    answer = api(alice).post(PATH, body)
    assert answer.status_code == 400
    assert field in answer.json()["error"]["details"]
    assert (names(tenant), versions(tenant)) == ([], [])


def test_names_are_unique_and_order_names_all(tenant, alice, api):
    rule = make_rule(alice, "One")
    assert api(alice).post(PATH, {"name": "One"}).json()["error"]["code"] == "NAME_TAKEN"
    assert api(alice).put(PATH, {"rule_ids": [rule.pk, rule.pk]}).status_code == 400


def test_conditions_on_a_hidden_field_are_kept_from_the_reader_and_as_they_are(tenant, alice, bob, admin, api, pages):
    make_field(tenant, "number", label="Rebate", visible_to=["admin"])
    tree = {"all": [{"field": "cf_rebate", "op": "at_least", "value": 4711}, {"field": "city", "op": "is", "value": "Rome"}]}
    pk = api(admin).post(PATH, {"name": "Secret", "user_id": bob.pk, "conditions": tree}).json()["data"]["id"]
    here, client = f"{PATH}/{pk}", api(alice)
    for answer in (client.get(here), client.get(PATH), client.patch(here, {"per_day": 3})):
        text = answer.content.decode()
        assert answer.status_code == 200
        assert "a field you may not see" in text
        assert "rebate" not in text
        assert "4711" not in text
    shown = client.get(here).json()["data"]
    assert client.put(here, {"name": "Renamed", "conditions": shown["conditions"]}).status_code == 200
    refused = client.patch(here, {"conditions": {"field": "city", "op": "is", "value": "Rome"}})
    assert (refused.status_code, list(refused.json()["error"]["details"])) == (400, ["conditions"])
    page = pages(alice)
    page.post(f"/assignments/rules/{pk}/action", {"action": "off"})
    form = {"name": "By page", "method": "round_robin", "target": f"user:{bob.pk}", "fallback": "next"}
    assert page.post(f"/assignments/rules/{pk}", form).status_code == 302
    for path in ("", f"/{pk}", f"/{pk}/conditions"):
        text = page.get(f"/assignments/rules{path}").content.decode()
        assert "a field you may not see" in text
        assert "not there any more" not in text
        assert "4711" not in text
    with inside(tenant.pk):
        rule = AssignmentRule.objects.get()
        assert (rule.conditions, rule.name, rule.is_active) == (tree, "By page", False)
    assert api(admin).get(here).json()["data"]["conditions"] == tree


def test_a_change_in_part_leaves_what_another_changed_meanwhile(tenant, alice, bob, api, monkeypatch):
    rule = make_rule(alice, "One", per_day=5)
    with acting(alice) as by:
        change_rule(rule_id=rule.pk, changes={"per_day": 7}, by=by)
        # This reader looked before that.
        changed = change_rule(rule_id=rule.pk, changes={"is_active": False}, by=by)
    assert (changed.per_day, changed.is_active, changed.name) == (7, False, "One")


def test_reps_have_no_business_here_and_neighbours_see_nothing(alice, bob, mallory, api):
    rule = make_rule(alice)
    assert api(bob).get(PATH).status_code == 403
    assert api(mallory).get(PATH).json()["data"] == []
    assert api(mallory).delete(f"{PATH}/{rule.pk}").status_code == 404
