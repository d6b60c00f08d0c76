"""Facebook's Graph API, as far as lead forms need it: a lead, the forms of a page, the leads of a form.

Each question is bounded in time and size, whatever the other side does. Its failures are sorted into those that pass
(TryLater), those that pass once somebody enters a good token (TokenRefused), and those that stay (CannotRead).
"""

import asyncio
import hashlib
import hmac
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any
from urllib.parse import quote

import httpx2
import orjson
from django.conf import settings
from django.utils import timezone

from crm.normal import clean_text
from webhooks.services.arrivals import CannotRead, TryLater

LEAD_FIELDS = (
    "created_time,ad_id,ad_name,adset_id,campaign_id,campaign_name,form_id,is_organic,platform,field_data,custom_disclaimer_responses"
)
MOST_BYTES = 4 * 1024 * 1024
PAGE_SIZE = 100
# Out of calls: of the app (4, 341), the user (17), the page (32), this question (613); stopped for a while (368); and each of
# the business use cases, of which lead forms are one (80000 and on).
_THROTTLED = frozenset({4, 17, 32, 341, 368, 613, *range(80_000, 80_015)})
# No valid token, or one without the permissions lead forms need (10, 200 to 299).
_TOKEN = frozenset({10, 102, 190, *range(200, 300)})
_NOT_THERE = (100, 33)
THROTTLE_PAUSE, TOKEN_PAUSE, LONGEST_PAUSE = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
# After an answer that did not come, this process asks nobody there for so many seconds: leads that wait would each hold it up anew.
QUIET_SECONDS = 30
_quiet_until: dict[str, float] = {}
_TOKEN_TEXT = re.compile(r"[!-~]{1,2000}")


