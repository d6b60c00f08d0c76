"""The live-events process. It serves nothing but `/events/stream`; everything else is the web process's."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
application = get_asgi_application()
