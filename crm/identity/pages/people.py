"""Users, invitations, teams, roles and API keys."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.identity.enums import RoleCode
from crm.identity.models import ApiKey, Invitation, Role, Team, User
from crm.identity.selectors import capability_groups, keys_visible_to, members, open_invitations, teams_with_members
from crm.identity.services import people
from crm.identity.services.invitations import invite_user, join_link, withdraw_invitation
from crm.web.settings_pages import SettingsFormPage, SettingsFrame

PEOPLE_PER_PAGE = 50


def found(rows: QuerySet[Any], pk: int) -> Any:
    row = rows.filter(pk=pk).first() if pk < 2**63 else None
    if row is None:
        raise Http404
    return row


# --- users ---


class UsersPage(SettingsFrame):
    """Everybody of the tenant."""

    capability = "identity.view_user"
    template = "identity/users.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        text = request.GET.get("q", "").replace("\x00", "").strip()[:100]
        role, state = request.GET.get("role", ""), request.GET.get("state", "")
        users = members()
        if text:
            users = users.filter(
                Q(first_name__icontains=text) | Q(last_name__icontains=text) | Q(username__icontains=text) | Q(email__icontains=text)
            )
        if role.isascii() and role.isdigit() and len(role) < 19:
            users = users.filter(role_id=int(role))
        if state in ("active", "inactive"):
            users = users.filter(is_active=state == "active")
        page = Paginator(users, PEOPLE_PER_PAGE).get_page(request.GET.get("page"))
        context = {
            "page": page,
            "roles": list(Role.objects.all()),
            "query": text,
            "role": role,
            "state": state,
            "narrowed": bool(text or role or state),
            "can_change": self.actor.can("identity.change_user"),
            "can_invite": self.actor.can("identity.add_user"),
        }
        return self.show(context)


class UserForm(forms.Form):
    first_name = forms.CharField(label=_("First name"), max_length=50)
    last_name = forms.CharField(label=_("Last name"), max_length=50, required=False)
    phone = forms.CharField(label=_("Phone"), max_length=30, required=False)
    role = forms.ModelChoiceField(label=_("Role"), queryset=Role.objects.all(), empty_label=None)
    is_active = forms.BooleanField(
        label=_("May sign in"),
        required=False,
        help_text=_("Switching this off ends all sessions at once. Records stay."),
        widget=forms.CheckboxInput(attrs={"role": "switch"}),
    )


class UserPage(SettingsFormPage):
    """One user: name, role, access."""

    capability = "identity.change_user"
    template = "identity/user.html"
    form_class = UserForm
    success_message = _("Saved.")

    def person(self) -> User:
        user: User = found(members(), self.kwargs["id"])
        return user

    def form_arguments(self) -> dict[str, Any]:
        user = self.person()
        names = ("first_name", "last_name", "phone", "role", "is_active")
        return {"initial": {name: getattr(user, name) for name in names}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "person": self.person()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        people.update_user(user=self.person(), data=form.cleaned_data, by=self.actor)
        return redirect("identity:users")


class ChangeUserPage(SettingsFrame):
    """Change a user's role or access from the list."""

    capability = "identity.change_user"
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        user = found(members(), id)
        data: dict[str, Any] = {}
        if request.POST.get("role", "").isdecimal():
            data["role"] = found(Role.objects.all(), int(request.POST["role"]))
        if request.POST.get("is_active") in ("0", "1"):
            data["is_active"] = request.POST["is_active"] == "1"
        people.change_user(user=user, by=self.actor, **data)
        messages.success(request, _("%(name)s: saved.") % {"name": user.full_name})
        return redirect("identity:users")


# --- invitations ---


class InviteForm(forms.Form):
    email = forms.EmailField(label=_("E-mail"), max_length=100)
    role = forms.ModelChoiceField(label=_("Role"), queryset=Role.objects.all(), empty_label=None)
    team = forms.ModelChoiceField(label=_("Team"), queryset=Team.objects.all(), required=False, empty_label=_("No team"))


