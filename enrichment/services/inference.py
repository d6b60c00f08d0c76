"""The built-in provider: what a lead's e-mail domain, title, company and phone let one conclude, without asking anybody."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import phonenumbers
from babel import Locale
from phonenumbers import timezone as phone_zones

from enrichment.enums import UNKNOWN
from enrichment.models import ProviderSettings
from enrichment.services.providers import Answer, Found, LeadFacts
from enrichment.services.tables import (
    EXECUTIVE,
    FREE_BRANDS,
    FREE_MAIL,
    GENERIC_COUNTRY_DOMAINS,
    INDUSTRY_BY_DOMAIN,
    INDUSTRY_BY_END,
    INDUSTRY_WORDS,
    JUNIOR,
    MID,
    ONLY_IN_COMPANY,
    SENIOR,
    THROW_AWAY,
    title_rules,
)

CODE = "inference"
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
# Writing without spaces: a phrase is found within the text.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_NETWORKS = ("small", "medium", "large")
_LARGE = ("500-1000", "501-1000", "1000+", "1001-5000", "5000+")
_SMALL = ("1-10", "1")


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Concludes; pure and quick, so neither cached nor limited."""

    id: int
    name: str
    fields: tuple[str, ...] = (
        "inferred_industry", "business_likelihood", "seniority_level", "decision_making_power", "estimated_network_size", "region", "time_zone",
        "industry", "country", "website",
    )  # fmt: skip
    outside: bool = False
    timeout: float = 5.0
    per_minute: int = 0
    cache_hours: float = 0

    def key(self, facts: LeadFacts) -> str | None:
        return None

    def enrich(self, facts: LeadFacts) -> Answer:
        answer: dict[str, Found] = {}
        industry = industry_of(facts)
        if industry is not None:
            answer["inferred_industry"] = answer["industry"] = industry
        answer["business_likelihood"] = business_likelihood(facts)
        level, power = standing_of(facts.title)
        if level != UNKNOWN:
            answer["seniority_level"], answer["decision_making_power"] = (
                Found(value=level, confidence=0.8),
                Found(value=power, confidence=0.7),
            )
            answer["estimated_network_size"] = Found(value=network_of(level, facts.company_size), confidence=0.4)
        if is_business_domain(facts.domain):
            answer["website"] = Found(value=f"https://{facts.domain}", confidence=0.7)
        return answer | places_of(facts)


def build(settings: ProviderSettings) -> Inference:
    return Inference(id=settings.pk, name=settings.name)


# --- e-mail domain ---


def is_free(domain: str) -> bool:
    """Whether private people have their mail there."""
    first, _dot, rest = domain.partition(".")
    return domain in FREE_MAIL or (first in FREE_BRANDS and rest.count(".") <= 1 and len(rest) <= 6)


def is_business_domain(domain: str) -> bool:
    return "." in domain and not is_free(domain) and domain not in THROW_AWAY


def business_likelihood(facts: LeadFacts) -> Found:
    """`high_business`, `medium_business` or `low_business`."""
    if facts.domain in THROW_AWAY:
        return Found(value="low_business", confidence=0.9)
    if is_business_domain(facts.domain):
        return Found(value="high_business", confidence=0.9 if facts.company or facts.title else 0.8)
    if facts.company:
        return Found(value="high_business" if facts.title else "medium_business", confidence=0.6)
    if facts.title or facts.website:
        return Found(value="medium_business", confidence=0.5)
    return Found(value="low_business", confidence=0.7 if facts.domain else 0.4)


# --- industry ---


