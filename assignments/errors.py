"""Refusals of assignment."""

from crm.errors import DomainError


class AlreadyAssigned(DomainError):
    """The lead has an owner. `details.assigned_user_id` names them."""

    code = "ALREADY_ASSIGNED"


class NotAssigned(DomainError):
    """The lead has no owner that could be taken away or exchanged."""

    code = "NOT_ASSIGNED"


class NoRules(DomainError):
    """No rule is switched on."""

    code = "NO_ASSIGNMENT_RULES"
