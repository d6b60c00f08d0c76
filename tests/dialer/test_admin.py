"""The admin of the dialer: who looks things up finds them by name and number."""

from crm.tenancy.scope import tenant_scope
from dialer.models import DoNotCall
from tests.dialer.api_parts import make_agent, make_call, make_entry


def test_entries_and_calls_are_found_by_name_and_number(alice, tenant, pages):
    agent = make_agent(tenant, name="Sales Agent")
    john, ada = make_entry(agent, first_name="John", phone="+14155552671"), make_entry(agent, first_name="Ada", phone="+442071838750")
    call = make_call(john)
    make_call(ada)
    with tenant_scope(tenant.pk):
        listed = DoNotCall.objects.create(phone="+14155552671")
    client = pages(alice)
    for path, expected in (
        ("queueentry/?q=john", [john]),
        ("queueentry/?q=020+7183+8750", [ada]),
        ("queueentry/?q=nobody", []),
        ("call/?q=(415)+555-2671", [call]),
        ("donotcall/?q=4155552671", [listed]),
        ("callingagent/?q=sales", [agent]),
    ):
        answer = client.get(f"/admin/dialer/{path}")
        assert answer.status_code == 200, path
        assert [row.pk for row in answer.context["cl"].result_list] == [row.pk for row in expected], path
    assert len(client.get("/admin/dialer/call/?q=sales").context["cl"].result_list) == 2
    assert client.get(f"/admin/dialer/call/{call.pk}/change/").status_code == 200
    assert client.get("/admin/dialer/queueentry/?q=j%00").status_code == 200


def test_reps_do_not_come_in(bob, tenant, pages):
    make_agent(tenant)
    assert pages(bob).get("/admin/dialer/callingagent/").status_code in (302, 403)
