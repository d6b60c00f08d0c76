"""Two people at the same lead at the same moment: the second waits, and then meets the lead as it is."""

import threading
import time
from collections.abc import Callable

import pytest
from django.db import connection

from crm.operations import runner
from leads.errors import InvalidTransition
from leads.models import Lead
from leads.services.bulk import Selection, bulk_edit
from leads.services.editing import edit_lead
from tests.factories import acting, inside, make_lead

pytestmark = pytest.mark.django_db(transaction=True)


def while_it_moves(alice, lead: Lead, work: Callable[[], None]) -> None:
    """Run the work while somebody else's move of the lead to `qualified` is not committed yet."""
    moved = threading.Event()

    def move() -> None:
        try:
            with acting(alice) as by:
                edit_lead(lead_id=lead.pk, data={"status": "qualified"}, by=by)
                moved.set()
                time.sleep(0.5)
        finally:
            moved.set()
            connection.close()

    mover = threading.Thread(target=move)
    mover.start()
    moved.wait(10)
    try:
        work()
    finally:
        mover.join()


def now(lead: Lead) -> Lead:
    with inside(lead.tenant_id):
        return Lead.objects.select_related("status").get(pk=lead.pk)


def test_an_edit_beside_a_move_is_kept(alice, bob):
    lead = make_lead(alice.tenant, owner=bob)

    def edit() -> None:
        with acting(bob) as by:
            edit_lead(lead_id=lead.pk, data={"company": "Acme"}, by=by)

    while_it_moves(alice, lead, edit)
    assert (now(lead).company, now(lead).status.code) == ("Acme", "qualified")


def test_a_second_move_is_judged_by_where_the_lead_is_now(alice, bob):
    lead = make_lead(alice.tenant, owner=bob)

    def move_on() -> None:
        with acting(bob) as by, pytest.raises(InvalidTransition):
            edit_lead(lead_id=lead.pk, data={"status": "new"}, by=by)

    while_it_moves(alice, lead, move_on)
    assert now(lead).status.code == "qualified"


def test_bulk_work_finds_the_lead_that_was_moved_meanwhile(alice):
    lead = make_lead(alice.tenant)
    with acting(alice) as by:
        operation = bulk_edit(selection=Selection(ids=[lead.pk]), updates={"industry": "Energy"}, by=by)
    while_it_moves(alice, lead, lambda: runner.run(operation.pk))
    with inside(alice.tenant_id):
        operation.refresh_from_db()
    assert (operation.updated, operation.failed) == (1, 0)
    assert (now(lead).industry, now(lead).status.code) == ("Energy", "qualified")
