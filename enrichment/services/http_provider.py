"""The provider that asks any HTTP service: an address, headers and a body with a lead's facts in them, and where in its answer what is."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from crm.errors import InvalidInput
from crm.sealed import Unreadable, unseal
from enrichment.models import ProviderSettings
from enrichment.services.outside import Refused, Unreachable, ask
from enrichment.services.providers import FACTS, Answer, Found, LeadFacts, Limits, ProviderTrouble

CODE = "http"
METHODS = ("GET", "POST")
_SLOT = re.compile(r"\{([a-z_]+)\}")
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STEP = re.compile(r"[^.\[\]]+|\[[0-9]{1,4}\]")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
MOST_RULES, MOST_HEADERS = 40, 20
# Headers that the connection sets itself.
_RESERVED = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "upgrade"}
DEFAULTS: dict[str, Any] = {"method": "GET", "url": "", "body": "", "rules": [], "timeout": 5.0, "per_minute": 60, "cache_hours": 24.0}
# What numbers of employees come to among the product's own sizes.
_SIZES = ((10, "1-10"), (50, "11-50"), (200, "50-200"), (500, "200-500"), (1000, "500-1000"))
_LONGEST_WAIT = timedelta(seconds=60)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where in the answer a field's value stands: `company.industry`, `people[0].title`."""

    path: str
    field: str
    confidence: float = 0.9


@dataclass(frozen=True, kw_only=True)
class HttpProvider:
    """Asks one service. Whatever it answers is read as text of bounded length, and only where a rule looks."""

    id: int
    name: str
    method: str
    url: str
    body: Any
    rules: Sequence[Rule]
    headers: Mapping[str, str] = field(repr=False)
    timeout: float = 5.0
    per_minute: int = 60
    cache_hours: float = 24
    outside: bool = True
    limits: Limits = field(default_factory=Limits)

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(rule.field for rule in self.rules))

    def key(self, facts: LeadFacts) -> str | None:
        question = self._question(facts)
        if question is None:
            return None
        url, body = question
        about = [
            self.method,
            url,
            body.decode() if body else "",
            sorted(self.headers),
            [[rule.path, rule.field, rule.confidence] for rule in self.rules],
        ]
        return hashlib.blake2b(orjson.dumps(about), digest_size=32).hexdigest()

    def enrich(self, facts: LeadFacts) -> Answer:
        question = self._question(facts)
        if question is None:
            return {}
        url, body = question
        sent = {
            "Accept": "application/json",
            "User-Agent": "SalesMagnet",
            **({"Content-Type": "application/json"} if body else {}),
            **self.headers,
        }
        try:
            reply = ask(method=self.method, url=url, headers=sent, body=body, timeout=self.timeout)
        except Refused as error:
            raise ProviderTrouble(str(error)) from None
        except Unreachable as error:
            raise ProviderTrouble(str(error), passing=True) from None
        if reply.status == 404:
            # It knows nobody of these facts.
            return {}
        if reply.status in (408, 425, 429) or reply.status >= 500:
            raise ProviderTrouble(f"It answered {reply.status}.", passing=True, wait=_asked_to_wait(reply.headers.get("retry-after", "")))
        if reply.status != 200:
            raise ProviderTrouble(f"It answered {reply.status}." + (" Check its key." if reply.status in (401, 403) else ""))
        try:
            data = orjson.loads(reply.body)
        except orjson.JSONDecodeError:
            raise ProviderTrouble("Its answer is not JSON.") from None
        return self.read(data)

    def read(self, data: Any) -> Answer:
        """What the rules find in an answer. Of two for one field the first that finds something counts."""
        found: dict[str, Found] = {}
        for rule in self.rules:
            value = value_at(data, rule.path)
            text = _as_size(value) if rule.field == "company_size" else self.limits.fit(rule.field, value)
            if text and rule.field not in found:
                found[rule.field] = Found(value=text, confidence=rule.confidence)
        return found

    def _question(self, facts: LeadFacts) -> tuple[str, bytes | None] | None:
        """Address and body for a lead; None where one of the facts in them is missing."""
        try:
            url = _SLOT.sub(lambda slot: quote(_fact(facts, slot[1]), safe=""), self.url)
            body = orjson.dumps(_filled(self.body, facts)) if self.method == "POST" and self.body is not None else None
        except _Missing:
            return None
        return url, body


