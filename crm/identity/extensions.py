"""What identity gives the kernel's registries."""

from crm.events.bus import subscribe
from crm.identity.enums import RoleCode
from crm.identity.events import PasswordResetAsked, RegistrationCodeAsked, UserInvited
from crm.identity.roles import grant
from crm.identity.services import mail

subscribe(RegistrationCodeAsked, mail.mail_registration_code)
subscribe(PasswordResetAsked, mail.mail_password_reset)
subscribe(UserInvited, mail.mail_invitation)

grant("tenancy.view_tenant", RoleCode.MANAGER)
grant("tenancy.change_tenant")
for _name in ("view_user", "view_team", "view_role", "view_invitation"):
    grant(f"identity.{_name}", RoleCode.MANAGER)
grant("identity.add_user", RoleCode.MANAGER)
grant("identity.change_user")
grant("identity.change_role")
grant("identity.change_team", RoleCode.MANAGER)
grant("identity.add_apikey", RoleCode.MANAGER)
grant("identity.delete_apikey")
grant("identity.use_admin", RoleCode.MANAGER)
grant("identity.see_all_operations", RoleCode.MANAGER)
