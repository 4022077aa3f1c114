"""Nonces for proofs of possession (RFC 9449 §9): each is the moment that it was made, under a MAC.

Owns: making one and telling whether one is still good. Nothing is remembered, so every replica that shares the key
takes the nonces of every other. Must not: read a clock, or keep a key.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final

from authz.authn.encoding import EncodingError, decode_base64url, encode_base64url

MIN_KEY_BYTES: Final = 32
"""As long as the digest (RFC 2104 §3)."""
_STAMP: Final = struct.Struct(">Q")
"""Whole seconds since the epoch."""
_MAC_BYTES: Final = 16
_PURPOSE: Final = b"authz dpop-nonce v1\0"
"""A MAC made for anything else under the same key is no nonce."""


def make_nonce(key: bytes, *, now: float) -> str:
    """A nonce of this moment."""
    stamp = _STAMP.pack(int(now))
    return encode_base64url(stamp + _mac(key, stamp))


def is_fresh(nonce: str, keys: tuple[bytes, ...], *, lifetime: float, now: float) -> bool:
    """Whether one of the keys made the nonce, within `lifetime` seconds before now (and not after)."""
    try:
        octets = decode_base64url(nonce.encode("ascii"))
    except (EncodingError, UnicodeEncodeError):
        return False
    if len(octets) != _STAMP.size + _MAC_BYTES:
        return False
    stamp, mac = octets[: _STAMP.size], octets[_STAMP.size :]
    if not any(hmac.compare_digest(_mac(key, stamp), mac) for key in keys):
        return False
    made: int = _STAMP.unpack(stamp)[0]
    return made - _REPLICA_SKEW <= now <= made + lifetime


_REPLICA_SKEW: Final = 5.0
"""Seconds by which the clock of the replica that made it may be ahead."""


def _mac(key: bytes, stamp: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + stamp, hashlib.sha256)[:_MAC_BYTES]
