"""Reads of notifications."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet
from django.urls import reverse

from crm.actors import Actor
from notifications.enums import ByMail
from notifications.models import Habits, Notification, Preference
from notifications.registry import kind_named


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How a person is told of a kind."""

    in_page: bool
    by_mail: ByMail


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """All that one person chose."""

    habits: Habits
    chosen: dict[str, Choice]

    def choice(self, kind: str) -> Choice:
        """What was chosen for a kind, or what holds where nobody chose."""
        if kind in self.chosen:
            return self.chosen[kind]
        known = kind_named(kind)
        return Choice(in_page=True, by_mail=ByMail.AT_ONCE if known is not None and known.by_email else ByMail.NEVER)


def wishes_of(user_ids: Sequence[int]) -> dict[int, Wishes]:
    """The wishes of several people in two queries."""
    habits = {row.user_id: row for row in Habits.objects.filter(user_id__in=user_ids)}
    chosen: dict[int, dict[str, Choice]] = {pk: {} for pk in user_ids}
    for row in Preference.objects.filter(user_id__in=user_ids):
        chosen[row.user_id][row.kind] = Choice(in_page=row.in_page, by_mail=ByMail(row.by_mail))
    return {pk: Wishes(habits=habits.get(pk) or Habits(user_id=pk), chosen=chosen[pk]) for pk in user_ids}


def notifications_of(actor: Actor) -> QuerySet[Notification]:
    """What the actor was told in the page, newest first."""
    return Notification.objects.filter(user_id=actor.user_id, in_page=True)


def unread_of(actor: Actor, *, most: int = 100) -> int:
    """How many the actor has not read, counted as far as `most`."""
    return Notification.objects.filter(user_id=actor.user_id, in_page=True, read_at=None)[:most].count()


def bell_of(actor: Actor) -> dict[str, Any]:
    """What the bell beside the actor's name shows."""
    return {"url": reverse("notifications:list"), "fragment": reverse("notifications:bell"), "unread": unread_of(actor)}
