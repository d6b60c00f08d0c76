"""What custom fields give the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.registry import SettingsPage, settings_pages
from crm.rest.routing import route
from customobjects import api, permissions
from customobjects.selectors import SETTINGS

grant(permissions.VIEW, RoleCode.MANAGER, RoleCode.SALES_REP, RoleCode.SUPPORT)
grant(permissions.CONFIGURE, RoleCode.MANAGER)

settings_pages.add(
    "main",
    SettingsPage(
        label=_("Custom fields"),
        url=SETTINGS,
        icon="text-cursor-input",
        group=_("Leads"),
        capability=permissions.CONFIGURE,
        description=_("Fields of your own, who sees them, and what they must hold"),
    ),
)

route("custom-fields", api.FieldsView.as_view(), name="custom-fields")
route("custom-fields/order", api.OrderView.as_view(), name="custom-fields-order")
route("custom-fields/validate", api.ValidateView.as_view(), name="custom-fields-validate")
route("custom-fields/{id}", api.FieldView.as_view(), name="custom-field")
