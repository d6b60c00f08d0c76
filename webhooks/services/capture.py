"""Take in a lead that somebody signed in hands over from a form, a mail or a social network (document 4).

The caller is told the lead, so the arrival is stored and captured in one transaction in their name; where it cannot be read
it is stored alone, failed or to be tried again, like any other arrival.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.utils import timezone

from crm.actors import Actor
from crm.errors import DomainError, InvalidInput
from leads.enums import Platform, canonical_source
from leads.models import Arrival
from leads.permissions import ADD
from leads.services.drafts import LeadDraft
from leads.services.intake import receive_arrival
from webhooks.models import Source
from webhooks.services.arrivals import accept, draft_of
from webhooks.services.inbound import id_by_content, own_id
from webhooks.services.mail import mail_of_fields
from webhooks.services.mailroom import arrival_of_mail
from webhooks.services.website import Submission, arrival_of_submission, storable

log = structlog.get_logger(__name__)
NETWORKS = {
    "facebook": "Facebook",
    "instagram": "Instagram",
    "linkedin": "LinkedIn",
    "x": "X",
    "whatsapp": "WhatsApp",
    "tiktok": "TikTok",
    "youtube": "YouTube",
    "other": "Social media",
}


@dataclass(frozen=True, kw_only=True)
class SocialContact:
    """Somebody who wrote or reacted on a social network."""

    network: str
    profile_url: str = ""
    handle: str = ""
    name: str = ""
    message: str = ""
    email: str = ""
    phone: str = ""
    post_url: str = ""
    campaign: str = ""


def capture_web_form(*, payload: Mapping[str, Any], idempotency_key: str = "", by: Actor) -> Arrival:
    """Take in a form's answers, read as the website webhook reads them, for the caller's tenant."""
    by.require(ADD)
    return _captured(arrival_of_submission(Submission(payload=dict(payload), idempotency_key=idempotency_key), None), by=by)


def capture_email(*, fields: Mapping[str, Any], idempotency_key: str = "", by: Actor) -> Arrival:
    """Take in a mail. Whoever hands one over means it: robots' and colleagues' mails are read too."""
    by.require(ADD)
    mail = mail_of_fields(fields)
    if not (mail.from_address or mail.reply_to):
        raise InvalidInput({"from": ["Give the sender's address, or the whole mail as raw."]})
    own = own_id("capture", idempotency_key) if idempotency_key else ""
    return _captured(arrival_of_mail(mail, tenant_id=by.tenant_id, own_id=own), by=by)


def capture_social(*, contact: SocialContact, idempotency_key: str = "", by: Actor) -> Arrival:
    """Take in somebody from a social network, by name or handle where they gave no address."""
    by.require(ADD)
    post = storable(vars(contact))
    network = contact.network if contact.network in NETWORKS else "other"
    arrival = Arrival(
        tenant_id=by.tenant_id,
        door="social",
        platform_key=network if network in (Platform.FACEBOOK, Platform.INSTAGRAM) else Platform.OTHER,
        source_lead_id=own_id("social", idempotency_key) if idempotency_key else id_by_content("social", post),
        created_time=timezone.now(),
        page_url=contact.post_url[:512],
        utm_source=network,
        utm_medium="social",
        utm_campaign=contact.campaign[:150],
        payload={"post": post},
    )
    return _captured(arrival, by=by)


def draft_of_social(arrival: Arrival, _source: Source | None) -> LeadDraft:
    """A handle stands in for a name nobody gave."""
    post: dict[str, str] = arrival.payload["post"]
    further = {name: post[name] for name in ("handle", "profile_url", "post_url", "campaign") if post.get(name)}
    return LeadDraft(
        name=post["name"] or post["handle"],
        email=post["email"],
        phone=post["phone"],
        notes=post["message"],
        website=post["profile_url"],
        lead_source=canonical_source(NETWORKS.get(post["network"], NETWORKS["other"])),
        custom_fields=further,
        platform_key=arrival.platform_key,
        raw_field_data=dict(post),
    )


def _captured(arrival: Arrival, *, by: Actor) -> Arrival:
    unread = copy(arrival)
    try:
        with transaction.atomic():
            settled, _new = receive_arrival(arrival=arrival, draft=draft_of(arrival), by=by)
            return settled
    except (OperationalError, InterfaceError):
        raise
    except DomainError:
        pass
    except Exception:
        # What somebody handed over is kept, and read once the fault is mended.
        log.exception("capture_kept_unread", tenant=by.tenant_id)
    return accept(unread)
