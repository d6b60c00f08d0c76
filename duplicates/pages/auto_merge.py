"""Merging the sure groups at once: how many there are, what will happen to them, and the start."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from crm.errors import InvalidInput
from crm.web.pages import Page
from duplicates.pages.shown import groups_shown, percent
from duplicates.permissions import DECIDE
from duplicates.selectors import configuration
from duplicates.selectors.certain import least_sure
from duplicates.selectors.groups import load_groups
from duplicates.services.auto_merge import begin_auto_merge, count_auto_merge, open_auto_merge

_EXAMPLES = 5


class AutoMergePage(Page):
    """GET counts and shows the least likely of them, POST begins. The threshold is a whole percentage."""

    capability = DECIDE
    template = "duplicates/auto_merge.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        try:
            counted, threshold = count_auto_merge(threshold=self.threshold(request.GET.get("from", "")), by=self.actor)
        except InvalidInput as refusal:
            messages.error(request, refusal.message)
            counted, threshold = count_auto_merge(by=self.actor)
        nearest = load_groups(least_sure(threshold=threshold, most=_EXAMPLES), self.actor, threshold=threshold)
        context: dict[str, Any] = {
            "counted": counted,
            "percent": percent(threshold),
            "choices": sorted({90, 92, 95, 97, 99, percent(threshold)}),
            "under_way": open_auto_merge(),
            "examples": groups_shown(nearest, configuration()),
        }
        return self.show(context)

    def post(self, request: HttpRequest) -> HttpResponseBase:
        operation = begin_auto_merge(threshold=self.threshold(request.POST.get("from", "")), by=self.actor)
        messages.success(request, _("The sure groups are being merged. All of it can be taken back here."))
        return redirect("operations:operation", id=operation.pk)

    def threshold(self, text: str) -> float | None:
        if not text:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= 3):
            raise InvalidInput({"from": [_("Must be a percentage.")]})
        return int(text) / 100
