"""Build the bench database by COPY: one tenant with a million leads, fifty small ones, and the floor's bare table."""

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from django.contrib.auth.hashers import make_password

from crm.identity.models import Role, User
from crm.identity.services.tenants import open_tenant
from crm.normal import email_key
from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from leads.models import LeadStatus

BIG, SMALL, SMALL_LEADS, WRITTEN = 1_000_000, 50, 500, 100_000
REPS = 20
CHUNK = 50_000
_FIRST = [
    "Olivia",
    "Liam",
    "Emma",
    "Noah",
    "Ava",
    "Ethan",
    "Sophia",
    "Mason",
    "Lucas",
    "Mia",
    "Logan",
    "Amelia",
    "James",
    "Harper",
    "Elijah",
    "Aiden",
    "Emily",
    "Carter",
    "Grace",
    "Leo",
    "Priya",
    "Omar",
    "Mei",
    "José",
]
_LAST = [
    "Smith",
    "Johnson",
    "Williams",
    "Brown",
    "Jones",
    "Garcia",
    "Miller",
    "Davis",
    "Lopez",
    "Wilson",
    "Thomas",
    "Taylor",
    "Moore",
    "Martin",
    "Lee",
    "White",
    "Harris",
    "Clark",
    "Lewis",
    "Young",
]
_INDUSTRIES = [
    "Technology",
    "Finance",
    "Healthcare",
    "Manufacturing",
    "Retail",
    "Education",
    "Logistics",
    "Media",
    "Energy",
    "Travel",
    "Legal",
    "Agriculture",
]
_SOURCES = ("Website", "Website", "Website", "Referral", "LinkedIn", "LinkedIn", "Trade Show", "Cold Call", "Facebook", "")
_SIZES = ("1-10", "11-50", "50-200", "200-500", "500-1000", "1000+", "")
_PLATFORMS = ("website", "website", "facebook", "instagram", "manual", "import", "api")
_TITLES = ("CEO", "CTO", "VP of Sales", "Director of IT", "Sales Manager", "Buyer", "Analyst", "")
_TAGS = ("vip", "decision-maker", "webinar", "newsletter", "enterprise", "partner")
_COLUMNS = (
    "tenant_id, first_name, last_name, email, email_key, phone, company, title, website, industry, company_size, city, state, country, notes, tags, "
    "custom_fields, status_id, status_changed_at, lost_reason, priority, owner_id, assigned_at, last_contact_at, next_follow_up_at, lead_source, "
    "platform_key, source_page_id, source_page_name, raw_field_data, score, quality_grade, lifecycle_stage, conversion_probability, probability_pinned, "
    "created_via, created_at, updated_at"
)


def build(*, leads: int = BIG, say: Any = print) -> tuple[int, int]:
    """Make what is missing. Takes minutes the first time, nothing after.

    Answers the ids of the big tenant, which is read only, and of the one for what writes, so that reading finds the same
    rows in every run.
    """
    big = Tenant.objects.filter(name=f"bench-{leads}").first()
    if big is None:
        big = _build(leads, say)
    return big.pk, Tenant.objects.get(name="bench-writes").pk


def _build(leads: int, say: Any) -> Tenant:
    started = time.perf_counter()
    owner = psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True)
    big = open_tenant(name=f"bench-{leads}-building")
    _fill(owner, big, leads)
    for number in range(SMALL):
        if not Tenant.objects.filter(name=f"bench-small-{number}").exists():
            _fill(owner, open_tenant(name=f"bench-small-{number}"), SMALL_LEADS)
    if not Tenant.objects.filter(name="bench-writes").exists():
        _fill(owner, open_tenant(name="bench-writes"), WRITTEN)
    _bare_table(owner, big.pk)
    owner.execute("VACUUM ANALYZE leads_lead")
    owner.execute("VACUUM ANALYZE leads_leadcount")
    Tenant.objects.filter(pk=big.pk).update(name=f"bench-{leads}")
    seconds = time.perf_counter() - started
    say(f"built {leads:,} leads and {SMALL} small tenants in {seconds:.0f} s ({leads / seconds:,.0f} rows a second)")
    return big


