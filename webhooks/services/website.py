"""Take in what websites send (S1-54): exactly one arrival for a submission, and its lead.

The sender is told the lead's id, so a submission is stored and captured in one transaction; where capturing it breaks, it is
stored alone and tried again like any other arrival.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
import structlog
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from crm.actors import Actor, Door
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.identity.models import User
from crm.normal import clean_text
from crm.rest.throttles import Limit, spend
from crm.tenancy.models import Tenant
from crm.tenancy.scope import current_tenant_id, tenant_scope
from leads.enums import Platform
from leads.errors import UnknownForm
from leads.models import Arrival, WebForm
from leads.services.drafts import LeadDraft
from leads.services.field_names import field_named
from leads.services.forms import check_origin, check_signature, tenant_of_key
from leads.services.intake import receive_arrival
from webhooks.models import Source
from webhooks.services.arrivals import accept

log = structlog.get_logger(__name__)
# A field that people do not see. What fills it in is a robot, which is told that all went well.
HONEYPOT = "_gotcha"
# A visitor fills in who they are; status, owner and the like are not theirs to say.
_FROM_FORMS = {
    "name", "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country", "notes",
}  # fmt: skip
_UTM = {"source": 100, "medium": 100, "campaign": 150, "term": 100, "content": 100}


@dataclass(frozen=True, kw_only=True)
class Submission:
    """A form as it was sent, and how."""

    payload: dict[str, Any]
    form_key: str = ""
    origin: str = ""
    signature: str = ""
    idempotency_key: str = ""
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Received:
    """What the sender is told. A robot gets no lead."""

    lead_id: int | None
    redirect_url: str = ""


def receive_submission(*, submission: Submission) -> Received:
    """Find the tenant, check the sender, store the arrival with its lead in one transaction.

    A submission names its tenant by a form key, or by `entity_id` where the tenant lets its open form be used.
    """
    payload = submission.payload
    tenant, form_id = _addressee(submission)
    by = Actor.system(tenant_id=tenant.pk, door=Door.WEBHOOK, label="website")
    with tenant_scope(tenant.pk, by=by) as scope:
        scope.memo["tenant"] = tenant
        form = _form(form_id)
        if form is not None:
            _check_sender(form, submission)
        answers = payload.get("answers")
        if not isinstance(answers, dict) or not answers:
            raise InvalidInput({"answers": ["Send the form's fields as an object."]})
        redirect_url = form.redirect_url if form else ""
        if str(answers.get(HONEYPOT) or payload.get(HONEYPOT) or "").strip():
            return Received(lead_id=None, redirect_url=redirect_url)
        arrival = arrival_of_submission(submission, form)
        try:
            # One savepoint of its own: what breaks in it leaves nothing behind.
            settled, _new = receive_arrival(arrival=arrival, draft=_draft_of(arrival, form), by=by)
            return Received(lead_id=settled.lead_id, redirect_url=redirect_url)
        except (DomainError, OperationalError, InterfaceError):
            raise
        except Exception:
            # Nobody will press the button again: what was sent is kept, and read once the fault is mended.
            log.exception("submission_kept_unread", tenant=tenant.pk)
    return Received(lead_id=accept(arrival_of_submission(submission, form)).lead_id, redirect_url=redirect_url)


def draft_of_submission(arrival: Arrival, _source: Source | None) -> LeadDraft:
    """Read a stored submission anew."""
    return _draft_of(arrival, _form(arrival.door_id))


def _form(form_id: int | None) -> WebForm | None:
    return WebForm.objects.filter(pk=form_id).first() if form_id else None


def form_of_key(key: str) -> tuple[int, WebForm] | None:
    """The tenant and form of a key, for the answer to a browser's preflight."""
    found = tenant_of_key(key)
    if found is None:
        return None
    with tenant_scope(found[0].pk):
        form = WebForm.objects.filter(pk=found[1], is_active=True).first()
    return (found[0].pk, form) if form else None


