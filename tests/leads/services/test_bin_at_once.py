"""Two who delete, or restore, the same lead at once."""

import threading

import pytest
from django.db import connection

from crm.errors import NotFound
from leads.services.bin import delete_lead, restore_lead
from tests.factories import acting, make_lead


@pytest.mark.django_db(transaction=True)
def test_a_lead_is_deleted_once_and_restored_once(alice):
    lead = make_lead(alice.tenant)

    def at_once(act) -> list[str]:
        outcomes: list[str] = []
        start = threading.Barrier(4)

        def work() -> None:
            start.wait()
            try:
                with acting(alice) as by:
                    act(lead_id=lead.pk, by=by)
                outcomes.append("done")
            except NotFound:
                outcomes.append("not found")
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sorted(outcomes)

    assert at_once(delete_lead) == ["done", "not found", "not found", "not found"]
    assert at_once(restore_lead) == ["done", "not found", "not found", "not found"]
