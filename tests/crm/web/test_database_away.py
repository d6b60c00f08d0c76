"""Pages while the database is away: said as such, with an invitation to try again."""

import pytest
from django.db import OperationalError
from django.test import Client

from crm.identity import middleware


@pytest.mark.parametrize(("error", "status"), [(OperationalError("the connection is closed"), 503), (RuntimeError("bug"), 500)])
def test_page_without_its_database_is_503_and_a_bug_stays_500(monkeypatch, error, status):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(middleware.SignInMiddleware, "_user", staticmethod(fail))
    answer = Client(raise_request_exception=False).get("/")
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("5" if status == 503 else None)
    assert b"<h1" in answer.content
