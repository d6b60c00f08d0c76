"""Read mails, however broken, into plain values. Pure.

Whoever knows an address can send anything to it, so every step takes time in line with the mail's length: structure and
headers are read by the email package's older policy, which does not raise and whose headers are cut here, and HTML by a
scan, because html.parser takes quadratic time on unclosed tags.
"""

import codecs
import email.message
import email.utils
import hashlib
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import policy
from email.errors import HeaderParseError
from email.header import decode_header
from email.parser import BytesHeaderParser, BytesParser
from typing import Any

import orjson
from django.utils import timezone

from crm.normal import clean_text

LARGEST = 25 * 1024 * 1024
LONGEST_TEXT, LONGEST_HEADER, MOST_ATTACHMENTS, MOST_PARTS = 50_000, 8_000, 50, 1_000
# A mail of more lines or parts than this is made to cost time. Who wrote it is known from its beginning.
_MOST_LINES, _MOST_BOUNDARIES, _BEGINNING = 500_000, 10_000, 100_000
_LARGEST_BODY = 1_000_000
# Codecs that are no charsets, or take quadratic time.
_NO_CHARSETS = {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "utf-7"}
# What is kept of a mail's headers.
HEADERS = (
    "message-id", "in-reply-to", "auto-submitted", "precedence", "return-path", "x-auto-response-suppress", "list-id", "list-unsubscribe",
    "x-autoreply", "x-mailer",
)  # fmt: skip
_ADDRESSES = ("from", "reply-to", "to", "subject", "date", "sender")


