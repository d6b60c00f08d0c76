"""Where a lead begins in a tenant that has switched off `new`."""

from leads.models import LeadStatus
from leads.services.drafts import LeadDraft
from leads.services.intake import capture_lead
from tests.factories import acting, inside


def test_lead_begins_in_the_first_status_in_use(alice):
    with inside(alice.tenant_id):
        LeadStatus.objects.filter(code="new").update(is_active=False)
    with acting(alice) as by:
        lead = capture_lead(draft=LeadDraft(name="Ann Bell"), by=by).lead
    assert lead.status.code == "qualified"
