"""Refusals of sources and doors."""

from crm.errors import DomainError


class UnknownSource(DomainError):
    code = "UNKNOWN_SOURCE"
    status = 404


class SourceTaken(DomainError):
    """Another source, here or of another tenant, is bound to the same page or mailbox."""

    code = "SOURCE_TAKEN"


class NotFailed(DomainError):
    """Only what failed is read anew; the rest has its lead or waits for it."""

    code = "NOT_FAILED"


class NoMapping(DomainError):
    """Mails are read by what they are, not by rules."""

    code = "NO_MAPPING"


class NoOwnKey(DomainError):
    """A Facebook page is found by its number, and Facebook signs for it."""

    code = "NO_OWN_KEY"
