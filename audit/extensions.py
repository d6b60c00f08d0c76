"""What audit gives the kernel's registries."""

from django.utils.translation import gettext_lazy as _

from audit import api, pages
from audit.receivers import record_sign_in, record_sign_out
from audit.selectors import history_of, tracked_models
from audit.services import undo
from crm.events.bus import subscribe
from crm.identity.enums import RoleCode
from crm.identity.events import UserSignedIn, UserSignedOut
from crm.identity.roles import grant
from crm.operations.runner import kind
from crm.registry import Section, SettingsPage, sections, settings_pages
from crm.rest.routing import route

grant("audit.view_auditevent", RoleCode.MANAGER)

subscribe(UserSignedIn, record_sign_in, within=True)
subscribe(UserSignedOut, record_sign_out, within=True)

sections.add("history", Section(name="history", build=lambda record, actor: history_of(record) if type(record) in tracked_models() else []))

kind(undo.KIND, undo.undo_chunk, undoable=True)
sections.add("operations.Operation", Section(name="undo", build=pages.undo_section, template="audit/undo_section.html"))
route("operations/{id}/undo", api.UndoView.as_view(), name="operation-undo")
route("audit/logs", api.LogsView.as_view(), name="audit-logs")

settings_pages.add(
    "main",
    SettingsPage(
        label=_("Audit log"),
        url="/settings/audit",
        icon="scroll-text",
        group=_("Data"),
        capability="audit.view_auditevent",
        description=_("Who changed what, when, from where; who signed in."),
    ),
    order=60,
)
