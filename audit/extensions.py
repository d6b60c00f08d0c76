"""What audit gives the kernel's registries."""

from audit.selectors import history_of
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.registry import Section, sections

grant("audit.view_auditevent", RoleCode.MANAGER)

sections.add("history", Section(name="history", build=lambda record, actor: history_of(record)))
