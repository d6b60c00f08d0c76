"""Ask an address that a tenant named: bounded in time and size, never followed elsewhere, never into this network.

The name is resolved here, every address of it is checked, and the connection goes to a checked one: a name may answer
otherwise when it is asked again.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx2
from django.conf import settings

MOST_BYTES = 256 * 1024


class Refused(Exception):
    """The address is one that must not be asked."""


class Unreachable(Exception):
    """No answer came, or none that could be read to its end."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes


def ask(*, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Reply:
    """Ask once and read the answer. Raises Refused, Unreachable."""
    try:
        # In a thread of its own, which has no event loop yet, whatever the caller's thread runs.
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, _ask(method, url, headers, body, timeout)).result()
    except (TimeoutError, httpx2.TimeoutException):
        raise Unreachable(f"No answer within {timeout:g} seconds.") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        raise Unreachable(f"It cannot be reached: {type(error).__name__}.") from None


async def _ask(method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float) -> Reply:
    """Time-outs of a client bound each wait; a slow enough sender could hold it for ever. Cancelling bounds their sum."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    async with asyncio.timeout(timeout):
        address = checked_address(host, await _resolved(host, port))
        literal = f"[{address}]" if ":" in address else address
        target = parts._replace(netloc=f"{literal}:{port}").geturl()
        sent = {**headers, "Host": parts.netloc, "Accept-Encoding": "identity"}
        extensions: dict[str, Any] = {"sni_hostname": host}
        async with (
            # No proxy of the environment, which would resolve the name itself.
            httpx2.AsyncClient(verify=_trust(), timeout=timeout, follow_redirects=False, trust_env=False) as client,
            client.stream(method, target, headers=sent, content=body, extensions=extensions) as response,
        ):
            read = bytearray()
            # Raw, so that a compressed answer, which was not asked for, cannot swell.
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > MOST_BYTES:
                    raise Unreachable(f"Its answer is larger than {MOST_BYTES // 1024} KB.")
            return Reply(status=response.status_code, headers=dict(response.headers), body=bytes(read))


async def _resolved(host: str, port: int) -> list[str]:
    """The host's addresses, asked for by a thread that nobody waits for: the loop's own would be waited for beyond the time-out."""
    future: Future[list[Any]] = Future()
    Thread(target=_resolve, args=(future, host, port), name="resolver", daemon=True).start()
    try:
        found = await asyncio.wrap_future(future)
    except (OSError, UnicodeError):
        raise Unreachable(f"No server has the name {host[:100]}.") from None
    return list(dict.fromkeys(str(info[4][0]) for info in found))


def _resolve(future: "Future[list[Any]]", host: str, port: int) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except Exception as error:
        future.set_exception(error)


def checked_address(host: str, addresses: list[str]) -> str:
    """One of a host's addresses, if all of them are on the open Internet."""
    if not addresses:
        raise Unreachable(f"No server has the name {host[:100]}.")
    if not settings.ALLOW_PRIVATE_HOSTS and not all(is_public(address) for address in addresses):
        raise Refused("The address is not on the open Internet.")
    return min(addresses, key=lambda address: ":" in address)


# Not all of these are special by the standard library: translated and mapped IPv4, site-local, documentation, segment routing,
# and the address under which a cloud's machines find their host.
_REFUSED = [
    ipaddress.ip_network(text)
    for text in ("64:ff9b:1::/48", "::/96", "::ffff:0:0:0/96", "fec0::/10", "3fff::/20", "5f00::/16", "168.63.129.16/32")
]


def is_public(text: str) -> bool:
    """Whether an address, or the one it wraps, is neither private nor special."""
    address = ipaddress.ip_address(text.partition("%")[0])
    wrapped = [getattr(address, name, None) for name in ("ipv4_mapped", "sixtofour")]
    teredo = getattr(address, "teredo", None)
    if teredo:
        wrapped.append(teredo[1])
    if isinstance(address, ipaddress.IPv6Address) and address in ipaddress.ip_network("64:ff9b::/96"):
        wrapped.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return all(
        one.is_global and not one.is_multicast and not any(one in network for network in _REFUSED)
        for one in (address, *wrapped)
        if one is not None
    )


@cache
def _trust() -> ssl.SSLContext:
    return httpx2.create_ssl_context()
