"""Take in what other systems post to a source's secret address: JSON objects, lists of them, forms, and mails."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from django.utils import timezone

from crm.errors import Forbidden, InvalidInput
from crm.normal import clean_text
from crm.rest.throttles import Limit, spend
from crm.sealed import Unreadable, unseal
from crm.tenancy.scope import tenant_scope
from leads.enums import Platform
from leads.models import Arrival
from leads.services.drafts import LeadDraft
from leads.services.forms import verify_signature
from webhooks.enums import SourceKind
from webhooks.errors import UnknownSource
from webhooks.models import Source
from webhooks.services.arrivals import accept, accept_all
from webhooks.services.mail import mail_of_fields, read_mail
from webhooks.services.mailroom import receive_mail
from webhooks.services.mapping import apply_rules, draft_from, flatten, read_rules, suggest
from webhooks.services.sources import mapping_for, source_of_key
from webhooks.services.website import storable

log = structlog.get_logger(__name__)
MOST_ITEMS, MOST_ANSWERED = 1000, 25
HOURLY = 10_000
# Mailgun tries for eight hours to deliver; how it signed stays valid a little longer.
MAILGUN_AGE = 12 * 3600
NOT_AN_OBJECT = "Must be a JSON object."


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """What was posted to a source's address, as it came, and how it was signed."""

    key: str
    body: bytes
    signature: str = ""
    body_hash: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of one thing posted. Without an arrival it was nothing to keep: `error` says so where the sender can mend it."""

    arrival_id: int | None
    lead_id: int | None
    error: str = ""


def open_source(*, delivery: Delivery, kind: SourceKind) -> Source:
    """The source an address belongs to, its sender checked and its limit spent. Unknown, switched off and other kinds' are alike."""
    found = source_of_key(delivery.key) if delivery.key.startswith("sms_") and delivery.key.isprintable() else None
    if found is None:
        raise UnknownSource("No source has this address.")
    tenant_id, source_id = found
    with tenant_scope(tenant_id):
        source = Source.objects.filter(pk=source_id, kind=kind, is_active=True).first()
    if source is None:
        raise UnknownSource("No source has this address.")
    _check_signature(source, delivery)
    spend([Limit(key=f"source:{source.pk}:h", calls=_hourly_limit(source), seconds=3600)])
    return source


def receive_webhook(*, source: Source, delivery: Delivery, body: Any) -> list[Receipt]:
    """Store each object with its own arrival and read it, a long list by workers. Answers in the list's order.

    What is sent twice is one arrival: by its Idempotency-Key, its own id where the source says where that stands, or its
    content within a minute.
    """
    items: Sequence[Any] = body if isinstance(body, list) else [body]
    if not items or len(items) > MOST_ITEMS or not any(isinstance(item, dict) for item in items):
        raise InvalidInput({"": [f"Send a JSON object, or a list of 1 to {MOST_ITEMS} of them."]})
    arrivals = [
        _arrival_of(source, item, delivery, number if isinstance(body, list) else None) if isinstance(item, dict) else None
        for number, item in enumerate(items)
    ]
    good = [arrival for arrival in arrivals if arrival is not None]
    if len(good) > MOST_ANSWERED:
        receipts = _leave_to_workers(source, good)
    else:
        receipts = {arrival.source_lead_id: _receipt(accept(arrival)) for arrival in good}
    refused = Receipt(arrival_id=None, lead_id=None, error=NOT_AN_OBJECT)
    return [receipts[arrival.source_lead_id] if arrival is not None else refused for arrival in arrivals]


def receive_posted_mail(*, source: Source, delivery: Delivery, fields: dict[str, Any] | None) -> Receipt:
    """Take in a mail, posted as it is or as the fields of a provider. A robot's or a colleague's mail is answered and not kept."""
    if fields is None:
        mail = read_mail(delivery.body)
    else:
        _check_mailgun(source, fields)
        mail = mail_of_fields(fields)
    if not (mail.from_address or mail.reply_to or mail.text):
        raise InvalidInput({"": ["Send a mail: raw message/rfc822, or a provider's fields with a sender and a text."]})
    arrival = receive_mail(source=source, mail=mail)
    return _receipt(arrival) if arrival is not None else Receipt(arrival_id=None, lead_id=None)


