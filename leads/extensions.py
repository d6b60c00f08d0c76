"""What leads give the kernel's registries."""

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.identity.services.tenants import tenant_setup
from leads import permissions
from leads.services.vocabularies import set_up_statuses

_ALL = (RoleCode.MANAGER, RoleCode.SALES_REP, RoleCode.SUPPORT)
_SALES = (RoleCode.MANAGER, RoleCode.SALES_REP)

grant(permissions.VIEW, *_ALL)
grant(permissions.SEE_ALL, RoleCode.MANAGER, RoleCode.SUPPORT)
grant(permissions.ADD, *_SALES)
grant(permissions.CHANGE, *_SALES)
grant(permissions.DELETE, RoleCode.MANAGER)
for _name in (permissions.ASSIGN, permissions.IMPORT, permissions.EXPORT, permissions.SKIP_TRANSITIONS, permissions.FORMS):
    grant(_name, RoleCode.MANAGER)
grant(permissions.HARD_DELETE)
grant(permissions.CONFIGURE)

if set_up_statuses not in tenant_setup:
    tenant_setup.append(set_up_statuses)
