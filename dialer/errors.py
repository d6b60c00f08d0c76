"""What the dialer refuses. The first texts are document 2's (rules 2.10, 2.26)."""

from crm.errors import DomainError, NotFound


class InvalidPhone(DomainError):
    """E.164 in form, but no number that could be dialled (decision K23)."""

    code = "INVALID_PHONE"
    status = 400

    def __init__(self, message: str = "Invalid phone number format") -> None:
        super().__init__(message, field="phone_e164")


class KnownNumber(DomainError):
    """The agent's queue holds this number."""

    code = "DUPLICATE_LEAD"
    status = 400

    def __init__(self) -> None:
        super().__init__("Lead with this phone number already exists for this agent", field="phone_e164")


class NoSuchEntry(NotFound):
    def __init__(self) -> None:
        super().__init__("Lead not found")


class NoSuchAgent(NotFound):
    def __init__(self) -> None:
        super().__init__("Agent not found")


class NoSuchCall(NotFound):
    def __init__(self) -> None:
        super().__init__("Call not found")


class NoSuchImport(NotFound):
    def __init__(self) -> None:
        super().__init__("Import not found")


class MayNotCall(DomainError):
    """The number may not be called now; `details` name the reason, and when it may where that is known."""

    code = "MAY_NOT_CALL"
