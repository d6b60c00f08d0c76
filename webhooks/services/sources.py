"""Make and change sources, their keys and secrets, and the mappings of their forms."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import InvalidInput
from crm.identity.models import User
from crm.sealed import seal
from leads.services.drafts import clean_tags
from webhooks.enums import SourceKind
from webhooks.errors import NoMapping, NoOwnKey, SourceTaken
from webhooks.models import FieldMapping, Source, SourceKey
from webhooks.permissions import SOURCES
from webhooks.services.mapping import read_rules, rules_out
from webhooks.services.options import NOTED, PLACE, SECRET


@dataclass(frozen=True, kw_only=True)
class SourceSettings:
    """What a source is set to. `token` is what the other side asks of us; None keeps the one that is there."""

    name: str
    external_id: str = ""
    token: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    lead_source: str = ""
    default_owner: User | None = None
    tags: Iterable[str] = ()
    is_active: bool = True


def save_source(*, kind: SourceKind, source: Source | None, wanted: SourceSettings, by: Actor) -> Source:
    """Make or change a source. A new one gets its key: its page's id, or a secret address.

    Refuses a taken name, and a page or mailbox that another source holds, be it another tenant's.
    """
    by.require(SOURCES)
    problems: dict[str, list[str]] = {}
    tags = clean_tags(list(wanted.tags), strict=True, problems=problems)
    if kind == SourceKind.FACEBOOK and not (wanted.external_id.isascii() and wanted.external_id.isdigit()):
        problems["external_id"] = ["Give the page's id, a number."]
    if problems:
        raise InvalidInput(problems)
    record = source or Source(kind=kind)
    options = _sealed(wanted.options, before=record.options)
    if record.external_id != wanted.external_id or any(options.get(name) != record.options.get(name) for name in PLACE):
        # How far reading came was noted of another page or mailbox.
        options = {name: value for name, value in options.items() if name not in NOTED}
    record.name, record.external_id, record.options = wanted.name, wanted.external_id, options
    record.lead_source, record.default_owner, record.tags = wanted.lead_source, wanted.default_owner, tags
    record.is_active = wanted.is_active
    if wanted.token is not None:
        record.token = seal(wanted.token)
    try:
        with transaction.atomic():
            record.save()
    except IntegrityError:
        raise SourceTaken("A source of this kind with this name already exists.", field="name") from None
    _bind(record, by=by)
    return record


def _sealed(options: dict[str, Any], *, before: dict[str, Any]) -> dict[str, Any]:
    """Options as they are stored: secrets among them sealed, unless they are the stored ones themselves."""
    return {name: seal(value) if name in SECRET and value and value != before.get(name) else value for name, value in options.items()}


def _bind(source: Source, *, by: Actor) -> None:
    own = SourceKey.objects.filter(source=source, tenant_id=by.tenant_id).first()
    key = f"facebook:{source.external_id}" if source.kind == SourceKind.FACEBOOK else own.key if own else new_key()
    if own is not None and own.key == key:
        return
    try:
        with transaction.atomic():
            SourceKey.objects.update_or_create(tenant_id=by.tenant_id, source=source, defaults={"key": key})
    except IntegrityError:
        raise SourceTaken("This page is connected already.", field="external_id") from None


def new_key() -> str:
    return f"sms_{secrets.token_urlsafe(18)}"


def rotate_key(*, source: Source, by: Actor) -> str:
    """Replace a source's secret address; the old one stops at once."""
    by.require(SOURCES)
    _require_own_key(source)
    key = new_key()
    SourceKey.objects.filter(source=source, tenant_id=by.tenant_id).update(key=key)
    return key


def _require_own_key(source: Source) -> None:
    if source.kind == SourceKind.FACEBOOK:
        raise NoOwnKey("A Facebook page is found by its number, and Facebook signs for it.")


def set_signing(*, source: Source, on: bool, by: Actor) -> str:
    """Ask the sender for an HMAC signature from now on, or no longer. Answers the new secret, shown once."""
    by.require(SOURCES)
    _require_own_key(source)
    secret = secrets.token_hex(32) if on else ""
    source.signing_secret = seal(secret)
    source.save(update_fields=["signing_secret"])
    return secret


def delete_source(*, source: Source, by: Actor) -> None:
    """Stop taking leads from a source. What came in by it stays."""
    by.require(SOURCES)
    SourceKey.objects.filter(source=source, tenant_id=by.tenant_id).delete()
    source.delete()


def source_of_key(key: str) -> tuple[int, int] | None:
    """The tenant and source a key belongs to."""
    found = SourceKey.objects.filter(key=key, tenant__is_active=True) if key else SourceKey.objects.none()
    return found.values_list("tenant_id", "source_id").first()


def save_mapping(*, source: Source, form_id: str = "", form_name: str = "", rules: Any, by: Actor) -> FieldMapping:
    """Set how a form's fields are read from now on; arrivals that failed can be replayed with it. Raises InvalidInput by rule."""
    by.require(SOURCES)
    if source.kind == SourceKind.EMAIL:
        raise NoMapping("Mails are read by themselves: their sender, subject, text and form lines. They have no mapping.")
    kept = rules_out(read_rules(rules))
    mapping, _new = FieldMapping.objects.update_or_create(
        source=source, form_id=form_id[:64], defaults={"rules": kept, "form_name": form_name[:150]}
    )
    return mapping


def mapping_for(source: Source, form_id: str = "") -> FieldMapping | None:
    """The form's own mapping, else the source's general one."""
    found = {mapping.form_id: mapping for mapping in FieldMapping.objects.filter(source=source, form_id__in=[form_id, ""])}
    return found.get(form_id) or found.get("")
