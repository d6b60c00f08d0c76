"""Inputs of the API: snake_case and camelCase for the same key, fields listed, nothing saved."""

import re
from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from crm.words import word_key

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake(name: str) -> str:
    return _HUMP.sub(lambda match: f"_{match[1].lower()}", name)


class InputSerializer(serializers.Serializer[Any]):
    """Base of request bodies and queries. A key in either notation is read; free maps inside keep their keys."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            known = self.fields
            data = {(name if name in known else snake(name)): data[name] for name in data if isinstance(name, str)}
        return super().to_internal_value(data)


def read(kind: type[InputSerializer], data: Any, *, partial: bool = False, context: dict[str, Any] | None = None) -> dict[str, Any]:
    """Validate into plain values, or raise the framework's ValidationError, which the handler answers as 400 by field."""
    if hasattr(data, "dict"):
        data = data.dict()
    if not isinstance(data, Mapping):
        raise serializers.ValidationError({"non_field_errors": ["The body must be a JSON object."]})
    serializer = kind(data=data, partial=partial, context=context or {})
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)


class WordChoiceField(serializers.ChoiceField):
    """A choice taken whatever its case, and with space, `-` or `_` between words (decisions, "Ids, people, vocabularies")."""

    def __init__(self, choices: Any, *, synonyms: Mapping[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(choices, **kwargs)
        self._by_word = {word_key(str(value)): value for value in self.choices}
        self._by_word.update({word_key(str(label)): value for value, label in self.choices.items()})
        self._by_word.update({word_key(word): value for word, value in (synonyms or {}).items()})

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and word_key(data) in self._by_word:
            return self._by_word[word_key(data)]
        return super().to_internal_value(data)
