"""The live-events process: `/events/stream` and its health. Everything else is the web process's."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
_django = get_asgi_application()

from django.contrib.sessions.backends.db import SessionStore  # noqa: E402 -- Django first
from django.utils import timezone  # noqa: E402

from crm.events.stream import PATH, Receive, Send, serve  # noqa: E402
from crm.identity.middleware import SESSION_KEY  # noqa: E402
from crm.identity.models import AuthSession  # noqa: E402


def _who(key: str) -> tuple[int, int] | None:
    """The user and tenant of a browser session that is signed in."""
    session_id = SessionStore(key).get(SESSION_KEY)
    if not isinstance(session_id, int):
        return None
    # Not `session_of`: a page that is merely open is not a sign of its reader.
    live = AuthSession.objects.filter(pk=session_id, ended_at=None, expires_at__gt=timezone.now(), user__is_active=True)
    return live.values_list("user_id", "tenant_id").first()


async def application(scope: Any, receive: Receive, send: Send) -> None:
    """Streams beside Django's own handler, which would keep a thread for each as long as it is open."""
    if scope["type"] == "http" and scope["path"].rstrip("/") == PATH:
        await serve(scope, receive, send, who=_who)
    else:
        await _django(scope, receive, send)  # type: ignore[arg-type]
