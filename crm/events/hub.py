"""One listener on Valkey for all open streams of a process: a tenant's messages are handed to the streams of its people."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

import redis.asyncio
import structlog
from django.conf import settings

from crm.events.live import CHANNELS, tenant_of

log = structlog.get_logger(__name__)
# Who reads slower than that missed something, and is told to look anew.
MOST_WAITING = 100
RETRY = 1.0
Message = dict[str, Any]
# What a page is told where messages may have passed it by.
LOOK_ANEW: Message = {"event": "open", "data": {}, "user_id": None}


class Hub:
    """The streams of one event loop. It listens while there are any."""

    def __init__(self) -> None:
        self._streams: dict[int, set[asyncio.Queue[Message]]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def stream(self, tenant_id: int) -> AsyncIterator["asyncio.Queue[Message]"]:
        """A queue of what is announced in the tenant from now on."""
        queue: asyncio.Queue[Message] = asyncio.Queue(MOST_WAITING)
        self._streams[tenant_id].add(queue)
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        try:
            yield queue
        finally:
            self._streams[tenant_id].discard(queue)
            if not self._streams[tenant_id]:
                del self._streams[tenant_id]
            if not self._streams and self._listening is not None:
                self._listening.cancel()
                self._listening = None

    async def _listen(self) -> None:
        """Hand out messages until nobody listens. A broker that went away is asked again; then all look anew."""
        missed = False
        while True:
            source = redis.asyncio.Redis.from_url(settings.REDIS_URL, health_check_interval=15)
            listener = source.pubsub(ignore_subscribe_messages=True)
            try:
                await listener.psubscribe(f"{CHANNELS}*")
                if missed:
                    self._tell_all(LOOK_ANEW)
                missed = False
                while True:
                    message = await listener.get_message(timeout=30)
                    if message is not None:
                        self._hand_out(tenant_of(message["channel"].decode()), message["data"])
            except (redis.RedisError, OSError) as error:
                log.warning("live_listener_failed", error=str(error))
                missed = True
                await asyncio.sleep(RETRY)
            finally:
                await listener.aclose()  # type: ignore[attr-defined]
                await source.aclose()  # type: ignore[attr-defined]

    def _hand_out(self, tenant_id: int, data: bytes) -> None:
        if tenant_id in self._streams:
            content = json.loads(data)
            for queue in self._streams[tenant_id]:
                _put(queue, content)

    def _tell_all(self, message: Message) -> None:
        for queues in self._streams.values():
            for queue in queues:
                _put(queue, message)


def _put(queue: "asyncio.Queue[Message]", message: Message) -> None:
    """Add a message; where the reader has fallen behind, all that waits becomes one word to look anew."""
    if queue.full():
        while not queue.empty():
            queue.get_nowait()
        message = LOOK_ANEW
    queue.put_nowait(message)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def hub() -> Hub:
    """The running loop's."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        _hubs[loop] = Hub()
    return _hubs[loop]
