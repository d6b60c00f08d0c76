"""Prove the figures of stages against the stays, and the stays against the leads."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from pipeline.models import LeadStage
from pipeline.services.ledger import figures_that_differ, stays_that_differ


class Command(BaseCommand):
    help = "Compare the kept figures of stages with the stays themselves, and these with the leads. Changes nothing."
    requires_migrations_checks = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--tenant", type=int, action="append", help="Of this tenant (may be repeated); else of all")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = 0
        for tenant_id in options["tenant"] or Tenant.objects.values_list("pk", flat=True):
            with tenant_scope(tenant_id):
                lines = [*stays_that_differ(), *figures_that_differ()]
                self.stdout.write(f"tenant {tenant_id}: {LeadStage.objects.count():,} stays, {'ok' if not lines else 'WRONG'}")
            wrong += len(lines)
            for line in lines:
                self.stdout.write(f"  {line}")
        if wrong:
            raise CommandError("The figures are not what the stays say.")
        self.stdout.write(self.style.SUCCESS("All figures are what the stays say."))
