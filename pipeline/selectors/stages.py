"""The stays of leads, as somebody may see them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from crm.actors import Actor
from crm.errors import NotFound
from crm.tenancy.scope import current_tenant_id
from leads.models import Lead
from leads.permissions import SEE_ALL, VIEW
from leads.services.editing import find_lead
from pipeline.models import LeadStage


def stages_of(lead: Lead) -> QuerySet[LeadStage]:
    """A lead's stays in their order."""
    return LeadStage.objects.select_related("status", "came_from", "user").filter(lead=lead).order_by("pk")


def current_stage(lead: Lead) -> LeadStage | None:
    return stages_of(lead).filter(exited_at=None).first()


def find_stage(*, stage_id: int, lock: bool = False, by: Actor) -> LeadStage:
    """A stay of a lead in the actor's sight, or NotFound."""
    stages = LeadStage.objects.select_related("status", "user")
    if lock:
        stages = stages.select_for_update(of=("self",))
    stage = stages.filter(pk=stage_id).first()
    if stage is None:
        raise NotFound("No such stage.")
    find_lead(lead_id=stage.lead_id, by=by)
    return stage


_CHANGES = """
SELECT stage.id, stage.lead_id, stage.entered_at, source.code, source.label, target.code, target.label, target.number,
       stage.user_id, trim(person.first_name || ' ' || person.last_name), stage.notes, stage.rules_skipped,
       lead.first_name, lead.last_name, lead.company, lead.email, lead.phone
FROM ({stages}) AS stage
JOIN leads_lead AS lead ON lead.tenant_id = %(tenant)s AND lead.id = stage.lead_id
JOIN leads_leadstatus AS source ON source.tenant_id = %(tenant)s AND source.id = stage.came_from_id
JOIN leads_leadstatus AS target ON target.tenant_id = %(tenant)s AND target.id = stage.status_id
LEFT JOIN identity_user AS person ON person.tenant_id = %(tenant)s AND person.id = stage.user_id
ORDER BY stage.entered_at DESC, stage.id DESC
"""
_ALL = """
SELECT * FROM pipeline_leadstage WHERE tenant_id = %(tenant)s AND is_counted AND came_from_id IS NOT NULL
ORDER BY entered_at DESC, id DESC LIMIT %(most)s
"""
# Whoever moves leads daily is among the latest moves of all. Whoever is not has few leads, or few that moved: these lead the way.
_WINDOW = 10_000
_OWN_OF_LATE = """
SELECT stage.* FROM (
    SELECT * FROM pipeline_leadstage WHERE tenant_id = %(tenant)s AND is_counted AND came_from_id IS NOT NULL
    ORDER BY entered_at DESC, id DESC LIMIT %(window)s
) AS stage
WHERE EXISTS (
    SELECT FROM leads_lead AS own
    WHERE own.tenant_id = %(tenant)s AND own.id = stage.lead_id AND own.owner_id = %(owner)s AND own.deleted_at IS NULL OFFSET 0
)
ORDER BY stage.entered_at DESC, stage.id DESC LIMIT %(most)s
"""
_OWN = """
SELECT stage.* FROM (SELECT id FROM leads_lead WHERE tenant_id = %(tenant)s AND owner_id = %(owner)s AND deleted_at IS NULL OFFSET 0) AS own
JOIN pipeline_leadstage AS stage ON stage.tenant_id = %(tenant)s AND stage.lead_id = own.id
WHERE stage.is_counted AND stage.came_from_id IS NOT NULL ORDER BY stage.entered_at DESC, stage.id DESC LIMIT %(most)s
"""
_CHANGE_KEYS = (
    "stage_id", "lead_id", "changed_at", "from_status", "from_label", "to_status", "to_label", "status_id", "user_id", "user_name",
    "notes", "rules_skipped", "first_name", "last_name", "company", "email", "phone",
)  # fmt: skip


def recent_changes(*, most: int, by: Actor) -> list[dict[str, Any]]:
    """The latest moves of leads, newest first: of all leads, or of one's own."""
    if not by.can(VIEW):
        return []
    given = {"tenant": current_tenant_id(), "owner": by.user_id, "most": most, "window": _WINDOW}
    rows: list[tuple[Any, ...]] = []
    with connection.cursor() as cursor:
        for stages in (_ALL,) if by.can(SEE_ALL) else (_OWN_OF_LATE, _OWN):
            if len(rows) < most:
                cursor.execute(_CHANGES.format(stages=stages), given)
                rows = cursor.fetchall()
    return [dict(zip(_CHANGE_KEYS, row, strict=True)) for row in rows]


def waiting_branches(*, before: datetime, status_ids: Sequence[int], by: Actor) -> list[QuerySet[LeadStage]]:
    """Open stays that began before a moment, a branch for each status, so that each is walked along its index."""
    if not by.can(VIEW):
        return []
    stages = LeadStage.objects.filter(exited_at=None, is_counted=True, entered_at__lt=before)
    if not by.can(SEE_ALL):
        stages = stages.filter(lead__owner_id=by.user_id)
    return [stages.filter(status_id=pk) for pk in status_ids]
