"""One handler from exceptions to problems, for every surface."""

from collections.abc import Iterator
from typing import Any

import structlog
from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, OperationalError
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from crm.errors import DomainError, InvalidInput, TooManyRequests, is_out_of_space
from crm.rest.envelope import CrmSurface, Problem

log = structlog.get_logger(__name__)

_CODES = {
    400: "VALIDATION_ERROR",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    406: "NOT_ACCEPTABLE",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    415: "UNSUPPORTED_MEDIA_TYPE",
    429: "RATE_LIMIT_EXCEEDED",
    503: "TEMPORARILY_UNAVAILABLE",
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer a problem in the view's surface. A bug is logged with its trace and answered without internals."""
    request = context["request"]
    problem = problem_of(error)
    if problem.status >= 500:
        log.error("request_failed", path=request.path, exc_info=error)
    surface = getattr(context.get("view"), "surface", CrmSurface)
    response = Response(surface.refuse(problem, request), status=problem.status, headers=problem.headers)
    response.exception = True
    return response


def problem_of(error: Exception) -> Problem:
    match error:
        case InvalidInput():
            return Problem(status=400, code=error.code, message=error.message, fields=error.problems)
        case TooManyRequests():
            headers = {"Retry-After": str(error.retry_after)}
            return Problem(status=429, code=error.code, message=error.message, details=error.details, headers=headers)
        case DomainError():
            fields = {error.field: [error.message]} if error.field else {}
            return Problem(
                status=error.status,
                code=error.code,
                message=error.message,
                fields=fields,
                details=error.details,
                headers=_challenge(error.status),
            )
        case exceptions.ValidationError():
            fields = dict(_flatten(error.detail))
            name, texts = next(iter(fields.items()))
            return Problem(status=400, code="VALIDATION_ERROR", message=f"{name}: {texts[0]}" if name else texts[0], fields=fields)
        case DjangoValidationError():
            fields = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
            return Problem(status=400, code="VALIDATION_ERROR", message=error.messages[0], fields=fields)
        case exceptions.APIException():
            return _of_framework(error)
        case Http404():
            return Problem(status=404, code="NOT_FOUND", message="Not found.")
        case PermissionDenied():
            return Problem(status=403, code="FORBIDDEN", message="You do not have permission to do this.")
        case RequestDataTooBig() | TooManyFieldsSent():
            return Problem(status=413, code="PAYLOAD_TOO_LARGE", message="The request is too large. Send less at once, or import a file.")
        case DataError():
            return Problem(status=400, code="VALIDATION_ERROR", message="A value is out of range.")
        case OperationalError():
            return Problem(
                status=503, code="TEMPORARILY_UNAVAILABLE", message="The database is busy. Please try again.", headers={"Retry-After": "5"}
            )
        case OSError() if is_out_of_space(error):
            message = "There is no room to store this just now. Nothing was kept; please try again later."
            return Problem(status=507, code="INSUFFICIENT_STORAGE", message=message, headers={"Retry-After": "60"})
    return Problem(status=500, code="INTERNAL_ERROR", message="Something went wrong on our side.")


def _of_framework(error: exceptions.APIException) -> Problem:
    status = 401 if isinstance(error, exceptions.NotAuthenticated | exceptions.AuthenticationFailed) else error.status_code
    return Problem(status=status, code=_CODES.get(status, "ERROR"), message=str(error.detail), headers=_challenge(status))


def _challenge(status: int) -> dict[str, str]:
    return {"WWW-Authenticate": "Bearer"} if status == 401 else {}


def _flatten(detail: Any, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Turn DRF's nested error structure into dotted field names with their messages."""
    if isinstance(detail, dict):
        for key, value in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from _flatten(value, ".".join(part for part in (prefix, name) if part))
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        for position, item in enumerate(detail):
            if item:
                yield from _flatten(item, f"{prefix}.{position}" if prefix else str(position))
    else:
        yield prefix, [str(text) for text in (detail if isinstance(detail, list) else [detail])]
