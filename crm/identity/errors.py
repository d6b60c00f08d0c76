"""Refusals of sign-in and access."""

from crm.errors import DomainError, NotSignedIn, TooManyRequests


class WrongCredentials(NotSignedIn):
    """One answer for an unknown address, a wrong password and a disabled user."""

    code = "INVALID_CREDENTIALS"


class EmailNotVerified(DomainError):
    """Told only to somebody who knows the password."""

    code = "EMAIL_NOT_VERIFIED"
    status = 403


class LockedOut(TooManyRequests):
    """Too many wrong passwords for this address; the wait doubles with each further one."""

    code = "ACCOUNT_LOCKED"


class WrongCode(DomainError):
    code = "INVALID_CODE"
    status = 400


class UsernameTaken(DomainError):
    code = "USERNAME_TAKEN"


class LastAdmin(DomainError):
    """A tenant must keep one active admin."""

    code = "LAST_ADMIN"


class InUse(DomainError):
    code = "IN_USE"
