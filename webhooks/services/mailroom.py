"""From a mail to a lead: who is left out, who it is from, what forwarded forms say, what the reader should see."""

import re
from typing import Any

import phonenumbers
import structlog
from django.utils import timezone
from mailparser_reply import EmailReplyParser

from crm.identity.models import User
from crm.tenancy.models import current_tenant
from crm.tenancy.scope import tenant_scope
from leads.enums import Platform
from leads.models import Arrival
from leads.services.drafts import LeadDraft
from leads.services.field_names import field_named
from webhooks.models import Source
from webhooks.services.arrivals import accept
from webhooks.services.mail import Mail

log = structlog.get_logger(__name__)
LEAD_SOURCE = "E-mail"
# Services that send a form's answers on: who filled it in stands in Reply-To.
FORM_MAILERS = (
    "formspree.io", "formsubmit.co", "getform.io", "jotform.com", "typeform.com", "wufoo.com", "formstack.com", "cognitoforms.com",
    "123formbuilder.com", "squarespace.info", "wix-forms.com", "webflow.com", "netlify.com", "basin.com", "web3forms.com", "tally.so",
)  # fmt: skip
_NOBODY = re.compile(r"(mailer-daemon|postmaster)$", re.IGNORECASE)
_NO_REPLY = re.compile(r"(no|do-?not|donot)[-_.]?reply", re.IGNORECASE)
_FORWARDED = re.compile(
    r"^[>\s]*(-{2,}\s*)?(begin )?(forwarded message|weitergeleitete nachricht|message transféré|mensaje reenviado)",
    re.IGNORECASE | re.MULTILINE,
)
_FORWARDED_SUBJECT = re.compile(r"^\s*(fwd?|wg|tr|rv)\s*:", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>\"',;:@()\[\]]{1,64}@[^\s<>\"',;:@()\[\]]{1,190}")
_LINE = re.compile(r"[>\s*•–-]{0,20}([^:]{1,40}):[ \t]*(.*)")
# What a form's line may fill in. Source, tags, priority and the like are ours to say.
_FROM_LINES = {
    "name", "first_name", "last_name", "email", "phone", "company", "title", "website", "industry", "company_size", "city", "state", "country", "notes",
}  # fmt: skip
_WHO = {"name", "first_name", "last_name", "email", "phone", "company"}
# The reply parser's patterns take time in the square of a line's length.
# Worst are those that begin like "On … wrote:".
_OPENINGS = {"on ", "am ", "le ", "el "}
_PARSED, _LONGEST_LINE, _MOST_LINES = 20_000, 1_000, 500
_parser = EmailReplyParser(languages=["en", "de", "fr", "es"])


def receive_mail(*, source: Source, mail: Mail) -> Arrival | None:
    """Store a mail by its Message-ID and make its lead. A robot's mail, and a colleague's that forwards nothing, answers None."""
    reason = robot(mail)
    with tenant_scope(source.tenant_id):
        reason = reason or ("colleague" if _is_colleague(mail.from_address) and not _is_form(mail, colleague=True) else "")
    if reason:
        log.info("mail_left_out", tenant=source.tenant_id, source=source.pk, reason=reason, message_id=mail.own_id)
        return None
    return accept(arrival_of_mail(mail, tenant_id=source.tenant_id, door_id=source.pk))


def arrival_of_mail(mail: Mail, *, tenant_id: int, door_id: int | None = None, own_id: str = "") -> Arrival:
    return Arrival(
        tenant_id=tenant_id,
        door="email",
        door_id=door_id,
        platform_key=Platform.EMAIL,
        source_lead_id=own_id or mail.own_id,
        created_time=mail.date or timezone.now(),
        payload={"message": mail.as_payload()},
    )


def robot(mail: Mail) -> str:
    """Why nobody wrote this mail; empty for a person's. A form's answers are a person's, whoever sent them on."""
    headers = mail.headers
    local = mail.from_address.partition("@")[0]
    if headers.get("auto-submitted", "no").casefold().partition(";")[0].strip() not in ("no", ""):
        return "auto-submitted"
    if headers.get("precedence", "").casefold() in ("bulk", "junk", "list", "auto_reply"):
        return "precedence"
    for name in ("x-auto-response-suppress", "list-id", "x-autoreply"):
        if headers.get(name):
            return name
    if mail.return_path == "":
        return "bounce"
    if _NOBODY.match(local):
        return "daemon"
    if _NO_REPLY.search(local) and not _is_form(mail) and not (mail.reply_to and _is_form_mailer(mail.from_address)):
        return "noreply"
    return ""