class TokenRefused(TryLater):
    """Facebook does not take the page's access token, or there is none."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Graph:
    """Facebook as a page's access token sees it. Every method may raise TryLater, TokenRefused or CannotRead."""

    token: str = field(repr=False)

    def lead(self, leadgen_id: str) -> dict[str, Any]:
        """A lead's answers and what it came by."""
        found = self._ask(quote(leadgen_id, safe=""), fields=LEAD_FIELDS)
        if str(found.get("id")) != leadgen_id or not isinstance(found.get("field_data"), list):
            raise TryLater("Facebook's answer is not the lead that was asked for.")
        return found

    def forms(self, page_id: str) -> Iterator[list[dict[str, Any]]]:
        """The lead forms of a page, archived ones too, a page of the list at a time."""
        return self._pages(f"{quote(page_id, safe='')}/leadgen_forms", fields="id,name,status")

    def leads(self, form_id: str, *, since: datetime) -> Iterator[list[dict[str, Any]]]:
        """A form's leads sent in since then, newest first, a page of the list at a time."""
        newer = [{"field": "time_created", "operator": "GREATER_THAN", "value": int(since.timestamp())}]
        return self._pages(f"{quote(form_id, safe='')}/leads", fields=LEAD_FIELDS, filtering=orjson.dumps(newer).decode())

    def _pages(self, path: str, **params: str) -> Iterator[list[dict[str, Any]]]:
        cursors = {""}
        after = ""
        while True:
            answer = self._ask(path, limit=str(PAGE_SIZE), **params, **({"after": after} if after else {}))
            rows = answer.get("data")
            if not isinstance(rows, list):
                raise TryLater("Facebook's answer is not a list.")
            yield [row for row in rows if isinstance(row, dict)]
            after = _next_cursor(answer)
            if after in cursors:
                return
            cursors.add(after)

    def _ask(self, path: str, **params: str) -> dict[str, Any]:
        token = self.token.strip()
        if not _TOKEN_TEXT.fullmatch(token):
            missing = "There is no access token for this page." if not token else "The access token holds characters that no token has."
            raise TokenRefused(missing, after=TOKEN_PAUSE)
        if settings.FB_APP_SECRET:
            params["appsecret_proof"] = hmac.new(settings.FB_APP_SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
        # The token goes into a header: addresses end up in logs.
        address = f"{settings.FB_GRAPH_URL}/{settings.FB_GRAPH_VERSION}/{path}"
        return _judge(_fetch(address, params=params, headers={"Authorization": f"Bearer {token}"}), token=token)


# --- one question ---


def _fetch(address: str, *, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    server = settings.FB_GRAPH_URL
    quiet = _quiet_until.get(server, 0) - time.monotonic()
    if quiet > 0:
        raise TryLater("Facebook did not answer a moment ago.", after=timedelta(seconds=quiet))
    try:
        # In a thread of its own, which has no event loop yet, whatever the caller's thread runs.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, _read(address, params=params, headers=headers)).result()
    except (TimeoutError, httpx2.TimeoutException):
        _quiet_until[server] = time.monotonic() + QUIET_SECONDS
        raise TryLater(f"Facebook did not answer within {settings.FB_GRAPH_TIMEOUT:g} seconds.") from None
    except httpx2.HTTPError as error:
        raise TryLater(f"Facebook cannot be reached: {type(error).__name__}.") from None


async def _read(address: str, *, params: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Read an answer within the time allowed for the whole of it.

    A client's own time-outs bound each wait, so that a slow enough sender could hold it for ever; cancelling bounds their sum.
    """
    seconds = settings.FB_GRAPH_TIMEOUT
    sent = {**headers, "Accept": "application/json", "Accept-Encoding": "identity"}
    async with (
        asyncio.timeout(seconds),
        httpx2.AsyncClient(verify=_trust(), timeout=seconds, follow_redirects=False) as client,
        client.stream("GET", address, params=dict(params), headers=sent) as response,
    ):
        body = bytearray()
        # Raw, so that a compressed answer, which was not asked for, cannot swell.
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                raise TryLater("Facebook's answer is too large.")
        return Answer(status=response.status_code, headers=response.headers, body=bytes(body))


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _judge(answer: Answer, *, token: str) -> dict[str, Any]:
    try:
        data = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        data = None
    error = data.get("error") if isinstance(data, dict) else None
    if isinstance(error, dict):
        raise _trouble(error, answer, token=token)
    if answer.status == 429:
        raise TryLater("Facebook asks us to wait.", after=_pause(answer.headers) or THROTTLE_PAUSE)
    if answer.status != 200 or not isinstance(data, dict) or error is not None:
        raise TryLater(f"Facebook answered {answer.status} with something else than was asked for.", after=_pause(answer.headers))
    return data


def _trouble(error: Mapping[str, Any], answer: Answer, *, token: str) -> Exception:
    code, subcode = _number(error.get("code")), _number(error.get("error_subcode"))
    # Facebook quotes a malformed token.
    message = clean_text(str(error.get("message") or "no reason given").replace(token, "…"))[:300]
    said = f"Facebook: {message} (code {code}{f', {subcode}' if subcode else ''})"
    if code in _THROTTLED or answer.status == 429:
        return TryLater(said, after=_pause(answer.headers) or THROTTLE_PAUSE)
    if code in _TOKEN or "appsecret_proof" in message:
        return TokenRefused(said, after=TOKEN_PAUSE)
    if (code, subcode) == _NOT_THERE:
        return CannotRead(f"{said} Facebook deletes leads after 90 days.")
    return TryLater(said, after=_pause(answer.headers))


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _pause(headers: Mapping[str, str]) -> timedelta | None:
    """How long Facebook asks us to wait: by Retry-After, or by its own header on the use of its limits, in minutes."""
    seconds = max(_retry_after(headers.get("retry-after", "")), _regained_after(headers.get("x-business-use-case-usage", "")))
    return timedelta(seconds=min(seconds, LONGEST_PAUSE.total_seconds())) if seconds > 0 else None


def _retry_after(text: str) -> float:
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return (parsedate_to_datetime(text) - timezone.now()).total_seconds()
    except (TypeError, ValueError):
        return 0


def _regained_after(text: str) -> float:
    try:
        usage = orjson.loads(text)
    except orjson.JSONDecodeError:
        return 0
    uses = [use for list_ in usage.values() if isinstance(list_, list) for use in list_] if isinstance(usage, dict) else []
    return max(
        (60.0 * min(_number(use.get("estimated_time_to_regain_access")), 10_000) for use in uses if isinstance(use, dict)), default=0
    )


def _next_cursor(answer: Mapping[str, Any]) -> str:
    """Where the list goes on. Of the ready address only that there is one counts: it would lead wherever it says, with the token."""
    paging = answer.get("paging")
    if not isinstance(paging, dict) or not paging.get("next") or not isinstance(paging.get("cursors"), dict):
        return ""
    after = paging["cursors"].get("after")
    return after if isinstance(after, str) and len(after) <= 2000 else ""
