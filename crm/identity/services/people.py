"""Users, roles, teams and API keys of a tenant."""

import secrets
import zoneinfo
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.text import slugify

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput, NotFound
from crm.identity.enums import RoleCode
from crm.identity.errors import InUse, LastAdmin
from crm.identity.models import (
    ApiKey,
    AuthSession,
    Invitation,
    Role,
    RoleGrant,
    Team,
    TeamMember,
    User,
    fingerprint,
)
from crm.identity.roles import known_capabilities
from crm.identity.services.invitations import refuse_greater_role

PROFILE_FIELDS = ("first_name", "last_name", "phone", "time_zone", "theme")


class NameTaken(DomainError):
    code = "NAME_TAKEN"


def update_profile(*, user: User, data: dict[str, Any], by: Actor) -> User:
    """Change one's own name, phone, zone and theme; others' with the permission."""
    if by.user_id != user.pk:
        by.require("identity.change_user")
    if data.get("time_zone") and data["time_zone"] not in zoneinfo.available_timezones():
        raise InvalidInput({"time_zone": ["Not a time zone such as Europe/London."]})
    changed = [name for name in PROFILE_FIELDS if name in data]
    for name in changed:
        setattr(user, name, data[name])
    if changed:
        user.save(update_fields=[*changed, "updated_at"])
    return user


def change_user(*, user: User, role: Role | None = None, is_active: bool | None = None, by: Actor) -> User:
    """Change a user's role or let them in or out. Leaving ends their sessions at once. The last admin cannot leave.

    Nobody gives a role that holds more than their own, nor changes a person who holds more.
    """
    by.require("identity.change_user")
    for held in roles_of(user):
        refuse_greater_role(held, by)
    changed = ["updated_at"]
    if role is not None:
        refuse_greater_role(role, by)
        user.role = role
        changed.append("role")
    if is_active is not None:
        user.is_active = is_active
        changed.append("is_active")
    with transaction.atomic():
        # One change of this kind at a time, or two admins could each take the other for the one who stays.
        Role.objects.select_for_update().get(code=RoleCode.ADMIN)
        user.save(update_fields=changed)
        if not User.objects.filter(is_active=True, role__code=RoleCode.ADMIN).exists():
            raise LastAdmin("This is the last admin. Make somebody else an admin first.")
        if not user.is_active:
            AuthSession.objects.filter(user=user, ended_at=None).update(ended_at=timezone.now(), end_reason="user_disabled")
    return user


def update_user(*, user: User, data: dict[str, Any], by: Actor) -> User:
    """Change profile, role and state in one go: all or nothing. `data` may hold PROFILE_FIELDS, `role` and `is_active`."""
    with transaction.atomic():
        if "role" in data or "is_active" in data:
            change_user(user=user, role=data.get("role"), is_active=data.get("is_active"), by=by)
        return update_profile(user=user, data=data, by=by)


def roles_of(user: User) -> list[Role]:
    """The primary role and the further ones."""
    return list(Role.objects.filter(Q(pk=user.role_id) | Q(grants__user=user)).distinct())


def grant_role(*, user: User, role: Role, by: Actor) -> None:
    """Give a further role beside the primary one. Giving it twice changes nothing."""
    by.require("identity.change_user")
    refuse_greater_role(role, by)
    if role.pk != user.role_id:
        RoleGrant.objects.get_or_create(user=user, role=role)


def take_role(*, user: User, role: Role, by: Actor) -> None:
    """Take a further role away. The primary one is changed, not taken."""
    by.require("identity.change_user")
    refuse_greater_role(role, by)
    if role.pk == user.role_id:
        raise InUse("This is the user's primary role. Give them another instead.")
    if not RoleGrant.objects.filter(user=user, role=role).delete()[0]:
        raise NotFound("The user does not have this role.")


