"""Reads of people and their access."""

from dataclasses import dataclass, field

from django.apps import apps
from django.db import connection
from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor, Door
from crm.identity.enums import RoleCode
from crm.identity.models import (
    ApiKey,
    AuthSession,
    Invitation,
    Team,
    User,
)
from crm.identity.roles import effective_capabilities, known_capabilities
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


# Asked once in every request, so it is text rather than a query compiled each time. Under the policies, like all others.
_ACCESS_SQL = """
SELECT role.id, role.code, role.capabilities,
       ARRAY(SELECT team_id FROM identity_teammember WHERE tenant_id = %(tenant)s AND user_id = %(user)s)
FROM identity_role AS role
WHERE role.tenant_id = %(tenant)s AND (
    role.id = %(role)s
    OR role.id IN (SELECT role_id FROM identity_rolegrant WHERE tenant_id = %(tenant)s AND user_id = %(user)s))
"""


def _load_access(user: User) -> Access:
    with connection.cursor() as cursor:
        cursor.execute(_ACCESS_SQL, {"tenant": user.tenant_id, "user": user.pk, "role": user.role_id})
        roles: list[tuple[int, str, list[str] | None, list[int]]] = cursor.fetchall()
    return Access(
        role_code=next((code for pk, code, _capabilities, _teams in roles if pk == user.role_id), ""),
        capabilities=frozenset().union(*(effective_capabilities(code, capabilities) for _pk, code, capabilities, _teams in roles)),
        team_ids=tuple(roles[0][3]) if roles else (),
        all_powerful=user.is_platform_staff or any(code == RoleCode.ADMIN and own is None for _pk, code, own, _teams in roles),
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


def open_sessions(user: User) -> QuerySet[AuthSession]:
    """A user's sessions that still let in, the last used first."""
    return AuthSession.objects.filter(user=user, ended_at=None, expires_at__gt=timezone.now()).order_by("-last_seen_at", "-id")


def members() -> QuerySet[User]:
    """Everybody of the open tenant, also who may no longer come in, with their roles."""
    return User.objects.select_related("role").order_by("first_name", "last_name", "id")


def teams_with_members() -> QuerySet[Team]:
    return Team.objects.select_related("manager").prefetch_related(
        Prefetch("members", queryset=User.objects.order_by("first_name", "last_name", "id"))
    )


def open_invitations() -> QuerySet[Invitation]:
    """Invitations that nobody took up yet, expired ones included, newest first."""
    return Invitation.objects.filter(accepted_at=None, withdrawn_at=None).select_related("role", "team", "invited_by", "tenant")


def keys_visible_to(actor: Actor) -> QuerySet[ApiKey]:
    """One's own API keys, or everybody's with the permission to revoke them."""
    keys = ApiKey.objects.select_related("user").order_by("-id")
    return keys if actor.can("identity.delete_apikey") else keys.filter(user_id=actor.user_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class CapabilityGroup:
    """An app's permissions in the words of the people who give them."""

    label: str
    items: tuple[tuple[str, str], ...]


# Where the model's name is not what people call it.
_LABELS = {
    "tenancy.view_tenant": _("See the company's settings"),
    "tenancy.change_tenant": _("Change the company's settings"),
    "audit.view_auditevent": _("See the audit log"),
    "identity.add_user": _("Invite people"),
    "identity.change_user": _("Change people's role and access"),
    "identity.add_apikey": _("Make API keys"),
    "identity.delete_apikey": _("See and revoke everybody's API keys"),
}
_VERBS = {"view": _("See"), "add": _("Add"), "change": _("Change"), "delete": _("Delete")}


def capability_label(name: str) -> str:
    """A permission in words: `leads.add_lead` is "Add leads"."""
    if name in _LABELS:
        return str(_LABELS[name])
    app_label, _dot, codename = name.partition(".")
    verb, _bar, model_name = codename.partition("_")
    for model in apps.get_app_config(app_label).get_models():
        declared = dict(model._meta.permissions)
        if codename in declared:
            return str(declared[codename]).removeprefix("Can ").capitalize()
        if verb in _VERBS and model._meta.model_name == model_name:
            return f"{_VERBS[verb]} {model._meta.verbose_name_plural}"
    return codename.replace("_", " ").capitalize()


def capability_groups() -> list[CapabilityGroup]:
    """Every permission there is, by app."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for name in known_capabilities():
        groups.setdefault(name.partition(".")[0], []).append((name, capability_label(name)))
    return [
        CapabilityGroup(label=str(apps.get_app_config(app_label).verbose_name), items=tuple(sorted(items, key=lambda item: item[1])))
        for app_label, items in groups.items()
    ]
