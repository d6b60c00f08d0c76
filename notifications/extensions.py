"""What notifications give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.events.bus import subscribe
from crm.operations.events import OperationEnded
from crm.registry import SettingsPage, bells, settings_pages
from crm.rest.routing import route
from notifications import api, receivers
from notifications.registry import notification_kind
from notifications.selectors import bell_of

notification_kind(
    receivers.OPERATION, _("Background work"), _("An import, a bulk change or an export of yours is done."), icon="list-checks"
)
bells.add("main", bell_of)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Notifications"),
        url="/settings/notifications",
        icon="bell",
        group=_("You"),
        description=_("What you are told, where, and when you are left alone."),
    ),
    order=11,
)
subscribe(OperationEnded, receivers.tell_of_operation, within=True)

route("notifications", api.NotificationsView.as_view(), name="notifications")
route("notifications/read", api.NotificationsReadView.as_view(), name="notifications-read")
route("notifications/preferences", api.NotificationPreferencesView.as_view(), name="notifications-preferences")
route("notifications/{id}/read", api.NotificationReadView.as_view(), name="notification-read")
