"""Prove the ledgers of calls, and make them anew where asked."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from dialer.services.counts import recount, wrong_counts


class Command(BaseCommand):
    help = "Compare every tenant's call counts with the calls themselves."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--mend", action="store_true", help="count anew where they differ")

    def handle(self, *, mend: bool, **options: Any) -> None:
        wrong = 0
        for tenant in Tenant.objects.order_by("pk"):
            with tenant_scope(tenant.pk):
                cells = wrong_counts()
                if cells and mend:
                    recount()
                    self.stdout.write(f"{tenant}: {cells} cells were wrong; counted anew")
                elif cells:
                    wrong += cells
                    self.stdout.write(f"{tenant}: {cells} cells are wrong")
        if wrong:
            raise CommandError("The counts are wrong. Run again with --mend.")
        self.stdout.write("The counts are right.")
