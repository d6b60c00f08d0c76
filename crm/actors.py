"""Who acts: a person, an API key acting for one, or work that no person started."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Self

from crm.errors import Forbidden


class Door(StrEnum):
    """Where a change came in. Kept with every history row and as `created_via`."""

    PAGE = "page"
    API = "api"
    ADMIN = "admin"
    WEBHOOK = "webhook"
    IMPORT = "import"
    COMMAND = "command"
    TASK = "task"


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """The one on whose behalf a service runs. Holds ids and capability names only, so it can travel into any layer."""

    tenant_id: int
    label: str
    door: Door
    user_id: int | None = None
    team_ids: tuple[int, ...] = ()
    capabilities: frozenset[str] = field(default_factory=frozenset, repr=False)
    all_powerful: bool = False

    def can(self, capability: str) -> bool:
        """Tell whether the actor holds a Django permission such as `leads.change_lead`."""
        return self.all_powerful or capability in self.capabilities

    def require(self, capability: str) -> None:
        """Refuse with 403 unless the actor holds the permission."""
        if not self.can(capability):
            raise Forbidden("You do not have permission to do this.", details={"required": capability})

    def through(self, door: Door) -> Self:
        """The same actor, come in by another door."""
        return replace(self, door=door)

    @classmethod
    def system(cls, *, tenant_id: int, door: Door = Door.TASK, label: str = "system") -> Self:
        """Work that no person started: webhooks, workers, schedules."""
        return cls(tenant_id=tenant_id, label=label, door=door, all_powerful=True)
