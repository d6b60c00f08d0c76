"""Endpoints of duplicates."""
