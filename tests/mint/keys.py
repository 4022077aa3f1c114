"""Makes signing keys and the JWK sets that publish them. The private halves never leave the maker."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)


@dataclass(frozen=True)
class SigningKey:
    """A private key and what its JWK says of it."""

    algorithm: str
    private: PrivateKey
    kid: str | None = "key-1"

    def sign(self, data: bytes) -> bytes:
        """A JWS signature over the data (RFC 7518 §3)."""
        private = self.private
        if isinstance(private, rsa.RSAPrivateKey):
            form = _PSS if self.algorithm == "PS256" else padding.PKCS1v15()
            return private.sign(data, form, hashes.SHA256())
        if isinstance(private, ec.EllipticCurvePrivateKey):
            r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")
        return private.sign(data)

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The public JWK; members given override it, and `None` leaves one out."""
        entry: dict[str, Any] = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        entry |= public_members(self.private.public_key()) | members
        return {name: value for name, value in entry.items() if value is not None}


@cache
def signing_key(algorithm: str, kid: str | None = "key-1") -> SigningKey:
    """A key for the algorithm, the same each time within one process."""
    return SigningKey(algorithm, _private_key(algorithm), kid)


def other_key(algorithm: str, kid: str | None = "key-1") -> SigningKey:
    """A new key for the algorithm, different each time."""
    return SigningKey(algorithm, _private_key(algorithm), kid)


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def jwk_set(*keys: SigningKey | Mapping[str, Any]) -> bytes:
    """A JWK set document of keys, or of JWKs as they are."""
    entries: Iterable[Any] = [key.jwk() if isinstance(key, SigningKey) else key for key in keys]
    return json.dumps({"keys": list(entries)}).encode()


def public_members(public: Any) -> dict[str, Any]:
    """The JWK parameters of a public key (RFC 7518 §6, RFC 8037 §2)."""
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {"kty": "RSA", "n": base64url_number(numbers.n), "e": base64url_number(numbers.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        point, size = public.public_numbers(), (public.curve.key_size + 7) // 8
        curve = f"P-{public.curve.key_size}"
        x, y = (base64url(number.to_bytes(size, "big")) for number in (point.x, point.y))
        return {"kty": "EC", "crv": curve, "x": x, "y": y}
    return {"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def base64url_number(number: int) -> str:
    return base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _private_key(algorithm: str) -> PrivateKey:
    if algorithm in ("RS256", "PS256"):
        return rsa_key()
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()
