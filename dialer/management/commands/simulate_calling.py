"""Rehearse a day of calling with the simulator and check what it left."""

import uuid
from argparse import ArgumentParser
from datetime import UTC, date, datetime, time, timedelta
from time import monotonic
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from dialer.services.rehearsal import Plan, rehearse, told


class Command(BaseCommand):
    help = "Rehearse a day of calling in a tenant of its own, nobody is called, and check every rule against the tables. 0 violations is right."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--day", type=date.fromisoformat, help="which day, YYYY-MM-DD; the day before yesterday")
        parser.add_argument("--entries", type=int, default=1000)
        parser.add_argument("--hours", type=float, default=24)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--reps", type=int, default=4)

    def handle(self, *_: Any, **options: Any) -> None:
        now = timezone.now()
        day = options["day"] or (now - timedelta(days=2)).date()
        begins = datetime.combine(day, time(0), tzinfo=UTC)
        if begins + timedelta(hours=options["hours"] + 1) > now:
            raise CommandError("Choose a day that is over: what happened is written down as of then.")
        plan = Plan(begins=begins, hours=options["hours"], entries=options["entries"], seed=options["seed"], reps=options["reps"])
        started = monotonic()
        run, proof = rehearse(plan, tenant_name=f"rehearsal-{uuid.uuid4().hex[:8]}")
        for name, value in told(run, proof):
            self.stdout.write(f"{name:<20} {value:>8,}")
        self.stdout.write(f"{'seconds':<20} {monotonic() - started:>8.0f}")
        for title, counted in (("how entries ended", proof.endings), ("what came of calls", proof.results)):
            self.stdout.write(f"\n{title}")
            for name, number in counted.most_common():
                self.stdout.write(f"  {name:<18} {number:>8,}")
        if proof.violations:
            for violation in proof.violations[:50]:
                self.stdout.write(self.style.ERROR(violation))
            raise CommandError(f"{len(proof.violations)} violations.")
