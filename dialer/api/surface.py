"""Document 2's surface: bare objects; refusals are `{detail}`, and 422 lists what is wrong by its place in the request."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from uuid import UUID

from django.db import DataError
from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from crm.errors import DomainError, InvalidInput
from crm.rest.envelope import Problem
from crm.rest.errors import exception_handler
from crm.rest.serializers import InputSerializer, snake
from crm.rest.views import ApiView
from dialer.selectors.queues import require_sight

Place = tuple[str | int, ...]
MOST_A_PAGE = 100


class Unprocessable(DomainError):
    """422: the parts of the request that cannot be read, each with its place, a sentence and a kind."""

    code = "VALIDATION_ERROR"
    status = 422

    def __init__(self, faults: list[tuple[Place, str, str]]) -> None:
        super().__init__(faults[0][1])
        self.details = {"faults": [{"loc": list(place), "msg": text, "type": kind} for place, text, kind in faults]}


class DialerSurface:
    """How document 2 shapes a refusal."""

    @staticmethod
    def refuse(problem: Problem, request: HttpRequest) -> dict[str, Any]:
        return {"detail": problem.details.get("faults", problem.message) if problem.status == 422 else problem.message}


def answer_refusal(error: Exception, context: dict[str, Any]) -> Response:
    return exception_handler(_in_its_place(error), context)


def _in_its_place(error: Exception) -> Exception:
    """What the other surfaces answer as 400 with fields is 422 here."""
    match error:
        case InvalidInput():
            return Unprocessable(
                [(_place_of(name), text, "value_error") for name, texts in error.problems.items() for text in texts or ["Not valid."]]
            )
        case ParseError():
            return Unprocessable([(("body",), str(error.detail), "json_invalid")])
        case ValidationError():
            return Unprocessable(list(_faults(error.detail, ("body",))))
        case DataError():
            return Unprocessable([(("body",), "A value is out of range.", "value_error")])
    return error


def _place_of(name: str) -> Place:
    if name.startswith("X-"):
        return ("header", name)
    return ("body", *(int(part) if part.isdigit() else part for part in name.split(".") if part))


def _faults(detail: Any, place: Place) -> Iterator[tuple[Place, str, str]]:
    if isinstance(detail, dict):
        for key, value in detail.items():
            part = () if key == "non_field_errors" else (int(key) if isinstance(key, str) and key.isdigit() else key,)
            yield from _faults(value, (*place, *part))
    elif isinstance(detail, list) and any(isinstance(item, dict | list) for item in detail):
        for number, item in enumerate(detail):
            if item:
                yield from _faults(item, (*place, number))
    else:
        for text in detail if isinstance(detail, list) else [detail]:
            missing = isinstance(text, ErrorDetail) and text.code == "required"
            yield place, "Field required" if missing else str(text), "missing" if missing else "value_error"


def read_body(kind: type[InputSerializer], data: Any, *, partial: bool = False) -> dict[str, Any]:
    """The body's known keys as plain values; unknown ones are passed over. Raises Unprocessable."""
    if hasattr(data, "dict"):
        data = data.dict()
    if not isinstance(data, Mapping):
        raise Unprocessable([(("body",), "The body must be a JSON object.", "value_error")])
    return _read(kind, data, "body", partial=partial)


def read_query(kind: type[InputSerializer], request: Request) -> dict[str, Any]:
    """The query's known parameters; an empty one counts as not given. Raises Unprocessable."""
    given = {name: value for name, value in request.query_params.dict().items() if value.strip()}
    return _read(kind, given, "query")


def _read(kind: type[InputSerializer], data: Mapping[str, Any], where: str, *, partial: bool = False) -> dict[str, Any]:
    serializer = kind(data=data, partial=partial)
    try:
        serializer.is_valid(raise_exception=True)
    except ValidationError as error:
        # The place is named as the sender wrote it.
        written = {snake(name): name for name in data if isinstance(name, str)}
        detail: Any = error.detail
        named = {written.get(key, key): value for key, value in detail.items()} if isinstance(detail, dict) else detail
        raise Unprocessable(list(_faults(named, (where,)))) from None
    return dict(serializer.validated_data)


def read_uuid(text: str, *, name: str) -> UUID:
    """An id of the path. Raises Unprocessable for what is none."""
    try:
        return UUID(text)
    except ValueError:
        raise Unprocessable([(("path", name), "Must be a valid UUID", "uuid_parsing")]) from None


class PageQuery(InputSerializer):
    page = serializers.IntegerField(default=1, min_value=1, max_value=10**9)
    per_page = serializers.IntegerField(default=10, min_value=1, max_value=MOST_A_PAGE)


class DialerView(ApiView):
    """Base of the surface's views. Who may neither call, coach nor manage is refused before anything is looked up."""

    surface: ClassVar[type] = DialerSurface

    def get_exception_handler(self) -> Any:
        return answer_refusal

    def run(self, handler: Any, request: Request, *args: Any, **kwargs: Any) -> Any:
        def seeing(*given: Any, **named: Any) -> Any:
            if handler != self.http_method_not_allowed:
                require_sight(by=self.actor)
            return handler(*given, **named)

        return super().run(seeing, request, *args, **kwargs)
