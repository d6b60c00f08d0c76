"""Answers of the identity endpoints, and their description."""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework import serializers

from crm.identity.models import ApiKey, AuthSession, Invitation, Role, Team, User
from crm.identity.selectors import access_of
from crm.identity.services.invitations import join_link
from crm.identity.tokens import Tokens
from crm.rest.description import component
from crm.tenancy.models import Tenant


def entity_out(tenant: Tenant) -> dict[str, Any]:
    return {"id": tenant.pk, "name": tenant.name}


def signed_in_out(user: User, tokens: Tokens) -> dict[str, Any]:
    """Document 1's login answer (rule 1.23) and a refresh token beside it."""
    return {
        "user": {
            "id": user.pk,
            "username": user.username,
            "email": user.email,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "role": access_of(user).role_code,
            "entity": entity_out(user.tenant),
        },
        **tokens_out(tokens),
    }


def tokens_out(tokens: Tokens) -> dict[str, Any]:
    return {"access_token": tokens.access, "expires_in": tokens.expires_in, "refresh_token": tokens.refresh, "token_type": "Bearer"}


def userinfo_out(user: User) -> dict[str, Any]:
    access = access_of(user)
    return {
        **user_out(user),
        "role": access.role_code,
        "permissions": sorted(access.capabilities),
        "team_ids": list(access.team_ids),
        "entity": entity_out(user.tenant),
    }


def user_out(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "full_name": user.full_name,
        "phone": user.phone,
        "role": user.role.code,
        "role_id": user.role_id,
        "role_name": user.role.name,
        "is_active": user.is_active,
        "is_verified": user.is_verified,
        "time_zone": user.time_zone,
        "theme": user.theme,
        "last_login": user.last_login,
        "created_at": user.created_at,
    }


def profile_out(user: User) -> dict[str, Any]:
    names = ("first_name", "last_name", "phone", "email", "username")
    return {"id": user.pk, **{name: getattr(user, name) for name in names}}


def preferences_out(user: User) -> dict[str, Any]:
    return {"time_zone": user.time_zone, "theme": user.theme}


def session_out(session: AuthSession, current: AuthSession | None = None) -> dict[str, Any]:
    return {
        "id": session.pk,
        "kind": session.kind,
        "ip": session.ip,
        "user_agent": session.user_agent,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "expires_at": session.expires_at,
        "current": current is not None and session.pk == current.pk,
    }


def invitation_out(invitation: Invitation) -> dict[str, Any]:
    return {
        "id": invitation.pk,
        "email": invitation.email,
        "role": invitation.role.code,
        "team_id": invitation.team_id,
        "expires_at": invitation.expires_at,
        "join_url": join_link(invitation),
    }


def role_out(role: Role) -> dict[str, Any]:
    return {
        "id": role.pk,
        "code": role.code,
        "name": role.name,
        "description": role.description,
        "is_builtin": role.is_builtin,
        "permissions": sorted(role.effective_capabilities),
    }


def team_out(team: Team) -> dict[str, Any]:
    members: Iterable[User] = team.members.all()
    return {
        "id": team.pk,
        "name": team.name,
        "description": team.description,
        "manager_id": team.manager_id,
        "members": [{"id": user.pk, "name": user.full_name, "email": user.email} for user in members],
    }


def key_out(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "prefix": key.prefix,
        "user_id": key.user_id,
        "permissions": key.capabilities,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "revoked_at": key.revoked_at,
    }


def tenant_out(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.pk,
        "name": tenant.name,
        "display_name": tenant.display_name,
        "is_active": tenant.is_active,
        "created_at": tenant.created_at,
        **config_out(tenant),
    }


def config_out(tenant: Tenant) -> dict[str, Any]:
    names = ("display_name", "region", "time_zone", "currency", "working_hours", "open_form")
    return {name: getattr(tenant, name) for name in names}


# --- description ---

