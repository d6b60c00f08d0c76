"""Settings: connections, the places leads come from by themselves."""

from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from crm.errors import InvalidInput, NotFound
from crm.filters import split_words
from crm.identity.models import User
from crm.identity.selectors import active_users
from crm.web.pages import Page
from crm.web.settings_pages import SettingsFormPage, SettingsFrame
from webhooks.enums import SourceKind
from webhooks.models import Source
from webhooks.pages.shown import row_of
from webhooks.permissions import SOURCES
from webhooks.selectors import (
    address_of,
    arrivals_of_source,
    failed_by_source,
    find_source,
    forms_of_source,
    sources_overview,
    surroundings_of,
)
from webhooks.services.arrivals import replay_failed
from webhooks.services.options import (
    AFTER_READ,
    CHANNELS,
    MAPPED,
    SECRET,
    SECURITY,
    SIGNATURES,
    clean_options,
    default_options,
    shown_options,
)
from webhooks.services.sources import SourceSettings, delete_source, rotate_key, save_source, set_signing

ICONS = {"facebook": "megaphone", "webhook": "webhook", "email": "mail"}
ABOUT = {
    "facebook": gettext_lazy("Lead forms of a Facebook or Instagram page, within seconds of being sent."),
    "webhook": gettext_lazy("Another system posts JSON or form fields to a secret address."),
    "email": gettext_lazy("Mails to a mailbox, read over IMAP or forwarded to an address here."),
}


def source_or_404(pk: int) -> Source:
    source = find_source(pk)
    if source is None:
        raise NotFound("No such connection.")
    return source


def secret_field(label: Any, help_text: Any) -> forms.CharField:
    """A secret to be entered. What is kept is never sent to the browser."""
    widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
    return forms.CharField(label=label, max_length=2000, required=False, strip=True, widget=widget, help_text=help_text)


