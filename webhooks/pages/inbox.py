"""The inbox: everything that came in, what became of it, and reading the failed anew."""

from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.errors import InvalidInput, NotFound
from crm.filters import Narrowing
from crm.web.pages import Page, safe_next
from leads.models import Arrival, WebForm
from webhooks.errors import NotFailed
from webhooks.filters import STATES, ArrivalFilters, state_of
from webhooks.models import FieldMapping, Source
from webhooks.pages.shown import origin_link, pretty, problems_in_words, row_of, trial_rows
from webhooks.permissions import ARRIVALS, SOURCES
from webhooks.selectors import arrivals_before, find_arrival, open_arrivals, surroundings_of
from webhooks.services.arrivals import replay_arrival, replay_failed, source_of
from webhooks.services.options import MAPPED
from webhooks.services.workbench import trial_of

PAGE_SIZE = 50
_ICONS = {"": "inbox", "waiting": "hourglass", "failed": "circle-alert", "created": "user-plus", "merged": "git-merge"}
_IN_MENU = ("door", "origin", "platform", "received_after", "received_before")
# What "replay all" takes note of; a list narrowed by anything else still says how many it will be.
_TARGET = ("door", "origin", "source_id")


def target_of(narrowing: Narrowing) -> dict[str, Any] | None:
    """The door and source a list is narrowed to, as the service takes them; None where several doors are."""
    values = narrowing.values
    if "origin" in values:
        return {"door": values["origin"][0], "door_id": values["origin"][1]}
    doors = values.get("door", [])
    if len(doors) > 1 or ("source_id" in values and not doors):
        return None
    return {"door": doors[0] if doors else "", "door_id": values.get("source_id")}


def read_filters(params: dict[str, str]) -> tuple[Narrowing, Narrowing, str]:
    """The list's condition, the same without the state, and what is wrong with the address."""
    try:
        return ArrivalFilters.read(params), ArrivalFilters.read({**params, "state": ""}), ""
    except InvalidInput as refusal:
        return Narrowing(), Narrowing(), refusal.message


