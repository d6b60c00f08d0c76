"""Who may see and change which leads. One function serves list, detail, bulk, export, search and admin."""

from crm.actors import Actor
from leads.models import Lead

VIEW, ADD, CHANGE, DELETE = "leads.view_lead", "leads.add_lead", "leads.change_lead", "leads.delete_lead"
SEE_ALL, ASSIGN, IMPORT, EXPORT = "leads.see_all_leads", "leads.assign_lead", "leads.import_leads", "leads.export_leads"
SKIP_TRANSITIONS, HARD_DELETE = "leads.skip_transitions", "leads.hard_delete_lead"
CONFIGURE, SEE_STAGES = "leads.change_leadstatus", "leads.view_leadstatus"
FORMS = "leads.change_webform"


def can_give_to(actor: Actor, lead: Lead, owner_id: int | None) -> bool:
    """Anyone may take an unassigned lead or give back their own; giving to others needs the permission."""
    if actor.can(ASSIGN) or owner_id == lead.owner_id:
        return True
    return (lead.owner_id is None and owner_id == actor.user_id) or (lead.owner_id == actor.user_id and owner_id is None)
