"""How gunicorn serves pages and API (threads) and, with `--worker-class asgi`, live events."""

import os
from pathlib import Path

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from crm.observability.logging import logging_config

worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 60
graceful_timeout = 15
keepalive = 5
# The most it reads: a list with nested conditions has a long address.
limit_request_line = 8190
# Leaks in long-lived processes end here; the jitter keeps the workers from restarting together.
max_requests = 20_000
max_requests_jitter = 4_000
# Never before the fork: a database pool opened there would be shared by all workers.
preload_app = False
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- heartbeats belong in memory
control_socket_disable = True

# Path only: a query may hold a person's name, address or a token.
access_log_format = "%(m)s %(U)s %(s)s %(B)sB %(M)sms"
logconfig_dict = logging_config(
    fmt=os.environ.get("LOG_FORMAT") or ("console" if os.environ.get("DEMO") == "1" else "json"),
    level=os.environ.get("LOG_LEVEL") or "INFO",
)


def on_starting(server: Arbiter) -> None:
    """Empty the folder through which the workers add up their metrics."""
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        for leftover in Path(folder).glob("*.db"):
            leftover.unlink()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """Drop the gauges of a worker that is gone; its counters stay."""
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(worker.pid)
