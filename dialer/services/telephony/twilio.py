"""Twilio's voice API, as far as calling needs it: place, look up, end, fetch a recording. A thin client: five requests, each bounded.

Whether an order was taken is known, or it is not. What was surely not taken may be ordered anew; after a silence the company is asked.
See docs/decisions/0017.
"""

import asyncio
import base64
import hashlib
import hmac
import ssl
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any, ClassVar
from urllib.parse import quote

import httpx2
import orjson
from django.conf import settings

from crm.normal import clean_text
from crm.sealed import Unreadable, unseal
from dialer.enums import AnsweredBy, CallStatus, ProviderName
from dialer.services.telephony.base import Order, Placement, Progress, ProviderTrouble, Recording

MOST_BYTES, MOST_SOUND = 1024 * 1024, 60 * 1024 * 1024
SOUND_SECONDS = 120.0
# Between two requests for what may be asked for twice.
_PAUSES = (0.3, 1.0)
# After an answer that did not come, this process orders nothing for so many seconds: its other calls would each wait in vain.
QUIET_SECONDS = 20
_quiet_until: dict[str, float] = {}
# Refusals that are about the number called, and stay: no such number, not reachable from here, barred.
_ABOUT_NUMBER = frozenset({13223, 13224, 13225, 13226, 13227, 21211, 21214, 21215, 21216, 21217, 21219, 21401, 21614})
_STATUSES = {
    "queued": CallStatus.QUEUED,
    "initiated": CallStatus.QUEUED,
    "ringing": CallStatus.RINGING,
    "in-progress": CallStatus.IN_PROGRESS,
    "answered": CallStatus.IN_PROGRESS,
    "completed": CallStatus.COMPLETED,
    "busy": CallStatus.BUSY,
    "no-answer": CallStatus.NO_ANSWER,
    "failed": CallStatus.FAILED,
    "canceled": CallStatus.CANCELED,
}
# How far from an order's own time the call may have been made that it became: clocks differ, and a person's order waits for a worker.
_BEFORE, _AFTER = timedelta(seconds=30), timedelta(minutes=5)
_EVENTS = ("initiated", "ringing", "answered", "completed")


def status_of(word: str) -> CallStatus | None:
    """Our word for one of Twilio's; None for one we do not know."""
    return _STATUSES.get(word.strip().lower())


def answered_by_of(word: str) -> AnsweredBy | None:
    """Who took the call: `human`, or one of several machines; None where Twilio cannot tell, which we take for a person."""
    word = word.strip().lower()
    if word.startswith("machine") or word == "fax":
        return AnsweredBy.MACHINE
    return AnsweredBy.HUMAN if word in ("human", "unknown") else None


def signature_of(*, url: str, params: Mapping[str, Sequence[str]], token: str) -> str:
    """Twilio's signature of a request: the address, then the names and values of its form in order, under the auth token."""
    signed = url + "".join(name + value for name in sorted(params) for value in sorted(set(params[name])))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    content_type: str = ""


class NotAsked(ProviderTrouble):
    """The request surely had no effect: it did not reach the company, or was turned away."""


