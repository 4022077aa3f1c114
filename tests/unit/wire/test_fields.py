"""The protobuf wire format, compared with protobuf's own."""

from __future__ import annotations

import pytest

from authz.wire.fields import field, framed, tag, varint
from authz.wire.pb import check_pb2 as pb


@pytest.mark.parametrize("length", [0, 1, 127, 128, 129, 16383, 16384, 2_097_151, 2_097_152])
def test_a_field_is_written_as_protobuf_writes_it(length: int) -> None:
    """At each border where the length takes one octet more."""
    text = "x" * length
    expected = pb.HeaderValue(value=text).SerializeToString()

    assert (field(tag(2), text.encode()) if text else b"") == expected


def test_a_number_is_written_in_groups_of_seven_bits() -> None:
    """Least significant group first, with the continuation bit."""
    assert varint(300) == b"\xac\x02"


@pytest.mark.parametrize("number", [0, 16, -1])
def test_a_tag_of_more_than_one_octet_is_refused(number: int) -> None:
    """No field of an answer has one."""
    with pytest.raises(ValueError, match="one-byte tag"):
        tag(number)


@pytest.mark.parametrize("length", range(80))
def test_a_frame_is_what_stands_around_any_text_of_its_length(length: int) -> None:
    """Made once for each length, and the same as when it is made anew."""

    def make(text: str) -> bytes:
        return field(tag(1), field(tag(2), b"key") + field(tag(3), text.encode()))

    fill = framed(make)
    for text in ("a" * length, "~" * length, ("0123456789abcdef" * 5)[:length]):
        assert fill(text) == make(text)


def test_a_framed_text_is_ascii() -> None:
    """A longer encoding would make the lengths around it wrong."""
    with pytest.raises(UnicodeEncodeError):
        framed(str.encode)("\u00fc" * 20)
