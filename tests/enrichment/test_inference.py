"""What the built-in provider concludes, and what it does not."""

import pytest

from enrichment.services.inference import Inference, industry_of, is_business_domain, is_free, places_of, standing_of
from enrichment.services.providers import LeadFacts
from enrichment.services.tables import FREE_MAIL, INDUSTRY_WORDS


def facts(**given: str) -> LeadFacts:
    return LeadFacts(lead_id=1, **given)


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("CEO", ("executive", "high")),
        ("Co-Founder & CTO", ("executive", "high")),
        ("Chief Revenue Officer", ("executive", "high")),
        ("Vice President, Sales", ("senior", "high")),
        ("VP Marketing", ("senior", "high")),
        ("Head of Procurement", ("senior", "high")),
        ("Assistant to the CEO", ("junior", "low")),
        ("Senior Software Engineer", ("senior", "medium")),
        ("Sales Manager", ("mid", "medium")),
        ("Marketing Intern", ("junior", "low")),
        ("Software Engineer", ("mid", "low")),
        ("Geschäftsführerin", ("executive", "high")),
        ("Leiter Einkauf", ("senior", "high")),
        ("Werkstudent Vertrieb", ("junior", "low")),
        ("Directrice générale", ("executive", "high")),
        ("Directeur commercial", ("senior", "high")),
        ("Responsable achats", ("mid", "medium")),
        ("Jefe de ventas", ("senior", "high")),
        ("Amministratore delegato", ("executive", "high")),
        ("Estagiário", ("junior", "low")),
        ("代表取締役社長", ("executive", "high")),
        ("营销总监", ("senior", "high")),
        ("Reinigungskraft", ("unknown", "unknown")),
        ("", ("unknown", "unknown")),
        ("Internal auditor", ("unknown", "unknown")),
    ],
)
def test_titles_tell_seniority_and_power(title, expected):
    assert standing_of(title) == expected


@pytest.mark.parametrize(
    ("given", "industry"),
    [
        ({"email": "a@google.com"}, "Technology"),
        ({"email": "a@stanford.edu"}, "Education"),
        ({"email": "a@x.gov.uk"}, "Government"),
        ({"email": "a@first-bank.com"}, "Finance"),
        ({"company": "Müller Maschinenbau GmbH"}, "Manufacturing"),
        ({"company": "Smith & Sons Roofing"}, "Construction"),
        ({"company": "Acme Bank Software"}, None),
        ({"email": "a@gmail.com", "company": "Acme"}, None),
        ({"title": "Registered Nurse"}, "Healthcare"),
        ({"title": "Head of Capital"}, None),
        ({}, None),
    ],
)
def test_industry_is_named_only_where_one_is_spoken_of(given, industry):
    found = industry_of(facts(**given))
    assert (found.value if found else None) == industry


@pytest.mark.parametrize(
    ("given", "likelihood"),
    [
        ({"email": "a@acme.com", "company": "Acme"}, "high_business"),
        ({"email": "a@acme.com"}, "high_business"),
        ({"email": "a@gmail.com", "company": "Acme"}, "medium_business"),
        ({"email": "a@yahoo.co.uk"}, "low_business"),
        ({"email": "a@mailinator.com", "company": "Acme"}, "low_business"),
        ({}, "low_business"),
    ],
)
def test_business_likelihood(given, likelihood):
    assert Inference(id=1, name="Inference").enrich(facts(**given))["business_likelihood"].value == likelihood


def test_free_mail_is_no_business_domain():
    assert all(is_free(domain) and not is_business_domain(domain) for domain in (*FREE_MAIL, "hotmail.fr", "yahoo.com.br"))
    assert is_business_domain("live-music-agency.com")
    assert not is_business_domain("localhost")


@pytest.mark.parametrize(
    ("given", "country", "zone"),
    [
        ({"phone": "+14155550134"}, "United States", "America/Los_Angeles"),
        ({"phone": "(212) 555-0123"}, "United States", "America/New_York"),
        ({"phone": "+442079460123"}, "United Kingdom", "Europe/London"),
        ({"phone": "+18005550134"}, "United States", None),
        ({"phone": "nonsense", "email": "a@acme.de"}, "Germany", None),
        ({"email": "a@acme.co.uk"}, "United Kingdom", None),
        ({"email": "a@start.io"}, None, None),
        ({"email": "a@gmail.de"}, "Germany", None),
    ],
)
def test_country_and_time_zone(given, country, zone):
    found = places_of(facts(**given))
    assert (found["country"].value if "country" in found else None) == country
    assert (found["time_zone"].value if "time_zone" in found else None) == zone


def test_network_follows_standing_and_size():
    def network(title: str, size: str = "") -> str | None:
        found = Inference(id=1, name="Inference").enrich(facts(title=title, company_size=size)).get("estimated_network_size")
        return found.value if found else None

    assert [network("CEO"), network("Sales Manager"), network("Intern"), network("Sales Manager", "1000+"), network("CEO", "1-10"), network("")] == [
        "large", "medium", "small", "large", "medium", None,
    ]  # fmt: skip


def test_no_word_stands_for_two_industries():
    words = [word for group in INDUSTRY_WORDS.values() for word in group]
    assert len(words) == len(set(words))


def test_hostile_titles_take_no_time():
    assert standing_of("head " * 50_000)[0] == "senior"
    assert standing_of("a-" * 100_000) == ("unknown", "unknown")
