"""Ask the connected Facebook pages for leads that never came, now."""

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webhooks.services.reconciliation import connected_pages, reconcile_page


def instant(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError("give a date such as 2026-01-31, or a time in ISO 8601") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Fetch leads of the connected Facebook pages that no delivery brought. Running it again changes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--since", type=instant, help="How far back, at most 90 days; else since the last complete run")

    def handle(self, *args: Any, **options: Any) -> None:
        broken = 0
        for tenant_id, source_id in connected_pages():
            try:
                done = reconcile_page(tenant_id=tenant_id, source_id=source_id, since=options["since"])
            except Exception as error:
                broken += 1
                self.stderr.write(f"tenant {tenant_id}, source {source_id}: {type(error).__name__}: {error}")
                continue
            if done is None:
                continue
            broken += bool(done.trouble)
            self.stdout.write(f"{done.name}: {done.forms} forms, {done.leads} leads, {done.missing} missing. {done.trouble}".strip())
        if broken:
            raise CommandError(f"{broken} of the pages could not be asked for everything.")
