"""Live events: who is told, and what happens when the broker goes away or a reader is slow.

Loops run in a thread of their own: a browser's loop may be running in this one.
"""

import asyncio
import json
import threading

import pytest
import redis.asyncio
from django.conf import settings as django_settings
from django.utils import timezone

from crm.asgi import _who
from crm.events import hub as hubs
from crm.events import live, stream
from crm.events.hub import LOOK_ANEW, MOST_WAITING, Hub
from crm.identity.models import AuthSession
from crm.tenancy.scope import tenant_scope

pytestmark = pytest.mark.django_db


def in_a_loop(work):
    """Run a coroutine function in a thread, and answer or raise what it does."""
    outcome = {}

    def run() -> None:
        try:
            outcome["answer"] = asyncio.run(work())
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    if "error" in outcome:
        raise outcome["error"]
    return outcome["answer"]


def announced(event: str, **where) -> None:
    """As `announce` sends it after commit."""
    live.client().publish(live.channel(where.pop("tenant_id")), json.dumps({"event": event, "data": {}, "user_id": where.get("user_id")}))


async def read(events, wanted: int) -> list[str]:
    """The names of the next messages of a stream."""
    names: list[str] = []
    async for chunk in events:
        if chunk.startswith(b"data: "):
            names.append(json.loads(chunk[6:])["event"])
        if len(names) == wanted:
            break
    return names


async def listening(streams: list) -> None:
    """Begin the streams and wait until the listener hears."""
    for events in streams:
        assert await anext(events) == b"retry: 3000\n\n"
    await asyncio.sleep(0.3)


def test_a_message_reaches_the_tenants_people_or_the_one_it_is_for(tenant, alice, bob, mallory):
    async def work():
        streams = [stream.events_of(person.pk, person.tenant_id) for person in (alice, bob, mallory)]
        await listening(streams)
        await asyncio.to_thread(announced, "for.bob", tenant_id=tenant.pk, user_id=bob.pk)
        await asyncio.to_thread(announced, "for.all", tenant_id=tenant.pk)
        await asyncio.to_thread(announced, "next.door", tenant_id=mallory.tenant_id)
        heard = [await asyncio.wait_for(read(events, wanted), 5) for events, wanted in zip(streams, (1, 2, 1), strict=True)]
        for events in streams:
            await events.aclose()
        return heard

    assert in_a_loop(work) == [["for.all"], ["for.bob", "for.all"], ["next.door"]]


def test_all_streams_of_a_process_share_one_connection_and_the_last_closes_it(alice):
    async def work():
        watcher = redis.asyncio.Redis.from_url(django_settings.REDIS_URL)
        before = len(await watcher.client_list())
        streams = [stream.events_of(alice.pk, alice.tenant_id) for _ in range(40)]
        await listening(streams)
        during = len(await watcher.client_list())
        for events in streams:
            await events.aclose()
        await asyncio.sleep(0.3)
        after = len(await watcher.client_list())
        await watcher.aclose()
        return during - before, after - before

    assert in_a_loop(work) == (1, 0)


def test_a_listener_that_was_cut_off_comes_back_and_tells_pages_to_look_anew(alice, monkeypatch):
    monkeypatch.setattr(hubs, "RETRY", 0.1)

    async def work():
        events = stream.events_of(alice.pk, alice.tenant_id)
        await listening([events])
        await asyncio.to_thread(live.client().execute_command, "CLIENT", "KILL", "TYPE", "PUBSUB")
        heard = await asyncio.wait_for(read(events, 1), 10)
        await asyncio.to_thread(announced, "after.all", tenant_id=alice.tenant_id)
        heard += await asyncio.wait_for(read(events, 1), 10)
        await events.aclose()
        return heard

    assert in_a_loop(work) == ["open", "after.all"]


def test_a_reader_that_fell_behind_is_told_once_to_look_anew():
    async def work():
        hub = Hub()
        async with hub.stream(7) as queue:
            for number in range(MOST_WAITING + 1):
                hub._hand_out(7, json.dumps({"event": str(number), "data": {}, "user_id": None}).encode())
            return queue.qsize(), queue.get_nowait()

    assert in_a_loop(work) == (1, LOOK_ANEW)