class InvitationsPage(SettingsFormPage):
    """Invite somebody; who was invited and has not come yet."""

    capability = "identity.add_user"
    template = "identity/invitations.html"
    form_class = InviteForm

    def form_arguments(self) -> dict[str, Any]:
        return {"initial": {"role": Role.objects.filter(code=RoleCode.SALES_REP).first()}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        now = timezone.now()
        rows = [{"invitation": item, "link": join_link(item), "expired": item.expires_at < now} for item in open_invitations()[:200]]
        return {"form": form, "rows": rows}

    def save(self, form: forms.Form) -> HttpResponseBase:
        invitation = invite_user(**form.cleaned_data, by=self.actor)
        messages.success(self.request, _("An invitation to %(email)s is on its way.") % {"email": invitation.email})
        return redirect("identity:invitations")


class WithdrawPage(SettingsFrame):
    """Close an invitation's link."""

    capability = "identity.add_user"
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        withdraw_invitation(invitation=found(Invitation.objects.all(), id), by=self.actor)
        messages.success(request, _("The invitation is withdrawn; its link no longer works."))
        return redirect("identity:invitations")


# --- teams ---


class TeamForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80)
    description = forms.CharField(label=_("Description"), max_length=200, required=False)
    manager = forms.ModelChoiceField(label=_("Manager"), queryset=User.objects.all(), required=False, empty_label=_("Nobody"))
    members = forms.ModelMultipleChoiceField(
        label=_("Members"), queryset=User.objects.all(), required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("manager", "members"):
            self.fields[name].queryset = User.objects.filter(is_active=True)  # type: ignore[attr-defined]


class TeamsPage(SettingsFrame):
    """All teams."""

    capability = "identity.view_team"
    template = "identity/teams.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        return self.show({"teams": list(teams_with_members()[:200]), "can_change": self.actor.can("identity.change_team")})


class TeamPage(SettingsFormPage):
    """A new team, or a change to one."""

    capability = "identity.change_team"
    template = "identity/team.html"
    form_class = TeamForm
    success_message = _("The team is saved.")

    def team(self) -> Team | None:
        return found(teams_with_members(), self.kwargs["id"]) if "id" in self.kwargs else None

    def form_arguments(self) -> dict[str, Any]:
        team = self.team()
        if team is None:
            return {}
        return {
            "initial": {
                "name": team.name,
                "description": team.description,
                "manager": team.manager_id,
                "members": [user.pk for user in team.members.all()],
            }
        }

    def context(self, form: forms.Form) -> dict[str, Any]:
        return {"form": form, "team": self.team()}

    def save(self, form: forms.Form) -> HttpResponseBase:
        people.save_team(team=self.team(), **form.cleaned_data, by=self.actor)
        return redirect("identity:teams")


class DeleteTeamPage(SettingsFrame):
    """Remove a team; its members stay."""

    capability = "identity.change_team"
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        people.delete_team(team=found(Team.objects.all(), id), by=self.actor)
        messages.success(request, _("The team is removed."))
        return redirect("identity:teams")


# --- roles ---


class RoleForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=60)
    description = forms.CharField(label=_("Description"), max_length=200, required=False)
    capabilities = forms.MultipleChoiceField(label=_("Permissions"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["capabilities"].choices = [item for group in capability_groups() for item in group.items]  # type: ignore[attr-defined]


class RolesPage(SettingsFrame):
    """All roles, how many hold them and how much they may do."""

    capability = "identity.view_role"
    template = "identity/roles.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        roles = Role.objects.annotate(holders=Count("users", filter=Q(users__is_active=True)))
        rows = [{"role": role, "permissions": len(role.effective_capabilities)} for role in roles]
        return self.show({"rows": rows, "can_change": self.actor.can("identity.change_role")})


class RolePage(SettingsFormPage):
    """A role and what it may do."""

    capability = "identity.view_role"
    template = "identity/role.html"
    form_class = RoleForm
    success_message = _("The role is saved. It counts from the next click on.")

    def role(self) -> Role | None:
        return found(Role.objects.all(), self.kwargs["id"]) if "id" in self.kwargs else None

    def form_arguments(self) -> dict[str, Any]:
        role = self.role()
        if role is None:
            return {}
        return {"initial": {"name": role.name, "description": role.description, "capabilities": sorted(role.effective_capabilities)}}

    def context(self, form: forms.Form) -> dict[str, Any]:
        role = self.role()
        chosen = set(form["capabilities"].value() or [])
        fixed = not self.actor.can("identity.change_role") or (role is not None and role.is_builtin and role.code == RoleCode.ADMIN)
        return {"form": form, "role": role, "groups": marked_groups(chosen, self.actor), "fixed": fixed}

    def save(self, form: forms.Form) -> HttpResponseBase:
        people.save_role(role=self.role(), **form.cleaned_data, by=self.actor)
        return redirect("identity:roles")


def marked_groups(chosen: set[str], actor: Any) -> list[dict[str, Any]]:
    """Permissions by app; what the actor does not hold cannot be given."""
    return [
        {
            "label": group.label,
            "items": [{"name": name, "label": label, "chosen": name in chosen, "allowed": actor.can(name)} for name, label in group.items],
        }
        for group in capability_groups()
    ]


class DeleteRolePage(SettingsFrame):
    """Remove a role that nobody holds."""

    capability = "identity.change_role"
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        people.delete_role(role=found(Role.objects.all(), id), by=self.actor)
        messages.success(request, _("The role is removed."))
        return redirect("identity:roles")


# --- API keys ---


class ApiKeyForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("Where the key is used, such as “Website forms”."))
    lifetime = forms.TypedChoiceField(
        label=_("Expires"),
        coerce=int,
        required=False,
        empty_value=0,
        choices=[(90, _("in 90 days")), (30, _("in 30 days")), (365, _("in a year")), (0, _("never"))],
    )
    capabilities = forms.MultipleChoiceField(label=_("Permissions"), required=False, widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["capabilities"].choices = [item for group in capability_groups() for item in group.items]  # type: ignore[attr-defined]


class ApiKeysPage(SettingsFormPage):
    """API keys. A new one's secret is shown once, on the answer to the form."""

    capability = "identity.add_apikey"
    template = "identity/api_keys.html"
    form_class = ApiKeyForm

    def context(self, form: forms.Form) -> dict[str, Any]:
        now = timezone.now()
        rows = [
            {"key": key, "state": _state_of(key, now), "permissions": len(key.capabilities)} for key in keys_visible_to(self.actor)[:200]
        ]
        chosen = set(form["capabilities"].value() or [])
        return {"form": form, "rows": rows, "groups": marked_groups(chosen, self.actor)}

    def save(self, form: forms.Form) -> HttpResponseBase:
        days = form.cleaned_data["lifetime"]
        key, secret = people.create_api_key(
            user=self.request.user,  # type: ignore[arg-type]
            name=form.cleaned_data["name"],
            capabilities=form.cleaned_data["capabilities"],
            expires_at=timezone.now() + timedelta(days=days) if days else None,
            by=self.actor,
        )
        response = self.show({**self.context(self.form()), "secret": secret, "made": key})
        response["Cache-Control"] = "no-store"
        return response


def _state_of(key: ApiKey, now: Any) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if key.expires_at is not None and key.expires_at < now else "active"


class RevokeKeyPage(SettingsFrame):
    """Close a key at once."""

    capability = "identity.add_apikey"
    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        people.revoke_api_key(key=found(keys_visible_to(self.actor), id), by=self.actor)
        messages.success(request, _("The key is revoked; it no longer opens anything."))
        return redirect("identity:api-keys")
