"""Settings: how a form's fields are read, tried on what came in before it is kept."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.errors import InvalidInput, NotFound
from crm.web.pages import UNPROCESSABLE, Page
from leads.models import Arrival
from webhooks.filters import state_of
from webhooks.models import Source
from webhooks.pages.connections import source_or_404
from webhooks.pages.shown import FIELD_LABELS, problems_in_words, sender_of, trial_rows
from webhooks.permissions import SOURCES
from webhooks.selectors import arrivals_of_source, forms_of_source
from webhooks.services.arrivals import leaves_of
from webhooks.services.mapping import CUSTOM, FIELDS, MOST_RULES, Rule, suggest
from webhooks.services.options import MAPPED
from webhooks.services.sources import mapping_for, save_mapping
from webhooks.services.workbench import save_and_replay, try_rules

LATEST = 12
BLANK_ROWS = 2
JOINS = (
    (" ", gettext_lazy("a space")),
    (", ", gettext_lazy("a comma")),
    (" - ", gettext_lazy("a dash")),
    ("\n", gettext_lazy("a new line")),
    ("", gettext_lazy("nothing")),
)


def rows_of(
    rules: Sequence[dict[str, Any]], *, blank: int = BLANK_ROWS, problems: dict[str, list[str]] | None = None
) -> list[dict[str, Any]]:
    """The editor's lines: one a rule with its errors, then empty ones."""
    rows = [_row(rule, errors=(problems or {}).get(f"rules[{number}]", [])) for number, rule in enumerate(rules)]
    return rows + [_row({"field": ""}) for _number in range(blank)]


def _row(rule: dict[str, Any], *, errors: Sequence[str] = ()) -> dict[str, Any]:
    field, paths, join = rule["field"], list(rule.get("from", [])), rule.get("join", " ")
    custom = field.startswith(CUSTOM)
    return {
        "field": CUSTOM if custom else field,
        "custom": field.removeprefix(CUSTOM) if custom else "",
        "path": paths[0] if paths else "",
        "more": [*paths[1:], "", ""],
        "join": join,
        "joins": JOINS if any(join == value for value, _label in JOINS) else ((join, join), *JOINS),
        "default": rule.get("default", ""),
        "errors": errors,
        "open": bool(custom or paths[1:] or rule.get("default") or errors),
    }


def posted_rules(data: QueryDict) -> list[dict[str, Any]]:
    """The lines as they were sent, without the empty and the removed. A further field without a name takes its path's last word."""
    rules = []
    for number in range(MOST_RULES):
        where = f"rule-{number}"
        if f"{where}-field" not in data:
            break
        field, paths = data[f"{where}-field"], [path.strip() for path in data.getlist(f"{where}-path") if path.strip()]
        default = data.get(f"{where}-default", "").strip()
        if data.get(f"{where}-remove") or not (field or paths or default):
            continue
        if field == CUSTOM:
            field += data.get(f"{where}-custom", "").strip() or (paths[0].rpartition(".")[2] if paths else "")
        # A browser sends a line break as two characters.
        join = data.get(f"{where}-join", " ").replace("\r\n", "\n")
        rules.append({"field": field, "from": paths, "join": join, "default": default})
    return rules


