"""Points of the rule score (rules 0.29 to 0.39)."""

from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from leads.enums import COMPANY_SIZES, KNOWN_SOURCES, Priority
from leads.models import Lead
from scoring.services import FeatureRow, breakdown_of, grade_of, lifecycle_of, score_row, values_of
from tests.factories import acting, make_lead

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
# A row that earns nothing but its priority's and its status's least.
BARE = {"priority": 1, "status_code": "new"}


def parts(**values) -> dict[str, int]:
    found = score_row(FeatureRow(**{**BARE, **values}), now=NOW)
    return {field.name: getattr(found, field.name) for field in fields(found) if field.name != "reasons"}


@pytest.mark.parametrize(
    ("values", "part", "points"),
    [
        ({"email": "a@x.example"}, "contact_info", 8),
        ({"phone": "+12125550101"}, "contact_info", 8),
        ({"name": "Jane"}, "contact_info", 2),
        ({"company": "Acme"}, "contact_info", 2),
        ({"email": "a", "phone": "1", "name": "J", "company": "A"}, "contact_info", 20),
        ({"industry": "Gardening"}, "company_info", 5),
        ({"industry": "Technology"}, "company_info", 8),
        ({"industry": "financial services"}, "company_info", 8),
        ({"company_size": "1-10"}, "company_info", 2),
        ({"company_size": "11-50"}, "company_info", 2),
        ({"company_size": "50-200"}, "company_info", 4),
        ({"company_size": "200-500"}, "company_info", 6),
        ({"company_size": "500-1000"}, "company_info", 8),
        ({"company_size": "1000+"}, "company_info", 10),
        ({"company_size": "1,000+"}, "company_info", 10),
        ({"company_size": "many"}, "company_info", 0),
        ({"title": "CEO"}, "company_info", 7),
        ({"title": "Founder & Gardener"}, "company_info", 7),
        ({"title": "VP of Sales"}, "company_info", 6),
        ({"title": "Sales Director"}, "company_info", 5),
        ({"title": "Marketing-Manager"}, "company_info", 4),
        ({"title": "Analyst"}, "company_info", 3),
        ({"industry": "Software", "company_size": "1000+", "title": "CTO"}, "company_info", 25),
        ({"lead_source": "Referral"}, "lead_source", 15),
        ({"lead_source": "website"}, "lead_source", 12),
        ({"lead_source": "LinkedIn"}, "lead_source", 10),
        ({"lead_source": "Trade Show"}, "lead_source", 8),
        ({"lead_source": "cold-call"}, "lead_source", 5),
        ({"lead_source": "A friend"}, "lead_source", 0),
        ({"last_contact_at": NOW}, "engagement", 10),
        ({"last_contact_at": NOW + timedelta(hours=1)}, "engagement", 10),
        ({"last_contact_at": NOW - timedelta(days=1)}, "engagement", 10),
        ({"last_contact_at": NOW - timedelta(days=1, seconds=1)}, "engagement", 8),
        ({"last_contact_at": NOW - timedelta(days=3)}, "engagement", 8),
        ({"last_contact_at": NOW - timedelta(days=7)}, "engagement", 6),
        ({"last_contact_at": NOW - timedelta(days=14)}, "engagement", 4),
        ({"last_contact_at": NOW - timedelta(days=30)}, "engagement", 2),
        ({"last_contact_at": NOW - timedelta(days=31)}, "engagement", 0),
        ({"call_attempts": 1}, "engagement", 2),
        ({"call_attempts": 9}, "engagement", 6),
        ({"email_engagements": 3}, "engagement", 3),
        ({"email_engagements": 9}, "engagement", 4),
        ({"last_contact_at": NOW, "call_attempts": 3, "email_engagements": 4}, "engagement", 20),
        ({"priority": 4}, "priority_status", 5),
        ({"status_code": "qualified"}, "priority_status", 3),
        ({"status_code": "meeting_scheduled"}, "priority_status", 4),
        ({"status_code": "negotiation"}, "priority_status", 5),
        ({"status_code": "our_own"}, "priority_status", 2),
        ({"priority": 4, "status_code": "won"}, "priority_status", 8),
        ({"tags": ("vip",)}, "tags_bonus", 2),
        ({"tags": ("VIP", "Decision-Maker", "budget approved")}, "tags_bonus", 5),
        ({"tags": ("blue",)}, "tags_bonus", 0),
        ({"country": "USA"}, "geographic_bonus", 3),
        ({"country": "France", "city": "Boston"}, "geographic_bonus", 2),
        ({"country": "us", "city": "New York"}, "geographic_bonus", 5),
    ],
)
def test_points_of(values, part, points):
    found = parts(**values)
    assert found[part] == points
    rest = {name: value for name, value in found.items() if value and name not in (part, "priority_status")}
    assert rest == {}


