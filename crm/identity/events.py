"""What happens to people."""

from dataclasses import dataclass

from crm.events.bus import Event


@dataclass(frozen=True, kw_only=True)
class RegistrationCodeAsked(Event):
    """A code must be made and mailed. The code itself is made at delivery, so that it is stored nowhere in plain."""

    name = "registration.code_asked"
    tenantless = True
    registration_id: int


@dataclass(frozen=True, kw_only=True)
class PasswordResetAsked(Event):
    name = "user.password_reset_asked"
    user_id: int


@dataclass(frozen=True, kw_only=True)
class UserSignedIn(Event):
    """A session was opened. `kind` is its SessionKind."""

    name = "user.signed_in"
    user_id: int
    session_id: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class UserSignedOut(Event):
    name = "user.signed_out"
    user_id: int
    session_id: int
    kind: str


@dataclass(frozen=True, kw_only=True)
class UserInvited(Event):
    name = "user.invited"
    invitation_id: int


@dataclass(frozen=True, kw_only=True)
class UserJoined(Event):
    name = "user.joined"
    user_id: int
