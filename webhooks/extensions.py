"""What webhooks give the kernel's registries."""

from crm.rest.routing import route
from webhooks.api import WebsiteWebhookView

route("webhooks/website", WebsiteWebhookView.as_view(), name="webhook-website")
