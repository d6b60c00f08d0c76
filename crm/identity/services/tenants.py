"""Open a tenant and change its settings."""

import zoneinfo
from collections.abc import Callable
from typing import Any

import phonenumbers
from babel.numbers import list_currencies
from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from crm.identity.enums import RoleCode
from crm.identity.models import Role
from crm.identity.services.hours import hours_problems
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope

# Apps add what a new tenant needs (its lead statuses, …); each runs inside the tenant's scope and must be repeatable.
tenant_setup: list[Callable[[Tenant], None]] = []


class TenantNameTaken(DomainError):
    code = "TENANT_NAME_TAKEN"


def open_tenant(*, name: str, display_name: str = "", region: str = "US", time_zone: str = "UTC", currency: str = "USD") -> Tenant:
    """Make a tenant with its built-in roles and every app's starting vocabulary. Refuses a taken name."""
    try:
        with transaction.atomic():
            tenant = Tenant.objects.create(
                name=name, display_name=display_name, region=region, time_zone=time_zone, currency=currency, working_hours=office_hours()
            )
            set_up_tenant(tenant)
    except IntegrityError:
        raise TenantNameTaken("A company with this name already exists.", field="name") from None
    return tenant


def set_up_tenant(tenant: Tenant) -> None:
    """Give a tenant what it lacks of roles and vocabularies. Running it twice changes nothing."""
    with tenant_scope(tenant.pk):
        for code in RoleCode:
            Role.objects.get_or_create(code=code.value, tenant=tenant, defaults={"name": str(code.label), "is_builtin": True})
        for prepare in tenant_setup:
            prepare(tenant)


def office_hours() -> dict[str, list[str]]:
    return {str(day): ["09:00", "18:00"] for day in range(5)}


EDITABLE = ("display_name", "region", "time_zone", "currency", "working_hours", "open_form")


def update_tenant(*, tenant: Tenant, data: dict[str, Any], by: Actor) -> Tenant:
    """Change a tenant's settings. Refuses unknown regions, zones and currencies by name."""
    by.require("tenancy.change_tenant")
    problems: dict[str, list[str]] = {}
    if "region" in data and data["region"] not in phonenumbers.SUPPORTED_REGIONS:
        problems["region"] = ["Not a country code such as US or GB."]
    if "time_zone" in data and data["time_zone"] not in zoneinfo.available_timezones():
        problems["time_zone"] = ["Not a time zone such as Europe/London."]
    if "currency" in data and data["currency"] not in list_currencies():
        problems["currency"] = ["Not a currency code such as USD."]
    if "working_hours" in data:
        problems.update(hours_problems(data["working_hours"]))
    if problems:
        raise InvalidInput(problems)
    for name in EDITABLE:
        if name in data:
            setattr(tenant, name, data[name])
    tenant.save()
    return tenant