class InboxPage(Page):
    """Arrivals of every door, newest first, fifty at a time. For htmx the next rows alone."""

    capability = ARRIVALS
    template = "webhooks/inbox.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        params = {name: request.GET.get(name, "") for name in request.GET}
        narrowing, stateless, problem = read_filters(params)
        try:
            arrivals, following = arrivals_before(narrowing.q, cursor=params.get("cursor", ""), limit=PAGE_SIZE)
        except InvalidInput:
            arrivals, following = arrivals_before(narrowing.q, limit=PAGE_SIZE)
        around = surroundings_of(arrivals)
        kept = {name: text for name, text in params.items() if name in ArrivalFilters.filters and text} if not problem else {}
        context = {
            "rows": [row_of(arrival, around) for arrival in arrivals],
            "more_url": f"?{urlencode({**kept, 'cursor': following})}" if following else "",
        }
        if request.htmx and params.get("cursor"):  # type: ignore[attr-defined]
            return self.show({**context, "rows_only": True}, part="rows")
        counts = open_arrivals(stateless.q)
        return self.show(
            {
                **context,
                "problem": problem,
                "views": self._views(kept, counts),
                "fields": [self._control(name, kept) for name in _IN_MENU],
                "chips": self._chips(kept),
                "search": kept.get("search", ""),
                "state": kept.get("state", ""),
                "narrowed": any(name != "state" for name in kept),
                "failed": self._failed(stateless, counts),
                "target": [(name, kept[name]) for name in _TARGET if name in kept],
                "can_configure": self.actor.can(SOURCES),
            }
        )

    def _failed(self, stateless: Narrowing, counts: dict[str, int]) -> int:
        """How many a press of "Replay all failed" would take: none where it is not offered."""
        target = target_of(stateless)
        if target is None or not self.actor.can(SOURCES):
            return 0
        if set(stateless.applied) <= set(_TARGET):
            return counts["failed"]
        return open_arrivals(ArrivalFilters.read({name: stateless.applied.get(name, "") for name in _TARGET}).q)["failed"]

    def _views(self, kept: dict[str, str], counts: dict[str, int]) -> list[dict[str, Any]]:
        others = {name: text for name, text in kept.items() if name != "state"}
        views = []
        for state in ("", *STATES):
            query = urlencode({**others, **({"state": state} if state else {})})
            views.append(
                {
                    "label": STATES.get(state, _("All")),
                    "url": f"{reverse('webhooks:inbox')}?{query}" if query else reverse("webhooks:inbox"),
                    "icon": _ICONS[state],
                    "count": counts.get(state, ""),
                    "active": kept.get("state", "") == state,
                }
            )
        return views

    def _control(self, name: str, kept: dict[str, str]) -> dict[str, Any]:
        rule = ArrivalFilters.filters[name]
        choices = self._origins if name == "origin" else rule.choices
        listed = [(str(code), str(label)) for code, label in choices()] if choices else []
        return {"name": name, "label": rule.label, "control": rule.control, "value": kept.get(name, ""), "choices": listed}

    @staticmethod
    def _origins() -> list[tuple[str, str]]:
        forms = [(f"website:{form.pk}", form.name) for form in WebForm.objects.only("name")[:200]]
        return forms + [(f"{source.kind}:{source.pk}", source.name) for source in Source.objects.only("kind", "name")[:200]]

    def _chips(self, kept: dict[str, str]) -> list[dict[str, Any]]:
        chips = []
        for name in (*_IN_MENU, "source_id"):
            if name not in kept:
                continue
            field = self._control(name, kept)
            shown = dict(field["choices"]).get(kept[name], kept[name])
            rest = {key: text for key, text in kept.items() if key != name}
            chips.append({"label": field["label"], "value": shown, "remove": f"?{urlencode(rest)}"})
        return chips


class ReplayFailedPage(Page):
    """Read all failed arrivals anew, or those of the door or source the list is narrowed to."""

    capability = SOURCES
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest) -> HttpResponseBase:
        target = target_of(ArrivalFilters.read({name: request.POST.get(name, "") for name in _TARGET}))
        if target is None:
            raise InvalidInput({"door": [_("Choose one door, or a connection.")]})
        number = replay_failed(**target, by=self.actor)
        if number:
            messages.success(request, ngettext("%d arrival is read anew.", "%d arrivals are read anew.", number) % number)
        else:
            messages.info(request, _("None of these has failed."))
        return redirect(safe_next(request, default=reverse("webhooks:inbox")))


class OneArrivalPage(Page):
    """Base of pages on one arrival."""

    def arrival(self) -> Arrival:
        arrival = find_arrival(self.kwargs["pk"])
        if arrival is None:
            raise NotFound("No such arrival.")
        return arrival


