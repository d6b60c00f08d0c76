"""An undo, and somebody who edits at the same moment: nobody's confirmed edit is taken back unsaid."""

import threading
import time

import pytest
from django.db import connection

from audit.services.undo import undo_operation
from crm.operations import runner
from crm.operations.models import Operation, OperationRow
from leads.models import Lead
from leads.services.bulk import Selection, bulk_edit
from leads.services.editing import edit_lead
from tests.factories import acting, inside, make_lead


@pytest.mark.django_db(transaction=True)
def test_what_was_changed_while_the_undo_waited_stays_and_is_listed(alice):
    lead, other = make_lead(alice.tenant, industry="Legal"), make_lead(alice.tenant, industry="Legal")
    with acting(alice) as by:
        changed = bulk_edit(selection=Selection(ids=[lead.pk, other.pk]), updates={"industry": "Energy"}, by=by)
    runner.run(changed.pk)
    with acting(alice) as by:
        changed.refresh_from_db()
        undo = undo_operation(operation=changed, by=by)
    edited, begun = threading.Event(), threading.Event()

    def edit() -> None:
        try:
            with acting(alice) as by:
                edit_lead(lead_id=lead.pk, data={"company": "Acme"}, by=by)
                edited.set()
                begun.wait(10)
                # Long enough for the undo to have asked who changed what, and to wait for this lead's lock.
                time.sleep(0.5)
        finally:
            connection.close()

    editor = threading.Thread(target=edit)
    editor.start()
    edited.wait(10)
    begun.set()
    runner.run(undo.pk)
    editor.join()
    with inside(alice.tenant_id):
        undo.refresh_from_db()
        leads = dict(Lead.objects.values_list("pk", "company"))
        assert leads[lead.pk] == "Acme"
        assert (undo.updated, undo.failed) == (1, 1)
        assert OperationRow.objects.get(operation=undo, outcome="failed").record_id == lead.pk
        assert Operation.objects.get(pk=undo.pk).state == "done"
