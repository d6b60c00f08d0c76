"""What is said to somebody: an agent's script with the names in braces filled in."""

import re
from collections.abc import Mapping

from dialer.models import QueueEntry

_NAME = re.compile(r"\{\s*([\w .-]{1,80}?)\s*\}")


def said(script: str, values: Mapping[str, object]) -> str:
    """The script with `{first_name}` and the like filled in, whatever their case. What nobody knows leaves no gap in a word: it vanishes."""
    known = {name.casefold().replace(" ", "_"): str(value) for name, value in values.items() if value not in (None, "")}
    return _NAME.sub(lambda match: known.get(match[1].casefold().replace(" ", "_"), ""), script)


def values_of(
    entry: QueueEntry, *, person: str = "", custom: Mapping[str, object] | None = None, knows_lead: bool = True
) -> dict[str, object]:
    """What a script may name of an entry and its lead: `custom` are the lead's further fields, as far as the reader may see them.

    Who may not know the lead is told what the entry says alone.
    """
    if not knows_lead:
        return {**entry.custom_fields, "first_name": entry.first_name, "phone": entry.phone, "agent": entry.agent.name, "me": person}
    lead = entry.lead
    return {
        **(custom or {}),
        **entry.custom_fields,
        "first_name": entry.first_name,
        "last_name": lead.last_name,
        "name": lead.display_name,
        "company": lead.company or entry.custom_fields.get("company", ""),
        "title": lead.title,
        "city": lead.city,
        "phone": entry.phone,
        "agent": entry.agent.name,
        "me": person,
    }
