"""What a value of each kind looks like: as people and programs write it, read into the one form in which it is stored.

Every function takes what a sender sent and answers the stored form, or raises ValueError with a sentence for the sender. What is
stored already reads as itself.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.dateparse import parse_date, parse_datetime

from crm.filters import parse_flag
from customobjects.enums import FieldKind
from customobjects.models import FieldDefinition

People = Mapping[str, int]

MOST_TEXT, MOST_URL, MOST_CHOSEN = 1000, 500, 100
# Beyond it a number is no longer exact everywhere; much beyond, JSON that holds it cannot be written again.
LARGEST_EXACT = 2**53
MOST_LEVELS = 16
_LARGEST = Decimal(10) ** 15
_LARGEST_AMOUNT = Decimal(10) ** 12
_MILLIONTH, _CENT = Decimal("0.000001"), Decimal("0.01")
# 1,234.50 and 1'234.50; 1.234,50 and 12,5.
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,'’ ][0-9]{3})+(?:\.[0-9]+)?")
_EUROPEAN = re.compile(r"[+-]?(?:[0-9]{1,3}(?:[. ][0-9]{3})+|[0-9]+),[0-9]{1,2}")
_PLAIN_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_SYMBOLS = {"€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
_CODE = re.compile(r"^([A-Za-z]{3})\s*(?=[0-9.,+-])|(?<=[0-9.,])\s*([A-Za-z]{3})$")
_DATE_FORMATS = ("%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y")
_is_url = URLValidator(schemes=["http", "https"])


def is_empty(value: Any) -> bool:
    """Whether a value says that there is none. No and zero say something."""
    return value is None or value in ("", [], {}) or (isinstance(value, str) and not value.strip())


def check_free_value(value: Any, *, level: int = 0) -> None:
    """Refuse what could be stored as a value of no field but not be read again as it was. Raises ValueError."""
    if isinstance(value, str) or value is None:
        return
    if isinstance(value, int | float) and not -LARGEST_EXACT <= value <= LARGEST_EXACT:
        raise ValueError(f"Numbers must lie between -{LARGEST_EXACT:,} and {LARGEST_EXACT:,}; send a larger one as text.")
    if isinstance(value, dict | list):
        if level >= MOST_LEVELS:
            raise ValueError(f"At most {MOST_LEVELS} levels deep.")
        for item in value.values() if isinstance(value, dict) else value:
            check_free_value(item, level=level + 1)


def storable(value: Any) -> Any:
    """A free value as it can be stored and read again: numbers that are too large as text."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, int | float) and not -LARGEST_EXACT <= value <= LARGEST_EXACT:
        return str(value)
    if isinstance(value, dict):
        return {key: storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list) else value


def read_value(item: FieldDefinition, value: Any, *, people: People) -> Any:
    """A value of the field's kind in its stored form. `people` are the ids of who can be named, by id and e-mail as text."""
    if item.kind == FieldKind.USER:
        return _user(value, people)
    return _READERS[item.kind](item, value)


