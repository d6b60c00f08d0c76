"""Pages of sign-in, people and the tenant."""

from django.urls import path

from crm.identity.pages import hours, own, people, signing, tenant

app_name = "identity"
urlpatterns = [
    path("sign-in", signing.SignInPage.as_view(), name="sign-in"),
    path("sign-out", signing.SignOutPage.as_view(), name="sign-out"),
    path("register", signing.RegisterPage.as_view(), name="register"),
    path("verify", signing.VerifyPage.as_view(), name="verify"),
    path("verify/resend", signing.ResendPage.as_view(), name="resend"),
    path("forgot-password", signing.ForgotPage.as_view(), name="forgot"),
    path("reset-password/<str:token>", signing.ResetPage.as_view(), name="reset"),
    path("join/<str:token>", signing.JoinPage.as_view(), name="join"),
    path("mailbox", signing.MailboxPage.as_view(), name="mailbox"),
    path("settings/profile", own.ProfilePage.as_view(), name="profile"),
    path("settings/profile/password", own.PasswordPage.as_view(), name="password"),
    path("settings/sessions", own.SessionsPage.as_view(), name="sessions"),
    path("settings/sessions/others/end", own.EndOthersPage.as_view(), name="end-other-sessions"),
    path("settings/sessions/<int:id>/end", own.EndSessionPage.as_view(), name="end-session"),
    path("settings/tenant", tenant.TenantPage.as_view(), name="tenant"),
    path("settings/hours", hours.HoursPage.as_view(), name="hours"),
    path("settings/hours/teams/<int:id>", hours.TeamHoursPage.as_view(), name="team-hours"),
    path("settings/hours/users/<int:id>", hours.UserHoursPage.as_view(), name="user-hours"),
    path("settings/hours/holidays/<int:id>/remove", hours.RemoveHolidayPage.as_view(), name="remove-holiday"),
    path("settings/users", people.UsersPage.as_view(), name="users"),
    path("settings/users/<int:id>", people.UserPage.as_view(), name="user"),
    path("settings/users/<int:id>/change", people.ChangeUserPage.as_view(), name="change-user"),
    path("settings/invitations", people.InvitationsPage.as_view(), name="invitations"),
    path("settings/invitations/<int:id>/withdraw", people.WithdrawPage.as_view(), name="withdraw-invitation"),
    path("settings/teams", people.TeamsPage.as_view(), name="teams"),
    path("settings/teams/new", people.TeamPage.as_view(), name="new-team"),
    path("settings/teams/<int:id>", people.TeamPage.as_view(), name="team"),
    path("settings/teams/<int:id>/delete", people.DeleteTeamPage.as_view(), name="delete-team"),
    path("settings/roles", people.RolesPage.as_view(), name="roles"),
    path("settings/roles/new", people.RolePage.as_view(), name="new-role"),
    path("settings/roles/<int:id>", people.RolePage.as_view(), name="role"),
    path("settings/roles/<int:id>/delete", people.DeleteRolePage.as_view(), name="delete-role"),
    path("settings/api-keys", people.ApiKeysPage.as_view(), name="api-keys"),
    path("settings/api-keys/<int:id>/revoke", people.RevokeKeyPage.as_view(), name="revoke-api-key"),
]
