"""What saved views give the kernel's registries."""

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.registry import pinned_entries
from crm.rest.routing import route
from crm.savedviews import api
from crm.savedviews.selectors import SHARE, pinned_views

grant(SHARE, RoleCode.MANAGER)

pinned_entries.add("main", pinned_views)
route("views", api.ViewsView.as_view(), name="views")
route("views/{id}", api.ViewView.as_view(), name="view")
