"""How document 2's surface is described, in a file of its own: `manage.py spectacular --custom-settings dialer.api.description.SETTINGS`."""

from typing import Any

PREFIX = "/api/v1/"


def only_dialer_surface(endpoints: list[Any]) -> list[Any]:
    """Describe each path once, without the optional slash."""
    return [
        (path.replace("/?", "").rstrip("/"), path_regex, method, callback)
        for path, path_regex, method, callback in endpoints
        if path.startswith(PREFIX)
    ]


SETTINGS: dict[str, Any] = {
    "TITLE": "SalesMagnet dialer API",
    "DESCRIPTION": (
        "Lead Management & Scheduling. Answers have no envelope. Refusals are `{detail}`; 422 lists what cannot be read as `{loc, msg, type}`."
    ),
    "VERSION": "1.0.0",
    "SERVERS": [{"url": "/api/v1", "description": "The dialer API"}],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "PREPROCESSING_HOOKS": ["dialer.api.description.only_dialer_surface"],
    "ENUM_NAME_OVERRIDES": {
        "AgentKind": "dialer.enums.AgentKind",
        "DialMode": "dialer.enums.DialMode",
        "EntryStatus": "dialer.enums.EntryStatus",
        "Disposition": "dialer.enums.Disposition",
    },
}
