"""A rep at the dialer's desk, with the keyboard: from the queue to the outcome, and back after the network was gone."""

from datetime import time, timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from crm.actors import Actor
from dialer.models import Call, DialSession
from dialer.services.scheduling import simulate
from dialer.services.sessions import pause_silent
from dialer.services.settings import save_settings
from tests.dialer.api_parts import make_agent, make_entry
from tests.dialer.test_pages import ALWAYS, answering
from tests.factories import inside, make_lead, make_tenant, make_user

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_calls_a_lead_by_keyboard_and_goes_on(site):
    tenant = make_tenant()
    rep = make_user(tenant, role="sales_rep", first_name="Riley", last_name="Quinn")
    with inside(tenant.pk):
        save_settings(values={"window_start": time(0), "window_end": time(0)}, by=Actor.system(tenant_id=tenant.pk))
    agent = make_agent(tenant, name="New leads", business_hours=ALWAYS, script="Hi {first_name}, this is {me}.")
    lead = make_lead(tenant, first_name="Ann", last_name="Archer", phone=answering("human"))
    now = timezone.now()
    make_entry(agent, lead=lead, phone=lead.phone, first_name="Ann", next_at=now - timedelta(hours=2))
    second = make_entry(agent, first_name="Ben", next_at=now - timedelta(hours=1))
    site.sign_in(rep)

    page = site.open("/dialer")
    page.get_by_role("button", name="Call").click()
    page.wait_for_url("**/dialer/work")
    expect(page.get_by_role("heading", name="Ann Archer")).to_be_visible()
    expect(page.get_by_text("Hi Ann, this is Riley Quinn.")).to_be_visible()

    page.keyboard.press("c")
    expect(page.get_by_role("button", name="Hang up").last).to_be_visible()
    # The company reports that somebody answered; the page hears of it with its next beat, and the notes have the cursor.
    with inside(tenant.pk):
        call = Call.objects.get()
    simulate(now=now + timedelta(seconds=30))
    notes = page.get_by_role("textbox", name="Notes")
    expect(notes).to_be_focused(timeout=15_000)
    page.keyboard.type("Wants an offer for 5 seats")
    # Numbers are text while one types; with Alt they are outcomes, and a callback asks when.
    page.keyboard.press("Alt+Digit2")
    page.get_by_role("button", name="Tomorrow morning").click()
    expect(page.get_by_role("heading", name=second.lead.display_name)).to_be_visible()
    with inside(tenant.pk):
        call.refresh_from_db()
        assert (call.result, call.notes, call.entry.callback_for_id) == ("callback", "Wants an offer for 5 seats", rep.pk)

    with inside(tenant.pk):
        DialSession.objects.update(heartbeat_at=timezone.now() - timedelta(minutes=1))
    pause_silent(now=timezone.now())
    expect(page.locator("#desk").get_by_text("Paused: Lost network")).to_be_visible(timeout=15_000)
    page.keyboard.press("p")
    expect(page.get_by_role("heading", name=second.lead.display_name)).to_be_visible()
    page.get_by_role("button", name="End").click()
    page.wait_for_url("**/dialer")
    with inside(tenant.pk):
        assert DialSession.objects.get().ended_at is not None
    assert site.complaints == []
