"""Load the demo tenants, once."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from demo.services import load_demo


class Command(BaseCommand):
    help = "Make the demo tenants that are missing. Only in demo mode."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.DEMO:
            raise CommandError("Demo data is loaded only with DEMO=1.")
        made = load_demo()
        self.stdout.write(f"{made} demo tenants made." if made else "The demo tenants are there.")