class MappingPage(Page):
    """Left what came in, right the rules. Test and suggest show and keep nothing; save keeps, and may replay what failed."""

    capability = SOURCES
    template = "webhooks/mapping.html"
    source: Source
    form_id: str
    arrival: Arrival | None

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        self._open(pk, request.GET)
        mapping = mapping_for(self.source, self.form_id)
        return self._editor(rows_of(mapping.rules if mapping else []))

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        self._open(pk, request.GET)
        rules, action = posted_rules(request.POST), request.POST.get("action", "save")
        part = "editor" if request.htmx else ""  # type: ignore[attr-defined]
        if action == "more":
            return self._editor(rows_of(rules, blank=BLANK_ROWS + 3), part=part)
        if action == "suggest":
            return self._editor(rows_of(self._with_suggestions(rules)), part=part)
        try:
            if action == "test":
                return self._editor(rows_of(rules), part=part, **self._tried(rules))
            return self._saved(rules, replay=action == "replay")
        except InvalidInput as refusal:
            rows = rows_of(rules, problems=refusal.problems)
            others = [text for name, texts in refusal.problems.items() if not name.startswith("rules[") for text in texts]
            return self._editor(rows, part=part, status=UNPROCESSABLE, problem=" ".join(others), wrong=not others)

    def _open(self, pk: int, params: QueryDict) -> None:
        self.source = source_or_404(pk)
        if self.source.kind not in MAPPED:
            raise NotFound("Mails have no mapping.")
        self.form_id = params.get("form", "")[:64].replace("\x00", "")
        self.latest = list(arrivals_of_source(self.source, form_id=self.form_id)[:LATEST])
        wanted = params.get("arrival", "")
        chosen = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 19 else 0
        self.arrival = next((arrival for arrival in self.latest if arrival.pk == chosen), None)
        if self.arrival is None and chosen:
            self.arrival = arrivals_of_source(self.source).filter(pk=chosen).first()
        if self.arrival is None:
            self.arrival = self.latest[0] if self.latest else None

    def _tried(self, rules: list[dict[str, Any]]) -> dict[str, Any]:
        if self.arrival is None:
            raise InvalidInput({"arrival": [_("Nothing has come in yet that the rules could be tried on.")]})
        trial = try_rules(source=self.source, rules=rules, arrival=self.arrival, by=self.actor)
        return {"trial": trial, "joins": trial.joins, "trial_rows": trial_rows(trial), "problems": problems_in_words(trial.problems)}

    def _with_suggestions(self, rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
        taken = {rule["field"] for rule in rules}
        found: list[Rule] = suggest(leaves_of(self.arrival)) if self.arrival else []
        new = [rule for rule in found if rule.field not in taken]
        return rules + [{"field": rule.field, "from": list(rule.paths), "join": rule.join, "default": rule.default} for rule in new]

    def _saved(self, rules: list[dict[str, Any]], *, replay: bool) -> HttpResponseBase:
        name = self.request.POST.get("form_name", "").strip()[:150]
        if replay:
            number = save_and_replay(source=self.source, form_id=self.form_id, form_name=name, rules=rules, by=self.actor)
            texts = ngettext("Saved. %d arrival is read anew.", "Saved. %d arrivals are read anew.", number)
            messages.success(self.request, texts % number)
        else:
            save_mapping(source=self.source, form_id=self.form_id, form_name=name, rules=rules, by=self.actor)
            messages.success(self.request, _("Saved. What comes in from now on is read so."))
        return redirect(self._address(self.form_id, self.arrival))

    def _address(self, form_id: str, arrival: Arrival | None) -> str:
        query = {**({"form": form_id} if form_id else {}), **({"arrival": arrival.pk} if arrival else {})}
        address = reverse("webhooks:mapping", args=[self.source.pk])
        return f"{address}?{urlencode(query)}" if query else address

    def _editor(self, rows: list[dict[str, Any]], *, part: str = "", status: int = 200, **more: Any) -> HttpResponseBase:
        leaves = leaves_of(self.arrival) if self.arrival else {}
        forms = {"": None, **forms_of_source(self.source)}
        own = forms.get(self.form_id)
        return self.show(
            {
                "source": self.source,
                "form_id": self.form_id,
                "form_label": (own.form_name if own else "") or self.form_id or _("All forms"),
                "form_name": self.request.POST.get("form_name", own.form_name if own else ""),
                "own": own,
                "forms": [
                    ((found.form_name if found else "") or form_id or _("All forms"), self._address(form_id, None), form_id == self.form_id)
                    for form_id, found in forms.items()
                ],
                "here": self._address(self.form_id, self.arrival),
                "arrival": self.arrival,
                "latest": [self._choice(arrival) for arrival in self.latest],
                "leaves": leaves.items(),
                "rows": list(enumerate(rows)),
                "fields": [(name, FIELD_LABELS[name]) for name in FIELDS],
                "custom": CUSTOM,
                **more,
            },
            part=part,
            status=status,
        )

    def _choice(self, arrival: Arrival) -> dict[str, Any]:
        return {
            "arrival": arrival,
            "title": sender_of(arrival)[0] or arrival.source_lead_id,
            "state": state_of(arrival),
            "url": self._address(self.form_id, arrival),
            "active": self.arrival is not None and self.arrival.pk == arrival.pk,
        }
