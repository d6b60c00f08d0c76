"""What webhooks give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.registry import NavItem, SettingsPage, navigation, settings_pages
from crm.rest.routing import route
from webhooks import permissions
from webhooks.api import arrivals, capture, sources
from webhooks.api.facebook import FacebookWebhookView
from webhooks.api.inbound import InboundMailView, InboundWebhookView
from webhooks.api.website import WebsiteWebhookView
from webhooks.services.arrivals import Reader, read_with
from webhooks.services.capture import draft_of_social
from webhooks.services.facebook import draft_of_lead, fetch_lead, leaves_of_lead
from webhooks.services.inbound import draft_of_webhook, leaves_of_webhook
from webhooks.services.mailroom import draft_of_mail
from webhooks.services.website import draft_of_submission

grant(permissions.SOURCES, RoleCode.MANAGER)
grant(permissions.ARRIVALS, RoleCode.MANAGER)

read_with("website", Reader(draft=draft_of_submission))
read_with("facebook", Reader(fetch=fetch_lead, draft=draft_of_lead, leaves=leaves_of_lead))
read_with("webhook", Reader(draft=draft_of_webhook, leaves=leaves_of_webhook))
read_with("email", Reader(draft=draft_of_mail))
read_with("social", Reader(draft=draft_of_social))

route("webhooks/website", WebsiteWebhookView.as_view(), name="webhook-website")
route("webhooks/facebook", FacebookWebhookView.as_view(), name="webhook-facebook")
route("webhooks/in/{key}", InboundWebhookView.as_view(), name="webhook-inbound")
route("webhooks/email/{key}", InboundMailView.as_view(), name="webhook-email")
route("leads/capture/web-form", capture.WebFormCaptureView.as_view(), name="capture-web-form")
route("leads/capture/email", capture.EmailCaptureView.as_view(), name="capture-email")
route("leads/capture/social", capture.SocialCaptureView.as_view(), name="capture-social")

route("arrivals", arrivals.ArrivalsView.as_view(), name="arrivals")
route("arrivals/replay", arrivals.ReplayView.as_view(), name="arrivals-replay")
route("arrivals/{id}", arrivals.ArrivalView.as_view(), name="arrival")
route("arrivals/{id}/replay", arrivals.ReplayArrivalView.as_view(), name="arrival-replay")
route("sources", sources.SourcesView.as_view(), name="sources")
route("sources/{id}", sources.SourceView.as_view(), name="source")
route("sources/{id}/rotate-key", sources.RotateKeyView.as_view(), name="source-rotate-key")
route("sources/{id}/signing", sources.SigningView.as_view(), name="source-signing")
route("sources/{id}/mappings", sources.MappingsView.as_view(), name="source-mappings")
route("sources/{id}/mappings/test", sources.MappingTestView.as_view(), name="source-mappings-test")

navigation.add("main", NavItem(label=_("Inbox"), url="/arrivals", icon="inbox", key="g i", capability=permissions.ARRIVALS), order=30)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Connections"),
        url="/settings/connections",
        icon="plug",
        group=_("Leads"),
        capability=permissions.SOURCES,
        description=_("Facebook pages, webhooks and mailboxes, and how their fields are read"),
    ),
)
