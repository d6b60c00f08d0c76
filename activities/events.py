"""What happens to activities."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class ActivityLogged(Event):
    """An activity was recorded or planned."""

    name = "activity.logged"
    live = True
    activity_id: int
    lead_id: int
    activity_type: str
    status: str


@dataclass(frozen=True, kw_only=True)
class ActivitiesChanged(Event):
    """Activities were done, cancelled, put off or changed. Old values are in the history."""

    name = "activity.changed"
    live = True
    activity_ids: tuple[int, ...]
    fields: tuple[str, ...]