def _text(item: FieldDefinition, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("Must be text.")
    text = str(value).replace("\x00", "").replace("\r\n", "\n").strip()
    if len(text) > MOST_TEXT:
        raise ValueError(f"At most {MOST_TEXT:,} characters.")
    return text


def _decimal(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueError("Must be a number.")
    text = str(value).strip().replace("\N{NO-BREAK SPACE}", " ").replace("\N{NARROW NO-BREAK SPACE}", " ").replace("−", "-")
    if _GROUPED.fullmatch(text):
        text = re.sub(r"[,'’ ]", "", text)
    elif _EUROPEAN.fullmatch(text):
        text = re.sub(r"[. ]", "", text).replace(",", ".")
    elif not _PLAIN_NUMBER.fullmatch(text):
        raise ValueError("Must be a number.")
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError("Must be a number.") from None


def _number(item: FieldDefinition, value: Any) -> int | float:
    number = _decimal(value)
    if abs(number) < _LARGEST:
        number = number.quantize(_MILLIONTH, rounding=ROUND_HALF_EVEN)
        stored = int(number) if number == number.to_integral_value() else float(number)
        # Rounding may have reached the limit.
        if abs(stored) < _LARGEST:
            return stored
    raise ValueError("Must have at most 15 digits before the point.")


def _money(item: FieldDefinition, value: Any) -> dict[str, str]:
    currency = item.currency
    if isinstance(value, Mapping):
        if set(value) - {"amount", "currency"} or "amount" not in value:
            raise ValueError('Must be an amount such as "12.50", or {"amount": "12.50", "currency": "USD"}.')
        currency, value = str(value.get("currency") or currency).strip().upper(), value["amount"]
    if isinstance(value, str):
        value, named = _without_currency(value, item.currency)
        currency = named or currency
    if currency != item.currency:
        raise ValueError(f"Must be in {item.currency}.")
    try:
        amount = _decimal(value)
    except ValueError:
        raise ValueError("Must be an amount such as 12.50.") from None
    if abs(amount) >= _LARGEST_AMOUNT:
        raise ValueError("Must have at most 12 digits before the point.")
    exact = amount.quantize(_CENT)
    if exact != amount:
        raise ValueError("At most two decimals.")
    # Without the sign of a zero.
    return {"amount": f"{exact + 0:f}" if exact else "0.00", "currency": item.currency}


def _without_currency(text: str, own: str) -> tuple[str, str]:
    """An amount as typed without its currency, and the currency it named."""
    text, named = text.strip(), ""
    for symbol, code in _SYMBOLS.items():
        if symbol in text:
            text, named = text.replace(symbol, "").strip(), code
    if "$" in text:
        # A dollar is the field's own where that is one.
        text, named = text.replace("$", "").strip(), own if own.endswith("D") else "USD"
    code_given = _CODE.search(text)
    if code_given:
        named = (code_given[1] or code_given[2]).upper()
        text = _CODE.sub("", text).strip()
    return text, named


def _date(item: FieldDefinition, value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    day = _read_date(value.strip()) if isinstance(value, str) and len(value) <= 60 else None
    if day is None:
        raise ValueError("Must be a date such as 2024-01-31.")
    return day.isoformat()


def _read_date(text: str) -> date | None:
    try:
        day = parse_date(text)
        moment = parse_datetime(text) if day is None else None
    except ValueError:
        return None
    if day is not None or moment is not None:
        return day or (moment.date() if moment else None)
    for form in _DATE_FORMATS:
        try:
            return datetime.strptime(text, form).date()
        except ValueError:
            continue
    return None


def _choice(item: FieldDefinition, value: Any) -> str:
    found = item.choice_of(str(value).strip()) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    if found is None:
        labels = [str(choice["label"]) for choice in item.choices]
        more = "" if len(labels) <= 10 else f" and {len(labels) - 10} more"
        raise ValueError(f"Must be one of {', '.join(labels[:10])}{more}.")
    return str(found["value"])


def _multi_choice(item: FieldDefinition, value: Any) -> list[str]:
    words = re.split(r"[,;]", value) if isinstance(value, str) else value
    if not isinstance(words, list | tuple | set | frozenset) or len(words) > MOST_CHOSEN:
        raise ValueError(f"Must be a list of at most {MOST_CHOSEN} choices.")
    chosen = {_choice(item, word) for word in words if not is_empty(word)}
    return [str(choice["value"]) for choice in item.choices if choice["value"] in chosen]


def _user(value: Any, people: People) -> int:
    found = people.get(str(value).strip().casefold()) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise ValueError("No active user has this e-mail or id.")
    return found


def _url(item: FieldDefinition, value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if text and "://" not in text and not text.lower().startswith(("mailto:", "javascript:", "data:")):
        text = f"https://{text}"
    try:
        if len(text) > MOST_URL:
            raise ValueError(f"At most {MOST_URL} characters.")
        _is_url(text)
    except ValidationError:
        raise ValueError("Must be a web address such as https://www.example.com.") from None
    return text


_YES, _NO = {"x", "✓", "y", "t", "checked"}, {"n", "f", "-", "unchecked"}


def _checkbox(item: FieldDefinition, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    word = str(value).strip().casefold() if isinstance(value, str | int) else ""
    if word in _YES or word in _NO:
        return word in _YES
    try:
        return parse_flag(word)
    except ValueError:
        raise ValueError("Must be yes or no.") from None


_READERS: dict[str, Callable[[FieldDefinition, Any], Any]] = {
    FieldKind.TEXT: _text,
    FieldKind.NUMBER: _number,
    FieldKind.MONEY: _money,
    FieldKind.DATE: _date,
    FieldKind.CHOICE: _choice,
    FieldKind.MULTI_CHOICE: _multi_choice,
    FieldKind.URL: _url,
    FieldKind.CHECKBOX: _checkbox,
}
