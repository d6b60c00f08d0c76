"""Prometheus metrics, added up over all web workers. For the one who holds the token, or for this machine only."""

import os
import secrets

from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_prometheus.exports import ExportToDjangoView

LOOPBACK = {"127.0.0.1", "::1"}


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    if not may_read_metrics(request):
        return HttpResponseForbidden("Metrics need METRICS_TOKEN as a bearer token.\n", content_type="text/plain")
    page: HttpResponse = ExportToDjangoView(request)
    return page


def may_read_metrics(request: HttpRequest) -> bool:
    """Ask for METRICS_TOKEN where one is set. Without one, allow this machine, unless a proxy on it speaks for someone else."""
    token = os.environ.get("METRICS_TOKEN", "")
    if token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(given.encode(), token.encode())
    return request.META.get("REMOTE_ADDR") in LOOPBACK and "X-Forwarded-For" not in request.headers
