"""A real server on the loopback with this process's own database, and a real browser before it."""

from dataclasses import dataclass, field

import pytest
from django.conf import settings
from playwright.sync_api import ConsoleMessage, Page, Route

from crm.identity.models import User
from tests.fixtures import page_client

# What a browser says by itself about a refusal that the test provoked, or about a stream that is not served here.
_EXPECTED = ("the server responded with a status of 4", "events/stream")


@dataclass
class Site:
    """The product as somebody at a browser sees it. `complaints` holds whatever the console said."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def sign_in(self, user: User) -> None:
        session = page_client(user).cookies[settings.SESSION_COOKIE_NAME].value
        self.page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": self.url}])

    def listen(self) -> None:
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        # Live events have a server of their own, which is not up; pages poll instead.
        self.page.route("**/events/stream", _no_stream)

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(part in message.text for part in _EXPECTED):
            self.complaints.append(f"{self.page.url}: {message.text}")


def _no_stream(route: Route) -> None:
    route.fulfill(status=204)


@pytest.fixture
def site(committed_db, live_server, page: Page) -> Site:
    found = Site(page=page, url=live_server.url)
    page.set_default_timeout(15_000)
    found.listen()
    return found
