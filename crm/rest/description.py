"""Describe answers for the API's OpenAPI file: named objects and the envelope around them. Nothing here runs on a request."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse
from rest_framework import serializers

_components: dict[str, type[serializers.Serializer[Any]]] = {}


def component(name: str, fields: dict[str, Any], **options: Any) -> serializers.Serializer[Any]:
    """A named object of the API's description, made once."""
    if name not in _components:
        _components[name] = type(name, (serializers.Serializer,), dict(fields))
    return _components[name](**options)


def described(name: str, data: dict[str, Any] | None = None, *, many: bool = False, message: bool = False) -> Any:
    """The envelope around `data`, which maps names to serializer fields, for the API's description."""
    fields: dict[str, Any] = {"success": serializers.BooleanField()}
    if data is not None:
        fields["data"] = component(name, data, many=many)
    if message:
        fields["message"] = serializers.CharField()
    fields["meta"] = component(
        "Meta", {"timestamp": serializers.DateTimeField(), "version": serializers.CharField(), "requestId": serializers.CharField()}
    )
    return OpenApiResponse(component(f"{name}{'List' if many else ''}Answer", fields))
