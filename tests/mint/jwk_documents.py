"""JWK sets and SPIFFE bundles as documents, with keys made on the spot."""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.mint.tls_material import Authority


def key_set(*kids: str) -> bytes:
    """A JWK set with one P-256 key for each key id; the same id gives the same key."""
    return json.dumps({"keys": [_jwk(kid) for kid in kids]}).encode()


def bundle(authority: Authority) -> bytes:
    """A SPIFFE bundle with one X.509 authority."""
    certificate = x509.load_pem_x509_certificate(authority.certificate)
    der = certificate.public_bytes(Encoding.DER)
    return json.dumps({"keys": [{
        "use": "x509-svid", "x5c": [base64.b64encode(der).decode()],
        **_coordinates(certificate.public_key()),
    }]}).encode()


@cache
def _jwk(kid: str) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {"kid": kid, "alg": "ES256", "use": "sig", **_coordinates(key)}


def _coordinates(key: Any) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": _base64url(numbers.x), "y": _base64url(numbers.y)}


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
