"""The web process: pages, API, admin, webhooks."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
application = get_wsgi_application()

from crm.tenancy.walls import check_login_at_start  # noqa: E402 -- Django must be set up first

check_login_at_start()
