"""How words of a vocabulary are compared."""

import re


def word_key(text: str) -> str:
    """Fold case and word separators, so that `Not Interested`, `not-interested` and `NOT_INTERESTED` are one."""
    return re.sub(r"[\s_-]+", "_", text.strip().casefold())
