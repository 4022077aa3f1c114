"""Public key material: from a JWK's parameters (RFC 7518 §6, RFC 8037 §2) to a key that is sound.

Owns: lengths, ranges, points on their curve, known weak keys. Must not: decide what a key is for (that is
authn.keys). Numbers and points are read only in their one canonical form.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz.authn.encoding import EncodingError, decode_base64url, encode_base64url

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MIN_RSA_BITS: Final = 2048
"""RFC 7518 §3.3."""
MAX_RSA_BITS: Final = 8192
"""Verification time grows with the square of the size."""
MAX_RSA_EXPONENT: Final = 2**32 - 1
"""As in common libraries; larger exponents only cost time."""
_COORDINATE: Final = 32
"""Octets of a P-256 coordinate (RFC 7518 §6.2.1.2) and of an Ed25519 key (RFC 8032 §5.1.5)."""

_PARAMETERS: Final = frozenset({"n", "e", "crv", "x", "y"})
_PARAMETERS_OF: Final = {
    "RSA": frozenset({"n", "e"}),
    "EC": frozenset({"crv", "x", "y"}),
    "OKP": frozenset({"crv", "x"}),
}


class KeyMaterialError(ValueError):
    """The key can't be used; the message names the rule."""


def read_public_key(entry: Mapping[str, Any]) -> tuple[PublicKey, str]:
    """The public key of a JWK and its fingerprint; raises `KeyMaterialError`."""
    kty = entry.get("kty")
    if type(kty) is not str or kty not in _READERS:
        raise KeyMaterialError("its kty is none of RSA, EC and OKP")
    wanted = _PARAMETERS_OF[kty]
    if _PARAMETERS & entry.keys() != wanted:
        raise KeyMaterialError("its parameters aren't exactly those of its kty (RFC 7518 §6)")
    try:
        public = _READERS[kty](entry)
    except EncodingError as error:
        raise KeyMaterialError(str(error)) from None
    return public, fingerprint(public)


def fingerprint(public: PublicKey) -> str:
    """SHA-256 of the SubjectPublicKeyInfo, in hex."""
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def jwk_thumbprint(entry: Mapping[str, Any]) -> str:
    """The JWK thumbprint (RFC 7638 §3) of an entry that `read_public_key` has read, base64url of SHA-256."""
    members = {"kty": entry["kty"], **{name: entry[name] for name in _PARAMETERS_OF[entry["kty"]]}}
    text = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return encode_base64url(hashlib.sha256(text.encode("utf-8")).digest())


def check_rsa(n: int, e: int) -> None:
    """Whether an RSA public key is sound; raises `KeyMaterialError`."""
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        raise KeyMaterialError("an RSA modulus has 2048 to 8192 bits (RFC 7518 §3.3)")
    if e % 2 == 0 or not 3 <= e <= MAX_RSA_EXPONENT:
        raise KeyMaterialError("an RSA exponent is odd and from 3 to 2^32 - 1")
    if n % 2 == 0 or is_roca(n):
        raise KeyMaterialError("a weak RSA modulus (even, or CVE-2017-15361)")


def is_roca(n: int) -> bool:
    """Whether a modulus has the fingerprint of CVE-2017-15361: a power of 65537 modulo every small prime."""
    return all(n % prime in residues for prime, residues in _ROCA.items())


def _roca_residues() -> Mapping[int, frozenset[int]]:
    primes = [p for p in range(3, 168) if all(p % q for q in range(2, p))]
    return {p: frozenset(pow(65537, k, p) for k in range(p)) for p in primes}


_ROCA: Final = _roca_residues()

_ED25519_PRIME: Final = 2**255 - 19
_ORDER_8: Final = 2707385501144840649318225287225658788936804267575313519463743609750303021
_SMALL_ORDER: Final = frozenset({0, 1, _ED25519_PRIME - 1, _ORDER_8, _ED25519_PRIME - _ORDER_8})
"""The y coordinates of the eight points whose order divides 8: signatures under them prove nothing."""


def _read_rsa(entry: Mapping[str, Any]) -> PublicKey:
    n, e = _unsigned(entry["n"]), _unsigned(entry["e"])
    check_rsa(n, e)
    return _made(lambda: RSAPublicNumbers(e, n).public_key())


def _read_ec(entry: Mapping[str, Any]) -> PublicKey:
    if entry["crv"] != "P-256":
        raise KeyMaterialError("its curve is not P-256")
    x, y = (int.from_bytes(_octets(entry[name], _COORDINATE), "big") for name in ("x", "y"))
    return _made(lambda: EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key())


def _read_okp(entry: Mapping[str, Any]) -> PublicKey:
    if entry["crv"] != "Ed25519":
        raise KeyMaterialError("its curve is not Ed25519")
    octets = _octets(entry["x"], _COORDINATE)
    y = int.from_bytes(octets, "little") & (2**255 - 1)
    if y >= _ED25519_PRIME or y in _SMALL_ORDER:
        raise KeyMaterialError("a point of small order or not in canonical form (RFC 8032 §5.1.3)")
    return _made(lambda: Ed25519PublicKey.from_public_bytes(octets))


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], PublicKey]]] = {
    "RSA": _read_rsa,
    "EC": _read_ec,
    "OKP": _read_okp,
}


def _made(make: Callable[[], PublicKey]) -> PublicKey:
    try:
        return make()
    except ValueError:
        raise KeyMaterialError("a point off its curve, or a number out of range") from None


def _unsigned(value: object) -> int:
    octets = _octets(value, None)
    if not octets or octets[0] == 0:
        raise KeyMaterialError("a number has the fewest octets that hold it (RFC 7518 §2, Base64urlUInt)")
    return int.from_bytes(octets, "big")


def _octets(value: object, length: int | None) -> bytes:
    if type(value) is not str or not value.isascii():
        raise KeyMaterialError("a parameter is a base64url string (RFC 7518 §6)")
    octets = decode_base64url(value.encode("ascii"))
    if length is not None and len(octets) != length:
        raise KeyMaterialError("a coordinate has exactly the octets of its curve (RFC 7518 §6.2.1.2)")
    return octets