def _addressee(submission: Submission) -> tuple[Tenant, int | None]:
    if submission.form_key:
        found = tenant_of_key(submission.form_key)
        if found is None:
            raise UnknownForm("No form has this key.", field="form_key")
        return found
    entity_id = submission.payload.get("entity_id")
    if isinstance(entity_id, str) and entity_id.isdecimal():
        entity_id = int(entity_id[:18])
    if not isinstance(entity_id, int) or isinstance(entity_id, bool):
        raise InvalidInput({"entity_id": ["Name the tenant by its number, or send a form key in X-Form-Key."]})
    tenant = Tenant.objects.filter(pk=entity_id, is_active=True, open_form=True).first() if 0 < entity_id < 2**63 else None
    if tenant is None:
        raise UnknownForm("No open form for this entity_id.", field="entity_id")
    return tenant, None


def _check_sender(form: WebForm, submission: Submission) -> None:
    if not form.is_active:
        raise Forbidden("This form is switched off.")
    check_origin(form, submission.origin)
    check_signature(form, body=submission.body, header=submission.signature)
    spend([Limit(key=f"form:{form.pk}:h", calls=form.hourly_limit, seconds=3600)])


def _draft_of(arrival: Arrival, form: WebForm | None) -> LeadDraft:
    payload = arrival.payload
    answers: dict[str, Any] = payload["answers"]
    values: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    for key, value in answers.items():
        name = field_named(str(key))
        name = name if name in _FROM_FORMS else None
        text = (
            value
            if isinstance(value, str)
            else orjson.dumps(value).decode()
            if isinstance(value, dict | list)
            else ""
            if value is None
            else str(value)
        )
        if name and not values.get(name):
            values[name] = text[:50_000]
        elif key != HONEYPOT and text:
            custom[clean_text(str(key))[:100]] = clean_text(text)[:5_000]
    owner: User | None = form.default_owner if form else None
    return LeadDraft(
        **values,
        custom_fields=dict(list(custom.items())[:200]),
        lead_source=(form.lead_source if form else "") or "Website",
        tags=list(form.tags) if form else [],
        owner_id=owner.pk if owner and owner.is_active else None,
        platform_key=Platform.WEBSITE,
        source_page_id=_short(payload.get("page_id"), 64),
        source_page_name=_short(payload.get("page_name"), 150),
        raw_field_data=answers,
        consent_time=timezone.now() if answers.get("consent") in (True, "true", "on", "yes", "1", 1) else None,
    )


def arrival_of_submission(submission: Submission, form: WebForm | None) -> Arrival:
    """What came in, not yet stored, for the open tenant."""
    payload = submission.payload
    utm = payload.get("utm")
    marks = {f"utm_{name}": _short(utm.get(name), length) for name, length in _UTM.items()} if isinstance(utm, dict) else {}
    return Arrival(
        tenant_id=current_tenant_id(),
        door="website",
        door_id=form.pk if form else None,
        platform_key=Platform.WEBSITE,
        source_lead_id=_submission_id(submission),
        page_id=_short(payload.get("page_id"), 64),
        form_id=str(form.pk) if form else _short(payload.get("form_id"), 64),
        page_url=_short(payload.get("page_url"), 512),
        created_time=timezone.now(),
        payload=storable(payload),
        **marks,
    )


def _submission_id(submission: Submission, now: datetime | None = None) -> str:
    """The key the form sent, else a hash of page, answers and minute (decision K12): a double click makes one lead."""
    given = submission.idempotency_key or _short(submission.payload.get("source_lead_id") or submission.payload.get("idempotency_key"), 128)
    if given:
        return clean_text(given)[:128]
    content = orjson.dumps(
        [submission.payload.get("page_url"), submission.payload.get("page_id"), submission.payload.get("answers")],
        option=orjson.OPT_SORT_KEYS,
    )
    minute = int((now or timezone.now()).timestamp() // 60)
    return "hash:" + hashlib.blake2b(content + str(minute).encode(), digest_size=24).hexdigest()


def _short(value: Any, length: int) -> str:
    return clean_text(str(value))[:length] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def storable(value: Any) -> Any:
    """The same JSON without the NUL characters a jsonb column cannot hold."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [storable(item) for item in value]
    if isinstance(value, dict):
        return {key.replace("\x00", ""): storable(item) for key, item in value.items()}
    return value
