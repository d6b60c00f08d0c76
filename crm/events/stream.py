"""Server-sent events, served by their own small ASGI process. The stream holds no database connection and no scope."""

import asyncio
import json
from collections.abc import AsyncIterator

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connections
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from crm.events.live import channel

HEARTBEAT = 20.0
# A stream ends by itself; the browser reconnects and is checked again, so a session that was ended does not listen on.
LIFETIME = 600.0


async def stream(request: HttpRequest) -> HttpResponse:
    """The signed-in user's live events. Other origins than the site's own get no credentials."""
    user = await sync_to_async(_signed_in, thread_sensitive=True)(request)
    if user is None:
        response: HttpResponse | StreamingHttpResponse = HttpResponse(status=401)
    else:
        response = StreamingHttpResponse(_events(*user), content_type="text/event-stream")
        response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    origin = request.headers.get("Origin", "")
    if origin and origin.split("://", 1)[-1].rsplit(":", 1)[0] == request.get_host().rsplit(":", 1)[0]:
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Credentials"] = "true"
        response["Vary"] = "Origin"
    return response  # type: ignore[return-value]


def _signed_in(request: HttpRequest) -> tuple[int, int] | None:
    try:
        user = request.user
        return (user.pk, user.tenant_id) if user.is_authenticated and user.tenant_id else None  # type: ignore[union-attr]
    finally:
        connections.close_all()


async def _events(user_id: int, tenant_id: int) -> AsyncIterator[bytes]:
    source = redis.asyncio.Redis.from_url(settings.REDIS_URL)
    listener = source.pubsub(ignore_subscribe_messages=True)
    deadline = asyncio.get_running_loop().time() + LIFETIME
    try:
        await listener.subscribe(channel(tenant_id))
        yield b"retry: 3000\n\n"
        while asyncio.get_running_loop().time() < deadline:
            message = await listener.get_message(timeout=HEARTBEAT)
            if message is None:
                yield b": still here\n\n"
                continue
            content = json.loads(message["data"])
            if content["user_id"] in (None, user_id):
                yield f"data: {json.dumps({'event': content['event'], 'data': content['data']})}\n\n".encode()
    finally:
        await listener.aclose()
        await source.aclose()
