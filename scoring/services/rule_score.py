"""Points exactly as documented (rules 0.29 to 0.39, decisions K1 and G6). Pure: no clock, no database."""

from dataclasses import dataclass, field
from datetime import datetime

from crm.words import word_key
from scoring.enums import CLOSED, CUSTOMER, GRADES, LIFECYCLE


@dataclass(frozen=True, kw_only=True)
class FeatureRow:
    """What the score looks at."""

    email: str = ""
    phone: str = ""
    name: str = ""
    company: str = ""
    industry: str = ""
    company_size: str = ""
    title: str = ""
    lead_source: str = ""
    country: str = ""
    city: str = ""
    tags: tuple[str, ...] = ()
    priority: int = 2
    status_code: str = "new"
    status_category: str = "open"
    last_contact_at: datetime | None = None
    call_attempts: int = 0
    email_engagements: int = 0


@dataclass(frozen=True, kw_only=True)
class WordLists:
    """A tenant's words of value (G6), folded by `word_key`."""

    high_value_industries: frozenset[str] = frozenset(
        {
            "technology",
            "software",
            "saas",
            "finance",
            "financial_services",
            "banking",
            "insurance",
            "healthcare",
            "pharmaceuticals",
            "manufacturing",
            "telecommunications",
            "energy",
        }
    )
    # Highest first: a title earns the points of the first group in which one of its words stands.
    title_groups: tuple[tuple[int, frozenset[str]], ...] = (
        (7, frozenset({"ceo", "cto", "cfo", "coo", "cmo", "cio", "cro", "chief", "founder", "owner", "president", "partner"})),
        (6, frozenset({"vp", "svp", "evp", "vice"})),
        (5, frozenset({"director", "head"})),
        (4, frozenset({"manager", "lead", "principal"})),
    )
    high_value_tags: frozenset[str] = frozenset(
        {"decision_maker", "budget_approved", "tech_stack_match", "hot", "vip", "enterprise", "urgent", "referral", "demo_requested"}
    )
    home_countries: frozenset[str] = frozenset({"us", "usa", "united_states", "united_states_of_america"})
    major_cities: frozenset[str] = frozenset(
        {
            "new_york",
            "san_francisco",
            "los_angeles",
            "chicago",
            "boston",
            "seattle",
            "austin",
            "denver",
            "atlanta",
            "miami",
            "dallas",
            "washington",
        }
    )


DEFAULT_WORDS = WordLists()
_SOURCES = {"referral": 15, "website": 12, "linkedin": 10, "trade_show": 8, "cold_call": 5}
# Two to ten points in equal steps, by the number of people.
_SIZES = ((1000, 10), (500, 8), (200, 6), (50, 4), (1, 2))
_PROGRESS = {"new": 1, "qualified": 2, "contacted": 2, "meeting_scheduled": 3, "proposal_sent": 3, "negotiation": 4, "won": 4, "lost": 1}
# Recent contact: days since, points.
_RECENCY = ((1, 10), (3, 8), (7, 6), (14, 4), (30, 2))


@dataclass(frozen=True, kw_only=True)
class Breakdown:
    """Points by document 0's parts (rule 0.36), and the reason of each group of points."""

    contact_info: int
    company_info: int
    lead_source: int
    engagement: int
    priority_status: int
    tags_bonus: int
    geographic_bonus: int
    reasons: tuple[tuple[str, int], ...] = field(default=())

    @property
    def total(self) -> int:
        parts = (
            self.contact_info,
            self.company_info,
            self.lead_source,
            self.engagement,
            self.priority_status,
            self.tags_bonus,
            self.geographic_bonus,
        )
        return min(100, sum(parts))


def score_row(row: FeatureRow, *, now: datetime, words: WordLists = DEFAULT_WORDS) -> Breakdown:
    """Score one row. Equal rows at equal times score equally."""
    points: dict[str, int] = {
        "email": 8 if row.email else 0,
        "phone": 8 if row.phone else 0,
        "name": 2 if row.name else 0,
        "company": 2 if row.company else 0,
        "industry": _industry(row, words),
        "company_size": _size(row.company_size),
        "title": _title(row.title, words),
        "source": _SOURCES.get(word_key(row.lead_source), 0),
        "recent_contact": _recency(row, now),
        "call_attempts": min(6, 2 * row.call_attempts),
        "email_engagement": min(4, row.email_engagements),
        "priority": row.priority,
        "status": _PROGRESS.get(row.status_code, 1),
        "tags": min(5, sum(word_key(tag) in words.high_value_tags for tag in row.tags) * 2),
        "country": 3 if word_key(row.country) in words.home_countries else 0,
        "city": 2 if word_key(row.city) in words.major_cities else 0,
    }
    return Breakdown(
        contact_info=points["email"] + points["phone"] + points["name"] + points["company"],
        company_info=points["industry"] + points["company_size"] + points["title"],
        lead_source=points["source"],
        engagement=points["recent_contact"] + points["call_attempts"] + points["email_engagement"],
        priority_status=points["priority"] + points["status"],
        tags_bonus=points["tags"],
        geographic_bonus=points["country"] + points["city"],
        reasons=tuple((name, value) for name, value in points.items() if value),
    )


def _industry(row: FeatureRow, words: WordLists) -> int:
    if not row.industry:
        return 0
    return 8 if word_key(row.industry) in words.high_value_industries else 5


def _size(text: str) -> int:
    """Points by the lower end of a range such as `50-200` or `1000+`."""
    digits = "".join(char if char.isdecimal() else " " for char in text.replace(",", "")).split()
    if not digits:
        return 0
    people = int(digits[0][:9])
    return next((points for least, points in _SIZES if people >= least), 0)


def _title(text: str, words: WordLists) -> int:
    if not text:
        return 0
    found = set(word_key(text.replace("/", " ").replace(",", " ").replace("-", " ")).split("_"))
    return next((points for points, group in words.title_groups if found & group), 3)


def _recency(row: FeatureRow, now: datetime) -> int:
    if row.last_contact_at is None:
        return 0
    days = (now - row.last_contact_at).total_seconds() / 86400
    return next((points for most, points in _RECENCY if days <= most), 0)


def grade_of(score: int) -> str:
    return next(grade for least, grade in GRADES if score >= least)


def lifecycle_of(score: int, status_category: str) -> str:
    """The stage of rule 0.39: won and lost decide before the score does."""
    if status_category == "won":
        return CUSTOMER
    if status_category == "lost":
        return CLOSED
    return next(stage for least, stage in LIFECYCLE if score >= least)
