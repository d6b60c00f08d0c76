"""Set the statuses of the tenant and the moves between them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.deletion import ProtectedError
from django.utils.text import slugify
from django.utils.translation import gettext

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput, NotFound
from crm.tenancy.scope import current_scope
from customobjects.selectors import definitions
from leads.enums import StatusCategory
from leads.models import Lead, LeadStatus, LeadTransition
from leads.permissions import CONFIGURE
from leads.services.drafts import RECORDS

FIRST_OWN_NUMBER, MOST_STATUSES = 101, 40
_REQUIRABLE = (
    "name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country", "lead_source", "notes",
    "tags", "assigned_to", "next_follow_up", "last_contact",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class StatusSettings:
    """What a status is to be."""

    label: str
    description: str = ""
    category: str = StatusCategory.OPEN
    position: int | None = None
    is_active: bool = True


class StatusInUse(DomainError):
    """Leads are in this status, or were."""

    code = "STATUS_IN_USE"


def required_names() -> list[tuple[str, str]]:
    """What a move may ask for: public names of fields with their labels, custom fields included."""
    own = [(name, gettext(name.replace("_", " ").capitalize())) for name in _REQUIRABLE]
    return [*own, *((item.name, item.label) for item in definitions(RECORDS).active)]


def find_status(status_id: int) -> LeadStatus:
    """A status by its public number, switched off or not."""
    status = LeadStatus.objects.filter(number=status_id).first() if status_id < 2**15 else None
    if status is None:
        raise NotFound("No such status.")
    return status


def find_transition(transition_id: int) -> LeadTransition:
    found = LeadTransition.objects.select_related("source", "target").filter(pk=transition_id).first()
    if found is None:
        raise NotFound("No such transition.")
    return found


def save_status(*, status: LeadStatus | None, wanted: StatusSettings, by: Actor) -> LeadStatus:
    """Add a status of the tenant's own, or change one. What the product knows keeps its code and its meaning.

    Raises InvalidInput by field, StatusInUse where one with leads is to be switched off or to mean something else.
    """
    by.require(CONFIGURE)
    label = wanted.label.strip()
    problems: dict[str, list[str]] = {}
    if not label or len(label) > 60:
        problems["label"] = ["Give a name of at most 60 characters."]
    elif LeadStatus.objects.filter(label__iexact=label).exclude(pk=status.pk if status else None).exists():
        problems["label"] = ["There is a status of this name already."]
    if len(wanted.description) > 200:
        problems["description"] = ["At most 200 characters."]
    if wanted.category not in StatusCategory.values:
        problems["category"] = [f"Must be one of {', '.join(StatusCategory.values)}."]
    if problems:
        raise InvalidInput(problems)
    if status is None:
        status = _new_status(label)
    elif wanted.category != status.category:
        if status.is_builtin:
            raise InvalidInput({"category": ["The meaning of this status is the product's."]})
        _refuse_in_use(status, "mean something else")
    if status.pk is not None and status.is_active and not wanted.is_active:
        if status.code == "new":
            raise InvalidInput({"is_active": ["Leads begin here."]})
        _refuse_in_use(status, "be switched off")
    status.label, status.description, status.category = label, wanted.description.strip(), wanted.category
    status.is_active = wanted.is_active
    if wanted.position is not None:
        status.position = wanted.position
    try:
        with transaction.atomic():
            status.save()
    except IntegrityError:
        raise DomainError("Somebody added a status at the same time. Please try again.", field="label") from None
    _forget()
    return status


def _new_status(label: str) -> LeadStatus:
    if LeadStatus.objects.count() >= MOST_STATUSES:
        raise InvalidInput({"label": [f"At most {MOST_STATUSES} statuses."]})
    last = LeadStatus.objects.aggregate(number=Max("number"), position=Max("position"))
    stem = slugify(label).replace("-", "_")[:36] or "status"
    codes = set(LeadStatus.objects.values_list("code", flat=True))
    code = next(name for name in (stem, *(f"{stem}_{number}" for number in range(2, MOST_STATUSES + 2))) if name not in codes)
    return LeadStatus(number=max(FIRST_OWN_NUMBER, (last["number"] or 0) + 1), code=code, position=(last["position"] or 0) + 1)


def _refuse_in_use(status: LeadStatus, what: str) -> None:
    used = Lead.objects.filter(status=status, deleted_at=None).count()
    if used:
        raise StatusInUse(f"{used:,} leads are in this status; it cannot {what}.", details={"leads": used})


def delete_status(*, status: LeadStatus, by: Actor) -> None:
    """Delete a status of the tenant's own that no lead ever was in; others can be switched off."""
    by.require(CONFIGURE)
    if status.is_builtin:
        raise DomainError("This status is the product's; it can be renamed or switched off.")
    if Lead.objects.filter(status=status).exists():
        raise StatusInUse("Leads are in this status.")
    try:
        status.delete()
    except ProtectedError:
        raise StatusInUse("Leads were in this status; switch it off instead.") from None
    _forget()


def save_transition(
    *, transition_id: int | None = None, source: LeadStatus, target: LeadStatus, required_fields: Sequence[str] = (), needs_reason: bool = False, by: Actor
) -> LeadTransition:  # fmt: skip
    """Allow a move, or change what it asks for. Raises InvalidInput by field."""
    by.require(CONFIGURE)
    if source.pk == target.pk:
        raise InvalidInput({"to_status_id": ["A move leads to another status."]})
    known = {name for name, _label in required_names()}
    unknown = [name for name in required_fields if name not in known]
    if unknown:
        raise InvalidInput({"required_fields": [f"No such field: {unknown[0][:60]}."]})
    move = find_transition(transition_id) if transition_id is not None else LeadTransition()
    move.source, move.target = source, target
    move.required_fields, move.needs_reason = list(dict.fromkeys(required_fields)), needs_reason
    try:
        with transaction.atomic():
            move.save()
    except IntegrityError:
        raise DomainError("This move is allowed already.", field="to_status_id") from None
    _forget()
    return move


def delete_transition(*, move: LeadTransition, by: Actor) -> None:
    """Allow a move no longer. Leads that made it stay where they are."""
    by.require(CONFIGURE)
    move.delete()
    _forget()


def allow_moves(*, pairs: Collection[tuple[int, int]], among: Mapping[int, Any], by: Actor) -> tuple[int, int]:
    """Make these pairs of statuses the allowed moves between the statuses named, all at once. Answers how many came and went."""
    by.require(CONFIGURE)
    wanted = {(source, target) for source, target in pairs if source in among and target in among and source != target}
    with transaction.atomic():
        standing = {
            (move.source_id, move.target_id): move
            for move in LeadTransition.objects.select_for_update(of=("self",)).filter(source_id__in=list(among), target_id__in=list(among))
        }
        gone = [move.pk for pair, move in standing.items() if pair not in wanted]
        LeadTransition.objects.filter(pk__in=gone).delete()
        come = [LeadTransition(source_id=source, target_id=target) for source, target in sorted(wanted - set(standing))]
        LeadTransition.objects.bulk_create(come)
    _forget()
    return len(come), len(gone)


def _forget() -> None:
    for name in ("leads.vocabulary", "leads.moves"):
        current_scope().memo.pop(name, None)
