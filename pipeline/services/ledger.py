"""Housekeeping of the figures: keep the ledgers short, and prove them against the stays."""

from dataclasses import dataclass

from django.db import connection

from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from pipeline.models import Ledger, StageDay, StageSpan, StageUserDay

FOLD_ABOVE = 200


@dataclass(frozen=True, kw_only=True)
class _Book:
    """A ledger: what its rows are of, and what they add up."""

    model: type[Ledger]
    key: tuple[str, ...]
    sums: tuple[str, ...]
    # What the stays themselves say, in the order of key and sums.
    raw: str

    @property
    def table(self) -> str:
        return self.model._meta.db_table


_ENTERED, _EXITED = "(entered_at AT TIME ZONE 'UTC')::date", "(exited_at AT TIME ZONE 'UTC')::date"
_STAYS = "FROM pipeline_leadstage AS stage JOIN leads_lead AS lead ON lead.tenant_id = stage.tenant_id AND lead.id = stage.lead_id " \
    "WHERE stage.tenant_id = %(tenant)s AND lead.deleted_at IS NULL"  # fmt: skip
BOOKS = (
    _Book(
        model=StageDay,
        key=("day", "status_id", "left_to_id"),
        sums=("entries", "exits", "spent", "over_24h", "over_48h", "waiting", "waiting_from"),
        raw=f"""
            SELECT {_ENTERED} AS day, stage.status_id, NULL::bigint AS left_to_id, 1 AS entries, 0 AS exits, interval '0' AS spent,
                   0 AS over_24h, 0 AS over_48h, (exited_at IS NULL)::integer AS waiting,
                   CASE WHEN exited_at IS NULL THEN (entered_at AT TIME ZONE 'UTC') - {_ENTERED} ELSE interval '0' END AS waiting_from
            {_STAYS}
            UNION ALL
            SELECT {_EXITED}, stage.status_id, left_to_id, 0, 1, exited_at - entered_at,
                   (exited_at - entered_at > interval '24 hours')::integer, (exited_at - entered_at > interval '48 hours')::integer,
                   0, interval '0'
            {_STAYS} AND exited_at IS NOT NULL""",
    ),
    _Book(
        model=StageUserDay,
        key=("day", "user_id", "status_id"),
        sums=("moves", "exits", "spent"),
        raw=f"""
            SELECT {_ENTERED} AS day, user_id, stage.status_id, 1 AS moves, 0 AS exits, interval '0' AS spent
            {_STAYS} AND user_id IS NOT NULL AND came_from_id IS NOT NULL
            UNION ALL
            SELECT {_EXITED}, user_id, stage.status_id, 0, 1, exited_at - entered_at
            {_STAYS} AND user_id IS NOT NULL AND exited_at IS NOT NULL""",
    ),
    _Book(
        model=StageSpan,
        key=("status_id", "hours"),
        sums=("stays",),
        raw=f"""
            SELECT stage.status_id, ceil(extract(epoch FROM exited_at - entered_at) / 3600)::integer AS hours, 1 AS stays
            {_STAYS} AND exited_at IS NOT NULL""",  # noqa: S608 -- our own names
    ),
)


def compact_figures() -> int:
    """Fold each tenant's new ledger rows into those summed up before. Sums are the same before, during and after."""
    folded = 0
    for tenant_id in Tenant.objects.values_list("pk", flat=True):
        with tenant_scope(tenant_id):
            for book in BOOKS:
                if book.model.objects.filter(is_folded=False).count() > FOLD_ABOVE:  # type: ignore[attr-defined]
                    folded += _fold(book)
    return folded


