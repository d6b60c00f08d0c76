"""Refusals of sources and doors."""

from crm.errors import DomainError


class UnknownSource(DomainError):
    code = "UNKNOWN_SOURCE"
    status = 404


class SourceTaken(DomainError):
    """Another source, here or of another tenant, is bound to the same page or mailbox."""

    code = "SOURCE_TAKEN"
