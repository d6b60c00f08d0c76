"""Endpoints of enrichment."""
