"""What activities hear of themselves."""

from activities.events import ActivitiesChanged
from activities.services.invitations import look_again


def tell_attendees(event: ActivitiesChanged) -> None:
    look_again(activity_ids=event.activity_ids, fields=event.fields)
