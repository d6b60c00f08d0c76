"""Who may enrich leads, and who may say by which services."""

ENRICH = "enrichment.enrich_leads"
CONFIGURE = "enrichment.change_providersettings"