class _Missing(Exception):
    pass


def _fact(facts: LeadFacts, name: str) -> str:
    text = facts.by_name(name)
    if not text:
        raise _Missing
    return text


def _filled(value: Any, facts: LeadFacts) -> Any:
    """The body with facts in its texts. They are put in after the JSON was read, so that none can break out of its text."""
    if isinstance(value, str):
        return _SLOT.sub(lambda slot: _fact(facts, slot[1]), value)
    if isinstance(value, list):
        return [_filled(item, facts) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, facts) for key, item in value.items()}
    return value


def value_at(data: Any, path: str) -> Any:
    """What stands at a path of an answer; None where nothing does."""
    for step in _STEP.findall(path):
        if step.startswith("["):
            place = int(step[1:-1])
            data = data[place] if isinstance(data, list) and place < len(data) else None
        else:
            data = data.get(step) if isinstance(data, dict) else None
    return data


def _as_size(value: Any) -> str:
    """A number of employees as one of the product's sizes; a size as it is."""
    if isinstance(value, str) and value.strip().replace(",", "").isdigit() and len(value) < 12:
        value = int(value.strip().replace(",", ""))
    if isinstance(value, bool):
        return ""
    if not isinstance(value, int | float):
        return Limits().fit("company_size", value)
    return next((name for most, name in _SIZES if value <= most), "1000+") if value >= 1 else ""


def _asked_to_wait(text: str) -> timedelta | None:
    return min(timedelta(seconds=int(text[:6])), _LONGEST_WAIT) if text.isascii() and text.isdigit() else None


# --- settings ---


def build(settings: ProviderSettings) -> HttpProvider:
    """A provider of stored settings. Raises ValueError where their secret cannot be read."""
    options = {**DEFAULTS, **settings.options}
    try:
        headers = orjson.loads(unseal(settings.secret)) if settings.secret else {}
    except Unreadable as error:
        raise ValueError(str(error)) from None
    return HttpProvider(
        id=settings.pk,
        name=settings.name,
        method=options["method"],
        url=options["url"],
        body=orjson.loads(options["body"]) if options["body"] else None,
        rules=[Rule(**rule) for rule in options["rules"]],
        headers=headers,
        timeout=options["timeout"],
        per_minute=options["per_minute"],
        cache_hours=options["cache_hours"],
    )


