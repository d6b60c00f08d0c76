"""The case of new leads that the rules give to people: what an import of 100,000 sets off, beside the bare update."""

import random
import time
import uuid
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from assignments.models import Assignment, AssignmentRule, Turn
from assignments.services.capture import assign_captured
from assignments.services.rules import RuleSettings, save_rule
from bench.cases import Bench
from crm.actors import Actor, Door
from crm.bulk import insert_records
from crm.identity.models import User
from crm.tenancy.scope import tenant_scope
from leads.models import Lead
from leads.selectors import vocabulary

# As many as the outbox hands over at once of what an import tells.
LEADS, TOLD = 100_000, 1000
_COUNTRIES = ("US", "France", "Germany", "Spain")


def assignments(bench: Bench) -> dict[str, Any]:
    """Three rules over leads without an owner, event by event as the outbox delivers them."""
    print(f"auto-assignment of {LEADS:,} new leads by three rules (to reach: ≤ 20 s)")
    tenant_id = bench.written_id
    by = Actor.system(tenant_id=tenant_id, door=Door.COMMAND)
    _make_rules(tenant_id, by)
    ids = _make_leads(tenant_id, by)
    floor = _bare_update(tenant_id, ids)
    print(f"  floor: one UPDATE of the owner of as many leads, triggers included   {floor:.1f} s", flush=True)
    started, given, waiting = time.perf_counter(), 0, 0
    for place in range(0, len(ids), TOLD):
        with tenant_scope(tenant_id):
            placed = assign_captured(lead_ids=ids[place : place + TOLD])
        given += len(placed.given)
        waiting += len(placed.waiting)
    took = time.perf_counter() - started
    with tenant_scope(tenant_id):
        by_rule = [
            (rule.name, Assignment.objects.filter(rule=rule).values("assigned_user").distinct().count(), _deviation(rule))
            for rule in AssignmentRule.objects.filter(deleted_at=None, name__startswith="bench")
        ]
        _clear()
    print(
        f"  {given:,} given, {waiting:,} waiting in {took:.1f} s ({given / took:,.0f} a second), {took / floor:.1f} × the floor", flush=True
    )
    for name, people, deviation in by_rule:
        print(f"  {name}: {people} people, {deviation} leads between the most and the least")
    return {"seconds": took, "floor": floor, "times_floor": took / floor, "given": given, "waiting": waiting}


def _make_rules(tenant_id: int, by: Actor) -> None:
    with tenant_scope(tenant_id):
        _clear()
        for name, settings in (
            ("bench company", {"method": "company_owner"}),
            ("bench US", {"conditions": {"field": "country", "op": "is", "value": "US"}}),
            ("bench rest", {"method": "least_loaded"}),
        ):
            save_rule(wanted=RuleSettings(name=name, heed_shifts=False, **settings), by=by)  # type: ignore[arg-type]


def _clear() -> None:
    rules = AssignmentRule.objects.filter(name__startswith="bench")
    Turn.objects.filter(rule__in=rules).delete()
    rules.update(deleted_at=timezone.now(), is_active=False)


def _make_leads(tenant_id: int, by: Actor) -> list[int]:
    """Of twenty thousand companies, five leads each: the first of them goes by place or load, the others follow it."""
    dice, run, ids = random.Random(5), uuid.uuid4().hex[:6], []
    for _place in range(0, LEADS, 5000):
        with tenant_scope(tenant_id, by=by):
            status, now = vocabulary().starting, timezone.now()
            leads = [
                Lead(
                    tenant_id=tenant_id, status=status, status_changed_at=now, created_at=now, created_via="import",
                    first_name="New", last_name=f"Lead {number}", email=f"new{dice.randrange(10**9)}@bench.example",
                    company=f"Company {run} {dice.randrange(20_000)}", country=dice.choice(_COUNTRIES),
                )
                for number in range(5000)
            ]  # fmt: skip
            insert_records(leads)
            ids += [lead.pk for lead in leads]
    return ids


def _bare_update(tenant_id: int, ids: list[int]) -> float:
    """Seconds of giving the same leads to people in turn by one statement; rolled back."""
    with tenant_scope(tenant_id):
        people = list(User.objects.filter(is_active=True).values_list("pk", flat=True))
        with transaction.atomic(), connection.cursor() as cursor:
            started = time.perf_counter()
            cursor.execute(
                "UPDATE leads_lead SET owner_id = (%(people)s::bigint[])[1 + id %% %(n)s], assigned_at = now() "
                "WHERE tenant_id = %(tenant)s AND id = ANY(%(ids)s)",
                {"people": people, "n": len(people), "tenant": tenant_id, "ids": ids},
            )
            took = time.perf_counter() - started
            transaction.set_rollback(True)
    return took


def _deviation(rule: AssignmentRule) -> int:
    given = Assignment.objects.filter(rule=rule).values_list("assigned_user_id", flat=True)
    counts: dict[int | None, int] = {}
    for user_id in given:
        counts[user_id] = counts.get(user_id, 0) + 1
    return max(counts.values(), default=0) - min(counts.values(), default=0)
