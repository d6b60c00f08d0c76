"""Writes of notifications. `notify` is what other apps call."""

from notifications.services.telling import notify

__all__ = ["notify"]
