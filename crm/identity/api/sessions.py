"""A person's own sessions: S4-205 to S4-208."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.identity.api import inputs
from crm.identity.api.output import SESSION, session_out
from crm.identity.api.signing import own_session
from crm.identity.authentication import session_of
from crm.identity.selectors import open_sessions
from crm.identity.services.signin import end_session
from crm.identity.tokens import read_access
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import read
from crm.rest.views import ApiView, parse_id

_TAGS = ["auth"]
_VALIDITY = {
    "valid": serializers.BooleanField(),
    "session_id": serializers.IntegerField(allow_null=True),
    "user_id": serializers.IntegerField(allow_null=True),
    "expires_at": serializers.DateTimeField(allow_null=True),
}


class SessionsView(ApiView):
    """The caller's open sessions, the present one marked."""

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Session", SESSION, many=True)},
        tags=_TAGS,
        summary="List open sessions",
        operation_id="sessions_list",
    )
    def get(self, request: Request) -> Response:
        current = own_session(request)
        return paged(request, open_sessions(request.user), lambda session: session_out(session, current))


class SessionView(ApiView):
    """One of the caller's sessions."""

    @extend_schema(responses={200: described("SessionEnded", message=True)}, tags=_TAGS, summary="End a session")
    def delete(self, request: Request, id: str) -> Response:
        own_session(request)
        end_session(user=request.user, session_id=parse_id(id))
        return success(request, None, message="The session is ended.")


class CurrentSessionView(ApiView):
    """The session in use."""

    @extend_schema(responses={200: described("Session", SESSION)}, tags=_TAGS, summary="Read the present session")
    def get(self, request: Request) -> Response:
        session = own_session(request)
        return success(request, session_out(session, session))


class ValidateView(ApiView):
    """Whether a token of one's own still opens its session."""

    @extend_schema(
        request=inputs.ValidateIn, responses={200: described("Validity", _VALIDITY)}, tags=_TAGS, summary="Check that a session is valid"
    )
    def post(self, request: Request) -> Response:
        token = read(inputs.ValidateIn, request.data).get("token")
        session = request.auth.session
        if token is not None:
            claims = read_access(token)
            session = session_of(claims["sid"], user_id=request.user.pk) if claims and claims["user_id"] == request.user.pk else None
        data = {
            "valid": session is not None or (token is None and request.auth.key is not None),
            "session_id": session.pk if session else None,
            "user_id": request.user.pk if session else None,
            "expires_at": session.expires_at if session else None,
        }
        return success(request, data)