def _fold(book: _Book) -> int:
    names, key = ", ".join((*book.key, *book.sums)), ", ".join(book.key)
    joined = " AND ".join(f"old.{name} {'IS NOT DISTINCT FROM' if name == 'left_to_id' else '='} fresh_key.{name}" for name in book.key)
    zero = " OR ".join(f"sum({name}) <> {_zero(name)}" for name in book.sums)
    statement = f"""
        WITH fresh AS (DELETE FROM {book.table} WHERE tenant_id = %(tenant)s AND NOT is_folded RETURNING {names}),
        fresh_key AS (SELECT DISTINCT {key} FROM fresh),
        old AS (
            DELETE FROM {book.table} AS old USING fresh_key
            WHERE old.tenant_id = %(tenant)s AND old.is_folded AND {joined}
            RETURNING {", ".join(f"old.{name}" for name in (*book.key, *book.sums))}
        )
        INSERT INTO {book.table} (tenant_id, {names}, is_folded)
        SELECT %(tenant)s, {key}, {", ".join(f"sum({name})" for name in book.sums)}, true
        FROM (SELECT {names} FROM fresh UNION ALL SELECT {names} FROM old) AS both_rows GROUP BY {key} HAVING {zero}
    """  # noqa: S608 -- names of columns, all our own
    with connection.cursor() as cursor:
        # One folder at a time for a tenant: two would delete the same rows, and the second would wait for nothing.
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, -3)", [current_tenant_id() % 2**31])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, {"tenant": current_tenant_id()})
        return 1


def _zero(name: str) -> str:
    return "interval '0'" if name in ("spent", "waiting_from") else "0"


def figures_that_differ(*, most: int = 20) -> list[str]:
    """What of the open tenant's ledgers is not what its stays and leads say; nothing where all is right."""
    return [line for book in BOOKS for line in _differing(book, most)]


def _differing(book: _Book, most: int) -> list[str]:
    sums = ", ".join(f"sum({name}) AS {name}" for name in book.sums)
    unequal = " OR ".join(f"coalesce(kept.{name}, {_zero(name)}) <> coalesce(real.{name}, {_zero(name)})" for name in book.sums)
    # 0 stands for nowhere, so that the two sides can be hashed.
    plain = {name: f"coalesce({name}, 0)" if name == "left_to_id" else name for name in book.key}
    key, grouped = ", ".join(f"{text} AS {name}" for name, text in plain.items()), ", ".join(plain.values())
    statement = f"""
        WITH kept AS (SELECT {key}, {sums} FROM {book.table} WHERE tenant_id = %(tenant)s GROUP BY {grouped}),
        real AS (SELECT {key}, {sums} FROM ({book.raw}) AS raw GROUP BY {grouped})
        SELECT row_to_json(kept)::text, row_to_json(real)::text FROM kept FULL JOIN real
            ON {" AND ".join(f"kept.{name} = real.{name}" for name in book.key)}
        WHERE {unequal} LIMIT %(most)s
    """  # noqa: S608 -- names of columns, all our own
    with connection.cursor() as cursor:
        cursor.execute(statement, {"tenant": current_tenant_id(), "most": most})
        return [f"{book.table}: kept {kept or 'nothing'}, the stays say {real or 'nothing'}" for kept, real in cursor.fetchall()]


_STRAYS = """
SELECT 'lead ' || lead.id || ' has no open stay in its status'
FROM leads_lead AS lead LEFT JOIN pipeline_leadstage AS stage
    ON stage.tenant_id = lead.tenant_id AND stage.lead_id = lead.id AND stage.exited_at IS NULL
WHERE lead.tenant_id = %(tenant)s AND (stage.id IS NULL OR stage.status_id <> lead.status_id)
UNION ALL
SELECT 'stay ' || stage.id || ' does not follow the one before'
FROM (
    SELECT id, tenant_id, came_from_id, entered_at, lag(status_id) OVER steps AS before, lag(exited_at) OVER steps AS ended,
           lag(left_to_id) OVER steps AS went, status_id
    FROM pipeline_leadstage WHERE tenant_id = %(tenant)s WINDOW steps AS (PARTITION BY lead_id ORDER BY id)
) AS stage
WHERE before IS NOT NULL AND (came_from_id IS DISTINCT FROM before OR entered_at IS DISTINCT FROM ended OR went IS DISTINCT FROM status_id)
UNION ALL
SELECT 'stay ' || stage.id || ' counts differently from its lead'
FROM pipeline_leadstage AS stage JOIN leads_lead AS lead ON lead.tenant_id = stage.tenant_id AND lead.id = stage.lead_id
WHERE stage.tenant_id = %(tenant)s AND stage.is_counted <> (lead.deleted_at IS NULL)
LIMIT %(most)s
"""


def stays_that_differ(*, most: int = 20) -> list[str]:
    """Which of the open tenant's stays do not agree with its leads or with each other."""
    with connection.cursor() as cursor:
        cursor.execute(_STRAYS, {"tenant": current_tenant_id(), "most": most})
        return [row[0] for row in cursor.fetchall()]
