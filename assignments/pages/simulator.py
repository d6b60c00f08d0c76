"""Try rules out on the leads of the last days: who would have got what, and what happened. Nothing is written."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase
from django.utils.translation import gettext as _

from assignments.enums import Nobody
from assignments.models import AssignmentRule
from assignments.pages.rules import RuleForm, rule_or_404
from assignments.pages.shown import names_of, tabs_of
from assignments.permissions import RULES
from assignments.selectors import rules_in_order
from assignments.services.rules import draft_rule
from assignments.services.running import active_rules
from assignments.services.simulation import DAYS, Simulation, simulate
from crm.errors import InvalidInput
from crm.web.pages import UNPROCESSABLE, Page
from leads.selectors import name_of, rows_in_order

_SPANS = (7, 14, 30)


class SimulatorPage(Page):
    """GET tries the rules as they are; POST with a rule's form tries them with this draft in its place, or at the end."""

    capability = RULES
    template = "assignments/simulator.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self._shown(active_rules(), draft=None)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        pk = request.POST.get("rule", "")
        known = rule_or_404(int(pk)) if pk.isascii() and pk.isdigit() and len(pk) < 19 else None
        form = RuleForm(request.POST)
        if form.is_valid():
            try:
                draft = draft_rule(wanted=form.wanted(known), rule=known, by=self.actor)
            except InvalidInput as refusal:
                form.add_error(None, refusal.message)
            else:
                rules = [draft if known and rule.pk == known.pk else rule for rule in rules_in_order()]
                rules += [] if known else [draft]
                return self._shown([rule for rule in rules if rule.is_active or rule is draft], draft=draft)
        return self.show({"form": form, "rule": known, "tabs": tabs_of(self.actor, "simulate")}, status=UNPROCESSABLE)

    def _shown(self, rules: list[AssignmentRule], *, draft: AssignmentRule | None) -> HttpResponseBase:
        text = self.request.GET.get("days", "")
        days = int(text) if text in {str(span) for span in _SPANS} else DAYS
        found = simulate(rules=rules, days=days)
        people = names_of([*found.would, *found.has, *(pk for item in found.differences for pk in (item.would, item.has) if pk)])
        most = max([*found.would.values(), *found.has.values()], default=1)
        rows = [
            {"name": people.get(pk, "?"), "id": pk, "would": found.would.get(pk, 0), "has": found.has.get(pk, 0)}
            for pk in sorted({*found.would, *found.has}, key=lambda pk: -found.would.get(pk, 0))
        ]
        return self.show(
            {
                "tabs": tabs_of(self.actor, "simulate"),
                "found": found,
                "draft": draft,
                "days": days,
                "spans": [(span, span == days) for span in _SPANS],
                "rows": rows,
                "most": most,
                "by_rule": [(rules[place].name, number) for place, number in sorted(found.by_rule.items())],
                "reasons": [(_reason(word), number) for word, number in sorted(found.reasons.items(), key=lambda item: -item[1])],
                "differences": _differences(found, rules, people),
                "has_rules": bool(rules),
            }
        )


def _reason(word: str) -> str:
    return _("no rule matches") if word == "no_rule" else str(dict(Nobody.choices).get(word, word))


def _differences(found: Simulation, rules: list[AssignmentRule], people: dict[int, str]) -> list[dict[str, Any]]:
    leads = {row["id"]: row for row in rows_in_order([item.lead_id for item in found.differences])}
    return [
        {
            "id": item.lead_id,
            "name": name_of(leads[item.lead_id]),
            "would": people.get(item.would or 0, ""),
            "has": people.get(item.has or 0, ""),
            "rule": rules[item.rule].name if item.rule is not None else "",
        }
        for item in found.differences
        if item.lead_id in leads
    ]
