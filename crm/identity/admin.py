"""The admin of people and access."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import CheckboxSelectMultiple, ModelForm, MultipleChoiceField
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from crm.actors import Actor
from crm.admin import TenantModelAdmin, actor_of
from crm.identity.models import ApiKey, AuthSession, Invitation, Role, Team, User
from crm.identity.selectors import capability_groups
from crm.identity.services import people
from crm.identity.services.signin import end_session

_SEEN = "identity.view_user"


class SeenByManagers(TenantModelAdmin):
    """Read-only, for who may see the tenant's users."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return actor_of(request).can(_SEEN)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can(_SEEN)


@admin.register(User)
class UserAdmin(TenantModelAdmin):
    """People. They come by invitation; here their names, role and access change."""

    editable = True
    list_display = ("full_name", "email", "role", "is_active", "last_login")
    list_filter = ("is_active", "role")
    search_fields = ("first_name", "last_name", "email", "username")
    list_select_related = ("role",)
    fields = (
        "email",
        "username",
        "first_name",
        "last_name",
        "phone",
        "role",
        "is_active",
        "time_zone",
        "theme",
        "rate_class",
        "last_login",
        "created_at",
    )
    readonly_fields = ("email", "username", "rate_class", "last_login", "created_at")
    exported = ("id", "username", "email", "first_name", "last_name", "phone", "role__name", "is_active", "last_login", "created_at")
    actions = ("activate", "deactivate")

    @admin.display(description=_("name"), ordering="first_name")
    def full_name(self, user: User) -> str:
        return user.full_name

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def write(self, request: HttpRequest, obj: Any, form: Any, change: bool, by: Actor) -> None:
        data = {name: form.cleaned_data[name] for name in form.changed_data}
        people.update_user(user=User.objects.select_related("role").get(pk=obj.pk), data=data, by=by)

    @admin.action(description=_("Let the selected users in"), permissions=["change"])
    def activate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._switch(request, users, is_active=True)

    @admin.action(description=_("Let the selected users in no longer"), permissions=["change"])
    def deactivate(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._switch(request, users, is_active=False)

    def _switch(self, request: HttpRequest, users: QuerySet[User], *, is_active: bool) -> None:
        with self.refusals_as_messages(request):
            for user in users.select_related("role"):
                people.change_user(user=user, is_active=is_active, by=actor_of(request))


class RoleForm(ModelForm):  # type: ignore[type-arg]
    """A role with its permissions in words."""

    capabilities = MultipleChoiceField(label=_("permissions"), required=False, widget=CheckboxSelectMultiple)

    class Meta:
        model = Role
        fields = ("name", "description", "capabilities")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "capabilities" in self.fields:
            self.fields["capabilities"].choices = [(group.label, list(group.items)) for group in capability_groups()]  # type: ignore[attr-defined]
            self.initial["capabilities"] = sorted(self.instance.effective_capabilities) if self.instance.pk else []


@admin.register(Role)
class RoleAdmin(TenantModelAdmin):
    """Roles and what they may do."""

    editable = True
    form = RoleForm
    list_display = ("name", "code", "is_builtin", "description")
    search_fields = ("name", "code")
    exported = ("id", "code", "name", "description", "is_builtin", "capabilities")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can("identity.change_role")

    def write(self, request: HttpRequest, obj: Any, form: Any, change: bool, by: Actor) -> None:
        role = people.save_role(
            role=Role.objects.get(pk=obj.pk) if change else None,
            name=form.cleaned_data["name"],
            description=form.cleaned_data["description"],
            capabilities=form.cleaned_data["capabilities"],
            by=by,
        )
        obj.pk = role.pk


@admin.register(Team)
class TeamAdmin(TenantModelAdmin):
    """Teams; who is in them is set on their settings page."""

    editable = True
    list_display = ("name", "description", "manager")
    search_fields = ("name",)
    list_select_related = ("manager",)
    fields = ("name", "description", "manager")
    autocomplete_fields = ("manager",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return actor_of(request).can("identity.change_team")

    def write(self, request: HttpRequest, obj: Any, form: Any, change: bool, by: Actor) -> None:
        team = Team.objects.get(pk=obj.pk) if change else None
        obj.pk = people.save_team(team=team, **{name: form.cleaned_data[name] for name in self.fields}, by=by).pk  # type: ignore[arg-type]


@admin.register(Invitation)
class InvitationAdmin(TenantModelAdmin):
    """Invitations, read-only."""

    list_display = ("email", "role", "team", "invited_by", "created_at", "expires_at", "accepted_at", "withdrawn_at")
    list_filter = ("role",)
    search_fields = ("email",)
    list_select_related = ("role", "team", "invited_by")


@admin.register(ApiKey)
class ApiKeyAdmin(SeenByManagers):
    """API keys; made on their settings page, revoked here or there."""

    list_display = ("name", "prefix", "user", "created_at", "expires_at", "last_used_at", "revoked_at")
    search_fields = ("name", "prefix", "user__email")
    list_select_related = ("user",)
    fields = ("name", "prefix", "user", "capabilities", "created_at", "expires_at", "last_used_at", "revoked_at")
    exported = ("id", "name", "prefix", "user__email", "created_at", "expires_at", "last_used_at", "revoked_at")
    actions = ("revoke",)

    @admin.action(description=_("Revoke the selected keys"))
    def revoke(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        with self.refusals_as_messages(request):
            for key in keys:
                people.revoke_api_key(key=key, by=actor_of(request))


@admin.register(AuthSession)
class AuthSessionAdmin(SeenByManagers):
    """Sign-ins, read-only; the ones in force can be ended by who may change users."""

    list_display = ("user", "kind", "ip", "created_at", "last_seen_at", "ended_at", "end_reason")
    list_filter = ("kind", "end_reason")
    search_fields = ("user__email", "user__first_name", "user__last_name")
    list_select_related = ("user",)
    fields = ("user", "kind", "ip", "user_agent", "created_at", "last_seen_at", "expires_at", "ended_at", "end_reason")
    exported = ("id", "user__email", "kind", "ip", "user_agent", "created_at", "last_seen_at", "ended_at", "end_reason")
    actions = ("end",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuthSession]:
        return super().get_queryset(request).filter(tenant_id=actor_of(request).tenant_id)

    @admin.action(description=_("End the selected sessions"))
    def end(self, request: HttpRequest, sessions: QuerySet[AuthSession]) -> None:
        with self.refusals_as_messages(request):
            actor_of(request).require("identity.change_user")
            for session in sessions.filter(ended_at=None):
                end_session(user=session.user, session_id=session.pk)
