"""Look through a tenant's leads for duplicates, here and now; with `--keys` fill their keys only."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from crm.tenancy.models import Tenant
from crm.tenancy.scope import tenant_scope
from duplicates.services.scanning import ask_for_scan, fill_keys, run_scan, scanned_by


class Command(BaseCommand):
    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("tenant", type=int, help="the tenant's id")
        parser.add_argument("--keys", action="store_true", help="fill the keys by which leads are found alike, and compare nothing")

    def handle(self, *args: Any, tenant: int, keys: bool, **options: Any) -> None:
        if not Tenant.objects.filter(pk=tenant).exists():
            raise CommandError(f"There is no tenant {tenant}.")
        by = scanned_by(tenant)
        if keys:
            self.stdout.write(f"Keys of {fill_keys(tenant_id=tenant, by=by)} leads are filled.")
            return
        with tenant_scope(tenant):
            ask_for_scan(by=by)
        scan = run_scan(tenant_id=tenant, by=by)
        if scan is None:
            raise CommandError("Another worker looks through these leads just now.")
        if scan.error:
            raise CommandError(scan.error)
        self.stdout.write(f"{scan.leads} leads, {scan.candidates} pairs compared, {scan.pairs} similar, {scan.groups} groups.")
