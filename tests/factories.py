"""Rows for tests. Each function builds one thing and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from typing import Any

from django.utils import timezone

from crm.actors import Actor, Door
from crm.identity.enums import SessionKind
from crm.identity.models import AuthSession, Role, Team, TeamMember, User
from crm.identity.selectors import actor_for
from crm.identity.services.tenants import set_up_tenant
from crm.normal import email_key
from crm.tenancy.models import Tenant
from crm.tenancy.scope import scope_or_none, tenant_scope
from leads.models import Lead, LeadStatus, WebForm
from leads.services.drafts import clean_phone
from leads.services.forms import FormSettings, save_form

PASSWORD = "correct-horse-battery"
_number = count(1)


@contextmanager
def inside(tenant_id: int) -> Iterator[None]:
    """Open the tenant, unless it is open already."""
    scope = scope_or_none()
    if scope is not None and scope.tenant_id == tenant_id:
        yield
    else:
        with tenant_scope(tenant_id):
            yield


def make_tenant(name: str = "", **fields: Any) -> Tenant:
    """A tenant with its roles and statuses."""
    tenant = Tenant.objects.create(name=name or f"tenant-{next(_number)}", **fields)
    set_up_tenant(tenant)
    return tenant


def make_user(tenant: Tenant, *, role: str = "manager", **fields: Any) -> User:
    """A person of the tenant in a built-in role, who signs in with PASSWORD."""
    number = next(_number)
    user = User(
        **{
            "tenant": tenant,
            "username": f"user{number}",
            "email": f"user{number}@{tenant.name}.example",
            "first_name": f"User{number}",
            "last_name": role.title(),
            **fields,
        }
    )
    user.set_password(fields.get("password", PASSWORD))
    with inside(tenant.pk):
        user.role = Role.objects.get(code=role)
        user.save()
    return user


def make_team(tenant: Tenant, *members: User, name: str = "") -> Team:
    with inside(tenant.pk):
        team = Team.objects.create(name=name or f"team-{next(_number)}")
        TeamMember.objects.bulk_create(TeamMember(team=team, user=user) for user in members)
    return team


def make_lead(tenant: Tenant, *, status: str = "new", **fields: Any) -> Lead:
    """A lead as it stands, without events, duplicate check or score."""
    now = timezone.now()
    fields.setdefault("last_name", f"Lead{next(_number)}" if "first_name" not in fields else "")
    if fields.get("phone"):
        fields["phone"] = clean_phone(fields["phone"], region=tenant.region)
    with inside(tenant.pk):
        return Lead.objects.create(
            **{
                "tenant": tenant,
                "status": LeadStatus.objects.get(code=status),
                "status_changed_at": now,
                "created_at": now,
                "email_key": email_key(fields.get("email", "")),
                **fields,
            }
        )


def make_form(tenant: Tenant, **settings: Any) -> WebForm:
    """A web form with its public key."""
    with inside(tenant.pk):
        return save_form(
            form=None, wanted=FormSettings(**{"name": f"form-{next(_number)}", **settings}), by=Actor.system(tenant_id=tenant.pk)
        )


def make_session(user: User, *, kind: SessionKind = SessionKind.API) -> AuthSession:
    """A sign-in that is under way."""
    return AuthSession.objects.create(tenant_id=user.tenant_id, user=user, kind=kind, expires_at=timezone.now() + timedelta(days=1))


def actor(user: User, *, door: Door = Door.PAGE) -> Actor:
    """What the user may do, read anew."""
    user.__dict__.pop("_access", None)
    return actor_for(user, door=door)


@contextmanager
def acting(user: User, *, door: Door = Door.PAGE) -> Iterator[Actor]:
    """Open the user's tenant with the user as the actor of everything inside."""
    by = actor(user, door=door)
    with tenant_scope(user.tenant_id, by=by):
        yield by