def test_announcing_waits_for_the_commit(tenant, alice, django_capture_on_commit_callbacks):
    async def work():
        events = stream.events_of(alice.pk, alice.tenant_id)
        await listening([events])
        for callback in callbacks:
            await asyncio.to_thread(callback)
        heard = await asyncio.wait_for(read(events, 1), 5)
        await events.aclose()
        return heard

    with django_capture_on_commit_callbacks() as callbacks, tenant_scope(tenant.pk):
        live.announce("kettle.boiled")
    assert len(callbacks) == 1
    assert in_a_loop(work) == ["kettle.boiled"]


# --- the door ---


class Browser:
    """The other end of one request."""

    def __init__(self, headers: dict[str, str], method: str = "GET") -> None:
        self.scope = {
            "type": "http",
            "method": method,
            "path": "/events/stream",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self.sent: list[dict] = []
        self.gone = asyncio.Event()

    async def receive(self) -> dict:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict) -> None:
        self.sent.append(message)

    async def visit(self, who) -> dict:
        """Open the stream, leave after a moment, and answer how it began."""
        visit = asyncio.create_task(stream.serve(self.scope, self.receive, self.send, who=who))
        await asyncio.sleep(0.5)
        self.gone.set()
        await asyncio.wait_for(visit, 5)
        start = self.sent[0]
        return {
            "status": start["status"],
            "body": self.sent[1]["body"],
            **{name.decode(): value.decode() for name, value in start["headers"]},
        }


def visit(headers: dict[str, str], who, **values) -> dict:
    return in_a_loop(lambda: Browser(headers, **values).visit(who))


def test_only_a_signed_in_browser_is_told_anything(alice):
    cookie = f"theme=dark; {django_settings.SESSION_COOKIE_NAME}=key-of-alice"

    def who(key: str):
        return (alice.pk, alice.tenant_id) if key == "key-of-alice" else None

    answer = visit({"cookie": cookie, "host": "crm.example"}, who)
    assert (answer["status"], answer["content-type"], answer["body"]) == (200, "text/event-stream", b"retry: 3000\n\n")
    for headers in ({}, {"cookie": "sessionid"}, {"cookie": cookie.replace("alice", "nobody")}):
        answer = visit(headers, who)
        assert (answer["status"], answer["body"], answer["cache-control"]) == (401, b"", "no-store")
    assert visit({"cookie": cookie}, who, method="POST")["status"] == 405


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://crm.example:3000", True),
        ("http://evil.example:3000", False),
        ("http://crm.example:9999", False),
        ("https://crm.example:3000", False),
        ("null", False),
        ("", False),
    ],
)
def test_only_the_sites_own_pages_may_listen_with_their_credentials(alice, origin, allowed, settings):
    settings.SITE_URL = "http://localhost:3000"
    headers = {"cookie": f"{django_settings.SESSION_COOKIE_NAME}=x", "host": "crm.example:3001", "origin": origin}
    answer = visit(headers, lambda _key: (alice.pk, alice.tenant_id))
    assert answer.get("access-control-allow-origin") == (origin if allowed else None)


def test_a_stream_ends_soon_after_its_session(alice, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT", 0.1)
    answers = [(alice.pk, alice.tenant_id)] * 2

    async def work():
        browser = Browser({"cookie": f"{django_settings.SESSION_COOKIE_NAME}=x"})
        await asyncio.wait_for(
            stream.serve(browser.scope, browser.receive, browser.send, who=lambda _key: answers.pop() if answers else None), 5
        )
        return browser.sent[0]["status"]

    assert in_a_loop(work) == 200


def test_the_process_knows_a_browsers_session_until_it_is_ended(alice, pages):
    key = pages(alice).cookies[django_settings.SESSION_COOKIE_NAME].value
    assert _who(key) == (alice.pk, alice.tenant_id)
    AuthSession.objects.update(ended_at=timezone.now())
    assert _who(key) is None
    assert _who("made-up") is None
