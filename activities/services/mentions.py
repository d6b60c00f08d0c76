"""People named in a text: `@[Ann Lee](12)` is stored, the name is shown, the person is told."""

import re
from collections.abc import Collection, Sequence

from activities.models import Activity
from crm.actors import Actor
from crm.identity.models import User
from crm.identity.selectors import active_users, actor_for
from leads.models import Lead
from leads.selectors import leads_visible_to
from notifications.services import notify

MENTION = "mention"
MARK = re.compile(r"@\[([^\]\n]{1,120})\]\((\d{1,18})\)")


def mentioned_ids(text: str) -> list[int]:
    """The people named in a text, each once."""
    return list(dict.fromkeys(int(found[2]) for found in MARK.finditer(text)))


def plain_text(text: str) -> str:
    """A text as people read it: `@Ann Lee`."""
    return MARK.sub(lambda found: f"@{found[1]}", text)


def marked_text(text: str, people: Sequence[User] | None = None) -> str:
    """A text as people type it, with `@Ann Lee` made a mark where exactly one active person is called so."""
    if "@" not in text:
        return text
    marks: dict[str, list[str]] = {}
    for user in active_users() if people is None else people:
        if user.full_name and not set(user.full_name) & set("[]\n"):
            marks.setdefault(user.full_name, []).append(f"@[{user.full_name}]({user.pk})")
    # What is marked already stays as it is: every second piece is a mark.
    pieces = re.split(r"(@\[[^\]\n]{1,120}\]\(\d{1,18}\))", text)
    for name in sorted(marks, key=len, reverse=True):
        if len(marks[name]) == 1:
            named = re.compile(rf"(?<![\w@])@{re.escape(name)}(?!\w)", re.IGNORECASE)
            pieces[::2] = [named.sub(lambda _found, mark=marks[name][0]: mark, piece) for piece in pieces[::2]]
    return "".join(pieces)


def tell_mentioned(*, activity: Activity, lead: Lead, before: str, by: Actor) -> int:
    """Tell the people newly named in an activity's text who may see its lead. Answers how many were told."""
    named = set(mentioned_ids(activity.description)) - set(mentioned_ids(before)) - {by.user_id}
    readers = [user.pk for user in _people(named) if _reads(user, lead, by)]
    if not readers:
        return 0
    return notify(
        kind=MENTION,
        user_ids=readers,
        title=f"{by.label} mentioned you on {lead.display_name}",
        body=plain_text(activity.description)[:300],
        url=f"/leads/{lead.pk}#activity-{activity.pk}",
        once=f"mention:{activity.pk}",
        by=by,
    )


def names_not_told(*, activity: Activity, before: str = "", by: Actor) -> list[str]:
    """The people newly named in an activity's text who were not told, for they may not see its lead."""
    named = set(mentioned_ids(activity.description)) - set(mentioned_ids(before)) - {by.user_id}
    return [user.full_name for user in _people(named) if not _reads(user, activity.lead, by)] if named else []


def _people(ids: Collection[int | None]) -> Sequence[User]:
    return list(User.objects.filter(pk__in=ids, is_active=True).order_by("pk")[:50])


def _reads(user: User, lead: Lead, by: Actor) -> bool:
    return leads_visible_to(actor_for(user, door=by.door)).filter(pk=lead.pk).exists()
