"""Users, roles, teams and API keys: S4-214 to S4-235 and their lists."""

from typing import Any, ClassVar

from django.db.models import Q, QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import Forbidden, InvalidInput, NotFound
from crm.identity.api import inputs
from crm.identity.api.output import (
    INVITATION,
    KEY,
    ROLE,
    TEAM,
    USER,
    invitation_out,
    key_out,
    preferences_out,
    profile_out,
    role_out,
    team_out,
    user_out,
)
from crm.identity.models import ApiKey, Role, Team, User
from crm.identity.selectors import (
    access_of,
    capability_groups,
    keys_visible_to,
    members,
    teams_with_members,
)
from crm.identity.services import people
from crm.identity.services.invitations import invite_user
from crm.rest.description import described
from crm.rest.envelope import success
from crm.rest.paging import PAGE_PARAMETERS, paged
from crm.rest.serializers import read
from crm.rest.views import ApiView, parse_id

_USERS, _TEAMS, _ROLES, _KEYS = ["users"], ["teams"], ["roles"], ["api-keys"]
_PROFILE = {name: USER[name] for name in ("id", "first_name", "last_name", "phone", "email", "username")}
_PREFERENCES = {name: USER[name] for name in ("time_zone", "theme")}


def found(rows: QuerySet[Any], id: str, *, noun: str) -> Any:
    """One row by its id, or the 404 that an unknown and another tenant's id share."""
    row = rows.filter(pk=parse_id(id)).first()
    if row is None:
        raise NotFound(f"No such {noun}.")
    return row


def found_user(view: ApiView, id: str) -> User:
    """A colleague, for who may see them; oneself always."""
    if parse_id(id) != view.actor.user_id:
        view.actor.require("identity.view_user")
    user: User = found(members(), id, noun="user")
    return user


# --- users ---


class UsersView(ApiView):
    """The tenant's users, and inviting one."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_user", "post": "identity.add_user"}

    @extend_schema(
        parameters=[
            OpenApiParameter("search", str, description="Part of the name, username or e-mail"),
            OpenApiParameter("role", str, description="A role's code"),
            OpenApiParameter("is_active", bool),
            *PAGE_PARAMETERS,
        ],
        responses={200: described("User", USER, many=True)},
        tags=_USERS,
        summary="List users",
        operation_id="users_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, narrowed(members(), request.query_params), user_out)

    @extend_schema(
        request=inputs.InviteIn,
        responses={201: described("Invitation", INVITATION, message=True)},
        tags=_USERS,
        summary="Add a user: invite them",
    )
    def post(self, request: Request) -> Response:
        body = read(inputs.InviteIn, request.data)
        invitation = invite_user(email=body["email"], role=body["role"], team=body["team_id"], by=self.actor)
        return success(request, invitation_out(invitation), message="The invitation is on its way.", status=201)


def narrowed(users: QuerySet[User], params: Any) -> QuerySet[User]:
    """The users a query asks for."""
    text, role, active = (params.get(name, "").strip() for name in ("search", "role", "is_active"))
    if "\x00" in text + role:
        raise InvalidInput({"search": ["Must not hold a NUL character."]})
    if text:
        names = Q(first_name__icontains=text) | Q(last_name__icontains=text) | Q(username__icontains=text) | Q(email__icontains=text)
        users = users.filter(names)
    if role:
        users = users.filter(Q(role__code=role) | Q(role_grants__role__code=role)).distinct()
    if active:
        if active.lower() not in ("true", "false", "1", "0"):
            raise InvalidInput({"is_active": ["Must be true or false."]})
        users = users.filter(is_active=active.lower() in ("true", "1"))
    return users


class UserView(ApiView):
    """One user."""

    @extend_schema(responses={200: described("User", USER)}, tags=_USERS, summary="Read a user")
    def get(self, request: Request, id: str) -> Response:
        return success(request, user_out(found_user(self, id)))

    @extend_schema(request=inputs.UserIn, responses={200: described("User", USER)}, tags=_USERS, summary="Change a user")
    def put(self, request: Request, id: str) -> Response:
        user = people.update_user(user=found_user(self, id), data=read(inputs.UserIn, request.data, partial=True), by=self.actor)
        return success(request, user_out(user))

    patch = put

    @extend_schema(responses={200: described("UserRemoved", message=True)}, tags=_USERS, summary="Remove a user: let them in no longer")
    def delete(self, request: Request, id: str) -> Response:
        people.change_user(user=found_user(self, id), is_active=False, by=self.actor)
        return success(request, None, message="The user can no longer sign in. Their records stay.")


class ActivateView(ApiView):
    """Let a user in."""

    is_active: ClassVar[bool] = True

    @extend_schema(request=None, responses={200: described("User", USER)}, tags=_USERS, summary="Enable a user")
    def post(self, request: Request, id: str) -> Response:
        return success(request, user_out(people.change_user(user=found_user(self, id), is_active=self.is_active, by=self.actor)))


class DeactivateView(ActivateView):
    """Let a user in no longer; ends their sessions at once."""

    is_active = False

    @extend_schema(request=None, responses={200: described("User", USER)}, tags=_USERS, summary="Disable a user")
    def post(self, request: Request, id: str) -> Response:
        return super().post(request, id)


class UserRolesView(ApiView):
    """A user's roles, the primary one first."""

    @extend_schema(responses={200: described("Role", ROLE, many=True)}, tags=_USERS, summary="List a user's roles")
    def get(self, request: Request, id: str) -> Response:
        user = found_user(self, id)
        return success(request, [role_out(role) for role in sorted(people.roles_of(user), key=lambda role: role.pk != user.role_id)])

    @extend_schema(
        request=inputs.RoleGrantIn, responses={201: described("RoleGiven", message=True)}, tags=_USERS, summary="Give a further role"
    )
    def post(self, request: Request, id: str) -> Response:
        people.grant_role(user=found_user(self, id), role=read(inputs.RoleGrantIn, request.data)["role"], by=self.actor)
        return success(request, None, message="The role is given.", status=201)


