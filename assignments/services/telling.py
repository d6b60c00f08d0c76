"""Tell people which leads they were given."""

from collections.abc import Sequence

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.models import Assignment
from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from notifications.services import notify

LEAD_ASSIGNED = "lead_assigned"


def tell_owners(*, lead_ids: Sequence[int], owner_id: int) -> int:
    """Tell somebody of the leads they have by now, but for those they took themselves: one notification for all.

    Leads that one operation made are told of once, however many pieces it was done in.
    """
    rows = Assignment.objects.filter(lead_id__in=lead_ids, until=None, assigned_user_id=owner_id, lead__deleted_at=None)
    ids = list(rows.exclude(assigned_by_id=owner_id).order_by("lead_id").values_list("lead_id", flat=True))
    if not ids:
        return 0
    by_operation: dict[int | None, list[int]] = {}
    for pk, operation_id in Lead.objects.filter(pk__in=ids).order_by("pk").values_list("pk", "operation_id"):
        by_operation.setdefault(operation_id, []).append(pk)
    return sum(_tell(owner_id, operation_id, found) for operation_id, found in by_operation.items())


def _tell(owner_id: int, operation_id: int | None, ids: Sequence[int]) -> int:
    by = Actor.system(tenant_id=current_tenant_id())
    first = Lead.objects.get(pk=ids[0])
    if operation_id is not None and len(ids) > 1:
        title, url = _("Leads of an import were given to you"), f"/leads?operation={operation_id}&assigned_to={owner_id}"
        once = f"{LEAD_ASSIGNED}:{operation_id}"
    elif len(ids) == 1:
        title, url, once = _("%(name)s was given to you") % {"name": first.display_name}, f"/leads/{first.pk}", ""
    else:
        title = ngettext("%(n)s lead was given to you", "%(n)s leads were given to you", len(ids)) % {"n": f"{len(ids):,}"}
        url, once = f"/leads?assigned_to={owner_id}", ""
    body = first.company if len(ids) == 1 else ""
    return notify(kind=LEAD_ASSIGNED, user_ids=[owner_id], title=title, body=body, url=url, once=once, by=by)
