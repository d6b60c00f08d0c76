"""Who may look after sources and what came in by them."""

SOURCES = "webhooks.change_source"
ARRIVALS = "leads.view_arrival"
