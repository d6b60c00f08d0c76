"""The addresses at which the telephone company reports. No sign-in: the address names the tenant, the signature the sender."""

from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from dialer.services.telephony.callbacks import Forged, Report, UnknownAddress, receive_report


@csrf_exempt
@require_POST
def voice_report(request: HttpRequest, key: str, public_id: UUID, kind: str) -> HttpResponse:
    """Take in a report; answers XML that says what is to be done, 403 for a forged one, 404 for what we do not know."""
    report = Report(
        key=key,
        public_id=public_id,
        kind=kind,
        # Signed is the address that the company was given, whatever a proxy made of it.
        url=f"{settings.VOICE_PUBLIC_URL}{request.get_full_path()}",
        params=dict(request.POST.lists()),
        signature=request.headers.get("X-Twilio-Signature", ""),
    )
    try:
        answer = receive_report(report, now=timezone.now())
    except UnknownAddress:
        return HttpResponse(status=404)
    except Forged:
        return HttpResponse(status=403)
    return HttpResponse(f'<?xml version="1.0" encoding="UTF-8"?>{answer}', content_type="text/xml; charset=utf-8")


app_name = "voice"
urlpatterns = [path("<str:key>/<uuid:public_id>/<str:kind>", voice_report, name="report")]
