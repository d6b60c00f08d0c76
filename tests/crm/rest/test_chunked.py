"""Bodies without a length."""

import io

import pytest

from crm.rest.chunked import with_lengths


def call(body: bytes, **environ: str):
    seen = {}

    def app(environ, start_response):
        seen.update(environ, body=environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))
        start_response("200 OK", [])
        return [b""]

    statuses: list[str] = []
    list(with_lengths(app)({"wsgi.input": io.BytesIO(body), **environ}, lambda status, headers: statuses.append(status)))
    return statuses[0], seen


@pytest.mark.parametrize("word", ["chunked", "Chunked"])
def test_chunked_body_is_handed_on_with_its_length(word):
    status, seen = call(b'{"a": 1}', HTTP_TRANSFER_ENCODING=word)
    assert (status, seen["CONTENT_LENGTH"], seen["body"]) == ("200 OK", "8", b'{"a": 1}')


def test_chunked_body_that_is_too_large_is_413(settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 100
    assert call(b"x" * 100, HTTP_TRANSFER_ENCODING="chunked")[0] == "200 OK"
    status, seen = call(b"x" * 101, HTTP_TRANSFER_ENCODING="chunked")
    assert (status.split()[0], seen) == ("413", {})


def test_body_with_a_length_is_left_alone():
    status, seen = call(b"xyz", CONTENT_LENGTH="2")
    assert (status, seen["body"]) == ("200 OK", b"xy")


def test_a_content_type_that_cannot_be_read_is_refused():
    statuses = []
    list(with_lengths(lambda *_: [])({"CONTENT_TYPE": "text/plain; boundary*=é''x"}, lambda status, headers: statuses.append(status)))
    assert statuses == ["400 Bad Request"]
