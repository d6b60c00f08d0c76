"""The kernel: mechanisms every app stands on. It names no lead, deal or call and imports no app above it."""

from crm.celery import app as celery_app

__all__ = ["celery_app"]
