"""Text that leaves the product."""

from typing import Any

# The first character that makes a spreadsheet read a cell as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def safe_cell(value: Any) -> Any:
    """Put an apostrophe before text that a spreadsheet would run as a formula. Numbers and phone numbers stay as they are."""
    if not isinstance(value, str) or not value.startswith(_FORMULA):
        return value
    return value if _is_number(value) else f"'{value}"


def _is_number(text: str) -> bool:
    """`+49 30 555-0100` or `-3.5`: digits and separators only."""
    rest = text[1:]
    return (
        text[0] in "+-"
        and bool(rest)
        and rest[0] in "0123456789("
        and all(sign in "0123456789 .,()" or sign == "-" for sign in rest)
        and not (text[0] == "-" and any(sign in "-()" for sign in rest))
    )
