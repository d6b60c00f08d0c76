"""Users, roles, teams, sessions and keys."""

import hashlib
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from crm.history import track
from crm.identity.enums import RateClass, SessionKind
from crm.identity.roles import effective_capabilities
from crm.tenancy.fields import TenantForeignKey
from crm.tenancy.managers import TenantManager
from crm.tenancy.models import TenantOwned
from crm.tenancy.scope import WrongTenant, scope_or_none


def fingerprint(secret: str) -> str:
    """The stored form of a random secret. Plain SHA-256 will do: the secret has 256 bits, so there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


@track()
class Role(TenantOwned):
    """A named set of capabilities. `capabilities` empty (null) on a built-in role means: follow the product's defaults."""

    code = models.SlugField(_("code"), max_length=40, db_index=False)
    name = models.CharField(_("name"), max_length=60)
    description = models.CharField(_("description"), max_length=200, blank=True)
    is_builtin = models.BooleanField(_("built in"), default=False, editable=False)
    capabilities = ArrayField(models.CharField(max_length=100), verbose_name=_("permissions"), null=True, blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "code"], name="identity_role_code")]

    def __str__(self) -> str:
        return self.name

    @property
    def effective_capabilities(self) -> frozenset[str]:
        return effective_capabilities(self.code, self.capabilities)


class IdentityManager(models.Manager["User"]):
    """All users of the install, for sign-in only: a person is found before any tenant is known."""

    def get_by_natural_key(self, email: str) -> "User":
        return self.get(email__iexact=email)


@track(exclude=("password", "last_login", "failed_sign_ins", "locked_until", "updated_at"))
class User(AbstractBaseUser):
    """A person of exactly one tenant, found by e-mail across the install."""

    tenant = models.ForeignKey("tenancy.Tenant", models.PROTECT, related_name="+", db_index=False)
    username = models.CharField(_("username"), max_length=50, unique=True)
    email = models.EmailField(_("e-mail"), max_length=100)
    first_name = models.CharField(_("first name"), max_length=50)
    last_name = models.CharField(_("last name"), max_length=50, blank=True)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    role = TenantForeignKey(Role, models.PROTECT, verbose_name=_("role"), related_name="users")
    is_active = models.BooleanField(_("active"), default=True)
    is_verified = models.BooleanField(_("verified"), default=True)
    is_platform_staff = models.BooleanField(_("platform staff"), default=False, help_text=_("Runs this install; may name any tenant."))
    rate_class = models.CharField(_("rate class"), max_length=10, choices=RateClass, default=RateClass.STANDARD)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, help_text=_("Empty: the tenant's."))
    working_hours = models.JSONField(_("working hours"), default=dict, blank=True, help_text=_("Empty: the tenant's."))
    theme = models.CharField(_("theme"), max_length=5, blank=True, choices=[("", _("System")), ("light", _("Light")), ("dark", _("Dark"))])
    failed_sign_ins = models.PositiveIntegerField(default=0, editable=False)
    locked_until = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS = ["username", "first_name"]

    objects = TenantManager()
    identities = IdentityManager()

    class Meta:
        ordering = ["first_name", "last_name", "id"]
        constraints = [models.UniqueConstraint(Lower("email"), name="identity_user_email")]
        indexes = [models.Index(fields=["tenant", "is_active"], name="identity_user_tenant")]

    def __str__(self) -> str:
        return self.full_name

    def save(self, *args: Any, **kwargs: Any) -> None:
        scope = scope_or_none()
        if scope is not None and scope.tenant_id != self.tenant_id:
            raise WrongTenant(f"User of tenant {self.tenant_id} written while {scope.tenant_id} is open.")
        super().save(*args, **kwargs)

    @property
    def full_name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    get_full_name = __str__

    def get_short_name(self) -> str:
        return self.first_name

    @property
    def is_staff(self) -> bool:
        """Whether the Django admin opens: managers steer there."""
        return self.has_perm("identity.use_admin")

    def has_perm(self, perm: str, obj: object = None) -> bool:
        from crm.identity.selectors import access_of

        return self.is_active and access_of(self).can(perm)

    def has_module_perms(self, app_label: str) -> bool:
        from crm.identity.selectors import access_of

        access = access_of(self)
        return access.all_powerful or any(name.startswith(f"{app_label}.") for name in access.capabilities)


@track()
class RoleGrant(TenantOwned):
    """A further role of a user, beside the primary one (decision C39)."""

    user = TenantForeignKey(User, models.CASCADE, related_name="role_grants")
    role = TenantForeignKey(Role, models.CASCADE, related_name="grants")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user", "role"], name="identity_rolegrant_once")]

    def __str__(self) -> str:
        return f"{self.user} · {self.role}"


