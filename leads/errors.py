"""Refusals of leads."""

from typing import Any

from crm.errors import DomainError


class DuplicateLead(DomainError):
    """A lead with the same e-mail or phone is there. `details.candidates` lists them."""

    code = "DUPLICATE_LEAD"


class InvalidTransition(DomainError):
    """The status cannot be reached from the present one. `details.allowed` lists what can."""

    code = "INVALID_TRANSITION"

    def __init__(self, *, current: str, wanted: str, allowed: list[dict[str, Any]]) -> None:
        super().__init__(
            f"A lead cannot move from '{current}' to '{wanted}'.",
            field="status",
            details={"current": current, "requested": wanted, "allowed": allowed},
        )


class UnknownForm(DomainError):
    code = "UNKNOWN_FORM"
    status = 404
