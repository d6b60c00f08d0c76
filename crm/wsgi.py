"""The web process: pages, API, admin, webhooks."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
_django = get_wsgi_application()

from crm.rest.chunked import with_lengths  # noqa: E402 -- Django must be set up first
from crm.tenancy.walls import check_login_at_start  # noqa: E402

application = with_lengths(_django)

check_login_at_start()
