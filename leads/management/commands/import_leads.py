"""Import a file of leads (CSV or XLSX) from the command line, by the same engine as the page."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.files import File
from django.core.management.base import BaseCommand, CommandError

from crm.actors import Door
from crm.errors import DomainError
from crm.identity.models import User
from crm.identity.selectors import actor_for
from crm.operations import runner
from crm.operations.models import Operation
from crm.tenancy.scope import tenant_scope
from leads.services.import_rows import ImportOptions
from leads.services.imports import start_import
from leads.services.upsert import MatchBy, OnDuplicate


class Command(BaseCommand):
    help = "Import leads from a CSV or XLSX file, as the user with the given e-mail."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--user", required=True, help="E-mail of the user who imports; the leads go to their tenant")
        parser.add_argument("--on-duplicate", choices=OnDuplicate, default=OnDuplicate.SKIP, type=OnDuplicate)
        parser.add_argument("--match-by", choices=MatchBy, default=MatchBy.ANY, type=MatchBy, help="What makes a lead the same")
        parser.add_argument("--source", default="", help="Lead source where the file names none")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.identities.select_related("tenant").filter(email__iexact=options["user"], is_active=True).first()
        if user is None:
            raise CommandError(f"No active user has the e-mail {options['user']}.")
        try:
            with options["file"].open("rb") as file, tenant_scope(user.tenant_id):
                operation = start_import(
                    file=File(file, name=options["file"].name),
                    options=ImportOptions(
                        on_duplicate=options["on_duplicate"], match_by=options["match_by"], lead_source=options["source"]
                    ),
                    by=actor_for(user, door=Door.COMMAND),
                )
        except (DomainError, OSError) as refusal:
            raise CommandError(str(refusal)) from None
        runner.run(operation.pk)
        with tenant_scope(user.tenant_id):
            done = Operation.objects.get(pk=operation.pk)
        self.stdout.write(
            f"{done.state}: {done.done} rows, {done.created} created, {done.updated} updated, {done.skipped} skipped, {done.failed} failed, {done.rate} rows a second"
        )
        if done.error:
            raise CommandError(done.error)
