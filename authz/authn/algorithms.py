"""The signature algorithms that exist here: RS256, PS256, ES256 (RFC 7518 §3) and Ed25519 (RFC 9864 §2.2).

Owns: one table from the algorithm to its key type and its check. Must not: know of any symmetric algorithm,
or choose a check by the key's type. An algorithm that is not in the table verifies nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

_SHA256: Final = hashes.SHA256()
_PKCS1: Final = padding.PKCS1v15()
_PSS: Final = padding.PSS(mgf=padding.MGF1(_SHA256), salt_length=32)
"""RFC 7518 §3.5: the salt is as long as the digest."""
_ECDSA: Final = ec.ECDSA(_SHA256)
_HALF: Final = 32
"""Octets of R and of S on P-256 (RFC 7518 §3.4)."""


def _rs256(public: Any, signature: bytes, signed: bytes) -> None:
    public.verify(signature, signed, _PKCS1, _SHA256)


def _ps256(public: Any, signature: bytes, signed: bytes) -> None:
    public.verify(signature, signed, _PSS, _SHA256)


def _es256(public: Any, signature: bytes, signed: bytes) -> None:
    if len(signature) != 2 * _HALF:
        raise InvalidSignature
    r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
    public.verify(encode_dss_signature(r, s), signed, _ECDSA)


def _ed25519(public: Any, signature: bytes, signed: bytes) -> None:
    public.verify(signature, signed)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Algorithm:
    kty: str
    crv: str | None
    check: Callable[[Any, bytes, bytes], None]


_TABLE: Final[Mapping[str, _Algorithm]] = {
    "RS256": _Algorithm(kty="RSA", crv=None, check=_rs256),
    "PS256": _Algorithm(kty="RSA", crv=None, check=_ps256),
    "ES256": _Algorithm(kty="EC", crv="P-256", check=_es256),
    "Ed25519": _Algorithm(kty="OKP", crv="Ed25519", check=_ed25519),
}
_OTHER_NAMES: Final = {"EdDSA": "Ed25519"}


def canonical(name: object) -> str:
    """The table's name of an `alg` value, "" for anything that isn't in it (also for what is no string)."""
    if type(name) is not str:
        return ""
    name = _OTHER_NAMES.get(name, name)
    return name if name in _TABLE else ""


def fits(name: str, kty: object, crv: object) -> bool:
    """Whether a key of this type and curve is one for the algorithm; False for an unknown algorithm."""
    algorithm = _TABLE.get(name)
    return algorithm is not None and algorithm.kty == kty and algorithm.crv == crv


def verifies(name: str, public: Any, signature: bytes, signed: bytes) -> bool:
    """Whether the signature is good; False also for an unknown algorithm."""
    algorithm = _TABLE.get(name)
    if algorithm is None:
        return False
    try:
        algorithm.check(public, signature, signed)
    except InvalidSignature:
        return False
    return True
