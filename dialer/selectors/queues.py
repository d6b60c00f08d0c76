"""Who sees which queues, their entries and their numbers; one set of rules for API, pages and admin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from crm.actors import Actor
from crm.errors import Forbidden
from crm.tenancy.scope import current_scope
from dialer.errors import NoSuchAgent, NoSuchEntry
from dialer.models import AgentMember, Call, CallingAgent, QueueEntry, RetryRule
from dialer.permissions import CALL, COACH, MANAGE
from leads.filters import search_query
from leads.selectors import leads_visible_to

# So many matches are put in order here; of more, the newest are met soon on the way along the list.
MOST_CANDIDATES = 5_000


def sees_everything(actor: Actor) -> bool:
    """Whether every queue and every call of the tenant may be seen."""
    return actor.can(MANAGE) or actor.can(COACH)


def require_sight(*, by: Actor) -> None:
    """Refuse who may neither call, coach nor manage."""
    if not (sees_everything(by) or by.can(CALL)):
        raise Forbidden("You do not have permission to do this.", details={"required": CALL})


# --- agents ---


def agents_visible_to(actor: Actor) -> QuerySet[CallingAgent]:
    """The calling agents an actor sees: all of them, or those worked in."""
    agents = CallingAgent.objects.filter(deleted_at=None)
    return agents if sees_everything(actor) else _worked_by(agents, actor)


def agents_worked_by(actor: Actor) -> QuerySet[CallingAgent]:
    """The agents in whose queues somebody calls: those one is a member of, and those without members."""
    return _worked_by(CallingAgent.objects.filter(deleted_at=None), actor)


def _worked_by(agents: QuerySet[CallingAgent], actor: Actor) -> QuerySet[CallingAgent]:
    if not actor.can(CALL):
        return agents.none()
    members = AgentMember.objects.filter(agent=OuterRef("pk"))
    return agents.filter(~Exists(members) | Exists(members.filter(user_id=actor.user_id)))


def queue_ids(actor: Actor) -> list[int] | None:
    """The ids of the agents whose queues and calls an actor sees, deleted ones included; None for every one. Read once."""
    if sees_everything(actor):
        return None
    memo = current_scope().memo
    key = f"dialer.queues.{actor.user_id}"
    if key not in memo:
        memo[key] = sorted(_worked_by(CallingAgent.objects.all(), actor).order_by().values_list("pk", flat=True))
    found: list[int] = memo[key]
    return found


def with_settings(agents: QuerySet[CallingAgent]) -> QuerySet[CallingAgent]:
    """Agents with their members and retry rules."""
    members = AgentMember.objects.select_related("user").order_by("user__first_name", "user__last_name", "pk")
    return agents.prefetch_related(Prefetch("members", members), Prefetch("retry_rules", RetryRule.objects.order_by("result")))


def find_agent(public_id: UUID, *, actor: Actor) -> CallingAgent:
    """The visible agent with this id. Raises NoSuchAgent."""
    agent = agents_visible_to(actor).filter(public_id=public_id).first()
    if agent is None:
        raise NoSuchAgent
    return agent


# --- entries ---


def entries_visible_to(actor: Actor) -> QuerySet[QueueEntry]:
    """The live entries of the queues an actor sees. Those of a deleted agent are gone with it."""
    entries = QueueEntry.objects.filter(deleted_at=None)
    own = _live_queue_ids(actor)
    return entries if own is None else entries.filter(agent_id__in=own)


def _live_queue_ids(actor: Actor) -> list[int] | None:
    """The agents in use whose entries an actor sees; None for every one, where none was deleted."""
    own = queue_ids(actor)
    if own is None and not CallingAgent.objects.exclude(deleted_at=None).exists():
        return None
    live = CallingAgent.objects.filter(deleted_at=None).order_by("pk")
    return list((live if own is None else live.filter(pk__in=own)).values_list("pk", flat=True))


def find_entry(public_id: UUID, *, actor: Actor) -> QueueEntry:
    """The visible entry with this id, with its agent. Raises NoSuchEntry."""
    entry = entries_visible_to(actor).select_related("agent").defer("search").filter(public_id=public_id).first()
    if entry is None:
        raise NoSuchEntry
    return entry


def leads_in_sight(ids: Iterable[int | None], *, actor: Actor) -> set[int | None]:
    """Those of these leads of the CRM that an actor may see: working a queue shows who is called, not whose lead it is."""
    wanted = {pk for pk in ids if pk is not None}
    return set(leads_visible_to(actor).filter(pk__in=wanted).values_list("pk", flat=True)) if wanted else set()


@dataclass(frozen=True, kw_only=True)
class EntriesAsked:
    """What narrows a list of entries."""

    agent: CallingAgent | None = None
    status: str = ""
    search: str = ""


def entries_page(*, actor: Actor, asked: EntriesAsked, page: int, per_page: int) -> tuple[list[QueueEntry], int]:
    """One page of the entries an actor sees, the newest first, and how many there are."""
    skip = (page - 1) * per_page
    if asked.search.strip():
        ids, total = _found(actor, asked, skip, per_page)
    else:
        entries = entries_visible_to(actor).order_by("-pk")
        if asked.agent is not None:
            entries = entries.filter(agent=asked.agent)
        if asked.status:
            entries = entries.filter(status=asked.status)
        total = entries.count()
        ids = list(entries.values_list("pk", flat=True)[skip : skip + per_page]) if skip < total else []
    rows = {entry.pk: entry for entry in QueueEntry.objects.filter(pk__in=ids).select_related("agent").defer("search")}
    return [rows[pk] for pk in ids if pk in rows], total


def _found(actor: Actor, asked: EntriesAsked, skip: int, most: int) -> tuple[list[int], int]:
    query = search_query(asked.search)
    if query is None:
        return [], 0
    given = [query, _live_queue_ids(actor), asked.agent.pk if asked.agent else None, asked.status or None]
    few = ask("SELECT id FROM dialer_entries_few(%s::tsquery, %s::bigint[], %s, %s, %s)", [*given, MOST_CANDIDATES + 1])
    if len(few) <= MOST_CANDIDATES:
        ids = sorted((pk for (pk,) in few), reverse=True)
        return ids[skip : skip + most], len(ids)
    total = ask("SELECT dialer_entries_count(%s::tsquery, %s::bigint[], %s, %s)", given)[0][0]
    rows = ask("SELECT id FROM dialer_entries_page(%s::tsquery, %s::bigint[], %s, %s, %s, %s)", [*given, min(skip, total), most])
    return [pk for (pk,) in rows], total


def found_entry_ids(search: str, *, actor: Actor, most: int = MOST_CANDIDATES) -> list[int]:
    """The newest entries in sight that a search finds, at most so many."""
    return _found(actor, EntriesAsked(search=search), 0, most)[0]


def ask(sql: str, params: Sequence[Any] | Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


# --- calls ---


def calls_visible_to(actor: Actor) -> QuerySet[Call]:
    """The calls an actor sees: all of them, or one's own and those of the queues one works in."""
    own = queue_ids(actor)
    if own is None:
        return Call.objects.all()
    if not actor.can(CALL):
        return Call.objects.none()
    return Call.objects.filter(Q(agent_id__in=own) | Q(user_id=actor.user_id))