def draft_of_mail(arrival: Arrival, source: Source | None) -> LeadDraft:
    """Who wrote, what about, and their phone where their words hold exactly one. A form's lines beat the sender."""
    message: dict[str, Any] = arrival.payload["message"]
    text, subject = str(message["text"]), str(message["subject"])
    latest, body = split_reply(text)
    forwarded = _is_forwarded(subject, text)
    lines = form_lines(text if forwarded else latest)
    name, address = _sender(message, source, from_form=bool(lines))
    if lines:
        address = lines.pop("email", "") or address
        name = "" if {"name", "first_name", "last_name"} & set(lines) else name
        body = lines.pop("notes", "") or (text if forwarded else body)
    owner = source.default_owner if source else None
    fields: dict[str, Any] = {"name": name, "phone": _only_phone(latest), **lines}
    return LeadDraft(
        **fields,
        email=address,
        notes="\n\n".join(part for part in (subject, body) if part),
        lead_source=(source.lead_source if source else "") or LEAD_SOURCE,
        tags=list(source.tags) if source else [],
        owner_id=owner.pk if owner and owner.is_active else None,
        platform_key=Platform.EMAIL,
        raw_field_data={
            "from": f"{message['from_name']} <{message['from_address']}>".strip(),
            "subject": subject,
            **{key: value for key, value in lines.items() if key != "notes"},
        },
    )


def split_reply(text: str) -> tuple[str, str]:
    """The newest words of a thread, with the writer's signature and without it. A text of quotes alone is answered whole."""
    lines: list[str] = []
    for line in text[:_PARSED].split("\n"):
        longest = 200 if line.lstrip("> ")[:3].casefold() in _OPENINGS else _LONGEST_LINE
        lines.extend(line[start : start + longest] for start in range(0, max(len(line), 1), longest))
    replies = _parser.read("\n".join(lines)).replies
    first = replies[0] if replies else None
    if first is None or first.headers or not first.content:
        return text, text
    return first.content, first.body or first.content


def form_lines(text: str) -> dict[str, str]:
    """The fields of `Name: …` lines, where two or more name a lead's fields and one of them says who it is; else nothing."""
    found: dict[str, str] = {}
    taking = ""
    for line in text.split("\n")[:_MOST_LINES]:
        match = _LINE.match(line)
        name = field_named(match[1]) if match else None
        if match is not None and name in _FROM_LINES:
            taking = name if name not in found else ""
            if taking:
                found[taking] = match[2].strip()
        elif taking == "notes":
            found["notes"] = f"{found['notes']}\n{line.lstrip('> ')}".strip()
        elif taking and not found[taking] and line.strip("> "):
            found[taking] = line.strip("> ")
        elif line.strip("> "):
            taking = ""
    if "email" in found:
        address = _ADDRESS.search(found["email"])
        found["email"] = address[0] if address else ""
    found = {name: value[:1_000] if name != "notes" else value for name, value in found.items() if value}
    return found if len(found) >= 2 and _WHO & set(found) else {}


def _is_form(mail: Mail, *, colleague: bool = False) -> bool:
    """Whether a mail brings a form's answers. A colleague's own signature is none: it must name somebody else."""
    lines = form_lines(mail.text if _is_forwarded(mail.subject, mail.text) else split_reply(mail.text)[0])
    if not colleague:
        return bool({"email", "phone"} & set(lines))
    named = {"name", "first_name", "last_name", "email"} & set(lines)
    return bool(named) and not _is_colleague(lines.get("email", ""))


def _is_forwarded(subject: str, text: str) -> bool:
    return bool(_FORWARDED_SUBJECT.match(subject) or _FORWARDED.search(text))


def _is_colleague(address: str) -> bool:
    return bool(address) and User.objects.filter(email__iexact=address).exists()


def _is_form_mailer(address: str) -> bool:
    domain = address.rpartition("@")[2].casefold()
    return any(domain == known or domain.endswith(f".{known}") for known in FORM_MAILERS)


def _sender(message: dict[str, Any], source: Source | None, *, from_form: bool) -> tuple[str, str]:
    """The name and address of who wrote. Where somebody else sent it on, only Reply-To can say it."""
    address, answers_to = str(message["from_address"]), str(message["reply_to"])
    sent_on = bool(_NO_REPLY.search(address.partition("@")[0])) or _is_form_mailer(address) or (from_form and _is_colleague(address))
    asked = source is not None and source.options.get("use_reply_to") is True
    if answers_to and answers_to != address and (sent_on or asked):
        return "", answers_to
    return ("", "") if sent_on and from_form else (str(message["from_name"]), address)


def _only_phone(text: str) -> str:
    """The phone in somebody's words, if it is one. Signatures stand at the end."""
    matcher = phonenumbers.PhoneNumberMatcher(text[-3_000:], current_tenant().region or None, max_tries=200)
    numbers = {phonenumbers.format_number(match.number, phonenumbers.PhoneNumberFormat.E164) for match in matcher}
    return numbers.pop() if len(numbers) == 1 else ""