ENTITY = {"id": serializers.IntegerField(), "name": serializers.CharField()}
TOKENS: dict[str, Any] = {
    "access_token": serializers.CharField(),
    "expires_in": serializers.CharField(default="72h"),
    "refresh_token": serializers.CharField(),
    "token_type": serializers.CharField(default="Bearer"),
}
SIGNED_IN: dict[str, Any] = {
    "user": component(
        "SignedInUser",
        {
            "id": serializers.IntegerField(),
            "username": serializers.CharField(),
            "email": serializers.EmailField(),
            "first_name": serializers.CharField(),
            "last_name": serializers.CharField(),
            "role": serializers.CharField(),
            "entity": component("Entity", ENTITY),
        },
    ),
    **TOKENS,
}
REGISTERED: dict[str, Any] = {"user_id": serializers.IntegerField(), "username": serializers.CharField(), "email": serializers.EmailField()}
USER: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "username": serializers.CharField(),
    "email": serializers.EmailField(),
    "first_name": serializers.CharField(),
    "last_name": serializers.CharField(),
    "full_name": serializers.CharField(),
    "phone": serializers.CharField(),
    "role": serializers.CharField(),
    "role_id": serializers.IntegerField(),
    "role_name": serializers.CharField(),
    "is_active": serializers.BooleanField(),
    "is_verified": serializers.BooleanField(),
    "time_zone": serializers.CharField(),
    "theme": serializers.CharField(),
    "last_login": serializers.DateTimeField(allow_null=True),
    "created_at": serializers.DateTimeField(),
}
SESSION: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "kind": serializers.ChoiceField(["page", "api"]),
    "ip": serializers.CharField(allow_null=True),
    "user_agent": serializers.CharField(),
    "created_at": serializers.DateTimeField(),
    "last_seen_at": serializers.DateTimeField(),
    "expires_at": serializers.DateTimeField(),
    "current": serializers.BooleanField(),
}
ROLE: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "code": serializers.CharField(),
    "name": serializers.CharField(),
    "description": serializers.CharField(),
    "is_builtin": serializers.BooleanField(),
    "permissions": serializers.ListField(child=serializers.CharField()),
}
TEAM: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "name": serializers.CharField(),
    "description": serializers.CharField(),
    "manager_id": serializers.IntegerField(allow_null=True),
    "members": serializers.ListField(child=serializers.DictField()),
}
INVITATION: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "email": serializers.EmailField(),
    "role": serializers.CharField(),
    "team_id": serializers.IntegerField(allow_null=True),
    "expires_at": serializers.DateTimeField(),
    "join_url": serializers.URLField(),
}
KEY: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "name": serializers.CharField(),
    "prefix": serializers.CharField(),
    "user_id": serializers.IntegerField(),
    "permissions": serializers.ListField(child=serializers.CharField()),
    "created_at": serializers.DateTimeField(),
    "expires_at": serializers.DateTimeField(allow_null=True),
    "last_used_at": serializers.DateTimeField(allow_null=True),
    "revoked_at": serializers.DateTimeField(allow_null=True),
}
CONFIG: dict[str, Any] = {
    "display_name": serializers.CharField(),
    "region": serializers.CharField(),
    "time_zone": serializers.CharField(),
    "currency": serializers.CharField(),
    "working_hours": serializers.DictField(),
    "open_form": serializers.BooleanField(),
}
TENANT: dict[str, Any] = {
    "id": serializers.IntegerField(),
    "name": serializers.CharField(),
    "is_active": serializers.BooleanField(),
    "created_at": serializers.DateTimeField(),
    **CONFIG,
}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.identity.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An access token of /auth/login, or an API key (smk_…)."}


class CookieScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.identity.authentication.CookieTokenAuthentication"
    name = "cookieToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "token",
            "description": "The access token as a cookie; unsafe methods need X-CSRFToken.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.identity.authentication.BrowserSessionAuthentication"
    name = "browserSession"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "The pages' own session; unsafe methods need X-CSRFToken.",
        }
