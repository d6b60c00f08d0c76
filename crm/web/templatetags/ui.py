"""Tags and filters of the design system: icons, people, times, numbers, addresses. Pure: no query, no setting of ours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any
from zlib import crc32

from babel import Locale, UnknownLocaleError
from babel.dates import format_timedelta
from babel.numbers import (
    format_compact_currency,
    format_compact_decimal,
    format_currency,
    format_decimal,
    format_percent,
)
from django import template
from django.http import QueryDict
from django.template.context import Context
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext, to_locale
from lucide import IconDoesNotExist
from lucide.templatetags.lucide import lucide as render_lucide

register = template.Library()

HUES = 12
STATUSES = frozenset({"new", "contacted", "qualified", "meeting_scheduled", "proposal_sent", "negotiation", "won", "lost"})
TONES = {
    "completed": "tone-success", "done": "tone-success", "active": "tone-success", "delivered": "tone-success", "converted": "status-won",
    "pending": "tone-warning", "paused": "tone-warning", "scheduled": "tone-info", "running": "tone-info", "open": "tone-info",
    "failed": "tone-danger", "error": "tone-danger", "overdue": "tone-danger", "breached": "tone-danger",
    "cancelled": "tone-neutral", "archived": "tone-neutral", "inactive": "tone-neutral", "draft": "tone-neutral",
    "not_interested": "status-lost", "follow_up": "status-contacted",
}  # fmt: skip


# ── Icons ────────────────────────────────────────────────────────────────────
@lru_cache(maxsize=1024)
def _icon(name: str, size: int, classes: str, label: str) -> SafeString:
    role = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    css = f"icon {classes}".strip()
    try:
        return mark_safe(render_lucide(name, size=size, stroke_width="1.75", **{"class": css}, focusable="false", **role))  # noqa: S308 -- from the icon package, escaped there
    except IconDoesNotExist:
        raise template.TemplateSyntaxError(f"There is no icon named {name!r}; see https://lucide.dev/icons.") from None


@register.simple_tag
def icon(name: str, size: int = 16, cls: str = "", label: str = "") -> str:
    """Draw a lucide icon inline. Decorative unless it has a label. No name draws nothing."""
    return _icon(str(name), int(size), str(cls), str(label)) if name else ""


# ── People ───────────────────────────────────────────────────────────────────
@register.filter
def initials(name: object) -> str:
    """Two letters: of the first and last word, or of the only word or address."""
    text = str(name or "").strip()
    words = [word for word in text.split("@")[0].replace(".", " ").replace("_", " ").split() if word[0].isalnum()]
    if not words:
        return "?"
    letters = words[0][:2] if len(words) == 1 else words[0][0] + words[-1][0]
    return letters.upper()


@register.filter
def hue(value: object) -> int:
    """A stable number from 0 to 11 for an id or a name, used as class `hue-N`. Neighbouring ids differ visibly."""
    if isinstance(value, int):
        return value * 7 % HUES
    text = str(value if value is not None else "")
    return int(text) * 7 % HUES if text.isdecimal() else crc32(text.encode()) % HUES


# ── States ───────────────────────────────────────────────────────────────────
@register.filter
def status_class(key: object) -> str:
    """The class that colours a status: its own for the eight lead statuses, a tone for common words, else a stable hue."""
    name = str(key or "").strip().lower().replace("-", "_").replace(" ", "_")
    if not name:
        return "tone-neutral"
    if name in STATUSES:
        return f"status-{name.replace('_', '-')}"
    return TONES.get(name) or f"hue-{hue(name)}"


@register.filter
def grade(score: object) -> str:
    """The letter of a score of 0 to 100: A from 85, B from 70, C from 50, else D; nothing without a score."""
    number = _decimal(score)
    if number is None:
        return ""
    return "A" if number >= 85 else "B" if number >= 70 else "C" if number >= 50 else "D"


@register.filter
def due_class(value: dt.datetime | dt.date | None) -> str:
    """`due--overdue`, `due--today`, `due--later` or `due--none`, by the day in the user's zone; a passed hour today is overdue."""
    if not value:
        return "due--none"
    now = timezone.localtime()
    day = _local_day(value)
    if day < now.date() or (isinstance(value, dt.datetime) and _aware(value) < now):
        return "due--overdue"
    return "due--today" if day == now.date() else "due--later"


# ── Times ────────────────────────────────────────────────────────────────────
@register.filter
def relative(value: dt.datetime | dt.date | None, style: str = "long") -> str:
    """Say how far away a moment is: "just now", "5 minutes ago", "yesterday", "in 3 days". `"short"` for lists: "5m ago"."""
    if not value:
        return ""
    now = timezone.localtime()
    days = (_local_day(value) - now.date()).days
    if isinstance(value, dt.datetime):
        delta = _aware(value) - now
        if abs(delta) < dt.timedelta(seconds=45):
            return gettext("just now")
        if abs(delta) < dt.timedelta(hours=20) or days == 0:
            return _timedelta(delta, style)
    if days in _DAYS:
        return str(gettext(_DAYS[days]))
    return _timedelta(dt.timedelta(days=days), style)


_DAYS = {-1: "yesterday", 0: "today", 1: "tomorrow"}


@register.filter
def duration(value: dt.timedelta | float | None, style: str = "short") -> str:
    """A length of time in its largest unit: "3d", "45m"; `"long"` for "3 days"."""
    if value is None:
        return ""
    delta = value if isinstance(value, dt.timedelta) else dt.timedelta(seconds=float(value))
    return _timedelta(delta, style, direction=False)


