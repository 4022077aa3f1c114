"""Strict readers for the two encodings of JOSE: base64url (RFC 7515 §2) and JSON (RFC 8259, RFC 7493 §2).

Owns: exactly one reading for each octet string, bounded before it is parsed. Must not: repair, skip or guess.
Python's own readers are more lenient in each of the ways refused here. Errors never hold the input.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from typing import Any, Final

MAX_JSON_DEPTH: Final = 16
"""Objects and arrays inside each other (docs/verification.md, "The bearer"); checked before parsing."""
MAX_INTEGER_DIGITS: Final = 40
"""No claim that is a JSON number needs more, and arithmetic with floats stays within their range."""

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TO_STANDARD: Final = bytes.maketrans(b"-_", b"+/")
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}
_CANONICAL_LAST: Final = {0: frozenset(_ALPHABET), 2: frozenset(b"AQgw"), 3: frozenset(b"AEIMQUYcgkosw048")}
"""By length modulo 4, the last characters whose unused bits are zero (RFC 4648 §3.5)."""


class EncodingError(ValueError):
    """The octets aren't in the one form that is read; the message names the rule."""


def decode_base64url(data: bytes) -> bytes:
    """The octets of canonical base64url without padding (RFC 7515 §2, RFC 4648 §5); raises `EncodingError`."""
    if data.translate(None, _ALPHABET):
        raise EncodingError("base64url holds letters, digits, '-' and '_' only (RFC 7515 §2)")
    return decode_segment(data)


def encode_base64url(octets: bytes) -> str:
    """Base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def decode_segment(data: bytes) -> bytes:
    """As `decode_base64url`, for data whose alphabet the caller has checked (one pass over a whole token)."""
    if not data:
        return b""
    rest = len(data) & 3
    if rest == 1 or data[-1] not in _CANONICAL_LAST[rest]:
        raise EncodingError("base64url has no unused bits set and no stray character (RFC 4648 §3.5)")
    return binascii.a2b_base64(data.translate(_TO_STANDARD) + _PADDING[rest])


def outside_alphabet(data: bytes) -> bytes:
    """What of `data` is no base64url character, in order."""
    return data.translate(None, _ALPHABET)


def read_json_object(raw: bytes) -> dict[str, Any]:
    """One JSON object, strictly; raises `EncodingError`.

    Strict UTF-8 without a byte order mark or lone surrogates, no duplicate members, finite numbers of bounded
    length, at most `MAX_JSON_DEPTH` levels.
    """
    if raw.count(b"{") + raw.count(b"[") > MAX_JSON_DEPTH:
        _check_depth(raw)
    try:
        text = raw.decode("utf-8")
        value = _parse(text)
    except EncodingError:
        raise
    except (ValueError, RecursionError):
        raise EncodingError("not strict UTF-8 JSON (RFC 8259)") from None
    if type(value) is not dict:
        raise EncodingError("not a JSON object")
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _parse(text: str) -> object:
    value, end = _decoder.raw_decode(text, _skip_blanks(text, 0))
    if end != len(text) and _skip_blanks(text, end) != len(text):
        raise EncodingError("text after the JSON value (RFC 8259 §2)")
    return value


def _skip_blanks(text: str, index: int) -> int:
    while text[index : index + 1] in _BLANKS:
        index += 1
    return index


_BLANKS: Final = frozenset(" \t\n\r")


def _check_depth(raw: bytes) -> None:
    """Follow the brackets outside strings: up to the first octet that is no JSON this is the parser's
    depth.
    """
    depth = 0
    for octet in _STRING.sub(b"", raw).translate(None, _NO_BRACKET):
        if octet in b"{[":
            depth += 1
            if depth > MAX_JSON_DEPTH:
                raise EncodingError("JSON is nested at most 16 deep")
        else:
            depth -= 1


_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, also one without its end: it matches at each quote and gives nothing back, so that no text takes more time
than its length."""
_NO_BRACKET: Final = bytes(set(range(256)) - set(b"{}[]"))


def _check_surrogates(value: object) -> None:
    """RFC 7493 §2.1: an escaped half of a surrogate pair is no character."""
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise EncodingError("lone surrogate (RFC 7493 §2.1)") from None


_COMMON: Final = {
    name: name
    for name in (
        "iss",
        "sub",
        "aud",
        "exp",
        "nbf",
        "iat",
        "jti",
        "azp",
        "client_id",
        "scope",
        "scp",
        "groups",
        "roles",
        "cnf",
        "acr",
        "amr",
        "auth_time",
        "sid",
        "tenant",
        "email",
        "name",
        "given_name",
        "family_name",
        "preferred_username",
    )
}
"""Names that most tokens hold: verified claims are kept by the thousand and share these strings."""
_common: Final = _COMMON.get


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = {_common(name, name): member for name, member in pairs}
    if len(value) != len(pairs):
        raise EncodingError("duplicate member (RFC 7493 §2.3)")
    return value


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS:
        raise EncodingError("integer of more than 40 characters")
    return int(digits)


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise EncodingError("number out of range (RFC 7493 §2.2)")
    return value


def _constant(_: str) -> object:
    raise EncodingError("NaN and Infinity are no JSON (RFC 8259 §6)")


_decoder: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
