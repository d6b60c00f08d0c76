"""The one Valkey connection pool, with short time-outs: what is stored there may be lost and must never hold up a request."""

from functools import cache

import redis
from django.conf import settings


@cache
def client() -> "redis.Redis[bytes]":
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=1.0, health_check_interval=30)
