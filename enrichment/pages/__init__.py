"""Pages of enrichment."""
