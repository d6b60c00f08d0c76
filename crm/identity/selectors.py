"""Reads of people and their access."""

from dataclasses import dataclass, field

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q, QuerySet, Value

from crm.actors import Actor, Door
from crm.identity.enums import RoleCode
from crm.identity.models import ApiKey, Role, TeamMember, User
from crm.tenancy.scope import scope_or_none, tenant_scope


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """What a user may do and with whom records may have been shared to reach them."""

    role_code: str = ""
    capabilities: frozenset[str] = field(default_factory=frozenset)
    team_ids: tuple[int, ...] = ()
    all_powerful: bool = False

    def can(self, capability: str) -> bool:
        return self.all_powerful or capability in self.capabilities


def access_of(user: User) -> Access:
    """Load a user's access with one query and keep it on the user object, which lives for one request."""
    known: Access | None = getattr(user, "_access", None)
    if known is None:
        scope = scope_or_none()
        if scope is not None and scope.tenant_id == user.tenant_id:
            known = _load_access(user)
        else:
            with tenant_scope(user.tenant_id):
                known = _load_access(user)
        user._access = known  # type: ignore[attr-defined]
    return known


def _load_access(user: User) -> Access:
    teams = TeamMember.objects.filter(user_id=OuterRef("user_pk")).values("team_id")
    roles = list(
        Role.objects.filter(Q(pk=user.role_id) | Q(grants__user=user)).annotate(user_pk=Value(user.pk), team_ids=ArraySubquery(teams)).distinct()
    )
    primary = next((role for role in roles if role.pk == user.role_id), None)
    return Access(
        role_code=primary.code if primary else "",
        capabilities=frozenset().union(*(role.effective_capabilities for role in roles)),
        team_ids=tuple(roles[0].team_ids) if roles else (),
        all_powerful=user.is_platform_staff or any(role.code == RoleCode.ADMIN and role.capabilities is None for role in roles),
    )


def actor_for(user: User, *, door: Door, key: ApiKey | None = None) -> Actor:
    """The actor of a signed-in user, or of an API key, which can do no more than its user."""
    access = access_of(user)
    capabilities, all_powerful = access.capabilities, access.all_powerful
    if key is not None and key.capabilities:
        allowed = frozenset(key.capabilities)
        capabilities, all_powerful = (allowed if all_powerful else capabilities & allowed), False
    return Actor(
        tenant_id=user.tenant_id,
        user_id=user.pk,
        label=f"{user.full_name} ({key.name})" if key else user.full_name,
        door=door,
        team_ids=access.team_ids,
        capabilities=capabilities,
        all_powerful=all_powerful,
    )


def active_users() -> QuerySet[User]:
    """The open tenant's users who can be given work."""
    return User.objects.filter(is_active=True)
