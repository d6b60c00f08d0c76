"""Fields for tests."""

from itertools import count
from typing import Any

from crm.actors import Actor
from crm.tenancy.models import Tenant
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition
from customobjects.services.definitions import FieldSettings, save_definition
from tests.factories import inside

_number = count(1)
HEAT = ({"label": "Hot", "color": "red"}, {"label": "Luke warm"}, {"label": "Cold", "value": "c0"})


def make_field(tenant: Tenant, kind: str = "text", **settings: Any) -> FieldDefinition:
    """A field of leads, as somebody in charge makes it."""
    settings.setdefault("label", f"Field {next(_number)}")
    if kind in ("choice", "multi_choice"):
        settings.setdefault("choices", HEAT)
    with inside(tenant.pk):
        return save_definition(
            definition=None,
            model="leads.Lead",
            wanted=FieldSettings(kind=FieldKind(kind), **settings),
            by=Actor.system(tenant_id=tenant.pk),
        )
