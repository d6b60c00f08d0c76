"""Writes of duplicates: keys, pairs and groups kept fresh, the scan, decisions, settings."""