@register.simple_tag
def time_ago(value: dt.datetime | dt.date | None, style: str = "long", cls: str = "", empty: str = "") -> str:
    """`<time>` with the relative text, the absolute time on hover, and a mark by which the page keeps it fresh."""
    if not value:
        return empty
    return format_html(
        '<time datetime="{}" title="{}" data-relative="{}"{}>{}</time>',
        value.isoformat(), absolute(value), style, format_html(' class="{}"', cls) if cls else "", relative(value, style),
    )  # fmt: skip


@register.filter
def absolute(value: dt.datetime | dt.date | None) -> str:
    """Date and time in the user's zone and language."""
    if not value:
        return ""
    if isinstance(value, dt.datetime):
        return date_format(_local(value), "DATETIME_FORMAT")
    return date_format(value, "DATE_FORMAT")


def _timedelta(delta: dt.timedelta, style: str, *, direction: bool = True) -> str:
    form = "narrow" if style == "short" else "long"
    return format_timedelta(delta, threshold=1.6, add_direction=direction, format=form, locale=_locale())  # type: ignore[arg-type]


def _aware(value: dt.datetime) -> dt.datetime:
    return timezone.make_aware(value) if timezone.is_naive(value) else value


def _local(value: dt.datetime) -> dt.datetime:
    """In the user's zone; at the ends of the calendar, where that is no date any more, as it is."""
    try:
        return timezone.localtime(_aware(value))
    except (OverflowError, ValueError):
        return _aware(value)


def _local_day(value: dt.datetime | dt.date) -> dt.date:
    return _local(value).date() if isinstance(value, dt.datetime) else value


# ── Numbers ──────────────────────────────────────────────────────────────────
@register.filter
def number(value: object) -> str:
    """Grouped by locale: 12,431."""
    amount = _decimal(value)
    return "" if amount is None else format_decimal(amount, locale=_locale())


@register.filter
def money(value: object, currency: str = "USD") -> str:
    """An amount by locale; whole amounts without decimals: $12,400."""
    amount = _decimal(value)
    if amount is None:
        return ""
    whole = amount == amount.to_integral_value()
    locale = _locale()
    pattern = locale.currency_formats["standard"].pattern
    if whole:
        pattern = pattern.replace("0.00", "0")
    return format_currency(amount, currency or "USD", pattern, locale=locale, currency_digits=not whole)


@register.filter
def short_number(value: object) -> str:
    """12.4K, 3M; as it is below a thousand."""
    amount = _decimal(value)
    return "" if amount is None else format_compact_decimal(amount, locale=_locale(), fraction_digits=1)


@register.filter
def short_money(value: object, currency: str = "USD") -> str:
    """$12.4K."""
    amount = _decimal(value)
    return "" if amount is None else format_compact_currency(amount, currency or "USD", locale=_locale(), fraction_digits=1)


@register.filter
def percent(value: object, digits: int = 0) -> str:
    """A share of one as percent: 0.254 → 25%."""
    amount = _decimal(value)
    if amount is None:
        return ""
    locale = _locale()
    pattern = locale.percent_formats[None].pattern
    if digits:
        pattern = pattern.replace("#,##0", "#,##0." + "0" * int(digits))
    return format_percent(amount, pattern, locale=locale)


def _decimal(value: object) -> Decimal | None:
    if value is None or value == "":
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def _locale() -> Locale:
    return _parsed_locale(get_language() or "en")


@lru_cache(maxsize=64)
def _parsed_locale(language: str) -> Locale:
    try:
        return Locale.parse(to_locale(language))
    except (UnknownLocaleError, ValueError):
        return Locale("en")


# ── Addresses ────────────────────────────────────────────────────────────────
@register.simple_tag(takes_context=True)
def url_with(context: Context, **changes: object) -> str:
    """The present query with some keys replaced: `{% url_with page=2 %}`. None or "" takes a key away, a list repeats it."""
    request = context.get("request")
    query = request.GET.copy() if request is not None else QueryDict(mutable=True)
    for key, value in changes.items():
        if value is None or value == "":
            query.pop(key, None)
        elif isinstance(value, Iterable) and not isinstance(value, str):
            query.setlist(key, [str(item) for item in value])
        else:
            query[key] = str(value)
    return f"?{query.urlencode()}"


@register.simple_tag(takes_context=True)
def url_without(context: Context, key: str, value: object = None) -> str:
    """The present query without a key, or without one of its values; the page cursor goes too, as the list changes."""
    query = context["request"].GET.copy()
    kept = [] if value is None else [item for item in query.getlist(key) if item != str(value)]
    query.pop(key, None)
    if kept:
        query.setlist(key, kept)
    for cursor in ("page", "after", "before"):
        query.pop(cursor, None)
    return f"?{query.urlencode()}"


@register.filter
def keys(value: object) -> list[str]:
    """Split a shortcut for drawing: "g l" → ["G", "L"], "mod+k" → ["⌘/Ctrl", "K"]."""
    names = {"mod": "⌘/Ctrl", "enter": "↵", "esc": "Esc", "up": "↑", "down": "↓", "shift": "⇧"}
    parts = str(value or "").replace("+", " ").split()
    return [names.get(part.lower(), part.upper() if len(part) == 1 else part.capitalize()) for part in parts]


@register.filter
def get(mapping: Any, key: object) -> object:
    """Look a key up that is held in a variable."""
    return mapping.get(key) if mapping else None
