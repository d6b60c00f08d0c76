"""What a person's morning summary says of their own work."""

from datetime import datetime, time, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from activities.models import Activity
from activities.selectors import Due, due_today
from activities.services.calendar import moment_at
from activities.services.mentions import plain_text
from crm.actors import Actor
from crm.identity.hours import zone_of
from crm.identity.models import User
from leads.models import Lead
from notifications.registry import DigestPart

MOST_LINES = 20
_SHORT = 100


def due_part(actor: Actor, *, now: datetime | None = None) -> DigestPart | None:
    """What is due today and what is overdue, the earliest first; of more than fit, the weightiest. None where there is nothing."""
    user = User.objects.filter(pk=actor.user_id).first()
    if user is None:
        return None
    now, zone = now or timezone.now(), zone_of(user)
    today = now.astimezone(zone).date()
    found = due_today(actor, now=now, before=moment_at(today + timedelta(days=1), time(), zone), most=MOST_LINES + 1)
    if not found:
        return None
    shown = found if len(found) <= MOST_LINES else found[: MOST_LINES - 1]
    leads = Lead.objects.only("tenant", "email", "first_name", "last_name", "company", "phone").in_bulk([row.lead_id for row in shown])
    lines = []
    for row in sorted(shown, key=lambda row: (row.due_at, row.id)):
        local = row.due_at.astimezone(zone)
        days = (today - local.date()).days
        when = f"{local:%H:%M}" if days == 0 else ngettext("%(days)s day overdue", "%(days)s days overdue", days) % {"days": days}
        lines.append((f"{when} · {_what(row)} · {leads[row.lead_id].display_name}", f"/leads/{row.lead_id}#open-{row.id}"))
    if len(found) > len(shown):
        lines.append((_("More waits in your queue."), "/"))
    return DigestPart(title=_("To do today"), lines=lines)


def _what(row: Due) -> str:
    kind = str(Activity(activity_type=row.activity_type).get_activity_type_display())
    text = " ".join(plain_text(row.description).split())
    return f"{kind}: {text[:_SHORT]}{'…' if len(text) > _SHORT else ''}" if text else kind
