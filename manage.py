#!/usr/bin/env python3
"""Django's command line. Schema commands run as the database owner, everything else as the runtime login."""

import os
import sys

# Migrations create tables, policies and triggers; the runtime login may not. See docs/architecture.md, "Tenancy".
OWNER_COMMANDS = {"migrate", "sqlmigrate", "showmigrations", "createcachetable"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
    if len(sys.argv) > 1 and sys.argv[1] in OWNER_COMMANDS and "DATABASE_OWNER_URL" in os.environ:
        os.environ["DATABASE_URL"] = os.environ["DATABASE_OWNER_URL"]
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
