"""The advanced filter: nested conditions put together on a page of their own."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from crm.conditions import describe
from crm.errors import InvalidInput
from crm.filters import CONDITIONS
from crm.web.condition_builder import Builder
from crm.web.pages import UNPROCESSABLE, Page
from leads.filters import LeadFilters
from leads.permissions import VIEW


class ConditionsPage(Page):
    """GET shows the conditions of a list's address, POST changes them, or goes back to the list with them."""

    capability = VIEW
    template = "leads/conditions.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        filters = LeadFilters.seen_by(self.actor)
        fields = filters.condition_fields()
        builder, problem = Builder(fields=fields), ""
        text = request.GET.get(CONDITIONS, "")
        if text:
            try:
                tree = json.loads(text)
                filters.read({CONDITIONS: text}, me=self.actor.user_id)
                found = Builder.of(tree, fields)
                builder = found or builder
                problem = "" if found else _("These conditions are too deep for this form: %s") % describe(tree, fields)
            except (ValueError, RecursionError, InvalidInput):
                problem = _("The conditions in the address could not be read.")
        if not builder.groups:
            builder._do("group")
        query = urlencode(
            [(name, value) for name in request.GET for value in request.GET.getlist(name) if name not in (CONDITIONS, "cursor", "shown")]
        )
        return self.show(self.context(builder, query, problem))

    def post(self, request: HttpRequest) -> HttpResponseBase:
        filters = LeadFilters.seen_by(self.actor)
        fields = filters.condition_fields()
        builder, query = Builder.posted(request.POST, fields), request.POST.get("query", "")[:20_000]
        problem = ""
        if request.POST.get("do") == "apply":
            tree = builder.tree()
            try:
                if tree is not None:
                    filters.read({CONDITIONS: json.dumps(tree)}, me=self.actor.user_id)
                kept = parse_qsl(query)
                target = f"{reverse('leads:list')}?{urlencode([*kept, *([(CONDITIONS, json.dumps(tree))] if tree is not None else [])])}"
                return HttpResponse(headers={"HX-Redirect": target}) if request.htmx else redirect(target)  # type: ignore[attr-defined]
            except InvalidInput as refusal:
                problem = refusal.problems["filter"][0]
        part = "builder" if request.htmx else ""  # type: ignore[attr-defined]
        return self.show(self.context(builder, query, problem), part=part, status=UNPROCESSABLE if problem and not part else 200)

    def context(self, builder: Builder, query: str, problem: str) -> dict[str, Any]:
        return {
            "groups": builder.shown(),
            "match": builder.match,
            "query": query,
            "problem": problem,
            "builder_url": reverse("leads:conditions"),
            "back": f"{reverse('leads:list')}?{query}",
        }
