"""The mails an install without a mail server has written into MAIL_DIR."""

import email
import email.policy
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings

_DIVIDER = "-" * 79


@dataclass(frozen=True, kw_only=True)
class Mail:
    sent_at: datetime | None
    to: str
    subject: str
    text: str


def delivered_mails(*, most: int) -> list[Mail]:
    """The newest mails first."""
    folder = Path(settings.MAIL_DIR)
    files = sorted(folder.glob("*.log"), key=lambda file: file.stat().st_mtime_ns, reverse=True)[:most] if folder.is_dir() else []
    mails: list[Mail] = []
    for file in files:
        # One file may hold several, oldest first, each closed by a line of dashes.
        parts = [part for part in file.read_text(encoding="utf-8", errors="replace").split(f"\n{_DIVIDER}\n") if part.strip()]
        mails.extend(_read(part) for part in reversed(parts))
    return mails[:most]


def _read(text: str) -> Mail:
    message = email.message_from_string(text.lstrip("\n"), policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(preferencelist=("plain",))
    try:
        sent_at = parsedate_to_datetime(str(message["Date"]))
    except (TypeError, ValueError):
        sent_at = None
    return Mail(
        sent_at=sent_at, to=str(message["To"] or ""), subject=str(message["Subject"] or ""), text=str(body.get_content()) if body else ""
    )