def save_role(*, role: Role | None, name: str, description: str = "", capabilities: Iterable[str], by: Actor) -> Role:
    """Make or change a role. The built-in admin role stays as it is, and nobody grants what they do not hold."""
    by.require("identity.change_role")
    wanted = set(capabilities)
    unknown = wanted - set(known_capabilities())
    if unknown:
        raise InvalidInput({"capabilities": [f"Unknown permission: {name}." for name in sorted(unknown)]})
    if role is not None and role.code == RoleCode.ADMIN and role.is_builtin:
        raise Forbidden("The admin role always holds every permission.")
    if not by.all_powerful and not wanted <= by.capabilities:
        raise Forbidden("You cannot grant a permission that you do not have.")
    role = role or Role(code=f"{slugify(name)[:30] or 'role'}-{secrets.token_hex(2)}")
    role.name, role.description, role.capabilities = name, description, sorted(wanted)
    role.save()
    return role


def delete_role(*, role: Role, by: Actor) -> None:
    by.require("identity.change_role")
    if role.is_builtin:
        raise Forbidden("A built-in role cannot be deleted.")
    if role.users.exists() or Invitation.objects.filter(role=role, accepted_at=None, withdrawn_at=None).exists():
        raise InUse("Somebody still has this role. Give them another first.")
    role.delete()


def save_team(
    *, team: Team | None, name: str, description: str = "", manager: User | None = None, members: Iterable[User] | None = None, by: Actor
) -> Team:
    """Make or change a team; `members`, where given, become exactly these."""
    by.require("identity.change_team")
    team = team or Team()
    team.name, team.description, team.manager = name, description, manager
    try:
        with transaction.atomic():
            team.save()
    except IntegrityError:
        raise NameTaken("A team with this name already exists.", field="name") from None
    if members is not None:
        wanted = {user.pk for user in members}
        TeamMember.objects.filter(team=team).exclude(user_id__in=wanted).delete()
        present = set(TeamMember.objects.filter(team=team).values_list("user_id", flat=True))
        TeamMember.objects.bulk_create(TeamMember(team=team, user_id=user_id) for user_id in sorted(wanted - present))
    return team


def add_team_member(*, team: Team, user: User, by: Actor) -> None:
    """Put somebody in a team. Doing it twice changes nothing."""
    by.require("identity.change_team")
    TeamMember.objects.get_or_create(team=team, user=user)


def remove_team_member(*, team: Team, user_id: int, by: Actor) -> None:
    by.require("identity.change_team")
    if not TeamMember.objects.filter(team=team, user_id=user_id).delete()[0]:
        raise NotFound("Not a member of this team.")


def delete_team(*, team: Team, by: Actor) -> None:
    by.require("identity.change_team")
    team.delete()


def create_api_key(
    *, user: User, name: str, capabilities: Iterable[str] = (), expires_at: datetime | None = None, by: Actor
) -> tuple[ApiKey, str]:
    """Make a key acting for `user` and answer it with its secret, which is never shown again.

    A key acts for the one who makes it: a key for somebody else would lend their rights.
    """
    by.require("identity.add_apikey")
    if user.pk != by.user_id:
        raise Forbidden("A key can only be made by the person it acts for.")
    wanted = set(capabilities)
    unknown = wanted - set(known_capabilities())
    if unknown:
        raise InvalidInput({"capabilities": [f"Unknown permission: {name}." for name in sorted(unknown)]})
    secret = f"smk_{secrets.token_urlsafe(32)}"
    key = ApiKey.objects.create(
        tenant_id=by.tenant_id,
        user=user,
        name=name,
        prefix=secret[:12],
        secret_hash=fingerprint(secret),
        capabilities=sorted(wanted),
        expires_at=expires_at,
    )
    return key, secret


def revoke_api_key(*, key: ApiKey, by: Actor) -> None:
    """Close a key at once: one's own, or anybody's with the permission."""
    if key.user_id != by.user_id:
        by.require("identity.delete_apikey")
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
