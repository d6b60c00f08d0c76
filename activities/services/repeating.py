"""What comes after a recurring activity that is over, whoever closed it."""

from collections.abc import Collection

from django.utils import timezone

from activities.enums import ActivityStatus
from activities.events import ActivitiesChanged, ActivityLogged
from activities.models import Activity
from activities.services.invitations import invite_to_next
from activities.services.recurrence import next_occurrence, zone_for
from crm.actors import Actor
from crm.events.bus import publish

AT_ONCE = 200


def repeat(*, activity: Activity, by: Actor) -> Activity | None:
    """Make the one after a recurring activity that is over: the first that still lies ahead. It takes the rule along.

    None where the rule ends, or where the person has one of the series open already, as after an undo.
    """
    if activity.due_at is None or not activity.recurrence:
        return None
    series = activity.series or activity.pk
    if Activity.objects.filter(series=series, lead_id=activity.lead_id, status=ActivityStatus.PENDING).exclude(pk=activity.pk).exists():
        return None
    zone = zone_for(activity.user)
    found = next_occurrence(activity.recurrence, due_at=activity.due_at, zone=zone)
    now = timezone.now()
    while found is not None and found[0] <= now:
        found = next_occurrence(found[1], due_at=found[0], zone=zone)
    if found is None:
        return None
    due_at, rule = found
    following = Activity(
        lead_id=activity.lead_id,
        user_id=activity.user_id,
        activity_type=activity.activity_type,
        description=activity.description,
        priority=activity.priority,
        due_at=due_at,
        duration=activity.duration,
        location=activity.location,
        attendees=activity.attendees,
        remind_before=activity.remind_before,
        recurrence=rule,
        series=series,
        created_by_id=by.user_id,
        created_via=str(by.door),
    )
    following.remind_at = following.reminder()
    following.save()
    invite_to_next(activity=activity, following=following, by=by)
    if activity.series is None:
        Activity.objects.filter(pk=activity.pk).update(series=series)
    publish(
        ActivityLogged(
            activity_id=following.pk, lead_id=following.lead_id, activity_type=str(following.activity_type), status=str(following.status)
        )
    )
    return following


def repeat_closed(*, lead_ids: Collection[int] | None = None, by: Actor) -> int:
    """Make the next ones of what the database closed, of these leads or of all. Answers how many it had closed."""
    rows = Activity.objects.filter(awaits_next=True)
    if lead_ids is not None:
        rows = rows.filter(lead_id__in=lead_ids)
    closed = list(rows.select_related("user").select_for_update(of=("self",), skip_locked=True).order_by("pk")[:AT_ONCE])
    if not closed:
        return 0
    ids = [activity.pk for activity in closed]
    Activity.objects.filter(pk__in=ids).update(awaits_next=False)
    for activity in closed:
        if activity.status == ActivityStatus.COMPLETED:
            repeat(activity=activity, by=by)
    publish(ActivitiesChanged(activity_ids=tuple(ids), fields=("status",)))
    return len(closed)
