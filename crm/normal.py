"""One key per identity: phones in E.164, canonical e-mail, names split and folded. Pure functions, used by every door."""

import re
import unicodedata
from datetime import UTC, datetime, timedelta

import phonenumbers
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email
from nameparser import HumanName
from nameparser.config import CONSTANTS

# Providers whose mailboxes ignore dots in the local part.
_DOTLESS = {"gmail.com", "googlemail.com"}
_SAME_DOMAIN = {"googlemail.com": "gmail.com"}
_SPACES = re.compile(r"\s+")
# Most names are two plain words; the parser, forty times slower, is for the rest.
_NEEDS_PARSING = re.compile(r"[^\w'’-]")
_AFFIXES = (
    frozenset(CONSTANTS.titles)
    | frozenset(CONSTANTS.suffix_not_acronyms)
    | frozenset(CONSTANTS.suffix_acronyms)
    | frozenset(CONSTANTS.prefixes)
)

# Addresses of plain letters, which are most: here the library would answer the same, fifty times as slowly.
_PLAIN_EMAIL = re.compile(
    r"(?P<local>[A-Za-z0-9_]+(?:[.+-][A-Za-z0-9_]+)*)@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9]|-(?=[A-Za-z0-9])){0,60}\.)+(?P<top>[A-Za-z]{2,20}))",
    re.ASCII,
)
# Names that are no place for mail, as the library knows them.
_SPECIAL_DOMAINS = frozenset(name.rsplit(".", 1)[-1] for name in SPECIAL_USE_DOMAIN_NAMES) | {"test"}


# No moment of a sales team's lies outside; a calendar in any zone can show what lies inside.
EARLIEST, YEARS_AHEAD = datetime(1970, 1, 2, tzinfo=UTC), 10


def is_plausible(moment: datetime) -> bool:
    """Whether a moment can be meant: not before 1970, not more than ten years ahead."""
    return EARLIEST <= moment <= datetime.now(UTC) + timedelta(days=366 * YEARS_AHEAD)


def clean_text(text: str) -> str:
    """Fold white space and drop control characters (a NUL cannot be stored)."""
    # Most text is clean, and telling so is ten times as fast as going through it.
    if text.isprintable() and "  " not in text:
        return text.strip()
    return _SPACES.sub(" ", "".join(" " if unicodedata.category(char) == "Cc" else char for char in text)).strip()


def e164(raw: str, *, region: str) -> str | None:
    """Read a phone in any national form; None when it is not a possible number. Fiction numbers (555-01xx) are possible."""
    try:
        number = phonenumbers.parse(raw, region)
    except phonenumbers.NumberParseException:
        return None
    # A local number without its area code is possible to dial there, and nobody's in particular.
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def international(phone: str) -> str:
    """An E.164 number as people read it; other text as it is."""
    if not phone.startswith("+"):
        return phone
    try:
        return phonenumbers.format_number(phonenumbers.parse(phone), phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    except phonenumbers.NumberParseException:
        return phone


def checked_email(raw: str) -> str:
    """The address as given, if it is one. Raises ValueError with a sentence for the user. No look-up is made."""
    plain = _PLAIN_EMAIL.fullmatch(raw)
    if plain and len(raw) <= 120 and plain["top"].lower() not in _SPECIAL_DOMAINS:
        return f"{plain['local']}@{plain['domain'].lower()}"
    try:
        return validate_email(raw, check_deliverability=False, test_environment=True).normalized
    except EmailNotValidError as error:
        raise ValueError(str(error)) from None


def email_key(email: str) -> str:
    """The form in which addresses are compared: case, plus tags, provider dots and IDN notation do not count."""
    local, at, domain = email.strip().casefold().rpartition("@")
    if not at or not local:
        return ""
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        pass
    domain = _SAME_DOMAIN.get(domain, domain)
    local = local.split("+", 1)[0] or local
    return f"{local.replace('.', '') if domain in _DOTLESS else local}@{domain}"


def split_name(full: str) -> tuple[str, str]:
    """Split a person's name into first (with middle) and last, titles left out."""
    full = clean_text(full)
    words = full.split(" ")
    if len(words) <= 2 and not any(_NEEDS_PARSING.search(word) or word.casefold() in _AFFIXES for word in words):
        return words[0], words[1] if len(words) == 2 else ""
    name = HumanName(full)
    first = " ".join(part for part in (name.first, name.middle) if part)
    last = " ".join(part for part in (name.last, name.suffix) if part)
    return (first, last) if first or last else (full, "")
