"""What one was told, how one wishes to be told, and the link that stops mails."""

from datetime import timedelta
from itertools import groupby
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import View

from crm.web.pages import Page, safe_next
from crm.web.settings_pages import SettingsFormPage
from notifications.enums import ByMail
from notifications.registry import kind_named, known_kinds, shown_kind
from notifications.selectors import Wishes, bell_of, notifications_of
from notifications.services.reading import choose, mark_all_read, mark_read, my_wishes
from notifications.services.unsubscribing import DIGEST, read_token, stop_mails

PAGE_SIZE = 50


class NotificationsPage(Page):
    """What one was told, newest first, by day."""

    template = "notifications/notifications.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        rows = notifications_of(self.actor)
        only_new = request.GET.get("show") == "new"
        if only_new:
            rows = rows.filter(read_at=None)
        before = request.GET.get("before", "")
        if before.isascii() and before.isdigit() and len(before) < 19:
            rows = rows.filter(pk__lt=int(before))
        page = list(rows[: PAGE_SIZE + 1])
        shown = page[:PAGE_SIZE]
        today = timezone.localdate()
        words = {today: _("Today"), today - timedelta(days=1): _("Yesterday")}
        days = [
            {
                "title": words.get(day),
                "day": day,
                "rows": [{"notification": row, "kind": shown_kind(row.kind)} for row in group],
            }
            for day, group in groupby(shown, key=lambda row: timezone.localdate(row.created_at))
        ]
        more = f"?before={shown[-1].pk}{'&show=new' if only_new else ''}" if len(page) > PAGE_SIZE else ""
        return self.show({"days": days, "more": more, "only_new": only_new, "later": bool(before)})


class BellPage(Page):
    """The bell beside one's name, with the number of what is new."""

    template = "web/_bell.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.show({"bell": bell_of(self.actor)})


class OpenPage(Page):
    """Note one as read and go where it leads."""

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        row = mark_read(notification_id=pk, by=self.actor)
        return redirect(row.url if row.url.startswith("/") and not row.url.startswith("//") else "notifications:list")


class ReadAllPage(Page):
    """Note all as read."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        mark_all_read(by=self.actor)
        return redirect(safe_next(request, default="/notifications"))


class WishesForm(forms.Form):
    """A row a kind, and the habits."""

    digest = forms.BooleanField(
        label=_("Daily summary"),
        required=False,
        help_text=_("At 8:00 in your time zone: what is due, and what you chose to hear of daily."),
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )
    quiet_from = forms.TimeField(label=_("Quiet from"), required=False, widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"))
    quiet_to = forms.TimeField(
        label=_("until"),
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=_("Mails wait until this time. May go past midnight."),
    )

    def __init__(self, *args: Any, wishes: Wishes, **kwargs: Any) -> None:
        initial: dict[str, Any] = {name: getattr(wishes.habits, name) for name in ("digest", "quiet_from", "quiet_to")}
        self.kinds = known_kinds()
        for kind in self.kinds:
            choice = wishes.choice(kind.name)
            initial |= {f"page_{kind.name}": choice.in_page, f"mail_{kind.name}": choice.by_mail}
        super().__init__(*args, initial=initial, **kwargs)
        for kind in self.kinds:
            self.fields[f"page_{kind.name}"] = forms.BooleanField(label=_("%s: in the page") % kind.label, required=False)
            self.fields[f"mail_{kind.name}"] = forms.ChoiceField(label=_("%s: by e-mail") % kind.label, choices=ByMail.choices)

    def rows(self) -> list[dict[str, Any]]:
        return [{"kind": kind, "page": self[f"page_{kind.name}"], "mail": self[f"mail_{kind.name}"]} for kind in self.kinds]

    def chosen(self) -> dict[str, dict[str, Any]]:
        data = self.cleaned_data
        return {kind.name: {"in_page": data[f"page_{kind.name}"], "by_mail": data[f"mail_{kind.name}"]} for kind in self.kinds}


class WishesPage(SettingsFormPage):
    """How one wishes to be told."""

    template = "notifications/preferences.html"
    form_class = WishesForm
    success_message = _("Your choices are saved.")

    def form_arguments(self) -> dict[str, Any]:
        return {"wishes": my_wishes(by=self.actor)}

    def save(self, form: forms.Form) -> HttpResponseBase:
        if isinstance(form, WishesForm):
            habits = {name: form.cleaned_data[name] for name in ("digest", "quiet_from", "quiet_to")}
            choose(kinds=form.chosen(), habits=habits, by=self.actor)
        return redirect("notifications:preferences")


@method_decorator(csrf_exempt, name="dispatch")
class UnsubscribePage(View):
    """Stop mails of one kind, for whoever holds the link of a mail: asked first, since programs follow links; a mail program's one click posts."""

    def get(self, request: HttpRequest, token: str) -> HttpResponse:
        found = read_token(token)
        return self._show(request, found, status=200 if found else 404)

    def post(self, request: HttpRequest, token: str) -> HttpResponse:
        found = read_token(token)
        if not stop_mails(token=token):
            return self._show(request, None, status=404)
        return self._show(request, found, stopped=True)

    def _show(self, request: HttpRequest, found: tuple[int, int, str] | None, *, stopped: bool = False, status: int = 200) -> HttpResponse:
        kind = kind_named(found[2]) if found else None
        what = _("the daily summary") if found and found[2] == DIGEST else kind.label if kind else ""
        return render(
            request, "notifications/unsubscribe.html", {"known": found is not None, "what": what, "stopped": stopped}, status=status
        )