class ArrivalPage(OneArrivalPage):
    """One arrival: how far it got, what it holds, what it would become."""

    capability = ARRIVALS
    template = "webhooks/arrival.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        arrival = self.arrival()
        around = surroundings_of([arrival])
        payload = arrival.payload if isinstance(arrival.payload, dict) else {"": arrival.payload}
        received, received_length = pretty({name: value for name, value in payload.items() if name != "details"})
        details, details_length = pretty(payload["details"]) if "details" in payload else ("", 0)
        trial = trial_of(arrival)
        source = source_of(arrival) if arrival.door != "website" else None
        return self.show(
            {
                **row_of(arrival, around),
                "steps": steps_of(arrival),
                "marks": marks_of(arrival),
                "received": received,
                "received_length": received_length,
                "details": details,
                "details_length": details_length,
                "trial": trial,
                "joins": trial.joins if trial.joins != arrival.lead else None,
                "trial_rows": trial_rows(trial),
                "problems": problems_in_words(trial.problems),
                "origin_url": origin_link(arrival, self.actor.can) if around.names else "",
                "can_configure": self.actor.can(SOURCES),
                **self._mapping(arrival, source),
            }
        )

    def _mapping(self, arrival: Arrival, source: Source | None) -> dict[str, Any]:
        """Which mapping reads it, and where that is mended."""
        if source is None or source.kind not in MAPPED:
            return {"mapping": None, "mapping_url": "", "own_url": ""}
        mappings = {found.form_id: found for found in FieldMapping.objects.filter(source=source, form_id__in=[arrival.form_id, ""])}
        address: Callable[[str], str] = lambda form: (  # noqa: E731 -- two addresses of one page
            f"{reverse('webhooks:mapping', args=[source.pk])}?{urlencode({'form': form, 'arrival': arrival.pk})}"
        )
        if not self.actor.can(SOURCES):
            return {"mapping": mappings.get(arrival.form_id) or mappings.get(""), "mapping_url": "", "own_url": ""}
        return {
            "mapping": mappings.get(arrival.form_id) or mappings.get(""),
            "mapping_url": address(""),
            "own_url": address(arrival.form_id) if arrival.form_id else "",
        }


def marks_of(arrival: Arrival) -> list[tuple[str, str]]:
    """The ids and campaign marks an arrival bears."""
    named = (
        (_("Page"), arrival.page_url or arrival.page_id),
        (_("Form"), arrival.form_id),
        (_("Ad"), arrival.ad_id),
        (_("Campaign id"), arrival.campaign_id),
        (_("UTM source"), arrival.utm_source),
        (_("UTM medium"), arrival.utm_medium),
        (_("UTM campaign"), arrival.utm_campaign),
        (_("UTM term"), arrival.utm_term),
        (_("UTM content"), arrival.utm_content),
    )
    return [(label, value) for label, value in named if value]


def steps_of(arrival: Arrival) -> list[dict[str, Any]]:
    """How far an arrival got, first to last: received, read by its mapping, made a lead or failed."""
    state = state_of(arrival)
    steps: list[dict[str, Any]] = [{"label": _("Received"), "icon": "inbox", "tone": "success", "when": arrival.received_at, "text": ""}]
    if isinstance(arrival.payload, dict) and "details" in arrival.payload:
        steps.append({"label": _("Details fetched"), "icon": "download", "tone": "success", "when": None, "text": ""})
    if state == "waiting":
        text = _("The last try failed: %s") % arrival.error if arrival.error else ""
        steps.append({"label": _("Waits to be read"), "icon": "hourglass", "tone": "info", "when": None, "text": text})
        return steps
    if state == "failed":
        steps.append({"label": _("Failed"), "icon": "circle-alert", "tone": "danger", "when": None, "text": arrival.error})
        return steps
    steps.append({"label": _("Fields read"), "icon": "list-checks", "tone": "success", "when": None, "text": ""})
    if arrival.lead is None:
        steps.append({"label": _("Its lead was deleted since"), "icon": "user-x", "tone": "", "when": None, "text": ""})
    elif state == "merged":
        steps.append(
            {"label": _("Joined a known lead"), "icon": "git-merge", "tone": "accent", "when": None, "text": "", "lead": arrival.lead}
        )
    else:
        made = arrival.lead.created_at
        steps.append({"label": _("Became a lead"), "icon": "user-plus", "tone": "success", "when": made, "text": "", "lead": arrival.lead})
    return steps


class ReplayPage(OneArrivalPage):
    """Read one failed arrival anew."""

    capability = SOURCES
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        arrival = self.arrival()
        try:
            replay_arrival(arrival_id=arrival.pk, by=self.actor)
        except NotFailed as refusal:
            messages.info(request, refusal.message)
        else:
            messages.success(request, _("It is read anew."))
        return redirect("webhooks:arrival", pk)
