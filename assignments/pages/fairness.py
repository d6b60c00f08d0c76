"""The ledger of fairness: who got how many by each rule, and how far apart they are."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils import timezone

from assignments.models import AssignmentRule
from assignments.pages.shown import names_of, tabs_of
from assignments.permissions import ASSIGN
from assignments.selectors import given_by_day, given_by_rules, people_with_leads, start_of_day
from assignments.services.snapshot import read_rules
from crm.web.pages import Page

_SPANS = (1, 7, 30)


class FairnessPage(Page):
    """By rule and person; of one rule day by day."""

    capability = ASSIGN
    template = "assignments/fairness.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        text = request.GET.get("days", "")
        days = int(text) if text in {str(span) for span in _SPANS} else 7
        today = start_of_day()
        since = today - timedelta(days=days - 1)
        rows = given_by_rules(since=since, today=today)
        rules = AssignmentRule.objects.in_bulk([rule_id for rule_id, *_rest in rows])
        rows += _without_any(rules, {(rule_id, user_id) for rule_id, user_id, *_rest in rows})
        names = names_of(user_id for _rule, user_id, _all, _today in rows)
        groups: dict[int, list[dict[str, Any]]] = {}
        for rule_id, user_id, number, of_today in sorted(rows, key=lambda row: -row[2]):
            groups.setdefault(rule_id, []).append({"name": names.get(user_id, "?"), "id": user_id, "number": number, "today": of_today})
        ledger = [_entry(rules[rule_id], people) for rule_id, people in groups.items()]
        ledger.sort(key=lambda entry: (entry["rule"].deleted_at is not None, entry["rule"].position))
        chosen = next((entry for entry in ledger if str(entry["rule"].pk) == request.GET.get("rule")), ledger[0] if ledger else None)
        return self.show(
            {
                "tabs": tabs_of(self.actor, "fairness"),
                "ledger": ledger,
                "chosen": chosen,
                "by_day": _by_day(chosen, since, days) if chosen else None,
                "days": days,
                "spans": [(span, span == days) for span in _SPANS],
            }
        )


def _without_any(rules: Mapping[int, AssignmentRule], got: Collection[tuple[int, int]]) -> list[tuple[int, int, int, int]]:
    """The people these rules choose from who got nothing; of deleted rules nobody knows any more."""
    working = {person.user.pk for person in people_with_leads()}
    rows = []
    for rule in read_rules([rule for rule in rules.values() if rule.deleted_at is None]):
        members = {pk for territory in rule.territories for pk in territory.members} | {pk for pk, _weight in rule.members or ()}
        rows += [(rule.id or 0, pk, 0, 0) for pk in sorted(members & working) if (rule.id, pk) not in got]
    return rows


def _entry(rule: AssignmentRule, people: list[dict[str, Any]]) -> dict[str, Any]:
    total = sum(row["number"] for row in people)
    fair = total / len(people)
    for row in people:
        row["off"] = round(row["number"] - fair, 1)
    return {
        "rule": rule,
        "people": people,
        "total": total,
        "most": people[0]["number"],
        "spread": people[0]["number"] - people[-1]["number"],
    }


def _by_day(entry: dict[str, Any], since: Any, days: int) -> dict[str, Any]:
    counted = {(user_id, day): number for _rule, user_id, day, number in given_by_day(rule_id=entry["rule"].pk, since=since)}
    first = timezone.localdate(since)
    columns = [first + timedelta(days=number) for number in range(days)]
    rows = [
        {"name": row["name"], "id": row["id"], "days": [counted.get((row["id"], day), 0) for day in columns]} for row in entry["people"]
    ]
    return {"days": columns, "rows": rows}
