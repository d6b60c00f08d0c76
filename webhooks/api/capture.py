"""Document 4's capture endpoints: leads handed over by somebody signed in."""

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.serializers import InputSerializer, WordChoiceField, read
from crm.rest.views import ApiView
from leads.models import Arrival
from webhooks.services import capture

_REPEAT = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER, description="Makes a repeated call the same one")
CAPTURED = described(
    "CapturedLead",
    {
        "lead_id": serializers.IntegerField(allow_null=True),
        "arrival_id": serializers.IntegerField(),
        "was_duplicate": serializers.BooleanField(help_text="It joined a lead that was there"),
        "status": serializers.ChoiceField(["created", "merged", "failed", "received"], help_text="Received: read later"),
    },
    message=True,
)


def _text(length: int, **options: Any) -> serializers.CharField:
    return serializers.CharField(required=False, allow_blank=True, default="", max_length=length, **options)


class WebFormCapture(InputSerializer):
    """A form's answers, by the form's own names."""

    page_url = _text(2_000)
    page_id = _text(200)
    utm = serializers.DictField(required=False, help_text="source, medium, campaign, term, content")
    answers = serializers.DictField(allow_empty=False)


class EmailCapture(InputSerializer):
    """A mail: its sender, subject and text or HTML; or the whole mail as `raw`."""

    subject = _text(2_000)
    text = _text(1_000_000, trim_whitespace=False)
    html = _text(5_000_000, trim_whitespace=False)
    raw = _text(10_000_000, trim_whitespace=False)

    def get_fields(self) -> dict[str, Any]:
        return {"from": _text(1_000, help_text="Such as Jane Roe <jane@example.com>"), **super().get_fields()}


class SocialCapture(InputSerializer):
    """Somebody on a social network. A name, handle, e-mail or phone is needed."""

    network = WordChoiceField(list(capture.NETWORKS.items()), synonyms={"twitter": "x"})
    profile_url = _text(300)
    handle = _text(100)
    name = _text(200)
    message = _text(50_000)
    email = _text(254)
    phone = _text(60)
    post_url = _text(512)
    campaign = _text(150)


class CaptureView(ApiView):
    capabilities: ClassVar[dict[str, str]] = {"post": "leads.add_lead"}

    @staticmethod
    def idempotency_key(request: Request) -> str:
        return request.headers.get("Idempotency-Key", "").strip()

    @staticmethod
    def answer(request: Request, arrival: Arrival) -> Response:
        data = {
            "lead_id": arrival.lead_id,
            "arrival_id": arrival.pk,
            "was_duplicate": arrival.was_duplicate,
            "status": arrival.outcome,
        }
        message = "Lead captured" if arrival.lead_id else arrival.error or "Kept, to be read later"
        return success(request, data, message=message, status=201)


class WebFormCaptureView(CaptureView):
    @extend_schema(
        summary="Take in a lead from a web form", tags=["capture"], request=WebFormCapture, responses={201: CAPTURED}, parameters=[_REPEAT]
    )
    def post(self, request: Request, **_: Any) -> Response:
        arrival = capture.capture_web_form(
            payload=read(WebFormCapture, request.data), idempotency_key=self.idempotency_key(request), by=self.actor
        )
        return self.answer(request, arrival)


class EmailCaptureView(CaptureView):
    @extend_schema(
        summary="Take in a lead from an e-mail", tags=["capture"], request=EmailCapture, responses={201: CAPTURED}, parameters=[_REPEAT]
    )
    def post(self, request: Request, **_: Any) -> Response:
        arrival = capture.capture_email(
            fields=read(EmailCapture, request.data), idempotency_key=self.idempotency_key(request), by=self.actor
        )
        return self.answer(request, arrival)


class SocialCaptureView(CaptureView):
    @extend_schema(
        summary="Take in a lead from a social network",
        tags=["capture"],
        request=SocialCapture,
        responses={201: CAPTURED},
        parameters=[_REPEAT],
    )
    def post(self, request: Request, **_: Any) -> Response:
        contact = capture.SocialContact(**read(SocialCapture, request.data))
        arrival = capture.capture_social(contact=contact, idempotency_key=self.idempotency_key(request), by=self.actor)
        return self.answer(request, arrival)
