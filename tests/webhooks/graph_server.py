"""A server on this machine that speaks the Graph API as far as lead forms use it, and can misbehave in every way we know of."""

import hashlib
import hmac
import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

VERSION = "v23.0"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What is answered instead of the truth. `drip` sends the body a byte at a time, `hang` nothing, `cut` a part."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang: float = 0
    drip: float = 0
    cut: bool = False


def error(code: int, *, status: int = 400, subcode: int | None = None, message: str = "No.", **headers: str) -> Fault:
    """An error as Graph shapes it."""
    told = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "AbCdEf"}
    if subcode is not None:
        told["error_subcode"] = subcode
    return Fault(status=status, body=json.dumps({"error": told}).encode(), headers={k.replace("_", "-"): v for k, v in headers.items()})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question that came."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


@dataclass
class GraphServer:
    """Pages, their forms and leads. `tokens` are valid; `faults` are answered first, each once, `always` until taken away."""

    tokens: set[str] = field(default_factory=lambda: {"page-token"})
    app_secret: str = ""
    page_size: int = 25
    leads: dict[str, dict[str, Any]] = field(default_factory=dict)
    forms: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    # By the last words of a path: what is answered there whatever else.
    faults_at: dict[str, Fault] = field(default_factory=dict)
    # Where the ready address of a list's next page leads.
    next_host: str = "http://evil.invalid"
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def add_lead(self, lead_id: str, *, form_id: str = "7", created_time: str = "2024-06-10T15:23:10+0000", **more: Any) -> dict[str, Any]:
        answers = {"full_name": "Jane Roe", "email": f"lead{lead_id}@example.com", "phone_number": "+12025550123"}
        field_data = more.pop("field_data", None) or [{"name": name, "values": [value]} for name, value in answers.items()]
        lead = {"id": lead_id, "created_time": created_time, "form_id": form_id, "field_data": field_data, "platform": "fb", **more}
        self.leads[lead_id] = lead
        return lead

    def add_form(self, page_id: str, form_id: str, *, name: str = "Form", status: str = "ACTIVE") -> None:
        self.forms.setdefault(page_id, []).append({"id": form_id, "name": name, "status": status})

    # --- answers ---

    def answer(self, asked: Asked) -> Fault:
        self.asked.append(asked)
        if self.faults:
            return self.faults.popleft()
        for end, fault in self.faults_at.items():
            if asked.path.endswith(end):
                return fault
        return self.always or self._refusal(asked) or self._truth(asked)

    def _refusal(self, asked: Asked) -> Fault | None:
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return error(190, status=401, message=f"Malformed access token {token}")
        if self.app_secret:
            proof = hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
            if asked.query.get("appsecret_proof") != proof:
                return error(100, message="Invalid appsecret_proof provided in the API argument")
        return None

    def _truth(self, asked: Asked) -> Fault:
        parts = asked.path.strip("/").split("/")
        assert parts.pop(0) == VERSION
        fields = ["id", *asked.query["fields"].split(",")]
        if parts[0] in self.leads and len(parts) == 1:
            lead = self.leads[parts[0]]
            return _json({name: lead[name] for name in fields if name in lead})
        if len(parts) == 2 and parts[1] == "leadgen_forms" and parts[0] in self.forms:
            return self._list(asked, self.forms[parts[0]], fields)
        if len(parts) == 2 and parts[1] == "leads":
            (condition,) = json.loads(asked.query["filtering"])
            assert (condition["field"], condition["operator"]) == ("time_created", "GREATER_THAN")
            rows = [lead for lead in self.leads.values() if lead["form_id"] == parts[0] and _epoch(lead) > condition["value"]]
            return self._list(asked, sorted(rows, key=_epoch, reverse=True), fields)
        return error(
            100,
            subcode=33,
            message=f"Unsupported get request. Object with ID '{parts[0]}' does not exist, cannot be loaded due to missing "
            "permissions, or does not support this operation.",
        )

    def _list(self, asked: Asked, rows: list[dict[str, Any]], fields: list[str]) -> Fault:
        start = int(asked.query.get("after", "c0").removeprefix("c"))
        size = min(self.page_size, int(asked.query["limit"]))
        page = [{name: row[name] for name in fields if name in row} for row in rows[start : start + size]]
        body: dict[str, Any] = {"data": page}
        if page:
            body["paging"] = {"cursors": {"before": f"c{start}", "after": f"c{start + len(page)}"}}
            if start + size < len(rows):
                body["paging"]["next"] = f"{self.next_host}/{VERSION}/stolen?access_token=page-token"
        return _json(body)


def _json(data: Any) -> Fault:
    return Fault(body=json.dumps(data).encode(), headers={"Content-Type": "application/json"})


def _epoch(lead: dict[str, Any]) -> float:
    return datetime.fromisoformat(lead["created_time"]).timestamp()


@contextmanager
def serving() -> Iterator[GraphServer]:
    """A server on a free port, until the block is left."""
    graph = GraphServer()
    leaving = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._send(graph.answer(Asked(path=parts.path, query=dict(parse_qsl(parts.query)), headers=headers)))

        def _send(self, answer: Fault) -> None:
            if answer.hang and leaving.wait(answer.hang):
                return
            try:
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + (100 if answer.cut else 0)))
                self.end_headers()
                if not answer.drip:
                    self.wfile.write(answer.body)
                    return
                for byte in answer.body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    if leaving.wait(answer.drip):
                        return
            except (BrokenPipeError, ConnectionResetError):
                pass

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    graph.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield graph
    finally:
        leaving.set()
        server.shutdown()
        server.server_close()
        thread.join()
