"""What the engine decides on, read set-wise: rules, people, turns, and what is known of the leads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from assignments.enums import Fallback, Method
from assignments.models import Assignment, AssignmentRule, Capacity, Leave, PoolMember, Turn
from assignments.selectors import given_since, loads, people_with_leads, start_of_day
from assignments.services.engine import Credits, Engine, Known, LeadFacts, Rule, Territory, Worker
from crm.actors import Actor
from crm.errors import InvalidInput
from crm.filters import CONDITIONS
from crm.identity.hours import user_time
from crm.identity.models import TeamMember, User
from crm.tenancy.scope import current_tenant_id
from leads.filters import LeadFilters
from leads.models import Lead

# The columns of leads that rules look at.
FACTS = ("pk", "company_key", "email_key", "phone", "country", "state", "city")


@dataclass(kw_only=True)
class Snapshot:
    """Rules with their engine, and the database's names for what the engine calls by place."""

    rules: list[AssignmentRule]
    engine: Engine

    def rule_id(self, place: int | None) -> int | None:
        return self.rules[place].pk if place is not None else None


@lru_cache(maxsize=10_000)
def fold(text: str) -> str:
    """A place's name as it is compared; there are few of them."""
    return " ".join(text.casefold().split())


# --- people ---


def read_workers(*, at: datetime, rules: Sequence[Rule], since: datetime | None = None) -> dict[int, Worker]:
    """Everybody a lead may go to, as they stand. Who has been deactivated is there too, so that it can be said.

    What was given today is counted only where a limit asks for it. The clock may be set to any moment from `since` to `at`.
    """
    capacities = {item.user_id: item for item in Capacity.objects.all()}
    a_day = any(item.per_day is not None for item in (*capacities.values(), *rules))
    leave: dict[int, list[Any]] = {}
    # A day to spare at both ends: people's days begin and end up to fourteen hours from those of UTC.
    first, last = (since or at).date() - timedelta(days=1), at.date() + timedelta(days=1)
    for item in Leave.objects.filter(last_day__gte=first, first_day__lte=last):
        leave.setdefault(item.user_id, []).append((item.first_day, item.last_day))
    open_leads = {owner_id: load.active for owner_id, load in loads().items() if owner_id is not None}
    today = given_since(start_of_day(at)) if a_day else {}
    workers = {}
    for user in User.objects.order_by("id"):
        capacity = capacities.get(user.pk)
        workers[user.pk] = Worker(
            id=user.pk,
            active=user.is_active,
            paused=capacity is not None and capacity.takes_leads is False,
            hours=user_time(user),
            leave=tuple(leave.get(user.pk, ())),
            open_leads=open_leads.get(user.pk, 0),
            given_today=today.get(user.pk, 0),
            per_day=capacity.per_day if capacity else None,
            in_total=capacity.in_total if capacity else None,
        )
    return workers


# --- rules ---


def read_rules(rules: Sequence[AssignmentRule]) -> list[Rule]:
    """Rules with the people they name: two queries, however many they are. Unsaved ones are read like any other."""
    pools: dict[int, list[tuple[int, int]]] = {}
    for pool_id, user_id, weight in PoolMember.objects.order_by("id").values_list("pool_id", "user_id", "weight"):
        pools.setdefault(pool_id, []).append((user_id, weight))
    teams: dict[int, list[tuple[int, int]]] = {}
    for team_id, user_id in TeamMember.objects.order_by("id").values_list("team_id", "user_id"):
        teams.setdefault(team_id, []).append((user_id, 1))
    everybody: list[tuple[int, int]] | None = None
    read = []
    for rule in rules:
        members: Sequence[tuple[int, int]] | None
        if rule.user_id is not None:
            members = [(rule.user_id, 1)]
        elif rule.team_id is not None:
            members = teams.get(rule.team_id, [])
        elif rule.pool_id is not None:
            members = pools.get(rule.pool_id, [])
        elif rule.method in (Method.COMPANY_OWNER, Method.STICKY, Method.TERRITORY):
            members = None
        else:
            if everybody is None:
                everybody = [(person.user.pk, 1) for person in people_with_leads() if person.takes_leads]
            members = everybody
        read.append(
            Rule(
                id=rule.pk,
                name=rule.name,
                method=Method(rule.method),
                members=tuple(members) if members is not None else None,
                territories=tuple(_territory(item) for item in rule.territories),
                per_day=rule.per_day,
                in_total=rule.in_total,
                heed_shifts=rule.heed_shifts,
                fallback=Fallback(rule.fallback),
                fallback_user=rule.fallback_user_id,
            )
        )
    return read


def _territory(item: Mapping[str, Any]) -> Territory:
    places = {name: fold(str(item.get(name, ""))) for name in ("country", "state", "city")}
    return Territory(**places, members=tuple(item.get("users", ())))


