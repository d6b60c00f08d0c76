"""Open pages: what five hundred live streams cost the process that serves them, and how soon a message is with all of them."""

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from bench.cases import Bench
from crm.events import live
from crm.identity.enums import SessionKind
from crm.identity.middleware import SESSION_KEY
from crm.identity.models import AuthSession, User
from crm.tenancy.scope import tenant_scope

STREAMS = 500


def streams(bench: Bench) -> dict[str, Any]:
    """Five hundred streams on one process."""
    print(f"{STREAMS} open live streams (to reach: under 300 MB)")
    tenant_id = bench.written_id
    cookie = _cookie(tenant_id)
    with _events_process() as (process, at):
        sockets = [_open(at, cookie)]
        _wait_for(sockets[0], b"retry: 3000")
        empty = _megabytes(process.pid)
        sockets += [_open(at, cookie) for _ in range(STREAMS - 1)]
        for each in sockets[1:]:
            _wait_for(each, b"retry: 3000")
        full = _megabytes(process.pid)
        took = [_told(sockets, tenant_id, number) for number in range(5)]
        for each in sockets:
            each.close()
    print(f"  {full:,.0f} MB, {empty:,.0f} MB with one; a message is with all of them after {max(took):,.0f} ms at most")
    return {"megabytes": full, "with_one": empty, "told_ms": took}


def _cookie(tenant_id: int) -> str:
    with tenant_scope(tenant_id):
        user = User.objects.filter(is_active=True).earliest("pk")
        session = AuthSession.objects.create(
            tenant_id=tenant_id, user=user, kind=SessionKind.PAGE, expires_at=timezone.now() + timedelta(hours=1)
        )
    store = SessionStore()
    store[SESSION_KEY] = session.pk
    store.save()
    return f"{settings.SESSION_COOKIE_NAME}={store.session_key}"


@contextlib.contextmanager
def _events_process() -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """The events process as `make run` starts it, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "crm.asgi:application", "--worker-class", "asgi", "--workers", "1", "--threads", "1"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "crm.settings", "LOG_LEVEL": "ERROR", "ALLOWED_HOSTS": "*"}
    process = subprocess.Popen(
        [*command, "--max-requests", "0", "--graceful-timeout", "2", "--log-level", "error", "--bind", f"127.0.0.1:{port}"], env=environment
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
                break
            time.sleep(0.1)
        yield process, port
    finally:
        process.terminate()
        process.wait(30)


def _open(port: int, cookie: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    request = f"GET /events/stream HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n\r\n"
    connection.sendall(request.encode())
    return connection


def _wait_for(connection: socket.socket, text: bytes) -> None:
    heard = b""
    while text not in heard:
        part = connection.recv(4096)
        if not part:
            raise RuntimeError(f"The stream ended: {heard[:300]!r}")
        heard += part


def _told(sockets: list[socket.socket], tenant_id: int, number: int) -> float:
    """Milliseconds until every stream has heard one message."""
    time.sleep(0.3)
    started = time.perf_counter()
    mark = f"bench.{number}"
    live.client().publish(live.channel(tenant_id), json.dumps({"event": mark, "data": {}, "user_id": None}))
    waiting = {each.fileno(): each for each in sockets}
    while waiting:
        ready, _, _ = select.select(list(waiting.values()), [], [], 10)
        if not ready:
            raise RuntimeError(f"{len(waiting)} streams heard nothing.")
        for each in ready:
            if mark.encode() in each.recv(4096):
                waiting.pop(each.fileno(), None)
    return (time.perf_counter() - started) * 1000


def _megabytes(pid: int) -> float:
    """Resident memory of a process and its children."""
    pids = [pid, *(int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    kilobytes = 0
    for each in pids:
        status = Path(f"/proc/{each}/status").read_text()
        kilobytes += next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
    return kilobytes / 1024
