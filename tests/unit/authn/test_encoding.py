"""JSON is bounded before it is parsed, and bounding it costs no more than its length."""

from __future__ import annotations

import time

import pytest

from authz.authn.encoding import EncodingError, read_json_object

DEEP = b"[" * 17


@pytest.mark.parametrize(
    "raw",
    [
        DEEP + b'"' + b'\\"' * 250_000,
        DEEP + b'"' + b'\\"' * 250_000 + b"\\",
        b'{"a":' + b'"' + b"[" * 500_000,
        b'{"a": "' + b"[\\\\" * 200_000,
        b'"' * 500_001 + DEEP,
    ],
    ids=["escaped quotes", "a last backslash", "brackets in a string", "escapes", "quotes"],
)
def test_strings_without_an_end_are_refused_in_linear_time(raw: bytes) -> None:
    """A client's few octets, before any signature is looked at, and an issuer's megabyte."""
    began = time.process_time()

    with pytest.raises(EncodingError):
        read_json_object(raw)
    assert time.process_time() - began < 2.0


def test_brackets_in_strings_are_no_depth() -> None:
    """Also behind escaped quotes and backslashes, where a string seems to end."""
    text = b'{"a": "[[[[[[[[[[[[[[[[[[\\"[[[[\\\\", "b": "\\\\\\"[[[["}'

    assert set(read_json_object(text)) == {"a", "b"}


@pytest.mark.parametrize("before", [b"", b'"\\"",', b'"\\\\",', b'"[",'])
def test_depth_is_counted_beside_strings(before: bytes) -> None:
    """What stands between strings counts, whatever they hold."""
    with pytest.raises(EncodingError, match="nested"):
        read_json_object(b'{"a": [' + before + b"[" * 15 + b"]" * 15 + b"]}")
