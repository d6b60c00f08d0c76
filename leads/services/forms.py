"""Web forms and other posting sources: keys, origins, limits, and what their leads start with."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from crm.actors import Actor
from crm.errors import DomainError, Forbidden, InvalidInput
from crm.identity.models import User
from crm.tenancy.models import Tenant
from leads.models import FormKey, WebForm
from leads.permissions import FORMS
from leads.services.drafts import clean_tags

SIGNATURE_AGE = 300


class FormNameTaken(DomainError):
    code = "NAME_TAKEN"


@dataclass(frozen=True, kw_only=True)
class FormSettings:
    """What a form is set to. Origins are scheme and host, such as https://www.example.com."""

    name: str
    allowed_origins: Iterable[str] = ()
    lead_source: str = "Website"
    default_owner: User | None = None
    tags: Iterable[str] = ()
    redirect_url: str = ""
    hourly_limit: int = 1000
    is_active: bool = True


def save_form(*, form: WebForm | None, wanted: FormSettings, by: Actor) -> WebForm:
    """Make or change a form. A new one gets its public key. Refuses a taken name and what is not an origin."""
    by.require(FORMS)
    problems: dict[str, list[str]] = {}
    origins = [_origin(text, problems) for text in wanted.allowed_origins if text.strip()]
    tags = clean_tags(list(wanted.tags), strict=True, problems=problems)
    if wanted.redirect_url and urlsplit(wanted.redirect_url).scheme not in ("http", "https"):
        problems["redirect_url"] = ["Give a whole address, with https://."]
    if problems:
        raise InvalidInput(problems)
    record = form or WebForm()
    record.name, record.allowed_origins, record.tags = wanted.name, origins, tags
    record.lead_source, record.default_owner, record.redirect_url = wanted.lead_source, wanted.default_owner, wanted.redirect_url
    record.hourly_limit, record.is_active = wanted.hourly_limit, wanted.is_active
    try:
        with transaction.atomic():
            record.save()
    except IntegrityError:
        raise FormNameTaken("A form with this name already exists.", field="name") from None
    if form is None:
        FormKey.objects.create(tenant_id=by.tenant_id, form=record, key=new_key())
    return record


def rotate_key(*, form: WebForm, by: Actor) -> str:
    """Replace the public key; the old one stops at once."""
    by.require(FORMS)
    key = new_key()
    FormKey.objects.filter(form=form, tenant_id=by.tenant_id).update(key=key)
    return key


def set_signing(*, form: WebForm, on: bool, by: Actor) -> str:
    """Ask senders for an HMAC signature from now on, or no longer. Answers the new secret, shown once."""
    by.require(FORMS)
    form.signing_secret = secrets.token_hex(32) if on else ""
    form.save(update_fields=["signing_secret"])
    return form.signing_secret


def delete_form(*, form: WebForm, by: Actor) -> None:
    by.require(FORMS)
    FormKey.objects.filter(form=form, tenant_id=by.tenant_id).delete()
    form.delete()


def new_key() -> str:
    return f"smf_{secrets.token_urlsafe(18)}"


def tenant_of_key(key: str) -> tuple[Tenant, int] | None:
    """The tenant a public key belongs to, and the form's id."""
    found = FormKey.objects.select_related("tenant").filter(key=key, tenant__is_active=True).first() if key else None
    return (found.tenant, found.form_id) if found else None


def check_origin(form: WebForm, origin: str) -> None:
    """Refuse a browser on a page that is not allowed. Senders that are no browser send no origin and are let through."""
    if form.allowed_origins and origin and origin.rstrip("/") not in form.allowed_origins:
        raise Forbidden("This form may not be posted from this site.")


def check_signature(form: WebForm, *, body: bytes, header: str, now: float | None = None) -> None:
    """Check the sender's signature where the form asks for one."""
    if form.signing_secret:
        verify_signature(form.signing_secret, body=body, header=header, now=now)


def verify_signature(secret: str, *, body: bytes, header: str, now: float | None = None) -> None:
    """Check `t=<epoch seconds>,v1=<hex HMAC-SHA256 of "t.body">`, five minutes old at most. Raises Forbidden."""
    parts: dict[str, Any] = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    stamp = parts.get("t", "")
    expected = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    fresh = stamp.isdecimal() and abs((now or time.time()) - int(stamp[:12])) <= SIGNATURE_AGE
    # As bytes: texts are compared only where they are ASCII, which a header need not be.
    if not fresh or not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode()):
        raise Forbidden("The signature is missing, wrong or too old.")


def _origin(text: str, problems: dict[str, list[str]]) -> str:
    parts = urlsplit(text.strip().rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path or parts.query:
        problems["allowed_origins"] = [f"Not an origin such as https://www.example.com: {text[:80]}"]
    return f"{parts.scheme}://{parts.netloc}".lower()
