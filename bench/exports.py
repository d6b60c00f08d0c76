"""The case of exports: a hundred thousand leads in every format, in a process of its own as a web worker is one."""

import json
import os
import resource
import subprocess
import sys
import time
from typing import Any

EXPORTED, BEGUN = 100_000, 1_000


def exports(bench: Any) -> dict[str, Any]:
    """Rows a second and the most memory, over those of the process when it has exported a few."""
    print(f"export of {EXPORTED:,} leads, all default columns (to reach: constant memory)")
    results = {}
    for name, options in (("csv", []), ("csv with activities", ["activities"]), ("json", []), ("xlsx", [])):
        command = [sys.executable, "-m", "bench.exports", str(bench.tenant_id), name.split()[0], *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        told = json.loads(done.stdout.splitlines()[-1])
        results[name] = told
        print(
            f"  {name:<20} {told['rate']:>8,.0f} rows a second, {told['bytes'] / 1e6:,.0f} MB, first byte after {told['first'] * 1000:,.0f} ms,"
            f" {told['memory_mb']:,.0f} MB at most, {told['memory_mb'] - told['begun_mb']:,.0f} MB more than for {BEGUN:,}",
            flush=True,
        )
    return results


def measure(tenant_id: int, kind: str, *, activities: bool) -> dict[str, Any]:
    """Export in this process: a few leads, then all of them."""
    from crm.actors import Actor, Door
    from crm.tenancy.scope import tenant_scope
    from leads.services.exports import LeadExport, checked_export, stream_export

    by = Actor.system(tenant_id=tenant_id, door=Door.COMMAND)
    told: dict[str, Any] = {}
    for number in (BEGUN, EXPORTED):
        started = time.perf_counter()
        with tenant_scope(tenant_id, by=by):
            export = checked_export(export=LeadExport(format=kind, filters={}, activities=activities, most=number), by=by)
            download = stream_export(export=export, by=by)
        told["bytes"], told["first"] = 0, 0.0
        for piece in download.content:
            told["first"] = told["first"] or time.perf_counter() - started
            told["bytes"] += len(piece)
        told["rate"] = number / (time.perf_counter() - started)
        told["memory_mb" if number == EXPORTED else "begun_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return told


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    os.environ["DATABASE_POOL"] = "0"
    import django

    django.setup()
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2], activities="activities" in sys.argv[3:])))
