"""A server on this machine that speaks Twilio's voice API as far as calling needs it, and can misbehave."""

import base64
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.utils import timezone

SID, TOKEN = "AC" + "0" * 32, "secret-token"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is answered instead of the truth. `hang` sends nothing for so long; `after` does the work first and then misbehaves."""

    status: int = 500
    body: bytes = b"{}"
    hang: float = 0
    after: bool = False


@dataclass
class VoiceServer:
    """An account with its calls. `faults` are answered first, each once."""

    calls: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    # (method, path, form or query), in order.
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    refuse_numbers: set[str] = field(default_factory=set)
    sound: bytes = b"ID3" + bytes(2000)
    url: str = ""

    def answer(self, method: str, path: str, given: dict[str, list[str]], authorization: str) -> tuple[int, bytes, str]:
        self.asked.append((method, path, given))
        if authorization != "Basic " + base64.b64encode(f"{SID}:{TOKEN}".encode()).decode():
            return _error(401, 20003, "Authenticate")
        parts = path.strip("/").split("/")
        assert parts[:3] == ["2010-04-01", "Accounts", SID]
        rest = parts[3:]
        if method == "POST" and rest == ["Calls.json"]:
            return self._create(given)
        if rest == ["Calls.json"]:
            found = [call for call in self.calls.values() if call["to"] == given["To"][0]]
            return 200, json.dumps({"calls": found[::-1]}).encode(), "application/json"
        if rest[0] == "Recordings":
            return 200, self.sound, "audio/mpeg"
        call = self.calls.get(rest[1].removesuffix(".json"))
        if call is None:
            return _error(404, 20404, "Not found")
        if method == "POST":
            if given["Status"] == ["canceled"] and call["status"] == "in-progress":
                return _error(400, 21220, "Call is not in the expected state")
            call["status"] = given["Status"][0]
        return 200, json.dumps(call).encode(), "application/json"

    def _create(self, given: dict[str, list[str]]) -> tuple[int, bytes, str]:
        to = given["To"][0]
        if to in self.refuse_numbers:
            return _error(400, 21211, f"Invalid 'To' Phone Number: {to}")
        call = {
            "sid": f"CA{len(self.calls):032x}", "to": to, "from": given["From"][0], "status": "queued", "duration": None, "answered_by": None,
            "date_created": format_datetime(timezone.now()),
        }  # fmt: skip
        self.calls[call["sid"]] = call
        return 201, json.dumps(call).encode(), "application/json"


def _error(status: int, code: int, message: str) -> tuple[int, bytes, str]:
    return status, json.dumps({"code": code, "message": message, "status": status}).encode(), "application/json"


@contextmanager
def serving() -> Iterator[VoiceServer]:
    """A server on a free port, until the block is left."""
    voice, leaving = VoiceServer(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._serve("GET", parse_qs(urlsplit(self.path).query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._serve("POST", parse_qs(body.decode()))

        def _serve(self, method: str, given: dict[str, list[str]]) -> None:
            fault = voice.faults.popleft() if voice.faults else None
            truth = None
            if fault is None or fault.after:
                truth = voice.answer(method, urlsplit(self.path).path, given, self.headers.get("Authorization", ""))
            else:
                voice.asked.append((method, urlsplit(self.path).path, given))
            if fault is not None and fault.hang:
                leaving.wait(fault.hang)
                return
            status, body, kind = (fault.status, fault.body, "application/json") if fault is not None else truth or (500, b"", "")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    voice.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield voice
    finally:
        leaving.set()
        server.shutdown()
        server.server_close()
        thread.join()
