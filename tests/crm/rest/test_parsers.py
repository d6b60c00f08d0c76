"""How deep a JSON body may be."""

import io

import orjson
import pytest
from rest_framework.exceptions import ParseError

from crm.rest.parsers import DEEPEST, JSONParser


def parse(body: bytes) -> object:
    return JSONParser().parse(io.BytesIO(body))


@pytest.mark.parametrize(("left", "right", "times"), [(b"[", b"]", DEEPEST), (b'{"a":[', b"]}", DEEPEST // 2)])
def test_bodies_are_read_down_to_the_deepest_level_and_no_further(left, right, times):
    assert parse(left * times + right * times) is not None
    with pytest.raises(ParseError, match="levels deep"):
        parse(left * (times + 1) + right * (times + 1))


@pytest.mark.parametrize("value", [None, 1, "x", True, [], {}, {"a": [1, {"b": None}]}])
def test_shallow_bodies_are_read_as_they_are(value):
    assert parse(orjson.dumps(value)) == value


def test_empty_body_is_an_empty_object():
    assert parse(b"  ") == {}
