"""Requests that Django cannot begin with: bodies in chunks, which it would read as empty, and broken content types."""

import io
from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.utils.http import parse_header_parameters

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def with_lengths(app: App) -> App:
    """Read a chunked body up to the largest one that is taken, and hand it on with its length. A larger one is 413.

    A content type that names an unknown charset is 400: Django would raise before any middleware could answer.
    """

    def measured(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        try:
            parse_header_parameters(environ.get("CONTENT_TYPE", ""))
        except (LookupError, ValueError):
            start_response("400 Bad Request", [("Content-Type", "text/plain"), ("Connection", "close")])
            return [b"The Content-Type cannot be read.\n"]
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked" and not environ.get("CONTENT_LENGTH"):
            most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
            body = environ["wsgi.input"].read(most + 1)
            if len(body) > most:
                start_response("413 Content Too Large", [("Content-Type", "text/plain"), ("Connection", "close")])
                return [b"The request is too large. Name its length, or send less.\n"]
            environ = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return app(environ, start_response)

    return measured
