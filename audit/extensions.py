"""What audit gives the kernel's registries."""

from crm.identity.enums import RoleCode
from crm.identity.roles import grant

grant("audit.view_auditevent", RoleCode.MANAGER)
