"""The audit log's page, and taking operations back."""

from typing import Any, ClassVar

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from audit.selectors import ACTS, LogEntry, LogPosition, known_models, log_before, tracked_models
from audit.services.undo import may_undo, undo_of, undo_operation, why_not_undoable
from crm.actors import Actor
from crm.identity.selectors import members
from crm.operations.models import Operation
from crm.operations.pages import OneOperationPage
from crm.web.settings_pages import SettingsFrame, is_fragment

PER_PAGE = 50
ACTIONS = {
    "signed_in": _("Signed in"),
    "signed_out": _("Signed out"),
    "exported": _("Exported"),
    "changed": _("Changed"),
    "deleted": _("Deleted"),
}
DOORS = {
    "page": _("Page"),
    "api": _("API"),
    "admin": _("Administration"),
    "webhook": _("Webhook"),
    "import": _("Import"),
    "command": _("Command"),
    "task": _("Background"),
}


class LogPage(SettingsFrame):
    """Who changed what, when and from where; who signed in."""

    capability = "audit.view_auditevent"
    template = "audit/log.html"

    def get(self, request: HttpRequest) -> HttpResponseBase:
        model, person = request.GET.get("model", ""), request.GET.get("person", "")
        before = LogPosition.read(request.GET["before"]) if request.GET.get("before") else None
        if (model and model not in known_models()) or (request.GET.get("before") and before is None):
            raise Http404
        user_id = int(person) if person.isascii() and person.isdigit() and len(person) < 19 else None
        entries, following = log_before(before=before, model=model, user_id=user_id, most=PER_PAGE)
        context: dict[str, Any] = {
            "rows": [shown(entry) for entry in entries],
            "more": str(following) if following else "",
            "first": before is None,
        }
        if not is_fragment(request):
            kinds = sorted((str(tracked._meta.verbose_name_plural).capitalize(), tracked._meta.label_lower) for tracked in tracked_models())
            context |= {
                "kinds": [(str(_("Sign-ins and other acts")), ACTS), *kinds],
                "people": list(members()),
                "model": model,
                "person": person,
            }
        return self.show(context, part="rows" if is_fragment(request) else "")


def shown(entry: LogEntry) -> dict[str, Any]:
    """An entry in words."""
    find_url = getattr(entry.record, "get_absolute_url", None)
    return {
        "entry": entry,
        "action": ACTIONS.get(entry.what, entry.what.replace("_", " ").capitalize()),
        "door": DOORS.get(entry.door, entry.door),
        "url": find_url() if find_url is not None else "",
    }


class UndoPage(OneOperationPage):
    """Take an operation back, and watch it."""

    http_method_names: ClassVar[list[str]] = ["post"]

    def post(self, request: HttpRequest, id: int) -> HttpResponseBase:
        undo = undo_operation(operation=self.operation(), by=self.actor)
        messages.info(request, _("It is being taken back. What was changed since stays as it is."))
        return redirect("operations:operation", id=undo.pk)


def undo_section(operation: Operation, actor: Actor) -> dict[str, Any]:
    """What an operation's page says of taking it back."""
    return {
        "operation": operation,
        "undone_by": undo_of(operation),
        "may": operation.is_over and not why_not_undoable(operation) and may_undo(operation=operation, by=actor),
    }
