"""What webhooks give the kernel's registries."""

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.rest.routing import route
from webhooks import permissions
from webhooks.api.website import WebsiteWebhookView
from webhooks.services.arrivals import Reader, read_with
from webhooks.services.website import draft_of_submission

grant(permissions.SOURCES, RoleCode.MANAGER)
grant(permissions.ARRIVALS, RoleCode.MANAGER)

read_with("website", Reader(draft=draft_of_submission))

route("webhooks/website", WebsiteWebhookView.as_view(), name="webhook-website")