def _fill(owner: psycopg.Connection, tenant: Tenant, leads: int) -> None:
    with tenant_scope(tenant.pk):
        roles = {role.code: role.pk for role in Role.objects.all()}
        statuses = {status.code: status.pk for status in LeadStatus.objects.all()}
        password = make_password("bench")
        users = [("manager", "manager"), *((f"rep{number}", "sales_rep") for number in range(REPS))]
        people = [
            User.objects.create(
                tenant=tenant, username=f"{login}.{tenant.pk}", email=f"{login}@bench{tenant.pk}.example", password=password,
                first_name=login.title(), last_name="Bench", role_id=roles[role],
            )
            for login, role in users
        ]  # fmt: skip
    dice = random.Random(tenant.pk)
    reps = [person.pk for person in people[1:]]
    for start in range(0, leads, CHUNK):
        with owner.transaction(), owner.cursor() as cursor, cursor.copy(f"COPY leads_lead ({_COLUMNS}) FROM STDIN") as copy:
            for row in _rows(tenant.pk, start, min(CHUNK, leads - start), statuses, reps, dice):
                copy.write_row(row)
    owner.execute(
        "WITH gone AS (DELETE FROM leads_leadcount WHERE tenant_id = %(t)s RETURNING *) "
        "INSERT INTO leads_leadcount (tenant_id, status_id, owner_id, priority, lead_source, leads) "
        "SELECT tenant_id, status_id, owner_id, priority, lead_source, sum(leads) FROM gone GROUP BY 1, 2, 3, 4, 5",
        {"t": tenant.pk},
    )


def _rows(tenant: int, start: int, count: int, statuses: dict[str, int], reps: list[int], dice: random.Random) -> Iterator[tuple[Any, ...]]:
    now = datetime.now(UTC)
    codes = list(statuses)
    weights = (34, 18, 16, 8, 7, 5, 7, 5)
    for number in range(start, start + count):
        first, last = dice.choice(_FIRST), dice.choice(_LAST)
        company = f"{last} {dice.choice(_INDUSTRIES)} {number % 40_000}"
        email = f"{first}.{last}.{number}@company{number % 40_000}.example".lower()
        code = dice.choices(codes, weights)[0]
        created = now - timedelta(seconds=dice.randint(0, 730 * 86400))
        score = min(98, max(2, int(dice.gauss(52, 18))))
        grade = "A" if score >= 85 else "B" if score >= 70 else "C" if score >= 50 else "D"
        owner = dice.choice(reps) if dice.random() < 0.8 else None
        contacted = created + (now - created) * dice.random() if code != "new" else None
        due = now + timedelta(hours=dice.randint(-240, 720)) if dice.random() < 0.3 else None
        phone = f"+1{200 + number % 700}{2000000 + number * 7 % 7999999:07d}"
        tags = dice.sample(_TAGS, dice.choice((0, 0, 0, 1, 2)))
        yield (
            tenant, first, last, email, email_key(email), phone, company, dice.choice(_TITLES), "", dice.choice(_INDUSTRIES), dice.choice(_SIZES),
            "Chicago", "IL", "USA", "Asked for a call back next week." if number % 5 == 0 else "", tags, "{}", statuses[code], created,
            "no_budget" if code == "lost" else "", dice.choices((1, 2, 3, 4), (20, 50, 22, 8))[0], owner, created if owner else None, contacted, due,
            dice.choice(_SOURCES), dice.choice(_PLATFORMS), "", "", "{}", score, grade, "Lead", round(dice.random(), 3) if number % 3 == 0 else None,
            False, "command", created, created,
        )  # fmt: skip


def _bare_table(owner: psycopg.Connection, tenant: int) -> None:
    owner.execute("DROP TABLE IF EXISTS bench_barelead")
    owner.execute(
        "CREATE TABLE bench_barelead AS SELECT l.id, l.tenant_id AS entity_id, first_name, last_name, company, email, phone, title, industry, company_size, "
        "s.code AS status, lost_reason, l.priority, lead_source, platform_key, score, quality_grade, lifecycle_stage, conversion_probability, tags, owner_id, "
        "l.created_at, updated_at, last_contact_at, next_follow_up_at, deleted_at FROM leads_lead l JOIN leads_leadstatus s ON s.id = l.status_id "
        "WHERE l.tenant_id = %s",
        [tenant],
    )
    owner.execute("ALTER TABLE bench_barelead ADD PRIMARY KEY (id)")
    owner.execute("ALTER TABLE bench_barelead ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY")
    owner.execute("SELECT setval(pg_get_serial_sequence('bench_barelead', 'id'), (SELECT max(id) FROM bench_barelead))")
    owner.execute("CREATE INDEX bench_barelead_newest ON bench_barelead (created_at DESC, id DESC)")
    owner.execute("VACUUM ANALYZE bench_barelead")
