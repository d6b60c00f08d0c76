"""Secrets of outside services at rest: sealed under a key derived from SECRET_KEY, readable under its predecessors."""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class Unreadable(ValueError):
    """A sealed text that none of this install's keys opens: SECRET_KEY was replaced without a fallback."""


def seal(text: str) -> str:
    """The text as it may be stored. Empty stays empty."""
    return _box().encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """The text back. Raises Unreadable."""
    if not sealed:
        return ""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise Unreadable("This secret was sealed under another SECRET_KEY. Enter it again.") from None


def _box() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(hashlib.sha256(b"sealed:" + key.encode()).digest())) for key in keys])
