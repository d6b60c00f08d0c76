"""Server-sent events, served by their own small ASGI process. An open stream holds no thread, no database connection and no scope."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import cookies
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connections

from crm.events.hub import hub

PATH = "/events/stream"
HEARTBEAT = 20.0
# A stream ends by itself, so that one whose browser is gone unnoticed does not stay for ever; others reconnect.
LIFETIME = 600.0
# When the process comes back, all open pages come at once; each check needs a database connection.
_door = ThreadPoolExecutor(4, thread_name_prefix="stream-door")

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
# Who a browser session's key stands for: user and tenant, or nobody.
Who = Callable[[str], tuple[int, int] | None]


async def serve(scope: Mapping[str, Any], receive: Receive, send: Send, *, who: Who) -> None:
    """The signed-in user's live events. Other origins than the site's own get no credentials."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    found = await asyncio.get_running_loop().run_in_executor(_door, _checked, who, headers.get("cookie", ""))
    answered = [(b"cache-control", b"no-store"), *_shared_with(headers)]
    if found is None or scope["method"] != "GET":
        await send({"type": "http.response.start", "status": 401 if found is None else 405, "headers": answered})
        await send({"type": "http.response.body", "body": b""})
        return
    answered += [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": answered})
    tasks = {asyncio.create_task(work) for work in (_send_all(*found, send), _gone(receive), _signed_out(who, headers["cookie"]))}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _signed_out(who: Who, sent: str) -> None:
    """Wait until the session is one no more."""
    while await asyncio.get_running_loop().run_in_executor(_door, _checked, who, sent) is not None:
        await asyncio.sleep(HEARTBEAT)


async def _send_all(user_id: int, tenant_id: int, send: Send) -> None:
    async for chunk in events_of(user_id, tenant_id):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    """Wait until the browser is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _shared_with(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """What lets the site's own pages listen, which are served on another port of the host."""
    origin, site = headers.get("origin", ""), urlsplit(settings.SITE_URL)
    asked, here = urlsplit(origin), urlsplit(f"//{headers.get('host', '')}")
    if not origin or (asked.scheme, asked.port) != (site.scheme, site.port) or asked.hostname not in (site.hostname, here.hostname):
        return []
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


def _checked(who: Who, sent: str) -> tuple[int, int] | None:
    jar: cookies.SimpleCookie = cookies.SimpleCookie()
    try:
        jar.load(sent)
        key = jar.get(settings.SESSION_COOKIE_NAME)
        return who(key.value) if key is not None else None
    except cookies.CookieError:
        return None
    finally:
        connections.close_all()


async def events_of(user_id: int, tenant_id: int) -> AsyncIterator[bytes]:
    """What one person's stream says, until its time is up."""
    deadline = asyncio.get_running_loop().time() + LIFETIME
    async with hub().stream(tenant_id) as queue:
        yield b"retry: 3000\n\n"
        while asyncio.get_running_loop().time() < deadline:
            try:
                message = await asyncio.wait_for(queue.get(), HEARTBEAT)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if message["user_id"] in (None, user_id):
                yield f"data: {json.dumps({'event': message['event'], 'data': message['data']})}\n\n".encode()
