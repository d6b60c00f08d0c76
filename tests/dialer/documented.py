"""Document 2's requests, each with every input it names, for the contract tests."""

from collections.abc import Callable
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile

from tests.dialer.api_parts import make_agent, make_call, make_entry

_SPAN = {"start_date": "2000-06-01", "end_date": "2099-06-30"}


def _about(
    body: dict[str, Any] | None = None, query: dict[str, Any] | None = None, *, called: bool = False
) -> Callable[[Any], dict[str, Any]]:
    """A request about an agent's only lead. `AGENT` and `LEAD` stand for their ids."""

    def made(world: Any) -> dict[str, Any]:
        agent = make_agent(world.tenant, name="Sales Agent")
        entry = make_entry(agent, lead=world.lead, phone="+14155552671", first_name="John")
        if called:
            make_call(entry, summary="Customer interested in premium plan", transcript="tenant-0/calls/transcript.txt")
        words = {"AGENT": str(agent.public_id), "LEAD": str(entry.public_id)}

        def filled(values: dict[str, Any] | None) -> dict[str, Any] | None:
            return values and {name: words.get(value, value) if isinstance(value, str) else value for name, value in values.items()}

        return {"ids": {"lead_id": entry.public_id}, "query": filled(query) or {}, "body": filled(body)}

    return made


_FILE = b"first_name,phone,company,schedule_at\nJohn,+14155552672,Acme Corp,2025-06-24T14:00:00Z\nBob,(415) 555-invalid,StartupInc,\n"
REQUESTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "S2-01": _about(
        {
            "agent_id": "AGENT",
            "first_name": "John",
            "phone_e164": "+14155552670",
            "custom_fields": {"company": "Acme Corp"},
            "schedule_at": "2025-06-24T14:00:00Z",
        }
    ),
    "S2-02": _about(query={"agent_id": "AGENT", "status_filter": "new", "search": "john", "page": "1", "per_page": "20"}),
    "S2-03": _about(),
    "S2-04": _about(
        {
            "first_name": "John Smith",
            "phone_e164": "+14155552673",
            "status": "done",
            "custom_fields": {"company": "Acme Corp"},
            "schedule_at": "2025-06-25T10:00:00Z",
            "disposition": "completed",
        }
    ),
    "S2-05": _about(),
    "S2-06": lambda world: {
        **_about(query={"agent_id": "AGENT"})(world),
        "body": {"file": SimpleUploadedFile("leads.csv", _FILE, content_type="text/csv")},
    },
    "S2-07": _about({"lead_id": "LEAD"}),
    "S2-08": _about(
        query={"agent_id": "AGENT", "outcome": "answered", "search": "john", "page": "1", "per_page": "20", **_SPAN}, called=True
    ),
    "S2-09": _about(query={"agent_id": "AGENT", **_SPAN}, called=True),
    "S2-10": _about(),
}
