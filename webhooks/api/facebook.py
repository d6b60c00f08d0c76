"""Facebook's webhook: its check of the address, and its signed deliveries. No sign-in: the one knows our word, the other our secret."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.views import OpenApiView
from webhooks.services.facebook import confirm_subscription, receive_delivery


class FacebookLeadNamed(serializers.Serializer[Any]):
    leadgen_id = serializers.CharField()
    form_id = serializers.CharField(required=False)
    page_id = serializers.CharField(required=False)
    ad_id = serializers.CharField(required=False)
    campaign_id = serializers.CharField(required=False)
    created_time = serializers.IntegerField(required=False, help_text="Seconds since 1970")


class FacebookChange(serializers.Serializer[Any]):
    field = serializers.CharField(help_text="leadgen; others are ignored")
    value = FacebookLeadNamed()


class FacebookEntry(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The page's id")
    time = serializers.IntegerField(required=False)
    changes = FacebookChange(many=True)


class FacebookDelivery(serializers.Serializer[Any]):
    """What Facebook sends; many entries and changes at once."""

    object = serializers.CharField(help_text="page; others are ignored")
    entry = FacebookEntry(many=True)


class FacebookReceipt(serializers.Serializer[Any]):
    success = serializers.BooleanField()


class FacebookWebhookView(OpenApiView):
    """S1-52, S1-53."""

    rate_kind = "webhook"

    @extend_schema(
        summary="Answer Facebook's check of this address",
        tags=["webhooks"],
        auth=[],
        parameters=[
            OpenApiParameter("hub.mode", str, required=True, description="subscribe"),
            OpenApiParameter("hub.verify_token", str, required=True, description="FB_VERIFY_TOKEN"),
            OpenApiParameter("hub.challenge", str, required=True, description="Answered as it is"),
        ],
        responses={(200, "text/plain"): OpenApiTypes.STR},
    )
    def get(self, request: Request, **_: Any) -> HttpResponse:
        given = request.query_params
        challenge = confirm_subscription(
            mode=given.get("hub.mode", ""), token=given.get("hub.verify_token", ""), challenge=given.get("hub.challenge", "")
        )
        return HttpResponse(challenge, content_type="text/plain; charset=utf-8")

    @extend_schema(
        summary="Take in leads from Facebook's and Instagram's lead forms",
        tags=["webhooks"],
        auth=[],
        request=FacebookDelivery,
        responses={200: FacebookReceipt},
        parameters=[
            OpenApiParameter(
                "X-Hub-Signature-256",
                str,
                OpenApiParameter.HEADER,
                required=True,
                description="sha256=<hex HMAC-SHA256 of the body under FB_APP_SECRET>",
            )
        ],
    )
    def post(self, request: Request, **_: Any) -> Response:
        # The very bytes that were signed; Django refuses more than it takes with 413.
        receive_delivery(body=request._request.body, signature=request.headers.get("X-Hub-Signature-256", ""))
        return Response({"success": True})
