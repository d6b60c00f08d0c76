"""How often a provider is asked, and how long it is left alone when it fails. Kept in Valkey, so that all processes know.

Both fail open: with the store away, providers are asked without a limit and the log says so.
"""

import time
from dataclasses import dataclass

import structlog
from redis.exceptions import RedisError

from crm.events.valkey import client

log = structlog.get_logger(__name__)
# Failures in a row after which a provider rests, and for how many seconds.
FAILURES, REST_SECONDS = 5, 60
_BURST = 10

# A bucket that fills evenly. Answers the milliseconds until there is a call; none is taken then.
_TAKE = """
local now = redis.call('TIME')
local ms = now[1] * 1000 + math.floor(now[2] / 1000)
local capacity, per_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
local state = redis.call('HMGET', KEYS[1], 'left', 'at')
local left = tonumber(state[1]) or capacity
left = math.min(capacity, left + (ms - (tonumber(state[2]) or ms)) * per_ms)
local wait = 0
if left >= 1 then left = left - 1 else wait = math.ceil((1 - left) / per_ms) end
redis.call('HSET', KEYS[1], 'left', tostring(left), 'at', ms)
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / per_ms) + 60000)
return wait
"""
# One failure more. From the last allowed one on the provider rests; after its rest one more failure is enough.
_FAIL = """
local failures = redis.call('INCR', KEYS[1])
redis.call('EXPIRE', KEYS[1], ARGV[2] * 10)
if failures >= tonumber(ARGV[1]) then
  redis.call('SET', KEYS[2], 1, 'EX', ARGV[2])
  redis.call('SET', KEYS[1], ARGV[1] - 1, 'EX', ARGV[2] * 10)
end
return failures
"""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """The way to one provider of one tenant."""

    tenant_id: int
    provider_id: int
    per_minute: int

    @property
    def _key(self) -> str:
        return f"enrichment:{self.tenant_id}:{self.provider_id}"

    def pass_through(self, *, until: float) -> bool:
        """Take one call of the limit, waiting for it where need be; False when none comes free before `until` (monotonic)."""
        if not self.per_minute:
            return True
        while True:
            try:
                wait = int(client().eval(_TAKE, 1, f"{self._key}:bucket", min(_BURST, self.per_minute), self.per_minute / 60_000)) / 1000  # type: ignore[no-untyped-call]
            except RedisError as error:
                log.warning("enrichment_limits_open", error=str(error))
                return True
            if not wait:
                return True
            if time.monotonic() + wait > until:
                return False
            time.sleep(wait)

    def is_resting(self) -> bool:
        try:
            return bool(client().exists(f"{self._key}:resting"))
        except RedisError:
            return False

    def note(self, *, well: bool) -> None:
        """A question was answered, or the other side failed."""
        try:
            if well:
                client().delete(f"{self._key}:failures")
            else:
                client().eval(_FAIL, 2, f"{self._key}:failures", f"{self._key}:resting", FAILURES, REST_SECONDS)  # type: ignore[no-untyped-call]
        except RedisError as error:
            log.warning("enrichment_limits_open", error=str(error))
