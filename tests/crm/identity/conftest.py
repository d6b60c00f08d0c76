"""What sign-in remembers of unknown addresses lies in Valkey, which no roll-back reaches."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache


@pytest.fixture(autouse=True)
def _forgetful() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()
