"""The website webhook: JSON from programs, JSON or an ordinary form post from browsers of other sites."""

from typing import Any, ClassVar

from django.conf import settings
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.rest.parsers import JSONParser
from crm.rest.throttles import Limit, spend
from crm.rest.views import OpenApiView, client_ip
from webhooks.services.website import Submission, form_of_key, receive_submission

_ALLOWED_HEADERS = "Content-Type, X-Form-Key, X-Signature, Idempotency-Key"


class WebsiteSubmission(serializers.Serializer[Any]):
    """Document 1's website payload; `answers` takes any fields."""

    platform = serializers.CharField(required=False)
    entity_id = serializers.IntegerField(required=False, help_text="For tenants whose open form is enabled; else send X-Form-Key")
    page_url = serializers.CharField(required=False)
    page_id = serializers.CharField(required=False)
    utm = serializers.DictField(required=False)
    answers = serializers.DictField()


class WebsiteReceipt(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    lead_id = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class WebsiteWebhookView(OpenApiView):
    """S1-54. Answers across origins: any for a form without allowed origins, else those alone."""

    rate_kind = "webhook"
    parser_classes: ClassVar[list[type]] = [JSONParser, FormParser, MultiPartParser]

    @extend_schema(
        summary="Take in a lead from a website",
        tags=["webhooks"],
        auth=[],
        request=WebsiteSubmission,
        responses={200: WebsiteReceipt},
        parameters=[
            OpenApiParameter("X-Form-Key", str, OpenApiParameter.HEADER, description="The form's public key"),
            OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Makes a repeated submission the same one"),
            OpenApiParameter(
                "X-Signature", str, OpenApiParameter.HEADER, description="t=<epoch>,v1=<hex HMAC-SHA256 of 't.body'>, where asked for"
            ),
        ],
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = request._request.body
        payload = self._payload(request)
        if payload.get("platform") not in (None, "", "website"):
            raise InvalidInput({"platform": ["Must be website."]})
        spend([Limit(key=f"webhook:{client_ip(request)}", calls=settings.RATE_LIMITS_PER_MINUTE["webhook"], seconds=60)])
        received = receive_submission(
            submission=Submission(
                payload=payload,
                form_key=request.headers.get("X-Form-Key", "") or str(payload.get("form_key") or request.query_params.get("form_key", "")),
                origin=request.headers.get("Origin", ""),
                signature=request.headers.get("X-Signature", ""),
                idempotency_key=request.headers.get("Idempotency-Key", ""),
                body=body,
            )
        )
        answer: dict[str, Any] = {"success": True, "lead_id": received.lead_id, "message": "Lead received successfully"}
        if received.redirect_url and self._is_plain_form(request):
            return Response(answer, status=303, headers={"Location": received.redirect_url})
        return Response(answer)

    @staticmethod
    def _is_plain_form(request: Request) -> bool:
        return not request.content_type.startswith("application/json")

    def _payload(self, request: Request) -> dict[str, Any]:
        data = request.data
        if isinstance(data, dict) and not hasattr(data, "getlist"):
            return data
        if not hasattr(data, "getlist"):
            raise InvalidInput({"": ["The body must be a JSON object."]})
        # An ordinary form post: the fields of the form are the answers, `utm_*` and the page beside them.
        fields = {key: data.getlist(key)[-1] for key in data}
        # Files are not taken in; that one was attached is kept by its name.
        fields = {key: value if isinstance(value, str) else value.name or "" for key, value in fields.items()}
        known = {
            key: fields.pop(key) for key in ("platform", "entity_id", "form_key", "page_url", "page_id", "source_lead_id") if key in fields
        }
        utm = {key[4:]: fields.pop(key) for key in list(fields) if key.startswith("utm_")}
        known.setdefault("page_url", request.headers.get("Referer", ""))
        return {**known, "utm": utm, "answers": fields}

    @extend_schema(exclude=True)
    def options(self, request: Request, **_: Any) -> Response:
        return Response(status=204)

    def check_in(self, request: Request) -> None:
        """The webhook's own limit is spent once the body is known; a preflight costs nothing."""
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request, force=True)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        origin = request.headers.get("Origin", "")
        if origin and self._may_read(request, origin):
            response["Access-Control-Allow-Origin"] = origin
            response["Access-Control-Allow-Methods"] = "POST, OPTIONS"
            response["Access-Control-Allow-Headers"] = _ALLOWED_HEADERS
            response["Access-Control-Max-Age"] = "600"
            response["Vary"] = "Origin"
        return response

    @staticmethod
    def _may_read(request: Any, origin: str) -> bool:
        key = request.headers.get("X-Form-Key", "") or request.query_params.get("form_key", "")
        found = form_of_key(key) if key else None
        # Without a key (a preflight bears none) reading is allowed: the answer holds nothing, and the post itself is checked.
        return found is None or not found[1].allowed_origins or origin.rstrip("/") in found[1].allowed_origins
