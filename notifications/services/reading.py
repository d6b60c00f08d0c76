"""Mark as read, choose how to be told, forget what is old."""

from collections.abc import Mapping, Sequence
from datetime import time, timedelta
from typing import Any

from django.utils import timezone

from crm.actors import Actor
from crm.errors import InvalidInput, NotFound
from crm.events import live
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from notifications.enums import ByMail
from notifications.models import Habits, Notification, Preference
from notifications.registry import known_kinds
from notifications.selectors import Wishes, notifications_of, wishes_of

READ = "notification.read"
KEPT = timedelta(days=90)
_PURGED_AT_ONCE = 5000


def mark_read(*, notification_id: int, by: Actor) -> Notification:
    """Note that the actor saw one of theirs. Raises NotFound."""
    row = notifications_of(by).filter(pk=notification_id).first()
    if row is None:
        raise NotFound("Notification not found.")
    if row.read_at is None:
        row.read_at = timezone.now()
        row.save(update_fields=["read_at"])
        live.announce(READ, user_id=by.user_id)
    return row


def mark_all_read(*, by: Actor) -> int:
    """Note that the actor saw all of theirs. Answers how many were new."""
    marked: int = notifications_of(by).filter(read_at=None).update(read_at=timezone.now())
    if marked:
        live.announce(READ, user_id=by.user_id)
    return marked


def my_wishes(*, by: Actor) -> Wishes:
    return wishes_of([by.user_id or 0])[by.user_id or 0]


def choose(*, kinds: Mapping[str, Mapping[str, Any]], habits: Mapping[str, Any], by: Actor) -> Wishes:
    """Keep what the actor chose: per kind `in_page` and `by_mail`, and `digest`, `quiet_from`, `quiet_to`. What is not named stays.

    Raises InvalidInput for an unknown kind or value.
    """
    if by.user_id is None:
        raise NotFound("Only a person is told things.")
    names = {kind.name for kind in known_kinds()}
    problems: dict[str, list[str]] = {}
    for name, choice in kinds.items():
        if name not in names:
            problems[name[:40]] = ["No such kind of notification."]
        elif choice.get("by_mail", ByMail.NEVER) not in ByMail.values:
            problems[name] = [f"One of {', '.join(ByMail.values)}."]
    present = my_wishes(by=by)
    quiet: list[time | None] = [habits.get(name, getattr(present.habits, name)) for name in ("quiet_from", "quiet_to")]
    if (quiet[0] is None) != (quiet[1] is None):
        problems["quiet_to" if quiet[1] is None else "quiet_from"] = ["Give both times, or none."]
    if problems:
        raise InvalidInput(problems)
    for name, choice in kinds.items():
        now = present.choice(name)
        wanted = {"in_page": choice.get("in_page", now.in_page), "by_mail": choice.get("by_mail", now.by_mail)}
        Preference.objects.update_or_create(user_id=by.user_id, kind=name, defaults=wanted)
    if habits:
        wanted = {name: habits[name] for name in ("digest", "quiet_from", "quiet_to") if name in habits}
        Habits.objects.update_or_create(user_id=by.user_id, defaults=wanted)
    return my_wishes(by=by)


def forget_old() -> int:
    """Delete what was told longer ago than KEPT, in every tenant, in bounded steps. Answers how many."""
    gone = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        while True:
            with tenant_scope(tenant_id):
                old: Sequence[int] = list(
                    Notification.objects.filter(created_at__lt=timezone.now() - KEPT)
                    .order_by("created_at")
                    .values_list("pk", flat=True)[:_PURGED_AT_ONCE]
                )
                gone += Notification.objects.filter(pk__in=old).delete()[0]
            if len(old) < _PURGED_AT_ONCE:
                break
    return gone
