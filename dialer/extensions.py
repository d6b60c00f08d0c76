"""What the dialer gives the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from audit.services.undo import PARTICIPANTS
from crm.events.bus import subscribe
from crm.identity.enums import RoleCode
from crm.identity.roles import grant
from crm.merging import moves_with
from crm.operations.runner import kind
from crm.registry import (
    BulkAction,
    Caller,
    NavItem,
    Section,
    SettingsPage,
    UndoParticipant,
    bulk_actions,
    callers,
    merge_participants,
    navigation,
    sections,
    settings_pages,
    undo_participants,
)
from dialer import permissions, receivers
from dialer.api import routes
from dialer.pages.lead import calling_section
from dialer.services import do_not_call, filling, imports
from leads.events import LeadsRestored

grant(permissions.CALL, RoleCode.MANAGER, RoleCode.SALES_REP)
grant(permissions.COACH, RoleCode.MANAGER)
grant(permissions.MANAGE, RoleCode.MANAGER)
grant(permissions.CONFIGURE)

navigation.add("main", NavItem(label=_("Dialer"), url="/dialer", icon="phone", key="g c", capability=permissions.CALL), order=26)
callers.add("main", Caller(url="/dialer/call", capability=permissions.CALL))
bulk_actions.add("leads", BulkAction(label=_("Put into a queue"), icon="phone", url="/dialer/fill", capability=permissions.CALL))
sections.add("leads.Lead", Section(name="calling", build=calling_section, template="dialer/lead_section.html"), order=40)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Dialer agents"),
        url="/settings/agents",
        icon="phone",
        group=_("Calling"),
        capability=permissions.MANAGE,
        description=_("Queues with their hours, their rules for calling again, and who calls"),
    ),
)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Do not call"),
        url="/settings/do-not-call",
        icon="ban",
        group=_("Calling"),
        capability=permissions.MANAGE,
        description=_("Numbers that nobody calls"),
    ),
)
settings_pages.add(
    "main",
    SettingsPage(
        label=_("Telephone"),
        url="/settings/dialer",
        icon="headset",
        group=_("Calling"),
        capability=permissions.CONFIGURE,
        description=_("Who places the calls, and when anybody may be called"),
    ),
)

subscribe(LeadsRestored, receivers.call_again)
merge_participants.add("leads.Lead", moves_with("dialer.QueueEntry", "lead", label=_("Places in calling queues")))
merge_participants.add("leads.Lead", moves_with("dialer.Call", "lead", label=_("Calls")))

routes.serve()

_QUEUED = {"created": _("Queued"), "updated": _("In the queue already"), "skipped": _("Left out")}
_LISTED = {"created": _("Listed"), "updated": _("Prolonged"), "skipped": _("Listed before")}
kind(imports.KIND, imports.import_chunk, undoable=True, labels=_QUEUED)
kind(imports.DNC_KIND, imports.dnc_chunk, undoable=True, labels=_LISTED)
kind(filling.KIND, filling.fill_chunk, undoable=True, links=filling.links, labels=_QUEUED)
for _model, _owner in (("dialer.QueueEntry", filling), ("dialer.DoNotCall", do_not_call)):
    undo_participants.add(
        PARTICIPANTS,
        UndoParticipant(
            model=_model,
            made_by="operation_id",
            visible=_owner.visible_ids,
            discard=_owner.discard_records,
            tell=_owner.tell_restored,
        ),
    )