class UserRoleView(ApiView):
    """One further role of a user."""

    @extend_schema(responses={200: described("RoleTaken", message=True)}, tags=_USERS, summary="Take a further role")
    def delete(self, request: Request, id: str, role_id: str) -> Response:
        people.take_role(user=found_user(self, id), role=found(Role.objects.all(), role_id, noun="role"), by=self.actor)
        return success(request, None, message="The role is taken.")


class UserPermissionsView(ApiView):
    """What a user may do, from all roles."""

    @extend_schema(
        responses={200: described("UserPermissions", {"permissions": serializers.ListField(child=serializers.CharField())})},
        tags=_USERS,
        summary="Permissions in force for a user",
    )
    def get(self, request: Request, id: str) -> Response:
        return success(request, {"permissions": sorted(access_of(found_user(self, id)).capabilities)})


class ProfileView(ApiView):
    """Name and phone of a user."""

    @extend_schema(responses={200: described("Profile", _PROFILE)}, tags=_USERS, summary="Read a profile")
    def get(self, request: Request, id: str) -> Response:
        return success(request, profile_out(found_user(self, id)))

    @extend_schema(request=inputs.ProfileIn, responses={200: described("Profile", _PROFILE)}, tags=_USERS, summary="Change a profile")
    def put(self, request: Request, id: str) -> Response:
        user = people.update_profile(user=found_user(self, id), data=read(inputs.ProfileIn, request.data, partial=True), by=self.actor)
        return success(request, profile_out(user))


class PreferencesView(ApiView):
    """Time zone and theme of a user."""

    @extend_schema(responses={200: described("Preferences", _PREFERENCES)}, tags=_USERS, summary="Read preferences")
    def get(self, request: Request, id: str) -> Response:
        return success(request, preferences_out(found_user(self, id)))

    @extend_schema(
        request=inputs.PreferencesIn, responses={200: described("Preferences", _PREFERENCES)}, tags=_USERS, summary="Change preferences"
    )
    def put(self, request: Request, id: str) -> Response:
        user = people.update_profile(user=found_user(self, id), data=read(inputs.PreferencesIn, request.data, partial=True), by=self.actor)
        return success(request, preferences_out(user))


