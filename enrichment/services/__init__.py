"""Services of enrichment."""