def industry_of(facts: LeadFacts) -> Found | None:
    """The trade that domain, company and title speak of. The surer of them counts; words that name two trades count for none."""
    domain = facts.domain if is_business_domain(facts.domain) else ""
    if domain in INDUSTRY_BY_DOMAIN:
        return Found(value=INDUSTRY_BY_DOMAIN[domain], confidence=0.95)
    by_end = next((industry for end, industry in INDUSTRY_BY_END.items() if domain.endswith(end)), None)
    if by_end is not None:
        return Found(value=by_end, confidence=0.85)
    for text, confidence, is_company in (
        (facts.company, 0.75, True),
        (domain.partition(".")[0].replace("-", " "), 0.7, False),
        (facts.title, 0.5, False),
    ):
        named = _industries_in(text, is_company=is_company)
        if len(named) == 1:
            return Found(value=named.pop(), confidence=confidence)
    return None


def _industries_in(text: str, *, is_company: bool) -> set[str]:
    words = {word for match in _WORD.findall(text.casefold()) for word in (match, *match.split("-"))}
    if not is_company:
        words -= ONLY_IN_COMPANY
    return {_industry_by_word()[word] for word in words if word in _industry_by_word()}


@cache
def _industry_by_word() -> Mapping[str, str]:
    return {word: industry for industry, words in INDUSTRY_WORDS.items() for word in words}


# --- title ---


def standing_of(title: str) -> tuple[str, str]:
    """Seniority and decision power that a job title tells of; unknown for one that tells nothing."""
    text = " ".join(_WORD.findall(title.casefold()))
    if not text:
        return UNKNOWN, UNKNOWN
    for level, power, pattern, unspaced in _title_patterns():
        if pattern.search(text) or any(phrase in title for phrase in unspaced):
            return level, power
    return UNKNOWN, UNKNOWN


@cache
def _title_patterns() -> tuple[tuple[str, str, re.Pattern[str], tuple[str, ...]], ...]:
    """Each rule's phrases as one pattern of whole words, and those of a writing without spaces."""
    rules = []
    for level, power, phrases in title_rules():
        unspaced = tuple(phrase for phrase in phrases if _UNSPACED.search(phrase))
        spaced = sorted({" ".join(_WORD.findall(phrase.casefold())) for phrase in phrases if phrase not in unspaced}, key=len, reverse=True)
        rules.append((level, power, re.compile(r"(?<![^\s-])(?:" + "|".join(map(re.escape, spaced)) + r")(?![^\s-])"), unspaced))
    return tuple(rules)


def network_of(level: str, company_size: str) -> str:
    """How many people such a person is likely to know in the trade: small, medium or large."""
    place = {EXECUTIVE: 2, SENIOR: 2, MID: 1, JUNIOR: 0}[level]
    size = company_size.replace(" ", "")
    place += (size in _LARGE) - (size in _SMALL)
    return _NETWORKS[min(max(place, 0), 2)]


# --- phone, and the country of a domain ---


def places_of(facts: LeadFacts) -> dict[str, Found]:
    """Country and time zone by the phone's number, the country else by the domain's."""
    number = _number(facts.phone, facts.region)
    code = phonenumbers.region_code_for_number(number) if number is not None else None
    found: dict[str, Found] = {}
    if number is not None:
        zones = [zone for zone in phone_zones.time_zones_for_number(number) if zone != phone_zones.UNKNOWN_TIMEZONE]
        # A number without a place, such as a free one, has the zones of half a continent.
        if len(zones) == 1:
            found["time_zone"] = Found(value=zones[0], confidence=0.9)
    surely = 0.8
    if code is None:
        end = facts.domain.rpartition(".")[2].upper().replace("UK", "GB")
        code = end if len(end) == 2 and end.lower() not in GENERIC_COUNTRY_DOMAINS and is_business_domain(facts.domain) else None
        surely = 0.6
    name = _territories().get(code or "")
    if name is not None:
        found["region"] = found["country"] = Found(value=name, confidence=surely)
    return found


def _number(phone: str, region: str) -> phonenumbers.PhoneNumber | None:
    try:
        number = phonenumbers.parse(phone, region)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


@cache
def _territories() -> Mapping[str, str]:
    """Countries by their code, in the English that leads' countries are kept in."""
    return {code: name for code, name in Locale("en").territories.items() if len(code) == 2 and code.isalpha()}
