"""What the tests of the inbox and of sources are made of."""

from typing import Any

from crm.actors import Actor
from leads.models import Arrival
from tests.factories import inside
from webhooks.enums import SourceKind
from webhooks.models import Source
from webhooks.services.options import clean_options
from webhooks.services.sources import SourceSettings, save_source

TOKEN = "EAAB-very-secret-token"


def make_source(tenant: Any, *, kind: str = "facebook", name: str = "Acme page", **settings: Any) -> Source:
    """A source with its key and, but for webhooks, a secret."""
    wanted: dict[str, Any] = {"name": name, "options": clean_options(kind, {})}
    if kind == "facebook":
        wanted["external_id"] = f"77{tenant.pk}"
    if kind != "webhook":
        wanted["token"] = TOKEN
    with inside(tenant.pk):
        by = Actor.system(tenant_id=tenant.pk)
        return save_source(kind=SourceKind(kind), source=None, wanted=SourceSettings(**{**wanted, **settings}), by=by)


def form_answers(**answers: str) -> dict[str, Any]:
    """What an arrival of a lead form holds once its details are there."""
    return {"details": {"field_data": [{"name": name, "values": [text]} for name, text in answers.items()]}}


def make_arrival(tenant: Any, source: Source | None = None, *, number: int = 1, **fields: Any) -> Arrival:
    """An arrival as it stands, without a job: of a lead form with answers under names that nobody knows, or of a web form."""
    mail = f"p{number}@acme.example"
    came_by: dict[str, Any] = {"door": "website", "platform_key": "website", "payload": {"answers": {"email": mail}}}
    if source is not None:
        came_by = {"door": source.kind, "door_id": source.pk, "platform_key": "facebook", "payload": form_answers(wer="Pat Poe", post=mail)}
    with inside(tenant.pk):
        return Arrival.objects.create(**{"tenant": tenant, "source_lead_id": f"id-{number}", **came_by, **fields})