def read_credits(rules: Sequence[AssignmentRule]) -> Credits:
    places = {rule.pk: place for place, rule in enumerate(rules) if rule.pk is not None}
    if not places:
        return {}
    turns = Turn.objects.filter(rule_id__in=list(places)).values_list("rule_id", "user_id", "credit")
    return {(places[rule_id], user_id): credit for rule_id, user_id, credit in turns}


def matches(rules: Sequence[AssignmentRule], leads: QuerySet[Lead], *, whole: Sequence[int]) -> dict[int, list[int]]:
    """For each lead the places of the rules it matches, in their order: one query for each rule with conditions.

    `whole` are the ids of all these leads. Rules are the tenant's, so they know every field. Conditions that have become unreadable match nothing.
    """
    found: dict[int, list[int]] = {}
    rules_know = Actor.system(tenant_id=current_tenant_id())
    for place, rule in enumerate(rules):
        if rule.conditions:
            try:
                ids: Iterable[int] = leads.filter(condition_of(tree=rule.conditions, by=rules_know)).values_list("pk", flat=True)
            except InvalidInput:
                continue
        else:
            ids = whole
        for pk in ids:
            found.setdefault(pk, []).append(place)
    return found


def condition_of(*, tree: Any, by: Actor) -> Q:
    """A rule's conditions on leads that are at hand. Raises InvalidInput for conditions that cannot be read."""
    narrowing = LeadFilters.seen_by(by).read({CONDITIONS: json.dumps(tree)})
    condition = narrowing.q
    for text in narrowing.texts:
        condition &= text.rows if isinstance(text.rows, Q) else Q(text.rows)
    return condition


# --- leads ---


def facts_of(rows: Iterable[tuple[Any, ...]], *, earlier: Mapping[int, int]) -> list[LeadFacts]:
    """Rows of FACTS as the engine reads them."""
    return [
        LeadFacts(
            id=pk,
            company=company,
            keys=tuple(key for key in (email, phone) if key),
            country=fold(country),
            state=fold(state),
            city=fold(city),
            earlier=earlier.get(pk),
        )
        for pk, company, email, phone, country, state, city in rows
    ]


_COMPANY_OWNERS = """
SELECT wanted.key, owner.owner_id
FROM unnest(%(keys)s::text[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT owner_id FROM leads_lead
    WHERE tenant_id = %(tenant)s AND deleted_at IS NULL AND company_key = wanted.key AND owner_id IS NOT NULL {before}
    ORDER BY id DESC LIMIT 1
) AS owner
"""
_PERSON_OWNERS = """
SELECT wanted.key, owner.owner_id
FROM unnest(%(keys)s::text[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT owner_id, id FROM leads_lead
    WHERE tenant_id = %(tenant)s AND deleted_at IS NULL AND {column} = wanted.key AND {column} <> '' AND owner_id IS NOT NULL {before}
    ORDER BY id DESC LIMIT 1
) AS owner
"""


def read_known(leads: Sequence[LeadFacts], rules: Sequence[Rule], *, before: datetime | None = None) -> Known:
    """Who has the companies and the persons of these leads, as far as a rule asks. The newest lead decides."""
    methods, known = {rule.method for rule in rules}, Known()
    if not methods & {Method.COMPANY_OWNER, Method.STICKY}:
        return known
    if Method.COMPANY_OWNER in methods:
        known.company_owner = _owners(_COMPANY_OWNERS, {lead.company for lead in leads if lead.company}, before)
    if Method.STICKY in methods:
        keys = {key for lead in leads for key in lead.keys}
        mails = {key for key in keys if "@" in key}
        known.person_owner = {
            **_owners(_PERSON_OWNERS, mails, before, column="email_key"),
            **_owners(_PERSON_OWNERS, keys - mails, before, column="phone"),
        }
    return known


def _owners(text: str, keys: set[str], before: datetime | None, **names: str) -> dict[str, int]:
    if not keys:
        return {}
    limit = "AND created_at < %(before)s" if before is not None else ""
    with connection.cursor() as cursor:
        cursor.execute(text.format(before=limit, **names), {"keys": sorted(keys), "tenant": current_tenant_id(), "before": before})
        return dict(cursor.fetchall())


def read_earlier(lead_ids: Sequence[int], rules: Sequence[Rule]) -> dict[int, int]:
    """Who had these leads last, where a rule asks for it."""
    if not any(rule.method == Method.STICKY for rule in rules):
        return {}
    rows = Assignment.objects.filter(lead_id__in=lead_ids, assigned_user=None, until=None, previous_user_id__isnull=False)
    return dict(rows.values_list("lead_id", "previous_user_id"))


def build(
    rules: Sequence[AssignmentRule], leads: Sequence[LeadFacts], *, at: datetime, read: Sequence[Rule], before: datetime | None = None
) -> Snapshot:
    """An engine over these rules and leads as things stand."""
    engine = Engine(
        rules=read,
        workers=read_workers(at=at, rules=read),
        known=read_known(leads, read, before=before),
        credits=read_credits(rules),
        at=at,
    )
    return Snapshot(rules=list(rules), engine=engine)