# --- teams ---


class TeamsView(ApiView):
    """The tenant's teams."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_team", "post": "identity.change_team"}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Team", TEAM, many=True)},
        tags=_TEAMS,
        summary="List teams",
        operation_id="teams_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, teams_with_members(), team_out)

    @extend_schema(request=inputs.TeamIn, responses={201: described("Team", TEAM)}, tags=_TEAMS, summary="Add a team")
    def post(self, request: Request) -> Response:
        body = read(inputs.TeamIn, request.data)
        team = people.save_team(
            team=None,
            name=body["name"],
            description=body.get("description", ""),
            manager=body.get("manager_id"),
            members=body.get("member_ids"),
            by=self.actor,
        )
        return success(request, team_out(team), status=201)


class TeamView(ApiView):
    """One team."""

    capabilities: ClassVar[dict[str, str]] = {
        "get": "identity.view_team",
        "put": "identity.change_team",
        "patch": "identity.change_team",
        "delete": "identity.change_team",
    }

    @extend_schema(responses={200: described("Team", TEAM)}, tags=_TEAMS, summary="Read a team")
    def get(self, request: Request, id: str) -> Response:
        return success(request, team_out(found(teams_with_members(), id, noun="team")))

    @extend_schema(request=inputs.TeamIn, responses={200: described("Team", TEAM)}, tags=_TEAMS, summary="Change a team")
    def put(self, request: Request, id: str) -> Response:
        team: Team = found(Team.objects.select_related("manager"), id, noun="team")
        body = read(inputs.TeamIn, request.data, partial=True)
        people.save_team(
            team=team,
            name=body.get("name", team.name),
            description=body.get("description", team.description),
            manager=body.get("manager_id", team.manager),
            members=body.get("member_ids"),
            by=self.actor,
        )
        return success(request, team_out(team))

    patch = put

    @extend_schema(responses={200: described("TeamRemoved", message=True)}, tags=_TEAMS, summary="Remove a team")
    def delete(self, request: Request, id: str) -> Response:
        people.delete_team(team=found(Team.objects.all(), id, noun="team"), by=self.actor)
        return success(request, None, message="The team is removed.")


class TeamMembersView(ApiView):
    """Who is in a team."""

    capabilities: ClassVar[dict[str, str]] = {"post": "identity.change_team"}

    @extend_schema(request=inputs.MemberIn, responses={201: described("Team", TEAM)}, tags=_TEAMS, summary="Put a user in a team")
    def post(self, request: Request, id: str) -> Response:
        team: Team = found(Team.objects.all(), id, noun="team")
        people.add_team_member(team=team, user=read(inputs.MemberIn, request.data)["user_id"], by=self.actor)
        return success(request, team_out(team), status=201)


class TeamMemberView(ApiView):
    """One member of a team."""

    capabilities: ClassVar[dict[str, str]] = {"delete": "identity.change_team"}

    @extend_schema(responses={200: described("MemberRemoved", message=True)}, tags=_TEAMS, summary="Take a user out of a team")
    def delete(self, request: Request, id: str, user_id: str) -> Response:
        team = found(Team.objects.all(), id, noun="team")
        people.remove_team_member(team=team, user_id=parse_id(user_id, field="user_id"), by=self.actor)
        return success(request, None, message="The user is no longer in the team.")


# --- roles ---


class RolesView(ApiView):
    """The tenant's roles."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_role", "post": "identity.change_role"}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("Role", ROLE, many=True)},
        tags=_ROLES,
        summary="List roles",
        operation_id="roles_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, Role.objects.all(), role_out)

    @extend_schema(request=inputs.RoleIn, responses={201: described("Role", ROLE)}, tags=_ROLES, summary="Add a role")
    def post(self, request: Request) -> Response:
        body = read(inputs.RoleIn, request.data)
        role = people.save_role(
            role=None, name=body["name"], description=body.get("description", ""), capabilities=body["permissions"], by=self.actor
        )
        return success(request, role_out(role), status=201)


