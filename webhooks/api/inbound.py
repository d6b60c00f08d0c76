"""The addresses other systems post to: any JSON or form, and mails. The secret part of the address names the source."""

from typing import Any

from django.conf import settings
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, PolymorphicProxySerializer, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import InvalidInput
from crm.rest.views import OpenApiView
from webhooks.api.bodies import FORM, MULTIPART, kind_of, raw_body, read_body
from webhooks.enums import SourceKind
from webhooks.services.inbound import Delivery, Receipt, open_source, receive_posted_mail, receive_webhook
from webhooks.services.mail import LARGEST

MESSAGE = "Lead received successfully"
_KEY = OpenApiParameter("key", str, OpenApiParameter.PATH, description="The secret part of the source's address")
_SIGNATURES = [
    OpenApiParameter(
        "X-Signature", str, OpenApiParameter.HEADER, description="t=<epoch>,v1=<hex HMAC-SHA256 of 't.body'>, where the source asks for it"
    ),
    OpenApiParameter(
        "X-Hub-Signature-256", str, OpenApiParameter.HEADER, description="sha256=<hex HMAC of the body>, where the source takes it"
    ),
]
_REPEAT = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Makes a repeated delivery the same one")


class InboundReceipt(serializers.Serializer[Any]):
    success = serializers.BooleanField()
    lead_id = serializers.IntegerField(allow_null=True, help_text="Null where it failed or still waits to be read")
    arrival_id = serializers.IntegerField(allow_null=True)
    message = serializers.CharField()


class ListedReceipt(serializers.Serializer[Any]):
    arrival_id = serializers.IntegerField(allow_null=True)
    lead_id = serializers.IntegerField(allow_null=True)
    error = serializers.CharField(required=False, help_text="Why an item was not taken")


class InboundReceipts(serializers.Serializer[Any]):
    """The answer to a list: one receipt an item, in its order. Long lists are read by workers: `lead_id` is null."""

    success = serializers.BooleanField()
    received = serializers.IntegerField()
    arrivals = ListedReceipt(many=True)
    message = serializers.CharField()


class PostedMail(serializers.Serializer[Any]):
    """A mail as fields: `raw` alone, or what SendGrid, Mailgun and Postmark send."""

    raw = serializers.CharField(required=False, help_text="The whole mail")
    subject = serializers.CharField(required=False)
    text = serializers.CharField(required=False)
    html = serializers.CharField(required=False)

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.CharField(required=False), **super().get_fields()}


class InboundView(OpenApiView):
    """Base of the doors behind a secret address."""

    rate_kind = "webhook"

    @staticmethod
    def delivery(request: Request, key: str, most: int) -> Delivery:
        return Delivery(
            key=key,
            body=raw_body(request, most),
            signature=request.headers.get("X-Signature", ""),
            body_hash=request.headers.get("X-Hub-Signature-256", ""),
            idempotency_key=request.headers.get("Idempotency-Key", "").strip(),
        )


class InboundWebhookView(InboundView):
    @extend_schema(
        summary="Take in leads from another system",
        tags=["webhooks"],
        auth=[],
        operation_id="webhooks_in_create",
        request={"application/json": OpenApiTypes.OBJECT, FORM: OpenApiTypes.OBJECT, MULTIPART: OpenApiTypes.OBJECT},
        responses={
            200: PolymorphicProxySerializer(
                component_name="InboundAnswer", serializers=[InboundReceipt, InboundReceipts], resource_type_field_name=None
            )
        },
        parameters=[_KEY, _REPEAT, *_SIGNATURES],
    )
    def post(self, request: Request, key: str, **_: Any) -> Response:
        delivery = self.delivery(request, key, settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        source = open_source(delivery=delivery, kind=SourceKind.WEBHOOK)
        body = read_body(request, delivery.body)
        receipts = receive_webhook(source=source, delivery=delivery, body=body)
        if isinstance(body, list):
            return Response(_listed(receipts))
        return Response(_single(receipts[0]))


class InboundMailView(InboundView):
    @extend_schema(
        summary="Take in a mail",
        tags=["webhooks"],
        auth=[],
        operation_id="webhooks_email_create",
        request={"message/rfc822": OpenApiTypes.BINARY, "application/json": PostedMail, MULTIPART: PostedMail},
        responses={200: InboundReceipt},
        parameters=[_KEY, *_SIGNATURES],
    )
    def post(self, request: Request, key: str, **_: Any) -> Response:
        delivery = self.delivery(request, key, LARGEST)
        source = open_source(delivery=delivery, kind=SourceKind.EMAIL)
        fields: Any = None
        if kind_of(request) in (FORM, MULTIPART, "application/json"):
            fields = read_body(request, delivery.body)
            if not isinstance(fields, dict):
                raise InvalidInput({"": ["The body must be a JSON object."]})
        return Response(_single(receive_posted_mail(source=source, delivery=delivery, fields=fields)))


def _single(receipt: Receipt) -> dict[str, Any]:
    return {"success": True, "lead_id": receipt.lead_id, "arrival_id": receipt.arrival_id, "message": MESSAGE}


def _listed(receipts: list[Receipt]) -> dict[str, Any]:
    arrivals = [
        {"arrival_id": receipt.arrival_id, "lead_id": receipt.lead_id, **({"error": receipt.error} if receipt.error else {})}
        for receipt in receipts
    ]
    return {"success": True, "received": sum(not receipt.error for receipt in receipts), "arrivals": arrivals, "message": MESSAGE}
