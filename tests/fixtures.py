"""The cast and the doors. Alice owns, Bob is her colleague, Mallory is next door and must see nothing."""

from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any

import orjson
import pytest
from django.conf import settings as django_settings
from django.contrib.sessions.backends.db import SessionStore
from django.test import Client

from crm.identity.enums import SessionKind
from crm.identity.middleware import SESSION_KEY
from crm.identity.models import User
from crm.identity.tokens import issue_access
from crm.tenancy.models import Tenant
from tests.factories import make_session, make_tenant, make_user


class ApiClient(Client):
    """Speaks JSON, signed in by a token."""

    def __init__(self, user: User | None = None, **defaults: Any) -> None:
        super().__init__(**defaults)
        self.raise_request_exception = True
        if user is not None:
            self.defaults["HTTP_AUTHORIZATION"] = f"Bearer {issue_access(user, make_session(user))}"

    def send(self, method: str, path: str, body: Any = None, **extra: Any) -> Any:
        """Send a body as JSON."""
        content = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        return self.generic(method, path, content, content_type="application/json", **extra)

    def post(self, path: str, data: Any = None, **extra: Any) -> Any:
        if "content_type" in extra:
            return super().post(path, data, **extra)
        return self.send("POST", path, {} if data is None else data, **extra)

    def put(self, path: str, data: Any = None, **extra: Any) -> Any:
        return self.send("PUT", path, {} if data is None else data, **extra)

    def patch(self, path: str, data: Any = None, **extra: Any) -> Any:
        return self.send("PATCH", path, {} if data is None else data, **extra)


def page_client(user: User | None = None, **defaults: Any) -> Client:
    """A browser, signed in to the pages."""
    client = Client(**defaults)
    if user is not None:
        store = SessionStore()
        store[SESSION_KEY] = make_session(user, kind=SessionKind.PAGE).pk
        store.save()
        client.cookies = SimpleCookie({django_settings.SESSION_COOKIE_NAME: store.session_key})
    return client


@pytest.fixture(autouse=True)
def _no_rate_limits(settings: Any, request: pytest.FixtureRequest) -> None:
    """Many tests call from one address. Those of the limits themselves ask for `rate_limits`."""
    settings.RATE_LIMITS_ON = "rate_limits" in request.fixturenames


@pytest.fixture
def rate_limits(_no_rate_limits: None) -> None:
    """Limits count in this test."""


@pytest.fixture
def tenant(db: None) -> Tenant:
    return make_tenant("home")


@pytest.fixture
def alice(tenant: Tenant) -> User:
    """A manager."""
    return make_user(tenant, role="manager", first_name="Alice", last_name="Archer")


@pytest.fixture
def bob(tenant: Tenant) -> User:
    """A sales rep."""
    return make_user(tenant, role="sales_rep", first_name="Bob", last_name="Baker")


@pytest.fixture
def admin(tenant: Tenant) -> User:
    return make_user(tenant, role="admin", first_name="Ada", last_name="Adams")


@pytest.fixture
def next_door(db: None) -> Tenant:
    return make_tenant("next-door")


@pytest.fixture
def mallory(next_door: Tenant) -> User:
    """The admin of another tenant."""
    return make_user(next_door, role="admin", first_name="Mallory", last_name="Moss")


@pytest.fixture
def api() -> Callable[..., ApiClient]:
    """`api(user)` is a client of the API signed in as the user; `api()` is nobody."""
    return ApiClient


@pytest.fixture
def pages() -> Callable[..., Client]:
    """`pages(user)` is a browser of the test client signed in as the user; `pages()` is nobody. (`page` is the real browser's.)"""
    return page_client
