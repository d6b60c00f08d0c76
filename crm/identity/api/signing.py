"""Sign-up, sign-in, tokens and passwords: S1-01 to S1-03, S4-200 to S4-204."""

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import Forbidden
from crm.identity.api import inputs
from crm.identity.api.output import REGISTERED, SIGNED_IN, TOKENS, USER, signed_in_out, tokens_out, userinfo_out
from crm.identity.enums import SessionKind
from crm.identity.middleware import client_of
from crm.identity.models import AuthSession
from crm.identity.services.passwords import (
    ask_password_reset,
    change_password,
    confirm_password_reset,
)
from crm.identity.services.registration import register, resend_code
from crm.identity.services.signin import (
    issue_tokens,
    refresh_tokens,
    sign_in,
    sign_out,
    verify_and_sign_in,
)
from crm.identity.tokens import Tokens, access_lifetime
from crm.rest.description import component, described
from crm.rest.envelope import success
from crm.rest.serializers import read
from crm.rest.views import ApiView, OpenApiView

_TAGS = ["auth"]


class RegisterView(OpenApiView):
    """Sign up."""

    @extend_schema(
        request=inputs.RegisterIn,
        responses={201: described("Registered", REGISTERED, message=True)},
        tags=_TAGS,
        summary="Sign up",
        auth=[],
    )
    def post(self, request: Request) -> Response:
        registration = register(**read(inputs.RegisterIn, request.data))
        data = {"user_id": registration.pk, "username": registration.username, "email": registration.email}
        return success(request, data, message="User registered successfully. Please check your email for verification.", status=201)


class LoginView(OpenApiView):
    """Sign in by e-mail and password."""

    @extend_schema(request=inputs.LoginIn, responses={200: described("SignedIn", SIGNED_IN)}, tags=_TAGS, summary="Sign in", auth=[])
    def post(self, request: Request) -> Response:
        session = sign_in(**read(inputs.LoginIn, request.data), kind=SessionKind.API, client=client_of(request))
        return signed_in(request, session)


class VerifyView(OpenApiView):
    """Confirm an e-mail address by the mailed code, and sign in."""

    @extend_schema(
        request=inputs.VerifyIn, responses={200: described("SignedIn", SIGNED_IN)}, tags=_TAGS, summary="Confirm an e-mail address", auth=[]
    )
    def post(self, request: Request) -> Response:
        body = read(inputs.VerifyIn, request.data)
        session = verify_and_sign_in(
            email=body["email"],
            code=body["otp"].strip(),
            registration_id=body.get("user_id"),
            kind=SessionKind.API,
            client=client_of(request),
        )
        return signed_in(request, session, message="Your e-mail address is verified.")


class ResendView(OpenApiView):
    """Mail a fresh code."""

    @extend_schema(
        request=inputs.EmailIn, responses={200: described("Resent", message=True)}, tags=_TAGS, summary="Mail a fresh code", auth=[]
    )
    def post(self, request: Request) -> Response:
        resend_code(**read(inputs.EmailIn, request.data))
        return success(request, None, message="If this address is waiting to be verified, a new code is on its way.")


class RefreshView(OpenApiView):
    """Swap a refresh token for new tokens. Each serves once; a second use ends the session."""

    @extend_schema(request=inputs.RefreshIn, responses={200: described("Tokens", TOKENS)}, tags=_TAGS, summary="Refresh tokens", auth=[])
    def post(self, request: Request) -> Response:
        tokens = refresh_tokens(refresh=read(inputs.RefreshIn, request.data)["refresh_token"])
        return with_cookie(success(request, tokens_out(tokens)), tokens)


class LogoutView(ApiView):
    """End the session and its tokens."""

    @extend_schema(request=None, responses={200: described("LoggedOut", message=True)}, tags=_TAGS, summary="Sign out")
    def post(self, request: Request) -> Response:
        sign_out(session=own_session(request))
        response = success(request, None, message="You are signed out.")
        response.delete_cookie("token", samesite="Lax")
        return response


class PasswordResetView(OpenApiView):
    """Ask for a mail to set a new password."""

    @extend_schema(
        request=inputs.EmailIn,
        responses={200: described("ResetAsked", message=True)},
        tags=_TAGS,
        summary="Ask for a password reset",
        auth=[],
    )
    def post(self, request: Request) -> Response:
        ask_password_reset(**read(inputs.EmailIn, request.data))
        return success(request, None, message="If this address has an account, a mail with a link is on its way.")


class PasswordConfirmView(OpenApiView):
    """Set a new password with the mailed token."""

    @extend_schema(
        request=inputs.ConfirmIn,
        responses={200: described("ResetDone", message=True)},
        tags=_TAGS,
        summary="Finish a password reset",
        auth=[],
    )
    def post(self, request: Request) -> Response:
        confirm_password_reset(**read(inputs.ConfirmIn, request.data))
        return success(request, None, message="Your password is set. Please sign in.")


class PasswordChangeView(ApiView):
    """Change one's own password; ends all other sessions."""

    @extend_schema(
        request=inputs.ChangePasswordIn,
        responses={200: described("PasswordChanged", message=True)},
        tags=_TAGS,
        summary="Change one's password",
    )
    def post(self, request: Request) -> Response:
        session = own_session(request)
        body = read(inputs.ChangePasswordIn, request.data)
        change_password(user=request.user, current=body["current_password"], new=body["new_password"], keep=session)
        return success(request, None, message="Your password is changed. All your other sessions are ended.")


class UserInfoView(ApiView):
    """Who is signed in, and what they may do."""

    @extend_schema(
        responses={
            200: described(
                "UserInfo",
                {
                    **USER,
                    "permissions": serializers.ListField(child=serializers.CharField()),
                    "team_ids": serializers.ListField(child=serializers.IntegerField()),
                    "entity": component("Entity", {}),
                },
            )
        },
        tags=_TAGS,
        summary="Read the signed-in user",
    )
    def get(self, request: Request) -> Response:
        return success(request, userinfo_out(request.user))


def signed_in(request: Request, session: AuthSession, *, message: str | None = None) -> Response:
    """Document 1's answer with the tokens of a fresh session, and the cookie."""
    tokens = issue_tokens(session=session)
    return with_cookie(success(request, signed_in_out(session.user, tokens), message=message), tokens)


def with_cookie(response: Response, tokens: Tokens) -> Response:
    """Set the cookie `token` beside the answer: out of scripts' reach, not sent with other sites' forms."""
    lifetime = int(access_lifetime().total_seconds())
    response.set_cookie("token", tokens.access, max_age=lifetime, httponly=True, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE)
    response["Cache-Control"] = "no-store"
    return response


def own_session(request: Request) -> AuthSession:
    """The session one signed in with. An API key has none."""
    session: AuthSession | None = request.auth.session
    if session is None:
        raise Forbidden("This needs a sign-in; an API key has no session.")
    return session
