"""Refusals that users and integrators can act on. Doors turn them into their own shape; anything else is a bug."""

import errno
from collections.abc import Mapping
from typing import Any


class DomainError(Exception):
    """An anticipated refusal, fit to be shown. `field` names the input at fault, `details` is answered as it is."""

    code = "CONFLICT"
    status = 409

    def __init__(self, message: str, *, field: str | None = None, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.details = dict(details or {})


class InvalidInput(DomainError):
    """One or more fields are wrong. `problems` maps a field to its messages."""

    code = "VALIDATION_ERROR"
    status = 400

    def __init__(self, problems: Mapping[str, list[str]]) -> None:
        field, messages = next(iter(problems.items()))
        super().__init__(messages[0], field=field or None, details=problems)
        self.problems = {name: list(texts) for name, texts in problems.items()}


class NotFound(DomainError):
    """Unknown, or another tenant's, or out of the actor's sight: the three look alike on purpose."""

    code = "NOT_FOUND"
    status = 404


class Forbidden(DomainError):
    """The actor lacks the capability."""

    code = "FORBIDDEN"
    status = 403


class NotSignedIn(DomainError):
    """No valid sign-in came with the request."""

    code = "UNAUTHORIZED"
    status = 401


class TooManyRequests(DomainError):
    """A limit is used up; `retry_after` is in seconds."""

    code = "RATE_LIMIT_EXCEEDED"
    status = 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, details={"retry_after": retry_after})
        self.retry_after = retry_after


def is_out_of_space(error: BaseException | None) -> bool:
    """Whether the disk, or somebody's share of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
