"""Refusals of leads."""

from collections.abc import Sequence
from typing import Any

from crm.errors import DomainError, InvalidInput


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


class RequiredForMove(InvalidInput):
    """A move asks for fields, or for a reason, that are not there. The problems are named by field."""

    code = "REQUIRED_FOR_MOVE"

    def __init__(self, *, target: str, fields: Sequence[str]) -> None:
        super().__init__(
            {
                name: [f"Give a reason to move the lead to {target}." if name == "reason" else f"Needed to move the lead to {target}."]
                for name in fields
            }
        )


class UnknownForm(DomainError):
    code = "UNKNOWN_FORM"
    status = 404
