"""JSON bodies, strictly."""

from typing import Any

import orjson
from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

# Deeper bodies could be read and stored but never answered again: the writer of JSON stops at 254 levels.
DEEPEST = 64


class JSONParser(BaseParser):
    """Refuses what is not JSON with 400, saying where, and what is too large with 413. An empty body is an empty object."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body = stream.read(most + 1)
        if len(body) > most:
            raise RequestDataTooBig("The body is too large.")
        if not body.strip():
            return {}
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is not valid JSON: {error}") from None
        if _deeper_than(DEEPEST, data):
            raise ParseError(f"The body is nested more than {DEEPEST} levels deep.")
        return data


def _deeper_than(levels: int, data: Any) -> bool:
    """Walk level by level: recursion would meet the interpreter's own limit on the very bodies that are looked for."""
    level = [data] if isinstance(data, dict | list) else []
    for _ in range(levels):
        level = [
            item for value in level for item in (value.values() if isinstance(value, dict) else value) if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
