"""S1-25 to S1-35 over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from leads.models import Lead, LeadStatus
from tests.factories import acting, make_lead, make_user

JUNE = datetime(2024, 6, 10, 10, tzinfo=UTC)
PERIOD = "?date_from=2024-06-01&date_to=2024-06-30"


@pytest.fixture
def client(alice, api):
    return api(alice)


@pytest.fixture
def june(tenant, alice):
    """Three leads: one went new → qualified → contacted, one new → lost → new, one stays new."""
    with acting(alice):
        statuses = {status.code: status for status in LeadStatus.objects.all()}
        leads = [make_lead(tenant, status_changed_at=JUNE, created_at=JUNE, created_by=alice, owner=alice) for _ in range(3)]
        for lead, code, hours in ((0, "qualified", 4), (0, "contacted", 34), (1, "lost", 50), (1, "new", 60)):
            Lead.objects.filter(pk=leads[lead].pk).update(status=statuses[code], status_changed_at=JUNE + timedelta(hours=hours))
    return leads


def rows_of(answer, name="status_name"):
    data = answer.json()["data"]
    return {row[name]: row for row in (data if isinstance(data, list) else data["stages"])}


def test_performance_as_documented(client, june):
    answer = client.get(f"/api/stages/performance-metrics{PERIOD}")
    new = rows_of(answer)["new"]
    assert {name: new[name] for name in new if name not in ("status_id", "status_label")} == {
        "status_name": "new",
        "status_description": "Lead received from webhook or ingestion",
        "total_entries": 4,
        "total_exits": 2,
        "currently_in_stage": 2,
        "avg_duration_hours": 27.0,
        "min_duration_hours": 4.0,
        "max_duration_hours": 50.0,
        "leads_exceeding_24h": 1,
        "leads_exceeding_48h": 1,
    }
    assert rows_of(answer)["won"]["avg_duration_hours"] is None
    assert answer.json()["filters"] == {"date_from": "2024-06-01", "date_to": "2024-06-30"}


def test_a_period_ends_with_its_last_day_in_the_tenants_zone(client, june, tenant):
    tenant.time_zone = "Asia/Tokyo"
    tenant.save(update_fields=["time_zone"])
    # 34 hours after 10:00 UTC on the 10th is 05:00 on the 12th in Tokyo.
    on = lambda day: rows_of(client.get(f"/api/stages/performance-metrics?date_from=2024-06-{day}&date_to=2024-06-{day}"))  # noqa: E731
    assert (on(11)["qualified"]["total_exits"], on(12)["qualified"]["total_exits"]) == (0, 1)
    assert (on(11)["qualified"]["currently_in_stage"], on(12)["qualified"]["currently_in_stage"]) == (1, 0)


def test_leads_in_the_bin_do_not_count(client, june, alice):
    with acting(alice):
        Lead.objects.filter(pk=june[1].pk).update(deleted_at=JUNE)
    assert rows_of(client.get(f"/api/stages/performance-metrics{PERIOD}"))["new"]["total_entries"] == 2


def test_matrix_conversion_efficiency_and_bottlenecks(client, june):
    matrix = client.get(f"/api/stages/transition-matrix{PERIOD}").json()["data"]
    assert [(move["from_status"], move["to_status"], move["count"], move["avg_duration_hours"]) for move in matrix["transitions"]] == [
        ("new", "qualified", 1, 4.0),
        ("new", "lost", 1, 50.0),
        ("qualified", "contacted", 1, 30.0),
        ("lost", "new", 1, 10.0),
    ]
    assert (matrix["matrix"]["new"]["lost"], matrix["total"]) == (1, 4)
    rates = client.get(f"/api/stages/conversion-rates{PERIOD}").json()["data"]
    new = next(row for row in rates["stages"] if row["status_name"] == "new")
    assert (new["moved_on"], new["lost"], new["moved_back"], new["conversion_rate"], new["loss_rate"]) == (1, 1, 0, 50.0, 50.0)
    assert rates["overall"] == {"won": 0, "lost": 1, "closed": 1, "win_rate": 0.0}
    work = client.get(f"/api/stages/workflow-efficiency{PERIOD}").json()["data"]
    assert {name: work[name] for name in ("total_moves", "forward_moves", "backward_moves", "lost_moves", "reopened", "open_leads")} == {
        "total_moves": 4, "forward_moves": 2, "backward_moves": 0, "lost_moves": 1, "reopened": 1, "open_leads": 3,
    }  # fmt: skip
    assert (work["avg_stage_hours"], work["open_hours_per_closed_lead"]) == (28.0, 84.0)
    stuck = client.get(f"/api/stages/bottleneck-analysis{PERIOD}").json()["data"]
    assert (stuck["slowest_share"], stuck["stages"][0]["is_bottleneck"], stuck["stages"][0]["share_of_time"]) == ("qualified", False, 35.71) or (
        stuck["slowest_share"], stuck["stages"][0]["share_of_time"]
    ) == ("new", 64.29)  # fmt: skip


def test_statistics_and_summary_count_the_leads_that_are_there(client, june, alice, api):
    statistics = rows_of(client.get(f"/api/stages/status-statistics{PERIOD}"))
    assert (statistics["new"]["lead_count"], statistics["new"]["net_change"], statistics["new"]["percentage"]) == (2, 2, 66.67)
    with time_machine.travel(JUNE + timedelta(hours=61), tick=False):
        data = api(alice).get("/api/stages/summary").json()["data"]
    new = next(row for row in data["stages"] if row["status_name"] == "new")
    assert (data["total_leads"], new["lead_count"], new["avg_hours_in_stage"], new["exceeding_24h"], new["exceeding_48h"]) == (
        3,
        2,
        31.0,
        1,
        1,
    )
    assert (new["entered_last_24h"], new["left_last_24h"]) == (1, 1)


def test_sla_by_hours(alice, api, june):
    with time_machine.travel(JUNE + timedelta(hours=61), tick=False):
        client = api(alice)
        answer = client.get("/api/stages/sla-violations?sla_hours=24")
        compliance = client.get("/api/stages/sla-compliance?sla_hours=24").json()["data"]
    body = answer.json()
    assert [(row["lead_id"], row["status_name"], row["hours_in_stage"], row["hours_over_sla"]) for row in body["data"]] == [
        (june[2].pk, "new", 61.0, 37.0),
        (june[0].pk, "contacted", 27.0, 3.0),
    ]
    assert (body["total"], body["filters"]["sla_hours"]) == (2, 24)
    new = next(row for row in compliance["stages"] if row["status_name"] == "new")
    assert {name: new[name] for name in ("total", "within_sla", "exceeded_sla", "overdue_now", "pending", "compliance_rate")} == {
        "total": 3, "within_sla": 1, "exceeded_sla": 2, "overdue_now": 1, "pending": 1, "compliance_rate": 33.3,
    }  # fmt: skip
    assert compliance["overall"]["total"] == 5


def test_violations_are_paged(client, june):
    first = client.get("/api/stages/sla-violations?sla_hours=24&limit=1").json()
    cursor = first["meta"]["pagination"]["nextCursor"]
    second = client.get(f"/api/stages/sla-violations?sla_hours=24&limit=1&cursor={cursor}").json()
    assert [first["data"][0]["lead_id"], second["data"][0]["lead_id"]] == [june[2].pk, june[0].pk]


def test_recent_changes_newest_first(client, june, alice):
    rows = client.get("/api/stages/recent-changes?limit=2").json()["data"]
    assert [(row["lead_id"], row["from_status"], row["to_status"], row["user_id"]) for row in rows] == [
        (june[1].pk, "lost", "new", alice.pk),
        (june[1].pk, "new", "lost", alice.pk),
    ]


def test_people_and_their_moves(client, june, alice):
    rows = client.get(f"/api/stages/user-performance?user_id={alice.pk}&date_from=2024-06-01&date_to=2024-06-30").json()["data"]
    assert [(row["user_id"], row["total_changes"], row["won"], row["lost"], row["win_rate"]) for row in rows] == [(alice.pk, 4, 0, 1, 0.0)]
    assert [(item["status_name"], item["moved_in"]) for item in rows[0]["by_status"]] == [
        ("new", 1), ("qualified", 1), ("contacted", 1), ("lost", 1),
    ]  # fmt: skip


def test_a_rep_is_told_of_their_own(api, june, tenant, alice):
    rep = make_user(tenant, role="sales_rep")
    make_lead(tenant, owner=rep, status_changed_at=JUNE, created_at=JUNE)
    client = api(rep)
    assert rows_of(client.get(f"/api/stages/performance-metrics{PERIOD}"))["new"]["total_entries"] == 1
    assert client.get("/api/stages/recent-changes").json()["data"] == []
    assert client.get(f"/api/stages/user-performance?user_id={alice.pk}").status_code == 403
    assert [row["user_id"] for row in client.get("/api/stages/user-performance").json()["data"]] == [rep.pk]
    assert client.get("/api/stages/sla-violations").json()["total"] == 1


@pytest.mark.parametrize(
    "query", ["date_from=yesterday", "date_to=2024-02-30", "date_from=2024-02-02&date_to=2024-02-01", "date_from=0001-01-01"]
)
def test_dates_that_are_none_are_refused_by_name(client, query):
    answer = client.get(f"/api/stages/performance-metrics?{query}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
