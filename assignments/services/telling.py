"""Tell people which leads they were given."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from assignments.models import Assignment
from crm.actors import Actor
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from notifications.services import notify

LEAD_ASSIGNED = "lead_assigned"
# An import comes in pieces, each placed as soon as it is there. What is given later is told of by itself.
SOON = timedelta(minutes=5)


def tell_owners(*, lead_ids: Sequence[int], owner_id: int) -> int:
    """Tell somebody of the leads they have by now, but for those they took themselves. A second delivery tells nothing again.

    Leads that one import brought them are told of together, and again whenever they have doubled; leads given by hand, or later
    from the queue, each time they are given.
    """
    rows = Assignment.objects.filter(lead_id__in=lead_ids, until=None, assigned_user_id=owner_id, lead__deleted_at=None)
    given = rows.exclude(assigned_by_id=owner_id).order_by("lead_id").values(
        "pk", "lead_id", "at", "decision_id", "assigned_by_id", "lead__operation_id", "lead__created_at"
    )  # fmt: skip
    by_import: dict[int | None, list[dict[str, Any]]] = {}
    for row in given:
        by_import.setdefault(row["lead__operation_id"] if _came_with_import(row) else None, []).append(row)
    return sum(_tell(owner_id, operation_id, found) for operation_id, found in by_import.items())


def _came_with_import(row: dict[str, Any]) -> bool:
    """Whether the owner was found by the rules as the lead came, or stood in the file."""
    by_rules = row["decision_id"] is not None and row["assigned_by_id"] is None
    soon = SOON if by_rules else timedelta(seconds=1)
    return row["lead__operation_id"] is not None and row["at"] - row["lead__created_at"] <= soon


def _tell(owner_id: int, operation_id: int | None, rows: Sequence[dict[str, Any]]) -> int:
    url, body, number = f"/leads?assigned_to={owner_id}", "", len(rows)
    once = f"{LEAD_ASSIGNED}:{max(row['pk'] for row in rows)}"
    if operation_id is not None:
        url = f"/leads?operation={operation_id}&assigned_to={owner_id}"
        held = Assignment.objects.filter(until=None, assigned_user_id=owner_id, lead__operation_id=operation_id, lead__deleted_at=None)
        number = held.count()
        once = f"{LEAD_ASSIGNED}:import:{operation_id}:{number.bit_length()}"
        title = ngettext("%(n)s lead of an import was given to you", "%(n)s leads of an import were given to you", number)
        title = title % {"n": f"{number:,}"}
    elif number == 1:
        lead = Lead.objects.get(pk=rows[0]["lead_id"])
        title, url, body = _("%(name)s was given to you") % {"name": lead.display_name}, f"/leads/{lead.pk}", lead.company
    else:
        title = ngettext("%(n)s lead was given to you", "%(n)s leads were given to you", number) % {"n": f"{number:,}"}
    by = Actor.system(tenant_id=current_tenant_id())
    return notify(kind=LEAD_ASSIGNED, user_ids=[owner_id], title=title, body=body, url=url, once=once, by=by)