@dataclass(frozen=True, kw_only=True)
class Mail:
    """A mail as plain values. `return_path` is None where nothing says who gets its bounces, and empty where nobody does."""

    from_name: str = ""
    from_address: str = ""
    reply_to: str = ""
    to: str = ""
    subject: str = ""
    date: datetime | None = None
    text: str = ""
    message_id: str = ""
    return_path: str | None = None
    attachments: list[dict[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def own_id(self) -> str:
        """Its Message-ID, or a hash of what it says where it has none, or too long a one."""
        if self.message_id and len(self.message_id) <= 120:
            return self.message_id
        facts = [self.message_id, self.from_address, self.to, self.subject, str(self.date), self.text]
        return "hash:" + hashlib.blake2b(orjson.dumps(facts), digest_size=24).hexdigest()

    def as_payload(self) -> dict[str, Any]:
        """As an arrival keeps it."""
        return {
            "from_name": self.from_name,
            "from_address": self.from_address,
            "reply_to": self.reply_to,
            "to": self.to,
            "subject": self.subject,
            "date": self.date.isoformat() if self.date else "",
            "text": self.text,
            "attachments": self.attachments,
            "headers": self.headers,
        }


class _CutHeaders(policy.Compat32):
    """Headers cut to a length whose reading is quick."""

    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:LONGEST_HEADER]


CUT_HEADERS = _CutHeaders()


def read_mail(raw: bytes) -> Mail:
    """Read a mail as it was sent. Never raises: what cannot be read is empty."""
    if raw.count(b"\n") > _MOST_LINES or raw.count(b"\n--") > _MOST_BOUNDARIES:
        raw = raw[:_BEGINNING]
    try:
        message = BytesParser(policy=CUT_HEADERS).parsebytes(raw)
        parts = list(_parts(message))
    except RecursionError:
        # Parts within parts without end.
        message = BytesHeaderParser(policy=CUT_HEADERS).parsebytes(raw[:_BEGINNING])
        parts = []
    text, attachments = _contents(parts)
    return _mail(_headers(message.raw_items()), text=text, attachments=attachments)


def mail_of_fields(fields: Mapping[str, Any]) -> Mail:
    """Read what an inbound-parse provider posts: SendGrid, Mailgun, Postmark, or `{"raw": …}`."""
    raw = next((fields[name] for name in ("email", "body-mime", "raw") if isinstance(fields.get(name), str | bytes) and fields[name]), "")
    if raw and not (isinstance(raw, str) and "\n" not in raw and "from" in fields):
        return read_mail(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogateescape"))
    headers = _posted_headers(fields)
    sender = fields.get("FromFull")
    named = {
        "from": _first(fields, "from", "From", "sender")
        or (email.utils.formataddr((_text(sender.get("Name")), _text(sender.get("Email")))) if isinstance(sender, dict) else ""),
        "to": _first(fields, "to", "To", "recipient"),
        "subject": _first(fields, "subject", "Subject"),
        "reply-to": _first(fields, "ReplyTo", "Reply-To", "reply_to"),
        "date": _first(fields, "Date", "date"),
        "message-id": _first(fields, "Message-Id", "Message-ID", "message_id") or headers.get("message-id") or _first(fields, "MessageID"),
    }
    headers.update({name: _decoded(value[:LONGEST_HEADER]) for name, value in named.items() if value})
    envelope = _json(fields.get("envelope"))
    if isinstance(envelope, dict) and envelope.get("from") == "":
        headers.setdefault("return-path", "<>")
    text = _first(fields, "stripped-text", "text", "TextBody", "body-plain")
    if not text.strip():
        text = html_text(_first(fields, "html", "HtmlBody", "stripped-html", "body-html"))
    return _mail(headers, text=text, attachments=_posted_attachments(fields))


# --- text ---

_SKIPPED = ("script", "style", "head", "title", "noscript", "template")
_BREAKS = {"br", "p", "div", "tr", "li", "ul", "ol", "table", "blockquote", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "section", "article"}
_TAG = re.compile(r"/?([A-Za-z][A-Za-z0-9]{0,20})")


def html_text(source: str) -> str:
    """The words of an HTML text, a line a block. Linear in its length, whatever is left open."""
    return html.unescape("".join(_words(source.replace("\r", "")[:_LARGEST_BODY])))


def _words(source: str) -> Iterator[str]:
    lowered, position = source.lower(), 0
    if len(lowered) != len(source):
        lowered = source
    while (start := source.find("<", position)) >= 0:
        yield source[position:start].replace("\n", " ")
        if source.startswith("<!--", start):
            position = source.find("-->", start + 4)
            if position < 0:
                return
            position += 3
            continue
        tag = _TAG.match(source, start + 1)
        if tag is None and source[start + 1 : start + 2] not in ("!", "?"):
            yield "<"
            position = start + 1
            continue
        end = source.find(">", start)
        if end < 0:
            return
        position, name = end + 1, tag[1].lower() if tag else ""
        if name in _SKIPPED and source[start + 1] != "/":
            # Without its end everything after it belongs to it.
            closed = lowered.find(f"</{name}", position)
            position = closed if closed >= 0 else len(source)
        elif name in _BREAKS:
            yield "\n"
        elif name in ("td", "th"):
            yield " "
    yield source[position:].replace("\n", " ")


def tidy(text: str) -> str:
    """Lines without space around them and control characters, at most one empty line in a row."""
    lines = (clean_text(line) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()[:LONGEST_TEXT]


# --- pieces ---


def _parts(message: email.message.Message) -> Iterator[email.message.Message]:
    """The parts that are no containers; a mail attached as a whole counts as one part."""
    pending, count = [message], 0
    while pending and count < MOST_PARTS:
        part = pending.pop()
        payload = part.get_payload()
        if isinstance(payload, list) and part.get_content_maintype() == "multipart":
            pending.extend(reversed([inner for inner in payload if isinstance(inner, email.message.Message)]))
        else:
            count += 1
            yield part


def _contents(parts: Iterable[email.message.Message]) -> tuple[str, list[dict[str, Any]]]:
    """The text to read and the names of what is attached."""
    plain, rich = "", ""
    attachments: list[dict[str, Any]] = []
    for part in parts:
        kind, name = part.get_content_type(), _file_name(part)
        body = kind in ("text/plain", "text/html") and not name and part.get_content_disposition() != "attachment"
        if body and kind == "text/plain":
            plain = plain or _body(part)
        elif body:
            rich = rich or _body(part)
        elif len(attachments) < MOST_ATTACHMENTS:
            attachments.append({"name": name or kind, "type": kind[:100], "size": _size(part)})
    return (plain if plain.strip() else html_text(rich)), attachments


def _body(part: email.message.Message) -> str:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        content = None
    if not isinstance(content, bytes):
        return ""
    try:
        charset = part.get_content_charset() or ""
    except (ValueError, LookupError):
        charset = ""
    return decoded(content[:_LARGEST_BODY], charset)


def decoded(content: bytes, charset: str = "") -> str:
    """Bytes as text in the charset they say they are in, else the likely one."""
    try:
        known = codecs.lookup(charset).name if charset else ""
    except (LookupError, ValueError):
        known = ""
    for name in (known if known not in _NO_CHARSETS else "", "utf-8"):
        try:
            if name:
                return content.decode(name)
        except (LookupError, ValueError, AssertionError):
            continue
    # Cut within a letter, or old Western European text.
    cut = content.decode("utf-8", "replace")
    return cut if cut.count("�") <= len(content) // 1000 + 1 else content.decode("cp1252", "replace")


def _size(part: email.message.Message) -> int:
    """About how large what is attached is, without decoding it."""
    payload = part.get_payload()
    if not isinstance(payload, str):
        return 0
    coding = str(part.get("content-transfer-encoding", "")).strip().casefold()
    return len(payload) * 3 // 4 if coding == "base64" else len(payload)


def _file_name(part: email.message.Message) -> str:
    try:
        return clean_text(_decoded(part.get_filename() or ""))[:200]
    except (ValueError, LookupError, TypeError, IndexError):
        return ""


def _headers(items: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """The first of each header that matters, by its name in small letters."""
    wanted = {*HEADERS, *_ADDRESSES}
    found: dict[str, str] = {}
    for name, value in items:
        key = str(name).strip().lower()
        if key in wanted and key not in found:
            found[key] = _mended(str(value)[:LONGEST_HEADER])
    return found


def _mended(text: str) -> str:
    """Bytes that the parser carried through as surrogates, as text."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return decoded(text.encode("utf-8", "surrogateescape" if _only_escapes(text) else "replace"))
    return text


def _only_escapes(text: str) -> bool:
    return all(not 0xD800 <= ord(char) <= 0xDFFF or 0xDC80 <= ord(char) <= 0xDCFF for char in text)


def _decoded(text: str) -> str:
    """A header's encoded words as text."""
    text = _mended(text)
    if "=?" not in text:
        return text
    try:
        parts = decode_header(text)
    except (HeaderParseError, ValueError):
        return text
    return "".join(part if isinstance(part, str) else decoded(part, charset or "") for part, charset in parts)


def _addresses(text: str) -> list[tuple[str, str]]:
    """Names and addresses. Read before the names are decoded, because a decoded name may hold a comma."""
    folded = text.replace("\r", " ").replace("\n", " ")
    try:
        pairs = email.utils.getaddresses([folded])
    except (ValueError, IndexError, TypeError):
        pairs = []
    found = [(clean_text(_decoded(name))[:200], clean_text(address)[:254]) for name, address in pairs if "@" in address]
    if found:
        return found
    # Not as the standard has it, such as a name with a comma and no quotes.
    loose = re.search(r"([^\s<>\"',;@]{1,64}@[^\s<>\"',;@]{1,190})", folded)
    return [(clean_text(_decoded(folded.split("<")[0].replace(loose[1], "")))[:200].strip("\"' "), loose[1])] if loose else []


def _mail(headers: dict[str, str], *, text: str, attachments: list[dict[str, Any]]) -> Mail:
    senders = _addresses(headers.get("from", "")) or _addresses(headers.get("sender", ""))
    answers = _addresses(headers.get("reply-to", ""))
    name, address = senders[0] if senders else ("", "")
    return_path = headers.get("return-path")
    return Mail(
        from_name=name,
        from_address=address,
        reply_to=answers[0][1] if answers else "",
        to=clean_text(_decoded(headers.get("to", "")))[:500],
        subject=clean_text(_decoded(headers.get("subject", "")))[:500],
        date=_moment(headers.get("date", "")),
        text=tidy(_mended(text)),
        message_id=clean_text(headers.get("message-id", "")).strip("<> "),
        return_path=None if return_path is None else clean_text(return_path).strip("<> "),
        attachments=attachments,
        headers={key: clean_text(_decoded(headers[key]))[:500] for key in HEADERS if key in headers},
    )


def _moment(text: str) -> datetime | None:
    """When a mail says it was written, where that can be true."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError, AttributeError):
        return None
    return moment if datetime(1990, 1, 1, tzinfo=UTC) < moment < timezone.now() + timedelta(days=1) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _first(fields: Mapping[str, Any], *names: str) -> str:
    return next((text for name in names if (text := _text(fields.get(name)))), "")


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return None


def _posted_headers(fields: Mapping[str, Any]) -> dict[str, str]:
    """Headers beside the fields: a block of text (SendGrid), pairs (Mailgun), or objects (Postmark)."""
    block = fields.get("headers")
    if isinstance(block, str) and block:
        return _headers(BytesHeaderParser(policy=CUT_HEADERS).parsebytes(block[:_BEGINNING].encode("utf-8", "surrogateescape")).raw_items())
    pairs = _json(fields.get("message-headers")) or fields.get("Headers")
    items: list[tuple[str, Any]] = []
    for pair in pairs[:500] if isinstance(pairs, list) else []:
        if isinstance(pair, dict):
            items.append((_text(pair.get("Name")), _text(pair.get("Value"))))
        elif isinstance(pair, list) and len(pair) == 2:
            items.append((_text(pair[0]), _text(pair[1])))
    return _headers(items)


def _posted_attachments(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    listed = _json(fields.get("Attachments")) or _json(fields.get("attachments")) or fields.get("_files") or []
    return [
        {
            "name": clean_text(_first(item, "Name", "name", "filename"))[:200],
            "type": clean_text(_first(item, "ContentType", "content-type", "type"))[:100],
            "size": next((size for key in ("ContentLength", "size") if isinstance(size := item.get(key), int)), 0),
        }
        for item in (listed[:MOST_ATTACHMENTS] if isinstance(listed, list) else [])
        if isinstance(item, dict)
    ]
