"""When the tenant, its teams and its people work. Read once for the work in progress."""

from collections.abc import Mapping
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

from crm.identity.models import Holiday, Team, TeamMember, User
from crm.tenancy.models import Tenant, current_tenant
from crm.tenancy.scope import current_scope
from crm.worktime import WorkingTime, read_week


def tenant_time() -> WorkingTime:
    """The open tenant's working time."""
    tenant = current_tenant()
    return WorkingTime(zone=ZoneInfo(tenant.time_zone), week=read_week(tenant.working_hours), holidays=_holidays(None))


def team_time(team: Team) -> WorkingTime:
    """A team's hours and zone, else the tenant's; both their holidays."""
    return _own_or_tenants(team.time_zone, team.working_hours, holidays=_holidays(team.pk))


def user_time(user: User) -> WorkingTime:
    """A person's hours and zone, else the tenant's; the tenant's holidays and those of the person's teams."""
    teams = _teams_by_user().get(user.pk, ())
    holidays = _holidays(None).union(*(_holidays(team_id) for team_id in teams))
    return _own_or_tenants(user.time_zone, user.working_hours, holidays=holidays)


def time_in_zone(zone: ZoneInfo) -> WorkingTime:
    """The tenant's hours as they are kept in another zone, such as a lead's."""
    usual = tenant_time()
    return WorkingTime(zone=zone, week=usual.week, holidays=usual.holidays)


def zone_of(user: User, *, tenant: Tenant | None = None) -> ZoneInfo:
    """The zone in which a person reads times."""
    return ZoneInfo(user.time_zone or (tenant or current_tenant()).time_zone)


def _own_or_tenants(zone: str, hours: Mapping[str, Any], *, holidays: frozenset[date]) -> WorkingTime:
    tenant = current_tenant()
    return WorkingTime(zone=ZoneInfo(zone or tenant.time_zone), week=read_week(hours or tenant.working_hours), holidays=holidays)


def _holidays(team_id: int | None) -> frozenset[date]:
    """The tenant's holidays, with a team's own where one is named."""
    memo = current_scope().memo
    if "identity.holidays" not in memo:
        days: dict[int | None, set[date]] = {}
        for day, team in Holiday.objects.values_list("date", "team_id"):
            days.setdefault(team, set()).add(day)
        memo["identity.holidays"] = days
    found: dict[int | None, set[date]] = memo["identity.holidays"]
    return frozenset(found.get(None, set()) | (found.get(team_id, set()) if team_id is not None else set()))


def _teams_by_user() -> dict[int, list[int]]:
    memo = current_scope().memo
    if "identity.teams_by_user" not in memo:
        teams: dict[int, list[int]] = {}
        for user_id, team_id in TeamMember.objects.values_list("user_id", "team_id"):
            teams.setdefault(user_id, []).append(team_id)
        memo["identity.teams_by_user"] = teams
    found: dict[int, list[int]] = memo["identity.teams_by_user"]
    return found
