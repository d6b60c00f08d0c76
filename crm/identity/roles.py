"""What the built-in roles may do. Apps grant their capabilities from `extensions.py`; the admin role may do everything."""

from collections import defaultdict
from collections.abc import Iterable

from crm.identity.enums import RoleCode

_granted: dict[str, set[str]] = defaultdict(set)
_known: set[str] = set()


def grant(capability: str, *roles: RoleCode) -> None:
    """Make a capability (a Django permission's full name) known, and give it to built-in roles."""
    _known.add(capability)
    for role in roles:
        _granted[role].add(capability)


def default_capabilities(role_code: str) -> frozenset[str]:
    return frozenset(_known if role_code == RoleCode.ADMIN else _granted[role_code])


def known_capabilities() -> list[str]:
    return sorted(_known)


def effective_capabilities(code: str, capabilities: Iterable[str] | None) -> frozenset[str]:
    """A role's capabilities: its own, or the product's defaults where it keeps none."""
    return default_capabilities(code) if capabilities is None else frozenset(capabilities)
