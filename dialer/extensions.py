"""What the dialer gives the kernel's registries."""

from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from dialer import permissions

grant(permissions.CALL, RoleCode.MANAGER, RoleCode.SALES_REP)
grant(permissions.COACH, RoleCode.MANAGER)
grant(permissions.MANAGE, RoleCode.MANAGER)
grant(permissions.CONFIGURE)
