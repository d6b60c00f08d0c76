"""Endpoints of assignment."""
