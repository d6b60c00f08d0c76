"""The API of long work."""

import pytest
from django.utils import timezone

from crm.operations.enums import State
from crm.operations.models import Claim, Operation, OperationRow
from crm.operations.services import AlreadyOver, cancel_operation, start_operation
from crm.tenancy.scope import tenant_scope
from tests.factories import acting

pytestmark = pytest.mark.django_db


def make_operation(user, **fields) -> Operation:
    with tenant_scope(user.tenant_id):
        return Operation.objects.create(**{"kind": "tests.count", "title": "Count", "created_by": user, **fields})


def make_errors(operation, number) -> None:
    with tenant_scope(operation.tenant_id):
        OperationRow.objects.bulk_create(
            OperationRow(operation=operation, row=row // 2, field="email", message="Wrong.", values={"email": f"=x{row}"})
            for row in range(number)
        )


def test_an_operation_tells_where_it_stands(api, bob):
    now = timezone.now()
    operation = make_operation(
        bob,
        state=State.RUNNING,
        total=200,
        done=50,
        created=30,
        updated=5,
        skipped=10,
        failed=5,
        started_at=now - timezone.timedelta(seconds=10),
    )
    data = api(bob).get(f"/api/operations/{operation.pk}").json()["data"]
    assert (data["state"], data["progress"], data["total"]) == ("running", 25, 200)
    assert data["counters"] == {"done": 50, "created": 30, "updated": 5, "skipped": 10, "failed": 5}
    assert data["rate"] == pytest.approx(5, abs=0.2)
    assert data["time_left"] == pytest.approx(30, abs=2)


def test_a_waiting_operation_knows_no_total(api, bob):
    operation = make_operation(bob)
    data = api(bob).get(f"/v1/operations/{operation.pk}/").json()["data"]
    assert (data["state"], data["progress"], data["rate"], data["time_left"]) == ("waiting", None, 0.0, None)


def test_one_sees_ones_own_a_manager_all_next_door_none(api, alice, bob, mallory):
    mine, hers = make_operation(bob), make_operation(alice)
    assert [row["id"] for row in api(bob).get("/api/operations").json()["data"]] == [mine.pk]
    assert [row["id"] for row in api(alice).get("/api/operations").json()["data"]] == [hers.pk, mine.pk]
    assert api(mallory).get("/api/operations").json()["data"] == []
    for user, operation in ((bob, hers), (mallory, mine)):
        for method, path in (("get", ""), ("get", "/errors"), ("post", "/cancel")):
            assert getattr(api(user), method)(f"/api/operations/{operation.pk}{path}").status_code == 404


@pytest.mark.parametrize("number", [1, 3])
def test_the_list_costs_the_same_for_any_number(api, bob, number, django_assert_num_queries):
    for _ in range(number):
        make_operation(bob)
    client = api(bob)
    client.get("/api/operations")
    with django_assert_num_queries(8):
        client.get("/api/operations")


def test_the_list_narrows_by_state(api, bob):
    make_operation(bob, state=State.DONE)
    assert len(api(bob).get("/api/operations?state=done").json()["data"]) == 1
    assert api(bob).get("/api/operations?state=running").json()["data"] == []


def test_failed_rows_are_paged_without_gap_or_repeat(api, bob):
    operation = make_operation(bob, done=11, failed=11)
    make_errors(operation, 11)
    client, cursor, rows = api(bob), "", []
    while cursor is not None:
        page = client.get(f"/api/operations/{operation.pk}/errors?limit=3&cursor={cursor}").json()
        rows += [row["values"]["email"] for row in page["data"]]
        cursor = page["meta"]["pagination"]["nextCursor"]
    assert rows == [f"=x{row}" for row in range(11)]
    assert page["meta"]["pagination"]["total"] == 11


@pytest.mark.parametrize("query", ["cursor=x", "cursor=1", "cursor=1-", "limit=0", "limit=x", "cursor=" + "9" * 30 + "-1"])
def test_failed_rows_refuse_a_bad_query(api, bob, query):
    assert api(bob).get(f"/api/operations/{make_operation(bob).pk}/errors?{query}").status_code == 400


def test_an_operation_is_stopped_once(api, bob):
    with acting(bob) as by:
        operation = start_operation(kind="tests.count", title="Count", by=by)
        assert Claim.objects.filter(operation_id=operation.pk).exists()
    client = api(bob)
    assert client.post(f"/api/operations/{operation.pk}/cancel").json()["data"]["state"] == "cancelled"
    assert not Claim.objects.filter(operation_id=operation.pk).exists()
    answer = client.post(f"/api/operations/{operation.pk}/cancel")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "ALREADY_OVER")
    with acting(bob) as by, pytest.raises(AlreadyOver):
        cancel_operation(operation=operation, by=by)


@pytest.mark.parametrize(("path", "status"), [("abc", 400), ("1" * 19, 404), ("0", 404)])
def test_an_odd_id_is_refused(api, bob, path, status):
    assert api(bob).get(f"/api/operations/{path}").status_code == status