def clean_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are stored. `rules` may be lines such as `company.industry -> industry 0.8`. Raises InvalidInput by field."""
    options = {**DEFAULTS, **given}
    problems: dict[str, list[str]] = {}
    options["method"] = str(options["method"]).upper()
    if options["method"] not in METHODS:
        problems["method"] = [f"Must be one of {', '.join(METHODS)}."]
    _collect(problems, "url", _url_problems(str(options["url"]).strip()))
    options["url"] = str(options["url"]).strip()
    options["body"] = str(options["body"]).strip()
    _collect(problems, "body", _body_problems(options["body"]))
    rules = options["rules"]
    if isinstance(rules, str):
        rules, wrong = _rules_of_lines(rules)
        _collect(problems, "rules", wrong)
    options["rules"] = rules
    _collect(problems, "rules", _rule_problems(rules))
    for name, least, most in (("timeout", 0.1, 30), ("per_minute", 0, 10_000), ("cache_hours", 0, 24 * 365)):
        if isinstance(options[name], bool) or not isinstance(options[name], int | float) or not least <= options[name] <= most:
            problems[name] = [f"Must lie between {least:g} and {most:g}."]
    if problems:
        raise InvalidInput(problems)
    return {name: options[name] for name in DEFAULTS}


def clean_headers(text: str) -> dict[str, str]:
    """Lines `Name: value` as headers. Raises InvalidInput."""
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon or not _HEADER.fullmatch(name) or not value or not value.isprintable() or not value.isascii():
            raise InvalidInput({"headers": [f"“{name[:40]}” is no header. Write one a line, as in “Authorization: Bearer abc”."]})
        if name.lower() in _RESERVED:
            raise InvalidInput({"headers": [f"{name} is set by the connection itself."]})
        headers[name] = value
    if len(headers) > MOST_HEADERS:
        raise InvalidInput({"headers": [f"At most {MOST_HEADERS} headers."]})
    return headers


def lines_of(rules: Sequence[Mapping[str, Any]]) -> str:
    """Rules as the form shows them."""
    return "\n".join(
        f"{rule['path']} -> {rule['field']}" + (f" {rule['confidence']:g}" if rule.get("confidence", 0.9) != 0.9 else "") for rule in rules
    )


def _collect(problems: dict[str, list[str]], name: str, found: list[str]) -> None:
    if found:
        problems.setdefault(name, []).extend(found)


def _unknown_slots(text: str) -> Iterator[str]:
    return (f"There is no fact {{{name}}}. Known are {', '.join(FACTS)}." for name in _SLOT.findall(text) if name not in FACTS)


def _url_problems(url: str) -> list[str]:
    if len(url) > 2000:
        return ["At most 2000 characters."]
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ["This is no address."]
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return ["Must begin with https:// or http://, then the name of a server."]
    if "{" in parts.netloc or "@" in parts.netloc or not url.isascii() or any(char.isspace() for char in url):
        return ["The server's name must be plain: no facts, no user name, no spaces."]
    if parts.fragment:
        return ["Leave out what follows the #."]
    return list(_unknown_slots(url))


def _body_problems(body: str) -> list[str]:
    if len(body) > 10_000:
        return ["At most 10,000 characters."]
    try:
        if body:
            orjson.loads(body)
    except orjson.JSONDecodeError:
        return ["Must be JSON."]
    return list(_unknown_slots(body))


def _rules_of_lines(text: str) -> tuple[list[dict[str, Any]], list[str]]:
    rules, wrong = [], []
    for line in filter(None, map(str.strip, text.splitlines())):
        match = re.fullmatch(r"(.{1,200}?)\s*(?:->|→|=)\s*([a-z0-9_]+)(?:\s+([01](?:\.[0-9]+)?))?", line)
        if match is None:
            wrong.append(f"“{line[:60]}” is no rule. Write one a line, as in “company.industry -> industry”.")
        else:
            rules.append({"path": match[1], "field": match[2], "confidence": float(match[3] or 0.9)})
    return rules, wrong


def _rule_problems(rules: Any) -> list[str]:
    if not isinstance(rules, list) or not all(
        isinstance(rule, dict) and {"path", "field"} <= set(rule) <= {"path", "field", "confidence"} for rule in rules
    ):
        return ["Must be a list of rules with path and field."]
    if not rules:
        return ["Say where in its answer what stands, one rule a line."]
    if len(rules) > MOST_RULES:
        return [f"At most {MOST_RULES} rules."]
    wrong = [f"“{str(rule['field'])[:40]}” is no name of a field." for rule in rules if not _FIELD.fullmatch(str(rule["field"]))]
    wrong += [
        f"{rule['field']} is what a lead is known by."
        for rule in rules
        if rule["field"] in ("email", "phone", "name", "first_name", "last_name")
    ]
    wrong += [
        f"“{str(rule['path'])[:60]}” is no path."
        for rule in rules
        if "".join(_STEP.findall(str(rule["path"]))) != str(rule["path"]).replace(".", "")
    ]
    wrong += ["A confidence lies between 0 and 1." for rule in rules if not 0 <= float(rule.get("confidence", 0.9)) <= 1]
    return wrong
