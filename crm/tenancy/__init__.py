"""Tenants and the wall between them: scope, managers, fields, row-level security."""
