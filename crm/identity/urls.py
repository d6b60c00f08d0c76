"""Pages of sign-in, people and the tenant."""

from django.urls import path

from crm.identity.pages import signing

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
]

# Replaced page by page below this line.
for _name in ("profile", "sessions", "users", "roles", "teams", "invitations", "api-keys", "tenant"):
    urlpatterns.append(path(f"settings/{_name}", signing.SignOutPage.as_view(), name=_name))