class RoleView(ApiView):
    """One role."""

    capabilities: ClassVar[dict[str, str]] = {
        "get": "identity.view_role",
        "put": "identity.change_role",
        "patch": "identity.change_role",
        "delete": "identity.change_role",
    }

    @extend_schema(responses={200: described("Role", ROLE)}, tags=_ROLES, summary="Read a role")
    def get(self, request: Request, id: str) -> Response:
        return success(request, role_out(found(Role.objects.all(), id, noun="role")))

    @extend_schema(request=inputs.RoleIn, responses={200: described("Role", ROLE)}, tags=_ROLES, summary="Change a role")
    def put(self, request: Request, id: str) -> Response:
        role: Role = found(Role.objects.all(), id, noun="role")
        body = read(inputs.RoleIn, request.data, partial=True)
        people.save_role(
            role=role,
            name=body.get("name", role.name),
            description=body.get("description", role.description),
            capabilities=body.get("permissions", role.effective_capabilities),
            by=self.actor,
        )
        return success(request, role_out(role))

    patch = put

    @extend_schema(responses={200: described("RoleRemoved", message=True)}, tags=_ROLES, summary="Remove a role")
    def delete(self, request: Request, id: str) -> Response:
        people.delete_role(role=found(Role.objects.all(), id, noun="role"), by=self.actor)
        return success(request, None, message="The role is removed.")


class PermissionsView(ApiView):
    """Every permission that a role can hold."""

    capabilities: ClassVar[dict[str, str]] = {"get": "identity.view_role"}

    @extend_schema(
        responses={
            200: described(
                "PermissionGroup",
                {"group": serializers.CharField(), "permissions": serializers.ListField(child=serializers.DictField())},
                many=True,
            )
        },
        tags=_ROLES,
        summary="List permissions",
    )
    def get(self, request: Request) -> Response:
        groups = [
            {"group": group.label, "permissions": [{"name": name, "label": label} for name, label in group.items]}
            for group in capability_groups()
        ]
        return success(request, groups)


# --- API keys ---


class ApiKeysView(ApiView):
    """API keys: one's own, or all of the tenant's for who may revoke them."""

    capabilities: ClassVar[dict[str, str]] = {"post": "identity.add_apikey"}

    @extend_schema(
        parameters=PAGE_PARAMETERS,
        responses={200: described("ApiKey", KEY, many=True)},
        tags=_KEYS,
        summary="List API keys",
        operation_id="api_keys_list",
    )
    def get(self, request: Request) -> Response:
        return paged(request, keys_visible_to(self.actor), key_out)

    @extend_schema(
        request=inputs.ApiKeyIn,
        responses={201: described("NewApiKey", {**KEY, "secret": serializers.CharField()}, message=True)},
        tags=_KEYS,
        summary="Make an API key; its secret is answered once",
    )
    def post(self, request: Request) -> Response:
        if request.auth.key is not None:
            raise Forbidden("An API key cannot make keys. Sign in instead.")
        body = read(inputs.ApiKeyIn, request.data)
        key, secret = people.create_api_key(
            user=request.user, name=body["name"], capabilities=body.get("permissions", []), expires_at=body.get("expires_at"), by=self.actor
        )
        response = success(request, {**key_out(key), "secret": secret}, message="Keep the secret now: it is not shown again.", status=201)
        response["Cache-Control"] = "no-store"
        return response


class ApiKeyView(ApiView):
    """One API key."""

    @extend_schema(responses={200: described("ApiKey", KEY)}, tags=_KEYS, summary="Read an API key")
    def get(self, request: Request, id: str) -> Response:
        return success(request, key_out(found(keys_visible_to(self.actor), id, noun="API key")))

    @extend_schema(responses={200: described("ApiKeyRevoked", message=True)}, tags=_KEYS, summary="Revoke an API key")
    def delete(self, request: Request, id: str) -> Response:
        key: ApiKey = found(keys_visible_to(self.actor), id, noun="API key")
        people.revoke_api_key(key=key, by=self.actor)
        return success(request, None, message="The key is revoked.")
