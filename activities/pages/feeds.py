"""A person's calendar for other programs: where its address is made and ended, and what answers there."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.generic import View

from activities.permissions import VIEW
from activities.services.feeds import feed_of, make_feed, read_feed, revoke_feed
from crm.errors import TooManyRequests
from crm.web.settings_pages import SettingsFrame


class FeedPage(SettingsFrame):
    """Make, replace and end one's own address. It is shown once, on the answer that makes it."""

    capability = VIEW
    template = "activities/calendar_feed.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.show(self._context())

    def post(self, request: HttpRequest) -> HttpResponseBase:
        if request.POST.get("do") == "revoke":
            if revoke_feed(by=self.actor):
                messages.success(request, _("The address has ended."))
            return redirect("activities:feed")
        address = f"{settings.SITE_URL}{reverse('activities:feed-ics', args=[make_feed(by=self.actor)])}"
        answer = self.show({**self._context(), "address": address})
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _context(self) -> dict[str, Any]:
        return {"feed": feed_of(self.actor)}


class FeedView(View):
    """The calendar, for whoever holds its address."""

    http_method_names = ("get", "head", "options")  # type: ignore[assignment]

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            feed = read_feed(token=token, known=_known(request), now=timezone.now())
        except TooManyRequests as refusal:
            return HttpResponse(status=429, headers={"Retry-After": str(refusal.retry_after)})
        if feed is None:
            return HttpResponse(_("No such calendar."), status=404, content_type="text/plain; charset=utf-8")
        headers = {"ETag": feed.etag, "Cache-Control": "private, no-cache", "X-Robots-Tag": "noindex"}
        if not feed.body:
            return HttpResponse(status=304, headers=headers)
        headers["Content-Disposition"] = 'inline; filename="salesmagnet.ics"'
        return HttpResponse(feed.body, content_type="text/calendar; charset=utf-8", headers=headers)


def _known(request: HttpRequest) -> str:
    """The mark of the calendar that the asker has. Proxies that compress make it a weak one."""
    return request.headers.get("If-None-Match", "").strip().removeprefix("W/")
