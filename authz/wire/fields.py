"""The protobuf wire format, as far as an answer needs it: length-delimited fields (tag, length, payload).

Exists because an allow is made for every request, and building it from message objects costs twice as much.
Knows no message; `wire.allow` names the fields. A property test reads every output back with the runtime.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_ONE_BYTE: Final = tuple(bytes((number,)) for number in range(128))
_LENGTH_DELIMITED: Final = 2


def tag(number: int) -> bytes:
    """The tag of a length-delimited field whose number is below 16."""
    if not 0 < number < 16:
        raise ValueError("a one-byte tag holds field numbers 1 to 15")
    return _ONE_BYTE[number << 3 | _LENGTH_DELIMITED]


def varint(number: int) -> bytes:
    """A non-negative number in base 128, least significant group first."""
    if number < 128:
        return _ONE_BYTE[number]
    if number < 128 * 128:
        return (number & 127 | 128 | number >> 7 << 8).to_bytes(2, "little")
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


def field(tag: bytes, payload: bytes) -> bytes:
    """One length-delimited field."""
    return tag + varint(len(payload)) + payload


def framed(make: Callable[[str], bytes]) -> Callable[[str], bytes]:
    """`make` for ASCII texts that are new each time, of a few lengths: what it puts around a text depends on the
    length alone, so that it is made once for each length (16 to 64 characters; others are made anew)."""

    def make_frame(length: int) -> tuple[bytes, ...]:
        filler = _FILLER[:length]
        return tuple(make(filler).split(filler.encode("ascii")))

    frame = lru_cache(maxsize=_FRAMED.stop)(make_frame)

    def fill(text: str) -> bytes:
        length = len(text)
        return text.encode("ascii").join(frame(length)) if length in _FRAMED else make(text)

    return fill


_FRAMED: Final = range(16, 65)
_FILLER: Final = secrets.token_hex(32)
"""Nothing else that is framed holds it: nobody could guess it."""