@dataclass(frozen=True, kw_only=True)
class Twilio:
    """A tenant's account. `key` is the secret part of the addresses at which its calls are reported."""

    account_sid: str
    sealed_token: str = field(repr=False)
    key: str = field(repr=False)
    name: ClassVar[str] = ProviderName.TWILIO
    joins_transaction: ClassVar[bool] = False
    at_once: ClassVar[int] = 20

    @property
    def token(self) -> str:
        try:
            return unseal(self.sealed_token)
        except Unreadable as error:
            raise NotAsked(str(error)) from None

    def place(self, orders: Sequence[Order], *, now: datetime) -> list[Placement]:
        return [self._place(order) for order in orders]

    def _place(self, order: Order) -> Placement:
        form: list[tuple[str, str]] = [
            ("To", order.phone),
            ("From", order.caller_id),
            ("Timeout", str(order.ring_seconds)),
            ("Url", self._address(order.public_id, "answer")),
            ("StatusCallback", self._address(order.public_id, "status")),
            *(("StatusCallbackEvent", event) for event in _EVENTS),
        ]
        if order.detect_machines:
            form.append(("MachineDetection", "Enable"))
        if order.record:
            form += [("Record", "true"), ("RecordingStatusCallback", self._address(order.public_id, "recording"))]
        try:
            answer = self._ask("POST", "Calls.json", form=form)
        except NotAsked as trouble:
            return Placement(not_placed=True, trouble=str(trouble))
        except ProviderTrouble as trouble:
            return Placement(trouble=str(trouble))
        if answer.status in (200, 201):
            known_as = _json(answer).get("sid")
            # Taken without a name we could know it by: the company is asked later.
            return (
                Placement(provider_call_id=known_as)
                if isinstance(known_as, str) and known_as
                else Placement(trouble="Twilio named no call.")
            )
        code, said = _refusal(answer, self.token)
        if answer.status == 400 and code in _ABOUT_NUMBER:
            return Placement(refused=said)
        return Placement(not_placed=answer.status < 500, trouble=said)

    def hang_up(self, provider_call_id: str, *, call_id: int, was_answered: bool, now: datetime) -> None:
        path = f"Calls/{quote(provider_call_id, safe='')}.json"
        for status in ("completed",) if was_answered else ("canceled", "completed"):
            answer = self._ask("POST", path, form=[("Status", status)], again=True)
            if answer.status in (200, 404):
                return
        _code, said = _refusal(answer, self.token)
        raise ProviderTrouble(said)

    def find(self, order: Order, *, provider_call_id: str, taken: Collection[str], now: datetime) -> Progress | None:
        known = self._look_up(provider_call_id) if provider_call_id else self._search(order, taken)
        return _progress(known, now) if known is not None else None

    def _look_up(self, provider_call_id: str) -> Mapping[str, Any] | None:
        answer = self._ask("GET", f"Calls/{quote(provider_call_id, safe='')}.json", again=True)
        if answer.status == 404:
            return None
        return _json(self._well(answer))

    def _search(self, order: Order, taken: Collection[str]) -> Mapping[str, Any] | None:
        """The call that an order whose answer was lost became: of those between the two numbers that are no other's, the nearest in time."""
        at = order.created_at
        # The company keeps its days in UTC.
        query = {"To": order.phone, "StartTime>": f"{at - timedelta(days=1):%Y-%m-%d}", "PageSize": "100"}
        calls = _json(self._well(self._ask("GET", "Calls.json", query=query, again=True))).get("calls")
        if not isinstance(calls, list):
            raise ProviderTrouble("Twilio's answer is not a list.")
        ours = [
            call
            for call in calls
            if isinstance(call, dict)
            and (call.get("to"), call.get("from")) == (order.phone, order.caller_id)
            and call.get("sid") not in taken
            and at - _BEFORE <= _made_at(call, at) <= at + _AFTER
        ]
        return min(ours, key=lambda call: abs(_made_at(call, at) - at), default=None)

    def place_leg(self, *, session: str, phone: str, caller_id: str, now: datetime) -> str:
        form = [
            ("To", phone), ("From", caller_id), ("Url", self._address(session, "leg")),
            ("StatusCallback", self._address(session, "leg-status")), ("StatusCallbackEvent", "completed"),
        ]  # fmt: skip
        answer = self._ask("POST", "Calls.json", form=form)
        if answer.status not in (200, 201):
            raise ProviderTrouble(_refusal(answer, self.token)[1])
        return str(_json(answer).get("sid") or "")

    def fetch_recording(self, address: str) -> Recording:
        """`address` is the recording's id: nothing is fetched from an address that somebody sent us."""
        path = f"Recordings/{quote(address, safe='')}.mp3"
        answer = self._ask("GET", path, most_bytes=MOST_SOUND, seconds=SOUND_SECONDS, again=True)
        self._well(answer)
        if not answer.content_type.startswith("audio/"):
            raise ProviderTrouble("Twilio's answer is no recording.")
        return Recording(content=answer.body, suffix=".mp3")

    def _address(self, public_id: str, kind: str) -> str:
        return f"{settings.VOICE_PUBLIC_URL}/hooks/voice/{self.key}/{public_id}/{kind}"

    def _well(self, answer: Answer) -> Answer:
        if answer.status != 200:
            raise ProviderTrouble(_refusal(answer, self.token)[1])
        return answer

    def _ask(
        self,
        method: str,
        path: str,
        *,
        form: Sequence[tuple[str, str]] = (),
        query: Mapping[str, str] | None = None,
        most_bytes: int = MOST_BYTES,
        seconds: float | None = None,
        again: bool = False,
    ) -> Answer:
        """One request. Turned away for being too many, it is sent again; after an error of theirs only where twice is the same as once."""
        address = f"{settings.TWILIO_API_URL}/2010-04-01/Accounts/{quote(self.account_sid, safe='')}/{path}"
        credentials = (self.account_sid, self.token)
        seconds = seconds or settings.TWILIO_TIMEOUT
        for pause in (*_PAUSES, None):
            answer = _fetch(method, address, form=form, query=query or {}, credentials=credentials, most_bytes=most_bytes, seconds=seconds)
            if pause is None or not (answer.status == 429 or (again and answer.status >= 500)):
                break
            time.sleep(pause)
        return answer


