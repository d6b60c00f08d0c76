"""Let the rules place leads: under one lock a tenant, so that nobody gets more than they can take and turns stay fair."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from assignments.models import AssignmentRule, CatchAllEntry, Decision, Turn
from assignments.selectors import current_version, rules_in_order, unowned
from assignments.services.engine import Outcome, Reasoning, Rule
from assignments.services.giving import said
from assignments.services.snapshot import FACTS, Snapshot, build, facts_of, matches, read_earlier, read_rules
from crm.actors import Actor
from crm.events.bus import publish
from crm.tenancy.scope import current_tenant_id
from leads.events import LeadsAssigned, LeadsChanged
from leads.models import Lead

# So many leads are decided and written at once.
CHUNK_LEADS = 5000
# The tenant's lock for giving leads by rules; other numbers are others' locks.
_LOCK = -2


@dataclass(kw_only=True)
class Placed:
    """What became of leads: whom each went to, and which nobody could take."""

    given: dict[int, int] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)


def active_rules() -> list[AssignmentRule]:
    return [rule for rule in rules_in_order() if rule.is_active]


def assign_by_rules(*, lead_ids: Sequence[int], reason: str = "", by: Actor) -> Placed:
    """Give each of these leads that nobody has to whom the rules choose; leads that have an owner are left alone.

    What nobody can take is put into the catch-all queue. Done twice, it changes nothing.
    """
    rules = active_rules()
    if not rules or not lead_ids:
        return Placed()
    with transaction.atomic():
        hold_turns()
        # Read again: whoever changed the rules meanwhile is done by now.
        rules = active_rules()
        return place_leads(lead_ids=lead_ids, rules=rules, read=read_rules(rules), reason=reason, by=by)


def hold_turns() -> None:
    """Wait until nobody else of the tenant gives leads by rules. Held until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [current_tenant_id() % 2**31, _LOCK])


def place_leads(
    *,
    lead_ids: Sequence[int],
    rules: Sequence[AssignmentRule],
    read: Sequence[Rule],
    reason: str,
    note: str = "",
    queue: bool = True,
    by: Actor,
) -> Placed:
    """Decide and write leads by rules that are given, the lock being held. Without `queue`, what nobody takes stays as it is."""
    rows = unowned().filter(pk__in=lead_ids).order_by("pk").select_for_update(of=("self",)).values_list(*FACTS)
    held = list(rows)
    if not held:
        return Placed()
    ids = [row[0] for row in held]
    now = timezone.now()
    leads = facts_of(held, earlier=read_earlier(ids, read))
    snapshot = build(rules, leads, at=now, read=read)
    matched = matches(rules, Lead.objects.filter(pk__in=ids), whole=ids)
    outcomes = [snapshot.engine.decide(lead, matched.get(lead.id, ())) for lead in leads]
    return _write(outcomes, snapshot, now=now, reason=reason, note=note, queue=queue, by=by)


# --- writing ---


def _write(outcomes: Sequence[Outcome], snapshot: Snapshot, *, now: datetime, reason: str, note: str, queue: bool, by: Actor) -> Placed:
    given = [item for item in outcomes if item.user_id is not None]
    waiting = [item for item in outcomes if item.user_id is None]
    placed = Placed(given={item.lead_id: item.user_id for item in given if item.user_id}, waiting=[item.lead_id for item in waiting])
    untold = _not_told_yet(waiting, snapshot) if queue else []
    decisions = _decisions({item.why for item in (*given, *untold)}, snapshot, now=now, note=note)
    if given:
        _give(placed.given, {item.lead_id: (snapshot.rule_id(item.why.rule), decisions[item.why]) for item in given}, now, reason)
        _tell(placed.given)
    CatchAllEntry.objects.bulk_create(
        [CatchAllEntry(tenant_id=by.tenant_id, lead_id=item.lead_id, decision_id=decisions[item.why], since=now) for item in untold],
        update_conflicts=True,
        unique_fields=["tenant", "lead"],
        update_fields=["decision"],
    )
    _keep_turns(snapshot)
    return placed


def _not_told_yet(waiting: Sequence[Outcome], snapshot: Snapshot) -> list[Outcome]:
    """Those that are new in the queue, or wait for another reason than before."""
    queued = dict(CatchAllEntry.objects.filter(lead_id__in=[item.lead_id for item in waiting]).values_list("lead_id", "decision_id"))
    before = {row.pk: (row.rule_id, row.passed) for row in Decision.objects.filter(pk__in=set(queued.values()))}
    now = {why: (snapshot.rule_id(why.rule), _passed(why, snapshot)) for why in {item.why for item in waiting}}
    return [item for item in waiting if before.get(queued.get(item.lead_id, 0)) != now[item.why]]


def _passed(why: Reasoning, snapshot: Snapshot) -> list[dict[str, Any]]:
    return [
        {"rule": snapshot.rule_id(place), "why": str(nobody), "skipped": {reason: list(people) for reason, people in skipped}}
        for place, nobody, skipped in why.passed
    ]


def _decisions(reasonings: set[Reasoning], snapshot: Snapshot, *, now: datetime, note: str) -> dict[Reasoning, int]:
    """One row for all leads that were weighed alike."""
    version = current_version()
    ordered = list(reasonings)
    rows = Decision.objects.bulk_create(
        [
            Decision(
                rule_id=snapshot.rule_id(why.rule),
                version=version,
                method=why.method,
                candidates=list(why.candidates),
                skipped={reason: list(people) for reason, people in why.skipped},
                passed=_passed(why, snapshot),
                note=(note or ("fallback" if why.fell_back else ""))[:200],
                at=now,
            )
            for why in ordered
        ]
    )
    return {why: row.pk for why, row in zip(ordered, rows, strict=True)}


# By hand rather than by loaded leads: making a lead in memory takes as long as giving it.
_GIVE = """
UPDATE leads_lead AS lead SET owner_id = given.user_id, assigned_at = %(now)s, updated_at = %(now)s
FROM unnest(%(leads)s::bigint[], %(users)s::bigint[]) AS given (lead_id, user_id)
WHERE lead.tenant_id = %(tenant)s AND lead.id = given.lead_id
"""


def _give(given: Mapping[int, int], places: Mapping[int, tuple[int | None, int]], now: datetime, reason: str) -> None:
    params: dict[str, Any] = {"now": now, "leads": list(given), "users": list(given.values()), "tenant": current_tenant_id()}
    with said(reason=reason, by_lead=places), connection.cursor() as cursor:
        cursor.execute(_GIVE, params)


def _tell(given: Mapping[int, int]) -> None:
    by_owner: dict[int, list[int]] = {}
    for lead_id, user_id in given.items():
        by_owner.setdefault(user_id, []).append(lead_id)
    for user_id, ids in by_owner.items():
        publish(LeadsAssigned(lead_ids=tuple(ids), owner_id=user_id))
    publish(LeadsChanged(lead_ids=tuple(given), fields=("assigned_to", "assigned_at")))


def _keep_turns(snapshot: Snapshot) -> None:
    engine = snapshot.engine
    turns = [
        Turn(rule_id=snapshot.rules[place].pk, user_id=user_id, credit=engine.credits[place, user_id])
        for place, user_id in engine.changed_credits
        if snapshot.rules[place].pk is not None
    ]
    Turn.objects.bulk_create(turns, update_conflicts=True, unique_fields=["tenant", "rule", "user"], update_fields=["credit"])
