"""The settings of each kind of source: their names, defaults and bounds. Pure; forms and the API read them here."""

from collections.abc import Callable, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidInput
from leads.enums import Platform
from webhooks.enums import SourceKind

SIGNATURES = {"timestamped": _("X-Signature: t=…,v1=…"), "github": _("X-Hub-Signature-256: sha256=…")}
SECURITY = {"tls": _("TLS"), "starttls": _("STARTTLS"), "none": _("None")}
CHANNELS = {platform.value: platform.label for platform in Platform if platform not in (Platform.MANUAL, Platform.IMPORT)}
AFTER_READ = {"seen": _("Mark as read"), "move": _("Move to a folder"), "delete": _("Delete")}

# Mails are read by what they are, not by rules.
MAPPED = (SourceKind.FACEBOOK, SourceKind.WEBHOOK)
# Taken, and never answered or shown.
SECRET = frozenset({"mailgun_key"})
# What says which mailbox is meant, and what doors note beside the settings of how far they read it.
PLACE = ("host", "user", "folder")
NOTED = frozenset({"seen", "reconciled_until"})

Check = Callable[[Any], Any]


def _text(longest: int) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest or "\x00" in value:
            raise ValueError(f"Give a text of at most {longest} characters.")
        return value.strip()

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"Give a whole number from {least} to {most}.")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("Must be true or false.")
    return value


def _one_of(words: Mapping[str, Any]) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"Must be one of {', '.join(words)}.")
        return value

    return check


# Name, value where it is not set, check.
_KNOWN: dict[str, dict[str, tuple[Any, Check]]] = {
    SourceKind.FACEBOOK: {},
    SourceKind.WEBHOOK: {
        "id_path": ("", _text(300)),
        "form_path": ("", _text(300)),
        "hourly_limit": (10_000, _whole(1, 1_000_000)),
        "signature": ("timestamped", _one_of(SIGNATURES)),
        "channel": (Platform.OTHER.value, _one_of(CHANNELS)),
    },
    SourceKind.EMAIL: {
        "host": ("", _text(253)),
        "port": (993, _whole(1, 65_535)),
        "security": ("tls", _one_of(SECURITY)),
        "user": ("", _text(254)),
        "folder": ("INBOX", _text(200)),
        "after_read": ("seen", _one_of(AFTER_READ)),
        "move_to": ("", _text(200)),
        "use_reply_to": (False, _flag),
        "mailgun_key": ("", _text(200)),
    },
}


def default_options(kind: str) -> dict[str, Any]:
    return {name: default for name, (default, _check) in _KNOWN[kind].items()}


def shown_options(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """A kind's settings as they may be shown: without secrets, and without what doors note there for themselves."""
    return {name: options.get(name, value) for name, value in default_options(kind).items() if name not in SECRET}


def clean_options(kind: str, given: Mapping[str, Any], *, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A kind's settings with what was given put over those before. Unknown names are refused; raises InvalidInput by name."""
    known, problems = _KNOWN[kind], {}
    options = {**default_options(kind), **(before or {})}
    for name, value in given.items():
        if name not in known:
            problems[name] = [f"Unknown. A {SourceKind(kind).label} has {', '.join(known) or 'none'}."]
            continue
        try:
            options[name] = known[name][1](value)
        except ValueError as error:
            problems[name] = [str(error)]
    if options.get("after_read") == "move" and not options["move_to"] and "move_to" not in problems:
        problems["move_to"] = ["Name the folder to move read mails to."]
    if problems:
        raise InvalidInput(problems)
    return options
