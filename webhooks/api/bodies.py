"""Bodies of senders who follow their own rules: JSON under any content type, forms, parts with files, raw mails."""

import io
from email.errors import MessageError
from email.message import Message
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qsl

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.request import Request

from crm.rest.parsers import JSONParser
from webhooks.services.mail import CUT_HEADERS

_MOST_FIELDS, _LONGEST_TYPE = 5_000, 500
MULTIPART, FORM = "multipart/form-data", "application/x-www-form-urlencoded"


def raw_body(request: Request, most: int) -> bytes:
    """The body as it came, or 413. Read past Django's own limit, which is for forms."""
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    if length.isdecimal() and int(length) > most:
        raise RequestDataTooBig("The body is too large.")
    body: bytes = request._request.read(most + 1)
    if len(body) > most:
        raise RequestDataTooBig("The body is too large.")
    return body


def kind_of(request: Request) -> str:
    return str(request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().casefold()


def read_body(request: Request, body: bytes) -> Any:
    """A form as an object of its fields, anything else as JSON. Raises ParseError, which is answered with 400."""
    kind = kind_of(request)
    if kind == FORM:
        return _gathered(_pairs(body))
    if kind == MULTIPART:
        return form_parts(request, body)
    return JSONParser().parse(io.BytesIO(body))


def form_parts(request: Request, body: bytes) -> dict[str, Any]:
    """The fields of a multipart form; of files their names alone, under `_files` too with type and size."""
    content_type = str(request.META.get("CONTENT_TYPE") or "")[:_LONGEST_TYPE].encode("utf-8", "replace")
    content_type = content_type.replace(b"\r", b" ").replace(b"\n", b" ")
    if body.count(b"\n--") > _MOST_FIELDS * 2:
        raise ParseError("The form has too many fields.")
    try:
        message = BytesParser(policy=CUT_HEADERS).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    except (RecursionError, MessageError, ValueError):
        raise ParseError("The form cannot be read.") from None
    parts = message.get_payload()
    if not isinstance(parts, list):
        raise ParseError("The form cannot be read.")
    pairs: list[tuple[str, str]] = []
    files: list[dict[str, Any]] = []
    for part in parts[:_MOST_FIELDS]:
        name, file_name = _disposition(part)
        content = _content(part)
        if name and file_name is not None:
            files.append({"name": file_name, "type": part.get_content_type(), "size": len(content)})
            pairs.append((name, file_name))
        elif name:
            pairs.append((name, content.decode("utf-8", "replace")))
    fields = _gathered(pairs)
    return {**fields, "_files": files} if files else fields


def _disposition(part: Message) -> tuple[str, str | None]:
    try:
        name, file_name = part.get_param("name", "", header="content-disposition"), part.get_filename()
        return _plain(name)[:300], None if file_name is None else _plain(file_name)[:300]
    except (ValueError, LookupError, TypeError):
        return "", None


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else str(value[2])
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _content(part: Message) -> bytes:
    try:
        content = part.get_payload(decode=True)
    except (ValueError, LookupError, AssertionError):
        content = None
    return content if isinstance(content, bytes) else b""


def _pairs(body: bytes) -> list[tuple[str, str]]:
    if len(body) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise RequestDataTooBig("The body is too large.")
    try:
        return parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise ParseError("The form has too many fields.") from None


def _gathered(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Fields by name; one that comes several times as a list."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields
