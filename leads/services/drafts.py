"""Drafts of leads as doors hand them in, and their normalisation: one set of rules for every door."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crm.errors import InvalidInput
from crm.normal import checked_email, clean_text, e164, email_key, is_plausible, split_name
from crm.tenancy.scope import scope_or_none
from customobjects.services.kinds import storable
from customobjects.services.values import Cleaner, cleaner_for
from leads.enums import Platform, Priority, canonical_source
from leads.models import Lead

TEXT_FIELDS = ("first_name", "last_name", "company", "title", "website", "industry", "company_size", "city", "state", "country")
MOST_TAGS = 50
RECORDS = "leads.Lead"
# Noted of the work in progress: what it captures was kept as it was sent.
KEPT_AS_SENT = "leads.kept_as_sent"


@dataclass(kw_only=True)
class LeadDraft:
    """A lead before it is one. Texts may be as typed; `name` is split where first and last name are missing.

    `defaults` and `missing` are of custom fields, and count only if it becomes a new lead.
    """

    name: str = ""
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
    notes: str = ""
    lead_source: str = ""
    tags: list[str] = field(default_factory=list)
    custom_fields: dict[str, Any] = field(default_factory=dict)
    priority: Priority = Priority.MEDIUM
    status: str = ""
    owner_id: int | None = None
    next_follow_up_at: datetime | None = None
    conversion_probability: float | None = None
    platform_key: str = Platform.OTHER
    source_page_id: str = ""
    source_page_name: str = ""
    raw_field_data: dict[str, Any] = field(default_factory=dict)
    consent_time: datetime | None = None
    created_at: datetime | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    missing: dict[str, list[str]] = field(default_factory=dict)


def normalise(draft: LeadDraft, *, region: str, strict: bool, cleaner: Cleaner | None = None) -> list[str]:
    """Bring a draft into stored form, in place. Answers warnings about what was kept as typed.

    `strict` doors (a person or program that can correct itself) have a malformed e-mail and over-long text refused by
    field; others (a web form's visitor is gone) keep what was sent, cut to fit, so that nothing is lost. Without a
    `cleaner` custom fields are read for the actor of the open scope, whose draft becomes a new lead.
    """
    problems: dict[str, list[str]] = {}
    warnings: list[str] = []
    if not (draft.first_name or draft.last_name) and draft.name:
        draft.first_name, draft.last_name = split_name(draft.name)
    for name in TEXT_FIELDS:
        setattr(draft, name, _fit(name, clean_text(getattr(draft, name)), strict=strict, problems=problems))
    draft.notes = draft.notes.replace("\x00", "").strip()
    draft.lead_source = canonical_source(_fit("lead_source", clean_text(draft.lead_source), strict=strict, problems=problems))
    draft.tags = clean_tags(draft.tags, strict=strict, problems=problems)
    _normalise_email(draft, strict=strict, problems=problems, warnings=warnings)
    _normalise_phone(draft, region=region, warnings=warnings)
    if not strict:
        # Numbers too large to be read again are kept as text; other senders are refused them where they come in.
        draft.custom_fields, draft.raw_field_data = storable(draft.custom_fields), storable(draft.raw_field_data)
    _normalise_custom_fields(draft, cleaner, strict=strict, problems=problems, warnings=warnings)
    _drop_implausible_moments(draft, strict=strict, problems=problems, warnings=warnings)
    if not (draft.first_name or draft.last_name or draft.email or draft.phone or draft.company):
        problems["name"] = ["Give at least one of name, e-mail, phone or company."]
    if problems:
        raise InvalidInput(problems)
    return warnings


def _drop_implausible_moments(draft: LeadDraft, *, strict: bool, problems: dict[str, list[str]], warnings: list[str]) -> None:
    for name, public in (("next_follow_up_at", "next_follow_up"), ("created_at", "created_at"), ("consent_time", "consent_time")):
        moment = getattr(draft, name)
        if moment is None or is_plausible(moment):
            continue
        if strict:
            problems[public] = ["Choose a time within ten years."]
        else:
            setattr(draft, name, None)
            warnings.append(f"{public} left out: {moment.isoformat()} cannot be meant.")


def _normalise_email(draft: LeadDraft, *, strict: bool, problems: dict[str, list[str]], warnings: list[str]) -> None:
    draft.email = clean_text(draft.email)
    if not draft.email:
        return
    try:
        draft.email = checked_email(draft.email)
    except ValueError as error:
        if strict:
            problems["email"] = [str(error)]
        else:
            warnings.append(f"E-mail kept as typed: {error}")
            draft.email = draft.email[:254]


def _normalise_phone(draft: LeadDraft, *, region: str, warnings: list[str]) -> None:
    raw = clean_text(draft.phone)
    draft.phone = raw
    if not raw:
        return
    number = e164(raw, region=region)
    if number is None:
        warnings.append("Phone kept as typed: it is not a possible number.")
        draft.phone = raw[:30]
    else:
        draft.phone = number
        if number != raw:
            draft.raw_field_data = {**draft.raw_field_data, "phone_as_typed": raw[:100]}


def _normalise_custom_fields(
    draft: LeadDraft, cleaner: Cleaner | None, *, strict: bool, problems: dict[str, list[str]], warnings: list[str]
) -> None:
    if cleaner is None:
        if not (strict or draft.custom_fields):
            return
        scope = scope_or_none()
        # Where no tenant is open, no field is defined.
        if scope is None:
            return
        scope.memo[KEPT_AS_SENT] = not strict
        own = cleaner_for(model=RECORDS, by=scope.actor)
    else:
        own = cleaner
    if not own.known.every:
        return
    cleaned = own.clean(draft.custom_fields, strict=strict)
    draft.custom_fields = cleaned.values
    problems.update(cleaned.problems)
    warnings.extend(cleaned.warnings)
    if strict:
        draft.defaults, draft.missing = cleaned.defaults, cleaned.missing
        if cleaner is None:
            problems.update(cleaned.missing)


def clean_phone(raw: str, *, region: str) -> str:
    """A phone in stored form: E.164 where it can be read, else as typed."""
    text = clean_text(raw)
    return (e164(text, region=region) or text[:30]) if text else ""


def clean_tags(tags: list[str], *, strict: bool, problems: dict[str, list[str]]) -> list[str]:
    """Tags without blanks and repeats, in their order."""
    kept: dict[str, str] = {}
    for tag in tags:
        text = clean_text(tag).replace(",", " ")
        if text:
            if len(text) > 50 and strict:
                problems["tags"] = ["A tag may have at most 50 characters."]
            kept.setdefault(text.casefold()[:50], text[:50])
    if len(kept) > MOST_TAGS and strict:
        problems["tags"] = [f"At most {MOST_TAGS} tags."]
    return list(kept.values())[:MOST_TAGS]


def _fit(name: str, text: str, *, strict: bool, problems: dict[str, list[str]]) -> str:
    limit: int = Lead._meta.get_field(name).max_length  # type: ignore[union-attr, assignment]
    if len(text) > limit:
        if strict:
            problems[name] = [f"At most {limit} characters."]
        return text[:limit]
    return text


def lead_values(draft: LeadDraft) -> dict[str, Any]:
    """The columns of a normalised draft that becomes a lead. Raises InvalidInput where it lacks what a new lead must have."""
    if draft.missing:
        raise InvalidInput(draft.missing)
    copied = (*TEXT_FIELDS, "email", "phone", "notes", "lead_source", "tags", "custom_fields", "priority", "owner_id", "next_follow_up_at")
    more = ("conversion_probability", "platform_key", "source_page_id", "source_page_name", "raw_field_data", "consent_time")
    values = {name: getattr(draft, name) for name in (*copied, *more)}
    if draft.defaults:
        values["custom_fields"] = {**draft.defaults, **draft.custom_fields}
    values["email_key"] = email_key(draft.email)
    values["probability_pinned"] = draft.conversion_probability is not None
    return values
