"""Ask providers about many leads at once: from the cache, at their limits, tried again, and given a rest when they fail.

Nothing here writes into leads. The questions are asked between two looks at the database, by threads that never touch it.
"""

import random
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils import timezone

from crm.tenancy.scope import current_tenant_id
from enrichment.models import CachedAnswer, ProviderSettings
from enrichment.services.limits import Gate
from enrichment.services.providers import Answer, Found, LeadFacts, Provider, ProviderTrouble, kind_named

TRIES = 3
_FIRST_PAUSE = 0.4
# A batch of questions to one provider is over after so many seconds; what is not answered by then has failed.
BATCH_SECONDS = 40.0


@dataclass(kw_only=True)
class Asked:
    """What was found about one lead: for each field the surest value with its provider's name, and what went wrong."""

    found: dict[str, tuple[Found, str]] = field(default_factory=dict)
    providers: list[str] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        found = {name: [one.value, one.confidence, provider] for name, (one, provider) in self.found.items()}
        return {"found": found, "providers": self.providers, "troubles": self.troubles}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> "Asked":
        found = {name: (Found(value=value, confidence=sure), provider) for name, (value, sure, provider) in stored["found"].items()}
        return cls(found=found, providers=stored["providers"], troubles=stored["troubles"])

    def take(self, provider: Provider, answer: Answer) -> None:
        """Of two values for a field the surer one counts; of two equally sure ones that of the provider asked first."""
        if provider.name not in self.providers:
            self.providers.append(provider.name)
        for name, one in answer.items():
            if name not in self.found or one.confidence > self.found[name][0].confidence:
                self.found[name] = (one, provider.name)


def active_providers(*, on_capture: bool = False) -> list[Provider]:
    """The tenant's providers in use, in their order. One whose settings make none is left out."""
    settings = ProviderSettings.objects.filter(is_active=True)
    return [made for row in (settings.filter(on_capture=True) if on_capture else settings) if (made := _built(row)) is not None]


def _built(row: ProviderSettings) -> Provider | None:
    kind = kind_named(row.kind)
    try:
        return kind.build(row) if kind is not None else None
    except ValueError:
        return None


@dataclass(kw_only=True)
class Question:
    """What one provider is to be asked. Leads about whom the question is the same share it."""

    provider: Provider
    key: str
    facts: LeadFacts
    lead_ids: list[int] = field(default_factory=list)
    answer: Answer | None = None
    trouble: str = ""


@dataclass(kw_only=True)
class Round:
    """One round of questions. `begin` and `keep` need the database, `fetch` must not."""

    providers: Sequence[Provider]
    asked: dict[int, Asked] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    gates: dict[int, Gate] = field(default_factory=dict)

    def begin(self, facts: Sequence[LeadFacts]) -> None:
        """Ask those who answer by themselves, and look into the cache for the rest: one query a provider."""
        for one in facts:
            self.asked[one.lead_id] = Asked()
        for provider in self.providers:
            if not provider.outside:
                for one in facts:
                    self.asked[one.lead_id].take(provider, provider.enrich(one))
                continue
            self.gates[provider.id] = Gate(tenant_id=current_tenant_id(), provider_id=provider.id, per_minute=provider.per_minute)
            self._prepare(provider, facts)

    def _prepare(self, provider: Provider, facts: Sequence[LeadFacts]) -> None:
        by_key: dict[str, Question] = {}
        for one in facts:
            key = provider.key(one)
            if key is not None:
                by_key.setdefault(key, Question(provider=provider, key=key, facts=one)).lead_ids.append(one.lead_id)
        kept = (
            CachedAnswer.objects.filter(provider_id=provider.id, key__in=list(by_key), expires_at__gt=timezone.now())
            if provider.cache_hours
            else []
        )
        for row in kept:
            question = by_key.pop(row.key)
            answer = {name: Found(value=value, confidence=confidence) for name, (value, confidence) in row.found.items()}
            for pk in question.lead_ids:
                self.asked[pk].take(provider, answer)
        self.questions += by_key.values()

    def fetch(self, *, most_at_once: int) -> None:
        """Ask, `most_at_once` at a time."""
        if not self.questions:
            return
        until = time.monotonic() + BATCH_SECONDS
        with ThreadPoolExecutor(max_workers=min(most_at_once, len(self.questions)), thread_name_prefix="enrichment") as threads:
            list(threads.map(lambda question: self._ask(question, until), self.questions))
        for question in self.questions:
            for pk in question.lead_ids:
                if question.answer is None:
                    self.asked[pk].troubles.append(f"{question.provider.name}: {question.trouble}")
                else:
                    self.asked[pk].take(question.provider, question.answer)

    def _ask(self, question: Question, until: float) -> None:
        gate = self.gates[question.provider.id]
        for number in range(1, TRIES + 1):
            if gate.is_resting():
                question.trouble = question.trouble or "It failed several times and is left alone for a minute."
                return
            if time.monotonic() >= until or not gate.pass_through(until=until):
                question.trouble = question.trouble or "Its limit of calls is used up."
                return
            try:
                question.answer = question.provider.enrich(question.facts)
            except ProviderTrouble as trouble:
                question.trouble = trouble.message
                gate.note(well=not trouble.passing)
                if not trouble.passing or number == TRIES or not _pause(number, trouble.wait, until):
                    return
            else:
                gate.note(well=True)
                return

    def keep(self) -> None:
        """Remember the answers that came. A provider may have been deleted since it was asked."""
        answered = {question.provider.id for question in self.questions if question.answer is not None and question.provider.cache_hours}
        if not answered:
            return
        there = set(ProviderSettings.objects.filter(pk__in=answered).values_list("pk", flat=True))
        now = timezone.now()
        rows = [
            CachedAnswer(
                provider_id=question.provider.id,
                key=question.key,
                found={name: [one.value, one.confidence] for name, one in question.answer.items()},
                expires_at=now + timedelta(hours=question.provider.cache_hours),
            )
            for question in self.questions
            if question.answer is not None and question.provider.cache_hours and question.provider.id in there
        ]
        CachedAnswer.objects.bulk_create(
            rows, update_conflicts=True, unique_fields=["tenant", "provider", "key"], update_fields=["found", "expires_at"]
        )


def _pause(number: int, wait: timedelta | None, until: float) -> bool:
    """Wait before the next try, ever longer; False where there is no time for it."""
    seconds = wait.total_seconds() if wait is not None else _FIRST_PAUSE * 2 ** (number - 1) * (1 + random.random() / 4)  # noqa: S311 -- spreads tries
    if time.monotonic() + seconds >= until:
        return False
    time.sleep(seconds)
    return True
