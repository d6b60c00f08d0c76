"""What operations give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.operations import api
from crm.registry import NavItem, SettingsPage, navigation, settings_pages
from crm.rest.routing import route

route("operations", api.OperationsView.as_view(), name="operations")
route("operations/{id}", api.OperationView.as_view(), name="operation")
route("operations/{id}/errors", api.OperationErrorsView.as_view(), name="operation-errors")
route("operations/{id}/cancel", api.CancelView.as_view(), name="operation-cancel")

navigation.add("main", NavItem(label=_("Operations"), url="/operations", icon="list-checks", key="g o"), order=900)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Operations"),
        url="/operations",
        icon="list-checks",
        group=_("Data"),
        description=_("Imports and other long work: progress, results, failed rows."),
    ),
    order=50,
)