@track()
class Team(TenantOwned):
    """A group of users. Records can be shared with it."""

    name = models.CharField(_("name"), max_length=80)
    description = models.CharField(_("description"), max_length=200, blank=True)
    manager = TenantForeignKey(User, models.SET_NULL, verbose_name=_("manager"), null=True, blank=True, related_name="managed_teams")
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, help_text=_("Empty: the tenant's."))
    working_hours = models.JSONField(_("working hours"), default=dict, blank=True, help_text=_("Empty: the tenant's."))
    members = models.ManyToManyField(User, through="TeamMember", related_name="teams")

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="identity_team_name")]

    def __str__(self) -> str:
        return self.name


@track()
class TeamMember(TenantOwned):
    team = TenantForeignKey(Team, models.CASCADE, related_name="memberships")
    user = TenantForeignKey(User, models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user", "team"], name="identity_teammember_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


@track()
class Holiday(TenantOwned):
    """A day on which nobody works: of the whole tenant, or of one team."""

    date = models.DateField(_("day"))
    name = models.CharField(_("name"), max_length=80)
    team = TenantForeignKey(Team, models.CASCADE, verbose_name=_("team"), null=True, blank=True, related_name="holidays")

    class Meta:
        ordering = ["date", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "date", "team"], nulls_distinct=False, name="identity_holiday_once")]

    def __str__(self) -> str:
        return f"{self.name} ({self.date})"


@track()
class Invitation(TenantOwned):
    """An offer to join a tenant in a role. The link's token is signed, not stored."""

    email = models.EmailField(_("e-mail"), max_length=100)
    role = TenantForeignKey(Role, models.CASCADE, verbose_name=_("role"), related_name="+")
    team = TenantForeignKey(Team, models.SET_NULL, verbose_name=_("team"), null=True, blank=True, related_name="+")
    invited_by = TenantForeignKey(User, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    accepted_at = models.DateTimeField(_("accepted"), null=True)
    withdrawn_at = models.DateTimeField(_("withdrawn"), null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "email"], name="identity_invitation_email")]

    def __str__(self) -> str:
        return self.email


class Registration(models.Model):
    """Somebody who signed up and has not proved the address yet. Belongs to no tenant; the user exists once verified."""

    username = models.CharField(max_length=50)
    email = models.EmailField(max_length=100)
    password = models.CharField(max_length=128)
    first_name = models.CharField(max_length=50)
    last_name = models.CharField(max_length=50, blank=True)
    phone = models.CharField(max_length=30, blank=True)
    company = models.CharField(max_length=100, blank=True)
    invitation_token = models.CharField(max_length=300, blank=True)
    address_known = models.BooleanField(default=False)
    code_hash = models.CharField(max_length=128, blank=True)
    code_expires_at = models.DateTimeField(null=True)
    tries_left = models.PositiveSmallIntegerField(default=5)
    code_sent_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(Lower("email"), models.F("id").desc(), name="identity_registration_email")]

    def __str__(self) -> str:
        return self.email


class AuthSession(models.Model):
    """One sign-in, on a browser or by API. Ending it ends its tokens at once. Refresh tokens rotate; a replay ends the session."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="auth_sessions")
    kind = models.CharField(max_length=4, choices=SessionKind)
    refresh_hash = models.CharField(max_length=64, blank=True)
    refresh_expires_at = models.DateTimeField(null=True)
    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    last_seen_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=40, blank=True)

    class Meta:
        ordering = ["-last_seen_at"]
        indexes = [models.Index(fields=["expires_at"], name="identity_authsession_expiry")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.kind} {self.created_at:%Y-%m-%d}"


class ApiKey(models.Model):
    """A key of an integration, acting for the user who made it within `capabilities`. Shown once, stored hashed."""

    tenant = models.ForeignKey("tenancy.Tenant", models.CASCADE, related_name="+", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="api_keys")
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(max_length=12, editable=False)
    secret_hash = models.CharField(max_length=64, unique=True, editable=False)
    capabilities = ArrayField(models.CharField(max_length=100), verbose_name=_("permissions"), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)

    objects = TenantManager()
    identities = models.Manager()

    class Meta:
        ordering = ["-id"]
        permissions = [("use_admin", "Can open the admin"), ("see_all_operations", "Can see everybody's operations")]
        indexes = [models.Index(fields=["tenant", "user"], name="identity_apikey_owner")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
