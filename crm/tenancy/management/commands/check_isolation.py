"""Prove on a live install that no tenant sees another's rows."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.tenancy.inspection import Finding, inspect_walls, some_tenants


class Command(BaseCommand):
    help = "Check the runtime login, the policy and keys of every tenant-owned table, and what tenants really see. Changes nothing."
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", type=int, action="append", help="Probe as this tenant (may be repeated); else as a few")
        parser.add_argument("--tenants", type=int, default=3, help="Probe as so many tenants where none is named")

    def handle(self, *args: Any, **options: Any) -> None:
        tenant_ids = options["tenant"] or some_tenants(most=options["tenants"])
        findings = inspect_walls(tenant_ids=tenant_ids)
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            self.stdout.write(f"{finding.subject:<{width}}  {self._verdict(finding)}")
            for problem in finding.problems[1:]:
                self.stdout.write(f"{'':<{width}}  {problem}")
        broken = [finding.subject for finding in findings if finding.problems]
        if broken:
            raise CommandError(f"The wall has holes: {', '.join(broken)}.")
        probed = sum(finding.probed for finding in findings)
        self.stdout.write(self.style.SUCCESS(f"All stands: {probed} tables probed as {len(tenant_ids)} tenants and as nobody."))

    def _verdict(self, finding: Finding) -> str:
        if finding.problems:
            return self.style.ERROR(finding.problems[0])
        return "ok" if finding.probed or finding.subject == "runtime login" else "ok (no policy, by design)"
