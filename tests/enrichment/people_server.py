"""A server on this machine that knows people, and can misbehave in every way a service on the Internet may."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is answered instead. `hang` waits before the first byte, `drip` between any two."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0
    drip: float = 0


@dataclass
class PeopleServer:
    """`people` are found by e-mail or domain. `faults` are answered first, each once, `always` until taken away."""

    people: dict[str, Any] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    delay: float = 0
    asked: list[dict[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    url: str = ""

    def truth(self, given: dict[str, Any]) -> Fault:
        """What is known about the person asked for."""
        person = self.people.get(given.get("email", "")) or self.people.get(given.get("domain", ""))
        return Fault(status=404) if person is None else Fault(body=json.dumps(person).encode())


@contextmanager
def people_server() -> Iterator[PeopleServer]:
    state, lock, leaving = PeopleServer(), threading.Lock(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            self.answer(query)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, given: dict[str, Any]) -> None:
            with lock:
                state.asked.append({"given": given, "headers": dict(self.headers), "path": self.path})
                state.at_once += 1
                state.most_at_once = max(state.most_at_once, state.at_once)
                fault = state.always or (state.faults.popleft() if state.faults else None)
            try:
                if state.delay:
                    time.sleep(state.delay)
                self.write(fault or state.truth(given))
            except (BrokenPipeError, ConnectionResetError):
                pass
            finally:
                with lock:
                    state.at_once -= 1

        def write(self, answer: Fault) -> None:
            if answer.hang and leaving.wait(answer.hang):
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if not answer.drip:
                self.wfile.write(answer.body)
                return
            for byte in answer.body:
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                if leaving.wait(answer.drip):
                    return

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        leaving.set()
        server.shutdown()
        server.server_close()
        thread.join()
