"""Error answers, in the shape of the door that was used."""

import sys
from typing import Any

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

from crm.errors import is_out_of_space
from crm.rest.envelope import Problem, surface_at

_TEXTS = {
    400: ("VALIDATION_ERROR", "The request could not be read."),
    403: ("FORBIDDEN", "You do not have permission to do this."),
    404: ("NOT_FOUND", "Not found."),
    500: ("INTERNAL_ERROR", "Something went wrong on our side."),
    503: ("TEMPORARILY_UNAVAILABLE", "The database is busy. Please try again."),
    507: ("INSUFFICIENT_STORAGE", "There is no room to store this just now. Nothing was kept; please try again later."),
}


def _answer(request: HttpRequest, status: int) -> HttpResponse:
    if request.path.startswith(("/api/", "/v1/")):
        code, message = _TEXTS[status]
        problem = Problem(status=status, code=code, message=message)
        return JsonResponse(surface_at(request.path).refuse(problem, request), status=status)
    return render(request, f"errors/{status}.html", status=status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 400)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 403)


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return _answer(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    # Django hands no exception over, but calls this while handling it. A database that is away is no bug and passes, as a full disk does.
    error = sys.exc_info()[1]
    status, pause = (503, "5") if isinstance(error, OperationalError) else (507, "60") if is_out_of_space(error) else (500, "")
    answer = _answer(request, status)
    if pause:
        answer["Retry-After"] = pause
    return answer


def csrf_failure(request: HttpRequest, reason: str = "", **_: Any) -> HttpResponse:
    return render(request, "errors/csrf.html", status=403)
