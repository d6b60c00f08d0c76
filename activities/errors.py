"""Refusals of activities."""

from crm.errors import DomainError


class NotPending(DomainError):
    """Only what is still to be done can be put off."""

    code = "NOT_PENDING"
