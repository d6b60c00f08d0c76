"""Arrivals in words: who sent one, what became of it, what it holds."""

from datetime import datetime
from typing import Any

import orjson
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from leads.enums import Platform
from leads.models import Arrival
from leads.permissions import FORMS
from webhooks.filters import DOORS, STATES, state_of
from webhooks.permissions import SOURCES
from webhooks.selectors import Surroundings
from webhooks.services.arrivals import leaves_of
from webhooks.services.mapping import CUSTOM, apply_rules, suggest
from webhooks.services.workbench import Trial

MOST_SHOWN = 20_000
TONES = {"waiting": "tone-info", "failed": "tone-danger", "created": "tone-success", "merged": "tone-accent"}
FIELD_LABELS = {
    "name": _("Name"),
    "first_name": _("First name"),
    "last_name": _("Last name"),
    "email": _("E-mail"),
    "phone": _("Phone"),
    "company": _("Company"),
    "title": _("Job title"),
    "website": _("Website"),
    "industry": _("Industry"),
    "company_size": _("Company size"),
    "city": _("City"),
    "state": _("State"),
    "country": _("Country"),
    "notes": _("Notes"),
    "lead_source": _("Source"),
    "tags": _("Tags"),
    "priority": _("Priority"),
}


def sender_of(arrival: Arrival) -> tuple[str, str]:
    """Who seems to have sent what came in, by the usual names of its fields: a name, and how to reach them."""
    values = _sender_of_mail(arrival.payload) if arrival.door == "email" else _usual_values(arrival)
    name = values.get("name") or " ".join(values[part] for part in ("first_name", "last_name") if part in values)
    reach = [values[part] for part in ("email", "phone") if part in values]
    title = name or values.get("company", "") or (reach.pop(0) if reach else "")
    return title[:120], ", ".join(reach)[:120]


def _usual_values(arrival: Arrival) -> dict[str, str]:
    leaves = leaves_of(arrival)
    return apply_rules(leaves, suggest(leaves)).values


def _sender_of_mail(payload: dict[str, Any]) -> dict[str, str]:
    message = payload.get("message")
    found = {"name": message.get("from_name"), "email": message.get("from_address")} if isinstance(message, dict) else {}
    return {name: text for name, text in found.items() if isinstance(text, str) and text}


def row_of(arrival: Arrival, around: Surroundings) -> dict[str, Any]:
    """A line of the inbox."""
    state = state_of(arrival)
    if arrival.lead is not None:
        lead = arrival.lead
        title, known = lead.display_name, lead.company if lead.full_name else ""
    else:
        # The list was read without what the rows hold.
        arrival.payload = around.payloads.get(arrival.pk, {})
        title, known = sender_of(arrival)
    due = around.due.get(arrival.pk)
    return {
        "arrival": arrival,
        "title": title,
        "known": known,
        "door": DOORS.get(arrival.door, arrival.door),
        # "Other" tells nobody anything; that it was a webhook does.
        "channel": DOORS.get(arrival.door) if arrival.platform_key == Platform.OTHER else arrival.get_platform_key_display(),
        "source": around.names.get((arrival.door, arrival.door_id or 0), ""),
        "campaign": arrival.utm_campaign or arrival.campaign_id,
        "state": state,
        "label": STATES[state],
        "tone": TONES[state],
        # A first try is under way at once; what waits longer says until when.
        "due": due if isinstance(due, datetime) and arrival.attempts else None,
    }


def pretty(value: Any) -> tuple[str, int]:
    """JSON as people read it, cut where it is long; and its whole length."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS).decode()
    return text[:MOST_SHOWN], len(text)


def trial_rows(trial: Trial) -> list[tuple[Any, str]]:
    """What an arrival would become, line by line."""
    rows: list[tuple[Any, str]] = [(FIELD_LABELS[name], text) for name, text in trial.values.items()]
    if trial.tags:
        rows.append((FIELD_LABELS["tags"], ", ".join(trial.tags)))
    return rows


def problems_in_words(problems: dict[str, list[str]]) -> list[str]:
    """Refusals with the field's label before each."""
    lines: list[str] = []
    for name, texts in problems.items():
        label = FIELD_LABELS.get(name) or name.removeprefix(CUSTOM)
        lines.extend(f"{label}: {text}" if label else text for text in texts)
    return lines


def origin_link(arrival: Arrival, can: Any) -> str:
    """Where the form or connection behind an arrival is set up, for those who may."""
    if not arrival.door_id:
        return ""
    if arrival.door == "website":
        return reverse("leads:source", args=[arrival.door_id]) if can(FORMS) else ""
    return reverse("webhooks:connection", args=[arrival.door_id]) if can(SOURCES) else ""
