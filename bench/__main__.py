"""Run the benchmarks: `make bench`, or `python -m bench [name ...] [--leads N]`."""

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
os.environ.setdefault("DEMO", "1")
os.environ["DATABASE_POOL"] = "0"

import django

django.setup()

from bench import activities, assignments, bulk, cases, dialer, dialer_engine, exports, matching, pipeline, streams  # noqa: E402 -- Django first
from bench.data import BIG, build  # noqa: E402
from leads.services.counts import compact_counts, flush_search  # noqa: E402

CASES = {
    case.__name__: case
    for case in (
        cases.lists,
        cases.totals,
        cases.search,
        cases.create,
        cases.pages,
        bulk.webhook,
        bulk.undo,
        bulk.imports,
        exports.exports,
        matching.duplicates,
        pipeline.stages,
        activities.activities,
        assignments.assignments,
        dialer_engine.dialing,
        dialer_engine.night,
        streams.streams,
        dialer.calls,
        dialer.dialerimport,
    )
}

RESULTS = Path("var/bench/results.json")


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The production web server as `make run` starts it, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_POOL": "1", "RATE_LIMITS": "off", "LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "gunicorn", "crm.wsgi", "-k", "gthread", "--workers", "2", "--threads", "4", "-b", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--log-level", "error", "--keep-alive", "75", "--limit-request-line", "8190"], env=environment)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
                break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which of {', '.join(CASES)}; all when none is named")
    parser.add_argument("--leads", type=int, default=BIG)
    options = parser.parse_args()
    subprocess.run([sys.executable, "manage.py", "migrate", "--verbosity", "0"], check=True)
    tenant_id, written_id = build(leads=options.leads)
    # What beat does every minute, and earlier runs without it have left.
    compact_counts()
    flush_search()
    results = {}
    with server() as port:
        bench = cases.Bench(port=port, tenant_id=tenant_id, written_id=written_id)
        for name in options.names or CASES:
            results[name] = CASES[name](bench)
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
