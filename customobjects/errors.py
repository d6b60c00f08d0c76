"""Refusals of custom fields."""

from crm.errors import DomainError


class KeyTaken(DomainError):
    """Another field of the same records has this key, or one that would be mistaken for it."""

    code = "KEY_TAKEN"


class TooManyFields(DomainError):
    code = "TOO_MANY_FIELDS"


class NotUnique(DomainError):
    """Records hold the same value already, so the field cannot be made unique."""

    code = "VALUES_REPEAT"


class KindIsFixed(DomainError):
    """Values are stored in the form of their kind."""

    code = "KIND_IS_FIXED"


class FieldIsRestricted(DomainError):
    """Not everybody may see the field's values, and only the field says so."""

    code = "FIELD_IS_RESTRICTED"