def draft_of_webhook(arrival: Arrival, source: Source | None) -> LeadDraft:
    """Read an object by the mapping of its form or source, else by the usual names of its fields."""
    body = arrival.payload.get("body")
    leaves = flatten(body)
    mapping = mapping_for(source, arrival.form_id) if source else None
    owner = source.default_owner if source else None
    return draft_from(
        apply_rules(leaves, read_rules(mapping.rules) if mapping else suggest(leaves)),
        lead_source=(source.lead_source or source.name) if source else "",
        tags=source.tags if source else (),
        owner_id=owner.pk if owner and owner.is_active else None,
        platform_key=arrival.platform_key,
        source_page_id=arrival.form_id,
        source_page_name=mapping.form_name if mapping else "",
        raw_field_data=body if isinstance(body, dict) else {},
    )


def leaves_of_webhook(arrival: Arrival) -> dict[str, str]:
    """Rules name paths of what was posted, not of how it is kept."""
    return flatten(arrival.payload.get("body"))


def own_id(prefix: str, given: str) -> str:
    """A sender's id as an arrival keeps it, apart from other senders' ids; a long one by its hash."""
    text = clean_text(given)
    if len(prefix) + 1 + len(text) > 128:
        text = "hash:" + hashlib.blake2b(text.encode(), digest_size=24).hexdigest()
    return f"{prefix}:{text}"


def id_by_content(prefix: str, content: Any) -> str:
    """An id of what has none: the same content within a minute is the same (decision K12)."""
    packed = orjson.dumps([content, int(timezone.now().timestamp() // 60)], option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return f"{prefix}:hash:" + hashlib.blake2b(packed, digest_size=24).hexdigest()


def _arrival_of(source: Source, item: dict[str, Any], delivery: Delivery, number: int | None) -> Arrival:
    leaves = flatten(item)
    given = delivery.idempotency_key and f"{delivery.idempotency_key}{'' if number is None else f'#{number}'}"
    given = given or leaves.get(_path(source, "id_path"), "")
    prefix = str(source.pk)
    body = storable(item)
    channel = source.options.get("channel")
    return Arrival(
        tenant_id=source.tenant_id,
        door="webhook",
        door_id=source.pk,
        platform_key=channel if channel in Platform.values else Platform.OTHER,
        source_lead_id=own_id(prefix, given) if clean_text(given) else id_by_content(prefix, body),
        form_id=clean_text(leaves.get(_path(source, "form_path"), ""))[:64],
        created_time=timezone.now(),
        payload={"body": body},
    )


def _leave_to_workers(source: Source, arrivals: Sequence[Arrival]) -> dict[str, Receipt]:
    with tenant_scope(source.tenant_id):
        accept_all(arrivals)
        stored = Arrival.objects.filter(
            platform_key=arrivals[0].platform_key, source_lead_id__in=[arrival.source_lead_id for arrival in arrivals]
        )
        return {arrival.source_lead_id: _receipt(arrival) for arrival in stored.defer("payload")}


def _receipt(arrival: Arrival) -> Receipt:
    return Receipt(arrival_id=arrival.pk, lead_id=arrival.lead_id)


def _path(source: Source, name: str) -> str:
    path = source.options.get(name)
    return path if isinstance(path, str) else ""


def _hourly_limit(source: Source) -> int:
    limit = source.options.get("hourly_limit")
    return limit if isinstance(limit, int) and limit > 0 else HOURLY


def _check_signature(source: Source, delivery: Delivery) -> None:
    if not source.signing_secret:
        return
    try:
        secret = unseal(source.signing_secret)
    except Unreadable:
        log.error("source_secret_unreadable", source=source.pk)
        raise Forbidden("The signature cannot be checked. Make a new signing secret for this source.") from None
    if source.options.get("signature") in ("sha256", "github") and delivery.body_hash:
        expected = "sha256=" + hmac.new(secret.encode(), delivery.body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), delivery.body_hash.encode()):
            raise Forbidden("The signature is missing, wrong or too old.")
        return
    verify_signature(secret, body=delivery.body, header=delivery.signature)


def _check_mailgun(source: Source, fields: dict[str, Any]) -> None:
    """Mailgun signs a time and a token with the key of the account, beside the mail's fields."""
    sealed = source.options.get("mailgun_key")
    if not isinstance(sealed, str) or not sealed:
        return
    try:
        key = unseal(sealed)
    except Unreadable:
        log.error("source_secret_unreadable", source=source.pk)
        raise Forbidden("The signature cannot be checked. Enter the Mailgun key of this source again.") from None
    stamp, token, signature = (str(fields.get(name, "")) for name in ("timestamp", "token", "signature"))
    expected = hmac.new(key.encode(), f"{stamp}{token}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    plain = stamp.isascii() and stamp.isdecimal()
    fresh = plain and abs(timezone.now().timestamp() - int(stamp[:12])) <= MAILGUN_AGE
    if not fresh or not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
        raise Forbidden("The signature is missing, wrong or too old.")