BEST = FeatureRow(
    email="a", phone="1", name="J", company="A", industry="Software", company_size="1000+", title="CEO", lead_source="Referral", country="USA",
    city="Boston", tags=("vip", "hot", "urgent"), priority=4, status_code="won", last_contact_at=NOW, call_attempts=5, email_engagements=5,
)  # fmt: skip


def test_most_is_98_as_itemised():
    best = score_row(BEST, now=NOW)
    assert (best.total, grade_of(best.total)) == (98, "A")
    assert sum(points for _, points in best.reasons) == best.total


@pytest.mark.parametrize(
    ("score", "grade", "stage"),
    [
        (0, "D", "Lead"), (39, "D", "Lead"), (40, "D", "Engaged Lead"), (49, "D", "Engaged Lead"), (50, "C", "Engaged Lead"), (59, "C", "Engaged Lead"),
        (60, "C", "Marketing Qualified Lead (MQL)"), (69, "C", "Marketing Qualified Lead (MQL)"), (70, "B", "Marketing Qualified Lead (MQL)"),
        (79, "B", "Marketing Qualified Lead (MQL)"), (80, "B", "Sales Qualified Lead (SQL)"), (84, "B", "Sales Qualified Lead (SQL)"),
        (85, "A", "Sales Qualified Lead (SQL)"), (100, "A", "Sales Qualified Lead (SQL)"),
    ],
)  # fmt: skip
def test_grades_and_stages_begin_where_documented(score, grade, stage):
    assert (grade_of(score), lifecycle_of(score, "open")) == (grade, stage)
    assert (lifecycle_of(score, "won"), lifecycle_of(score, "lost")) == ("Customer", "Closed")


ROWS = st.builds(
    FeatureRow,
    email=st.sampled_from(["", "a@x.example"]),
    phone=st.sampled_from(["", "1"]),
    name=st.text(max_size=5),
    company=st.text(max_size=5),
    industry=st.text(max_size=12) | st.sampled_from(["SaaS", "Retail"]),
    company_size=st.text(max_size=12) | st.sampled_from(COMPANY_SIZES),
    title=st.text(max_size=30) | st.sampled_from(["CEO", "Vice President"]),
    lead_source=st.text(max_size=12) | st.sampled_from(KNOWN_SOURCES),
    country=st.text(max_size=12),
    city=st.text(max_size=12),
    tags=st.lists(st.text(max_size=12) | st.just("vip"), max_size=8).map(tuple),
    priority=st.sampled_from([int(priority) for priority in Priority]),
    status_code=st.text(max_size=12),
    last_contact_at=st.none() | st.datetimes(timezones=st.just(UTC)),
    call_attempts=st.integers(0, 1000),
    email_engagements=st.integers(0, 1000),
)


@pytest.mark.slow
@hypothesis_settings(max_examples=150, deadline=None, database=None, derandomize=True)
@given(row=ROWS)
def test_any_row_scores_between_2_and_98_and_always_the_same(row):
    found = score_row(row, now=NOW)
    most = {
        "contact_info": 20,
        "company_info": 25,
        "lead_source": 15,
        "engagement": 20,
        "priority_status": 8,
        "tags_bonus": 5,
        "geographic_bonus": 5,
    }
    assert all(0 <= getattr(found, name) <= limit for name, limit in most.items())
    assert 2 <= found.total <= 98
    assert score_row(row, now=NOW) == found


def test_values_are_computed_set_wise_in_order(alice, tenant, django_assert_num_queries):
    rows = [
        make_lead(tenant, email="a@x.example", status="won"),
        make_lead(tenant, status="lost"),
        make_lead(tenant, lead_source="Referral"),
    ]
    with acting(alice):
        leads = [Lead.objects.select_related("status").get(pk=row.pk) for row in rows]
        with django_assert_num_queries(0):
            values = values_of(leads)
            breakdown = breakdown_of(leads[2])
    assert [(value["score"], value["lifecycle_stage"]) for value in values] == [
        (2 + 8 + 2 + 4, "Customer"),
        (2 + 2 + 1, "Closed"),
        (2 + 15 + 2 + 1, "Lead"),
    ]
    assert breakdown.total == values[2]["score"]
