"""Rate limits (decision C42), counted in Valkey so that they hold across processes. All that apply must have room."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from django.conf import settings
from redis.exceptions import RedisError

from crm.errors import TooManyRequests
from crm.events.valkey import client

log = structlog.get_logger(__name__)

# Counts only when every limit has room, so that refused calls do not push the window further; answers the wait in seconds.
_SCRIPT = """
for i, key in ipairs(KEYS) do
  local used = tonumber(redis.call('GET', key) or '0')
  if used >= tonumber(ARGV[i * 2 - 1]) then return math.max(redis.call('TTL', key), 1) end
end
for i, key in ipairs(KEYS) do
  if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, ARGV[i * 2]) end
end
return 0
"""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """So many calls in a window of so many seconds, counted under a key."""

    key: str
    calls: int
    seconds: int


def spend(limits: Sequence[Limit]) -> None:
    """Count one call against all limits at once, or raise TooManyRequests. Fails open when the store is away."""
    if not settings.RATE_LIMITS_ON or not limits:
        return
    now = int(time.time())
    keys = [f"limit:{limit.key}:{now // limit.seconds}" for limit in limits]
    arguments = [value for limit in limits for value in (limit.calls, limit.seconds)]
    try:
        wait = int(client().eval(_SCRIPT, len(keys), *keys, *arguments))  # type: ignore[no-untyped-call]
    except RedisError as error:
        log.warning("rate_limits_open", error=str(error))
        return
    if wait:
        raise TooManyRequests(f"Too many requests. Try again in {wait} seconds.", retry_after=wait)


def caller_limits(*, caller: str, rate_class: str, kind: str) -> list[Limit]:
    """Every limit of one call: its kind a minute, the caller's class an hour, bulk work an hour besides."""
    minute, hour = settings.RATE_LIMITS_PER_MINUTE, settings.RATE_LIMITS_PER_HOUR
    limits = [
        Limit(key=f"{caller}:m:{kind}", calls=minute[kind], seconds=60),
        Limit(key=f"{caller}:h", calls=hour[rate_class], seconds=3600),
    ]
    if kind == "bulk":
        limits.append(Limit(key=f"{caller}:h:bulk", calls=hour["bulk"], seconds=3600))
    return limits
