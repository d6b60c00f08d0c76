"""What a provider is, and the registry of their kinds.

A provider answers `{field: Found}` for the facts of one lead. It never sees the database, so that many can be asked at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from crm.normal import clean_text
from crm.registry import Registry, Text
from enrichment.enums import LEAD_FIELDS
from enrichment.models import ProviderSettings
from leads.models import Lead


@dataclass(frozen=True, kw_only=True)
class LeadFacts:
    """What providers are told about a lead. `region` is the tenant's, for phones without a country code."""

    lead_id: int
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    phone: str = ""
    company: str = ""
    title: str = ""
    website: str = ""
    industry: str = ""
    company_size: str = ""
    city: str = ""
    state: str = ""
    country: str = ""
    region: str = "US"

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()

    @property
    def domain(self) -> str:
        """Of the e-mail."""
        return self.email.rpartition("@")[2].lower().strip(".") if "@" in self.email else ""

    def by_name(self, name: str) -> str:
        """A fact under the name that templates use; KeyError for a name that is none."""
        if name not in FACTS:
            raise KeyError(name)
        return str(getattr(self, name))


FACTS = (
    "lead_id", "name", "first_name", "last_name", "email", "domain", "phone", "company", "title", "website", "industry", "company_size",
    "city", "state", "country",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Found:
    """A value for a field, and how sure its provider is of it, from 0 to 1."""

    value: str
    confidence: float


Answer = Mapping[str, Found]


class ProviderTrouble(Exception):
    """A provider cannot answer. `passing`: another try may go well, after `wait` where it said so."""

    def __init__(self, message: str, *, passing: bool = False, wait: timedelta | None = None) -> None:
        super().__init__(message)
        self.message, self.passing, self.wait = message, passing, wait


class Provider(Protocol):
    """One provider of a tenant, ready to be asked from any thread."""

    @property
    def id(self) -> int:
        """Of its settings."""

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> tuple[str, ...]:
        """What it may answer."""

    @property
    def outside(self) -> bool:
        """Whether it asks anybody else: then it is cached, limited, tried again, and given a rest when it fails."""

    @property
    def timeout(self) -> float:
        """Seconds for one question, its answer read to the end."""

    @property
    def per_minute(self) -> int: ...

    @property
    def cache_hours(self) -> float: ...

    def key(self, facts: LeadFacts) -> str | None:
        """What the answer depends on, hashed; None where the facts do not suffice for a question."""

    def enrich(self, facts: LeadFacts) -> Answer:
        """Raises ProviderTrouble."""


@dataclass(frozen=True, kw_only=True)
class ProviderKind:
    """A kind of provider: `build(settings)` makes one of a tenant's settings; raises ValueError for settings that make none."""

    code: str
    label: Text
    about: Text
    icon: str
    build: Callable[[ProviderSettings], Provider]
    # A tenant has it from the start, once; it cannot be deleted.
    built_in: bool = False


KINDS = "all"
provider_kinds: Registry[ProviderKind] = Registry()


def kind_named(code: str) -> ProviderKind | None:
    return next((kind for kind in provider_kinds.of(KINDS) if kind.code == code), None)


_TOLD = ("first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country")


def facts_of(lead: Lead, *, region: str, without: frozenset[str] = frozenset()) -> LeadFacts:
    """The facts of a lead. `without` are fields whose values enrichment itself wrote: it must not learn from them."""
    return LeadFacts(lead_id=lead.pk, region=region, **{name: getattr(lead, name) for name in _TOLD if name not in without})


_MOST_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The longest value of each field of a lead."""

    lengths: Mapping[str, int] = field(
        default_factory=lambda: {name: int(Lead._meta.get_field(name).max_length or _MOST_CHARACTERS) for name in LEAD_FIELDS}  # type: ignore[union-attr]
    )

    def fit(self, name: str, value: Any) -> str:
        """A value as text that the field can hold; empty for what is none, such as an object."""
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            value = ", ".join(value[:20])
        if isinstance(value, float) and value.is_integer() and abs(value) < 10**15:
            value = int(value)
        if not isinstance(value, str | int | float):
            return ""
        return clean_text(str(value)[: 4 * _MOST_CHARACTERS].encode("utf-8", "replace").decode())[
            : self.lengths.get(name, _MOST_CHARACTERS)
        ]