class ConnectionForm(forms.Form):
    """What every connection is set to. A kind adds its own fields; those in `OPTIONS` go into its settings."""

    OPTIONS: ClassVar[tuple[str, ...]] = ()

    name = forms.CharField(label=gettext_lazy("Name"), max_length=80)
    lead_source = forms.CharField(
        label=gettext_lazy("Source of its leads"),
        max_length=60,
        required=False,
        help_text=gettext_lazy("Such as Facebook, Partner, Event."),
    )
    default_owner = forms.ModelChoiceField(
        label=gettext_lazy("Give its leads to"), queryset=User.objects.none(), required=False, empty_label=gettext_lazy("Nobody")
    )
    tags = forms.CharField(
        label=gettext_lazy("Tags"), max_length=500, required=False, help_text=gettext_lazy("Added to every lead, separated by commas.")
    )
    is_active = forms.BooleanField(label=gettext_lazy("Takes leads"), required=False, initial=True)

    def __init__(self, *args: Any, source: Source | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.source = source
        field = self.fields["default_owner"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = active_users()

    def wanted(self, kind: str) -> SourceSettings:
        """What the service is asked for. Raises InvalidInput by field."""
        data = self.cleaned_data
        # An empty secret keeps the one that is there.
        given = {name: data[name] for name in self.OPTIONS if data[name] or name not in SECRET}
        return SourceSettings(
            name=data["name"],
            external_id=data.get("external_id", ""),
            token=data.get("token") or None,
            options=clean_options(kind, given, before=self.source.options if self.source else None),
            lead_source=data["lead_source"],
            default_owner=data["default_owner"],
            tags=split_words(data["tags"]),
            is_active=data["is_active"],
        )


class FacebookForm(ConnectionForm):
    external_id = forms.CharField(label=gettext_lazy("Page id"), max_length=64, help_text=gettext_lazy("The number of the page."))
    token = secret_field(gettext_lazy("Page access token"), gettext_lazy("Kept sealed and never shown again. Empty keeps the present one."))


class WebhookForm(ConnectionForm):
    OPTIONS = ("id_path", "form_path", "hourly_limit", "signature", "channel")

    id_path = forms.CharField(
        label=gettext_lazy("Path of its id"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("Where the payload says which lead it is, such as data.id. The same id is taken once."),
    )
    form_path = forms.CharField(
        label=gettext_lazy("Path of the form"),
        max_length=300,
        required=False,
        help_text=gettext_lazy("Where the payload names the form, if several have a mapping of their own."),
    )
    hourly_limit = forms.IntegerField(label=gettext_lazy("Most leads an hour"), min_value=1, max_value=1_000_000)
    signature = forms.ChoiceField(label=gettext_lazy("Signature"), choices=SIGNATURES.items())
    channel = forms.ChoiceField(label=gettext_lazy("Channel of its leads"), choices=CHANNELS.items())


class MailboxForm(ConnectionForm):
    OPTIONS = ("host", "port", "security", "user", "folder", "after_read", "move_to", "use_reply_to", "mailgun_key")

    external_id = forms.CharField(label=gettext_lazy("Address of the mailbox"), max_length=254, required=False)
    host = forms.CharField(
        label=gettext_lazy("IMAP server"),
        max_length=253,
        required=False,
        help_text=gettext_lazy("Empty: mails are only taken at the address below."),
    )
    port = forms.IntegerField(label=gettext_lazy("Port"), min_value=1, max_value=65_535)
    security = forms.ChoiceField(label=gettext_lazy("Encryption"), choices=SECURITY.items())
    user = forms.CharField(label=gettext_lazy("User name"), max_length=254, required=False)
    token = secret_field(gettext_lazy("Password"), gettext_lazy("Kept sealed and never shown again. Empty keeps the present one."))
    folder = forms.CharField(label=gettext_lazy("Folder"), max_length=200, required=False)
    after_read = forms.ChoiceField(label=gettext_lazy("After reading"), choices=AFTER_READ.items())
    move_to = forms.CharField(label=gettext_lazy("Move to"), max_length=200, required=False)
    use_reply_to = forms.BooleanField(
        label=gettext_lazy("The lead is who answers go to"),
        required=False,
        help_text=gettext_lazy("For mails of a form that come from its own address and name the sender as Reply-To."),
    )
    mailgun_key = secret_field(
        gettext_lazy("Mailgun signing key"),
        gettext_lazy("If Mailgun posts the mails: others are refused then. Empty keeps the present one."),
    )


FORMS: dict[str, type[ConnectionForm]] = {"facebook": FacebookForm, "webhook": WebhookForm, "email": MailboxForm}


class ConnectionsPage(SettingsFrame):
    """All connections with their state, and the kinds one may add."""

    capability = SOURCES
    template = "webhooks/connections.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        sources = list(sources_overview())
        failed = failed_by_source()
        rows = [{"source": source, "icon": ICONS[source.kind], "failed": failed.get(source.pk, 0)} for source in sources]
        kinds = [{"kind": kind.value, "label": kind.label, "icon": ICONS[kind.value], "about": ABOUT[kind.value]} for kind in SourceKind]
        return self.show({"rows": rows, "kinds": kinds})


class ConnectionPage(SettingsFormPage):
    """One connection, or a new one of a kind: settings, address, mappings, what came in, key and signature."""

    capability = SOURCES
    template = "webhooks/connection.html"
    success_message = gettext_lazy("Saved.")
    source: Source | None = None
    kind: str

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        self.pk: int | None = kwargs.get("pk")
        return super().dispatch(request, *args, **kwargs)

    def form(self, *data: Any) -> forms.Form:
        self.source = source_or_404(self.pk) if self.pk is not None else None
        self.kind = self.source.kind if self.source else self.request.GET.get("kind", "")
        if self.kind not in FORMS:
            raise NotFound("No such kind of connection.")
        return FORMS[self.kind](*data, source=self.source, initial=self._initial())

    def _initial(self) -> dict[str, Any]:
        if self.source is None:
            return {**default_options(self.kind), "lead_source": "Facebook" if self.kind == SourceKind.FACEBOOK else ""}
        same = ("name", "external_id", "lead_source", "default_owner", "is_active")
        initial = {name: getattr(self.source, name) for name in same}
        return {**shown_options(self.kind, self.source.options), **initial, "tags": ", ".join(self.source.tags)}

    def save(self, form: forms.Form) -> HttpResponseBase:
        assert isinstance(form, ConnectionForm)
        saved = save_source(kind=SourceKind(self.kind), source=self.source, wanted=form.wanted(self.kind), by=self.actor)
        return redirect("webhooks:connection", saved.pk)

    def context(self, form: forms.Form) -> dict[str, Any]:
        source = self.source
        context: dict[str, Any] = {
            "form": form,
            "kind": self.kind,
            "kind_label": SourceKind(self.kind).label,
            "about": ABOUT[self.kind],
            "source": source,
        }
        if source is None:
            return context
        arrivals = list(arrivals_of_source(source).select_related("lead").defer("payload")[:10])
        around = surroundings_of(arrivals)
        return {
            **context,
            "address": address_of(source),
            "rows": [row_of(arrival, around) for arrival in arrivals],
            "failed": failed_by_source(source).get(source.pk, 0),
            "mappings": mapping_rows(source) if source.kind in MAPPED else [],
            "has_token": bool(source.token),
            "signing": bool(source.signing_secret),
            "scheme": source.options.get("signature", "timestamped"),
            "secret": self.request.session.pop(f"source_secret_{source.pk}", ""),
        }


def mapping_rows(source: Source) -> list[dict[str, Any]]:
    """The forms of a source with their mappings; the general one first, even before it is there."""
    forms_met = forms_of_source(source)
    return [
        {
            "form_id": form_id,
            "label": (found.form_name if found else "") or form_id or _("All forms"),
            "mapping": found,
        }
        for form_id, found in {"": forms_met.get(""), **forms_met}.items()
    ]


class ConnectionActionPage(Page):
    """Rotate a key, switch signing, replay what failed, delete."""

    capability = SOURCES
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        source = source_or_404(pk)
        action = request.POST.get("action", "")
        if action == "rotate":
            rotate_key(source=source, by=self.actor)
            messages.success(request, _("New address. The old one no longer works."))
        elif action in ("sign", "unsign"):
            secret = set_signing(source=source, on=action == "sign", by=self.actor)
            if secret:
                # Shown once, on the next page, and kept nowhere else.
                request.session[f"source_secret_{source.pk}"] = secret
            else:
                messages.success(request, _("Posts need no signature any more."))
        elif action == "replay":
            number = replay_failed(door=source.kind, door_id=source.pk, by=self.actor)
            messages.success(request, ngettext("%d arrival is read anew.", "%d arrivals are read anew.", number) % number)
        elif action == "delete":
            delete_source(source=source, by=self.actor)
            messages.success(request, _("Connection deleted. What came in by it stays."))
            return redirect("webhooks:connections")
        else:
            raise InvalidInput({"action": [_("This cannot be done with this connection.")]})
        return redirect(reverse("webhooks:connection", args=[pk]))
