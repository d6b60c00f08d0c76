"""What identity gives the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from crm.events.bus import subscribe
from crm.identity.api import hours, people, sessions, signing, tenants
from crm.identity.enums import RoleCode
from crm.identity.events import PasswordResetAsked, RegistrationCodeAsked, UserInvited
from crm.identity.roles import grant
from crm.identity.services import mail
from crm.registry import SettingsPage, settings_pages
from crm.rest.routing import route

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

_API = {
    "auth/register": signing.RegisterView,
    "auth/login": signing.LoginView,
    "auth/verify-otp": signing.VerifyView,
    "auth/email/verify": signing.VerifyView,
    "auth/resend-otp": signing.ResendView,
    "auth/refresh": signing.RefreshView,
    "auth/token/refresh": signing.RefreshView,
    "auth/logout": signing.LogoutView,
    "auth/password/reset": signing.PasswordResetView,
    "auth/password/confirm": signing.PasswordConfirmView,
    "auth/password/change": signing.PasswordChangeView,
    "auth/userinfo": signing.UserInfoView,
    "auth/sessions": sessions.SessionsView,
    "auth/sessions/current": sessions.CurrentSessionView,
    "auth/sessions/validate": sessions.ValidateView,
    "auth/sessions/{id}": sessions.SessionView,
    "users": people.UsersView,
    "users/{id}": people.UserView,
    "users/{id}/activate": people.ActivateView,
    "users/{id}/deactivate": people.DeactivateView,
    "users/{id}/roles": people.UserRolesView,
    "users/{id}/roles/{role_id}": people.UserRoleView,
    "users/{id}/permissions": people.UserPermissionsView,
    "users/{id}/profile": people.ProfileView,
    "users/{id}/preferences": people.PreferencesView,
    "users/teams": people.TeamsView,
    "users/teams/{id}": people.TeamView,
    "users/teams/{id}/members": people.TeamMembersView,
    "users/teams/{id}/members/{user_id}": people.TeamMemberView,
    "settings/hours/teams/{id}": hours.TeamHoursView,
    "settings/hours/users/{id}": hours.UserHoursView,
    "settings/holidays": hours.HolidaysView,
    "settings/holidays/{id}": hours.HolidayView,
    "roles": people.RolesView,
    "roles/permissions": people.PermissionsView,
    "roles/{id}": people.RoleView,
    "api-keys": people.ApiKeysView,
    "api-keys/{id}": people.ApiKeyView,
    "tenants": tenants.TenantsView,
    "tenants/{id}": tenants.TenantView,
    "tenants/{id}/config": tenants.TenantConfigView,
}
for _path, _view in _API.items():
    route(_path, _view.as_view(), name=_path.replace("/", "-").replace("{", "").replace("}", ""))

_YOU, _COMPANY, _ACCESS = _("You"), _("Company"), _("People and access")
for _page in (
    SettingsPage(
        label=_("Profile"), url="/settings/profile", icon="user", group=_YOU, description=_("Your name, time zone, theme and password.")
    ),
    SettingsPage(
        label=_("Sessions"),
        url="/settings/sessions",
        icon="monitor-smartphone",
        group=_YOU,
        description=_("Where you are signed in; end what you do not know."),
    ),
    SettingsPage(
        label=_("Company"),
        url="/settings/tenant",
        icon="building-2",
        group=_COMPANY,
        capability="tenancy.view_tenant",
        description=_("Name, region, currency, time zone and working hours."),
    ),
    SettingsPage(
        label=_("Working hours"),
        url="/settings/hours",
        icon="clock",
        group=_COMPANY,
        capability="identity.view_team",
        description=_("Hours of teams and people, and holidays."),
    ),
    SettingsPage(
        label=_("Users"),
        url="/settings/users",
        icon="users",
        group=_ACCESS,
        capability="identity.view_user",
        description=_("Who works here, in which role, and who may come in."),
    ),
    SettingsPage(
        label=_("Invitations"),
        url="/settings/invitations",
        icon="mail-plus",
        group=_ACCESS,
        capability="identity.add_user",
        description=_("Who was asked to join and has not yet."),
    ),
    SettingsPage(
        label=_("Teams"),
        url="/settings/teams",
        icon="users-round",
        group=_ACCESS,
        capability="identity.view_team",
        description=_("Groups that records can be shared with."),
    ),
    SettingsPage(
        label=_("Roles"),
        url="/settings/roles",
        icon="shield",
        group=_ACCESS,
        capability="identity.view_role",
        description=_("What each role may see and do."),
    ),
    SettingsPage(
        label=_("API keys"),
        url="/settings/api-keys",
        icon="key-round",
        group=_ACCESS,
        capability="identity.add_apikey",
        description=_("Keys for integrations, each with its own permissions."),
    ),
):
    settings_pages.add("main", _page, order=10)
