"""Forget what sign-in leaves behind."""

from datetime import timedelta

from django.contrib.sessions.models import Session
from django.utils import timezone

from crm.identity.models import AuthSession, Registration


def clear_leftovers() -> None:
    """Delete registrations nobody verified within two days, sessions over for a month, and expired browser sessions."""
    now = timezone.now()
    Registration.objects.filter(created_at__lt=now - timedelta(days=2)).delete()
    AuthSession.objects.filter(expires_at__lt=now - timedelta(days=30)).delete()
    Session.objects.filter(expire_date__lt=now).delete()
