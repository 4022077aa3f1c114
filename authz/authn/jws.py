"""JSON Web Signatures in compact form (RFC 7515 §7.1), read but not verified.

Owns: the one reading of a token's three parts and the rules of its header (docs/verification.md, "The
token"). Must not: verify, choose a key, or read the general or flattened JSON forms. Errors never hold the
input.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from authz.authn.encoding import EncodingError, decode_segment, outside_alphabet, read_json_object
from authz.authn.keys import MAX_KEY_ID_LENGTH
from authz.model.errors import Refused
from authz.model.light import light_value
from authz.model.reason import Reason

FORBIDDEN: Final = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
"""Members that bring a key of the sender's or change what is signed (RFC 7515 §4.1, RFC 7797, RFC 8725
§3.10).
"""
_BRACE_FOLLOWED: Final = frozenset("wxyz0123456789-_")
"""What can follow the `e` that the base64url of `{` begins with."""
_HEADERS_KEPT: Final = 64
"""The tokens of one issuer share their header until its key rotates, so reading it is remembered."""


@dataclass(frozen=True, slots=True)
class Header:
    """What of the header takes part. `algorithm` is as sent; `typ` is folded, None when absent."""

    algorithm: str
    kid: str | None
    typ: str | None


@light_value
class Compact:
    """The parts of one token: `signed` are the octets that the signature covers. Nothing is verified."""

    header: Header
    payload: bytes
    signed: bytes
    signature: bytes


def parse_compact(token: str, *, limit: int) -> Compact:
    """Take a compact JWS apart; raises `Refused(TOKEN_MALFORMED)`. `limit` is in bytes and is tested first."""
    try:
        header, payload, signed, signature = split_compact(token, limit=limit)
        return Compact(_read_header(header), decode_segment(payload), signed, decode_segment(signature))
    except EncodingError as error:
        raise malformed(str(error)) from None


def split_compact(token: str, *, limit: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Header, payload, what is signed, and signature, still encoded but within the alphabet; raises `EncodingError`."""
    if len(token) > limit:
        raise EncodingError("longer than the limit")
    if not token.isascii():
        raise EncodingError("not ASCII (RFC 7515 §2)")
    raw = token.encode("ascii")
    if outside_alphabet(raw) != b"..":
        raise EncodingError("not three base64url parts (RFC 7515 §7.1)")
    signed, _, signature = raw.rpartition(b".")
    header, _, payload = signed.partition(b".")
    return header, payload, signed, signature


def is_jws(token: str) -> bool:
    """Whether a token has the form of a compact JWS: three parts, and a header that begins like a JSON object.

    What doesn't is opaque to everybody but its issuer. Nothing else is said of it (RFC 8725 §3.2).
    """
    header, _, rest = token.partition(".")
    return rest.count(".") == 1 and header[:1] == "e" and header[1:2] in _BRACE_FOLLOWED


def malformed(rule: str) -> Refused:
    """What is raised for anything that is no well-formed token; `rule` is ours, never what was sent."""
    return Refused(Reason.TOKEN_MALFORMED, rule)


def folded_media_type(value: str) -> str:
    """A `typ` or `cty` as it is compared: without case and without `application/` (RFC 7515 §4.1.9)."""
    return value.lower().removeprefix("application/")


@lru_cache(maxsize=_HEADERS_KEPT)
def _read_header(segment: bytes) -> Header:
    members = read_json_object(decode_segment(segment))
    if not FORBIDDEN.isdisjoint(members):
        raise malformed("the header holds crit, b64, jwk, jku, x5u or x5c")
    algorithm = members.get("alg")
    if type(algorithm) is not str or not algorithm:
        raise malformed("alg is a string (RFC 7515 §4.1.1)")
    kid = members.get("kid")
    if "kid" in members and (type(kid) is not str or not 0 < len(kid) <= MAX_KEY_ID_LENGTH):
        raise malformed("kid is a non-empty string of at most 128 characters (RFC 7515 §4.1.4)")
    if _media_type(members, "cty") == "jwt":
        raise malformed("a token inside a token (RFC 7519 §5.2)")
    return Header(algorithm, kid, _media_type(members, "typ"))


def _media_type(members: Mapping[str, Any], name: str) -> str | None:
    if name not in members:
        return None
    value = members[name]
    if type(value) is not str:
        raise malformed("typ and cty are strings (RFC 7515 §4.1.9, §4.1.10)")
    return folded_media_type(value)
