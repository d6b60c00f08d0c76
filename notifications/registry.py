"""The kinds of things people are told about. Apps declare theirs from their extensions."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crm.actors import Actor
from crm.registry import Registry, Text


@dataclass(frozen=True, kw_only=True)
class NotificationKind:
    """Something that happens to people: its name in preferences, and whether it is mailed at once where nobody chose."""

    name: str
    label: Text
    description: Text = ""
    by_email: bool = False
    icon: str = "bell"


@dataclass(frozen=True, kw_only=True)
class DigestPart:
    """A paragraph of the morning's summary: a heading, and lines of text with the page each leads to."""

    title: Text
    lines: list[tuple[str, str]]


_kinds: dict[str, NotificationKind] = {}
# What else a person is told in the morning, such as what is due today: called with the person's actor; None where there is nothing.
digest_parts: Registry[Callable[[Actor], DigestPart | None]] = Registry()


def notification_kind(name: str, label: Text, description: Text = "", *, by_email: bool = False, icon: str = "bell") -> str:
    """Declare a kind; declaring it again replaces it. Answers its name."""
    _kinds[name] = NotificationKind(name=name, label=label, description=description, by_email=by_email, icon=icon)
    return name


def known_kinds() -> list[NotificationKind]:
    return list(_kinds.values())


def kind_named(name: str) -> NotificationKind | None:
    return _kinds.get(name)


def shown_kind(name: str) -> Any:
    """The kind's icon and label, also where its app is gone."""
    return _kinds.get(name) or NotificationKind(name=name, label=name)
