"""Connected pages, and deliveries as Facebook signs and sends them."""

import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from django.test import Client

from crm.actors import Actor
from crm.tenancy.models import Tenant
from leads.models import Arrival
from tests.factories import inside
from tests.webhooks.graph_server import VERSION, GraphServer, serving
from webhooks.enums import SourceKind
from webhooks.models import Source
from webhooks.services.sources import SourceSettings, save_source

URL = "/api/webhooks/facebook"
SECRET = "app-secret"
PAGE = "1234567890"


def connect_page(tenant: Tenant, page_id: str = PAGE, *, name: str = "", token: str | None = "page-token", **more: Any) -> Source:
    """A connected Facebook page of a tenant."""
    wanted = SourceSettings(name=name or f"Page {page_id}", external_id=page_id, token=token, **more)
    with inside(tenant.pk):
        return save_source(kind=SourceKind.FACEBOOK, source=None, wanted=wanted, by=Actor.system(tenant_id=tenant.pk))


@contextmanager
def graph_in_place(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphServer]:
    """A Graph API that the product asks, and that knows the app's secret."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings.FB_APP_SECRET, settings.FB_GRAPH_VERSION, settings.FB_GRAPH_TIMEOUT = SECRET, VERSION, 5
    settings.FB_PAGE_ACCESS_TOKEN = ""
    with serving() as server:
        settings.FB_GRAPH_URL, server.app_secret = server.url, SECRET
        yield server


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def send(payload, *, signature: str | None = None, **headers):
    body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
    headers["HTTP_X_HUB_SIGNATURE_256"] = sign(body) if signature is None else signature
    return Client().generic("POST", URL, body, content_type="application/json", **headers)


def named(leadgen_id="444", *, page_id=PAGE, **more) -> dict:
    value = {"leadgen_id": leadgen_id, "form_id": "7", "page_id": page_id, "ad_id": "8", "campaign_id": "9", "created_time": 1718032990}
    return {"field": "leadgen", "value": {**value, **more}}


def delivery(*changes, page_id=PAGE) -> dict:
    return {"object": "page", "entry": [{"id": page_id, "time": 1718033000000, "changes": list(changes)}]}


def arrivals(tenant: Tenant) -> list[Arrival]:
    with inside(tenant.pk):
        return list(Arrival.objects.order_by("pk"))