# --- one request ---


def _fetch(
    method: str,
    address: str,
    *,
    form: Sequence[tuple[str, str]],
    query: Mapping[str, str],
    credentials: tuple[str, str],
    most_bytes: int,
    seconds: float,
) -> Answer:
    server = settings.TWILIO_API_URL
    if _quiet_until.get(server, 0) > time.monotonic():
        raise NotAsked("Twilio did not answer a moment ago.")
    work = _read(method, address, form=form, query=query, credentials=credentials, most_bytes=most_bytes, seconds=seconds)
    try:
        # In a thread of its own, which has no event loop yet, whatever the caller's thread runs.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, work).result()
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        _quiet_until[server] = time.monotonic() + QUIET_SECONDS
        raise NotAsked(f"Twilio cannot be reached: {type(error).__name__}.") from None
    except (TimeoutError, httpx2.TimeoutException):
        _quiet_until[server] = time.monotonic() + QUIET_SECONDS
        raise ProviderTrouble(f"Twilio did not answer within {seconds:g} seconds.") from None
    except httpx2.HTTPError as error:
        raise ProviderTrouble(f"Twilio's answer broke off: {type(error).__name__}.") from None


async def _read(
    method: str,
    address: str,
    *,
    form: Sequence[tuple[str, str]],
    query: Mapping[str, str],
    credentials: tuple[str, str],
    most_bytes: int,
    seconds: float,
) -> Answer:
    """Read an answer within the time and size allowed for the whole of it."""
    sent: dict[str, list[str]] = {}
    for name, value in form:
        sent.setdefault(name, []).append(value)
    async with (
        asyncio.timeout(seconds),
        httpx2.AsyncClient(verify=_trust(), timeout=seconds, follow_redirects=False, auth=credentials) as client,
        client.stream(
            method, address, params=dict(query), data=sent or None, headers={"Accept-Encoding": "identity", "User-Agent": "SalesMagnet"}
        ) as response,
    ):
        body = bytearray()
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > most_bytes:
                raise ProviderTrouble("Twilio's answer is too large.")
        return Answer(status=response.status_code, body=bytes(body), content_type=response.headers.get("content-type", ""))


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def _json(answer: Answer) -> Mapping[str, Any]:
    try:
        data = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        data = None
    if not isinstance(data, dict):
        raise ProviderTrouble(f"Twilio answered {answer.status} with something else than was asked for.")
    return data


def _refusal(answer: Answer, token: str) -> tuple[int, str]:
    """Twilio's own code and words."""
    try:
        data = _json(answer)
    except ProviderTrouble as trouble:
        return 0, str(trouble)
    code = data.get("code") if isinstance(data.get("code"), int) else 0
    words = clean_text(str(data.get("message") or "no reason given").replace(token, "…"))[:200]
    return int(code or 0), f"Twilio: {words} ({code or answer.status})"


def _progress(call: Mapping[str, Any], now: datetime) -> Progress:
    """What a call's own page says. Its fingerprint lets the same be told again later, once more has been said."""
    word = str(call.get("status") or "")
    seconds = str(call.get("duration") or "")
    return Progress(
        status=status_of(word),
        answered_by=answered_by_of(str(call.get("answered_by") or "")),
        seconds=int(seconds) if seconds.isdigit() else None,
        provider_call_id=str(call.get("sid") or ""),
        fingerprint=f"found-{word}"[:64],
        at=now,
    )


def _made_at(call: Mapping[str, Any], otherwise: datetime) -> datetime:
    """When the company made a call. A queued one may have no time yet: it is new."""
    try:
        return parsedate_to_datetime(str(call.get("date_created")))
    except (TypeError, ValueError):
        return otherwise
