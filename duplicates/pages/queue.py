"""The queue of duplicates: groups by confidence, kept separate or put off, and a scan of all leads."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from crm.errors import InvalidInput, NotFound
from crm.web.pages import Page, safe_next
from duplicates.enums import Verdict
from duplicates.pages.shown import group_shown, groups_shown, percent
from duplicates.permissions import CONFIGURE, DECIDE, VIEW
from duplicates.selectors import configuration, latest_scan
from duplicates.selectors.groups import find_group, groups_after, groups_visible_to, totals
from duplicates.services.auto_merge import count_auto_merge, may_merge_all
from duplicates.services.deciding import keep_separate, put_off, take_back
from duplicates.services.scanning import ask_for_scan

PAGE_SIZE = 25
_MOST_NAMED = 200


class QueuePage(Page):
    """Groups of similar leads, the likeliest first. For htmx the next ones alone."""

    capability = VIEW
    template = "duplicates/queue.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        wanted = configuration()
        later = request.GET.get("show") == "later"
        cursor = request.GET.get("cursor", "")
        try:
            groups, following = groups_after(self.actor, threshold=wanted.threshold, later=later, cursor=cursor, limit=PAGE_SIZE)
        except InvalidInput:
            groups, following = groups_after(self.actor, threshold=wanted.threshold, later=later, limit=PAGE_SIZE)
        query = {"show": "later"} if later else {}
        context: dict[str, Any] = {
            "groups": groups_shown(groups, wanted),
            "can_decide": self.actor.can(DECIDE),
            "later": later,
            "here": reverse("duplicates:queue") + (f"?{urlencode(query)}" if query else ""),
            "more_url": f"?{urlencode({**query, 'cursor': following})}" if following else "",
        }
        if request.htmx and cursor:  # type: ignore[attr-defined]
            return self.show({**context, "rows_only": True}, part="rows")
        counted = totals(self.actor, threshold=wanted.threshold, certain_from=0.95)
        put_off_now = groups_visible_to(self.actor, threshold=wanted.threshold, later=True).count()
        return self.show(
            {
                **context,
                "counted": counted,
                "from_percent": percent(wanted.threshold),
                "scan": latest_scan(),
                "can_configure": self.actor.can(CONFIGURE),
                "sure": count_auto_merge(by=self.actor)[0].groups if may_merge_all(by=self.actor) and not later else 0,
                "views": [
                    {
                        "label": _("To decide"),
                        "url": reverse("duplicates:queue"),
                        "icon": "copy",
                        "count": counted.groups,
                        "active": not later,
                    },
                    {
                        "label": _("Later"),
                        "url": f"{reverse('duplicates:queue')}?show=later",
                        "icon": "clock",
                        "count": put_off_now,
                        "active": later,
                    },
                ],
            }
        )


class GroupPage(Page):
    """One group: its leads side by side, only what differs, and why each is similar."""

    capability = VIEW
    template = "duplicates/group.html"

    def get(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        wanted = configuration()
        group = find_group(self.actor, group_id=pk, threshold=wanted.threshold)
        if group is None:
            raise NotFound("No such group of duplicates.")
        shown = group_shown(group, wanted)
        people = [shown["primary"], *shown["duplicates"]]
        return self.show({"group": shown, "people": people, "rows": _differences(people), "can_decide": self.actor.can(DECIDE)})


def _differences(people: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The fields in which the leads are not all the same."""
    labels = {
        "name": _("Name"),
        "company": _("Company"),
        "email": _("E-mail"),
        "phone": _("Phone"),
        "status": _("Status"),
        "owner": _("Owner"),
    }
    rows = []
    for name, label in labels.items():
        values = [str(person[name] or "") for person in people]
        if len(set(values)) > 1:
            rows.append({"label": label, "values": values})
    return rows


class DecidePage(Page):
    """Keep leads separate, put them off, or take either back. The message offers to take it back."""

    capability = DECIDE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        ids = _lead_ids(request)
        decision = request.POST.get("decision") or request.GET.get("decision", "")
        if decision == Verdict.SEPARATE:
            keep_separate(lead_ids=ids, by=self.actor)
            messages.success(request, _("Kept separate. They will not be offered again."), extra_tags=_undo(ids, "not-separate"))
        elif decision == Verdict.LATER:
            put_off(lead_ids=ids, by=self.actor)
            messages.success(request, _("Put off for a week."), extra_tags=_undo(ids, "not-later"))
        elif decision in ("not-separate", "not-later"):
            take_back(lead_ids=ids, verdict=Verdict(decision.removeprefix("not-")), by=self.actor)
            messages.info(request, _("Back in the queue."))
        else:
            raise InvalidInput({"decision": ["Must be separate or later."]})
        return self.back(request)

    def back(self, request: HttpRequest) -> HttpResponse:
        return redirect(safe_next(request, default=reverse("duplicates:queue")))


def _lead_ids(request: HttpRequest) -> list[int]:
    texts = (request.POST.getlist("lead") or request.GET.getlist("lead"))[:_MOST_NAMED]
    if not all(text.isascii() and text.isdigit() and len(text) <= 18 for text in texts):
        raise InvalidInput({"lead_ids": ["Must be numbers."]})
    return [int(text) for text in texts]


def _undo(ids: list[int], decision: str) -> str:
    pairs = [("decision", decision), *(("lead", str(pk)) for pk in ids)]
    return f"{reverse('duplicates:decide')}?{urlencode(pairs)}"


class ScanPage(Page):
    """Have all leads looked through now."""

    capability = DECIDE

    def post(self, request: HttpRequest) -> HttpResponseBase:
        ask_for_scan(by=self.actor)
        messages.success(request, _("All leads are being looked through. This page tells when it is done."))
        return redirect("duplicates:queue")
