"""JWK sets and SPIFFE bundles as documents, with keys made on the spot."""

from __future__ import annotations

import base64
import datetime
import json
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID


def key_set(*kids: str) -> bytes:
    """A JWK set with one P-256 key for each key id; the same id gives the same key."""
    return json.dumps({"keys": [_jwk(kid) for kid in kids]}).encode()


def bundle(trust_domain: str = "shop.example") -> bytes:
    """A SPIFFE bundle with one new X.509 authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    der = _authority(key, trust_domain).public_bytes(Encoding.DER)
    entry = {"use": "x509-svid", "x5c": [base64.b64encode(der).decode()], **_coordinates(key.public_key())}
    return json.dumps({"keys": [entry]}).encode()


def _authority(key: ec.EllipticCurvePrivateKey, trust_domain: str) -> x509.Certificate:
    """Self-signed, as X509-SVID §4 wants signing certificates."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, trust_domain)])
    now = datetime.datetime.now(datetime.UTC)
    uses = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **uses), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
    )
    return builder.sign(key, hashes.SHA256())


@cache
def _jwk(kid: str) -> dict[str, str]:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {"kid": kid, "alg": "ES256", "use": "sig", **_coordinates(key)}


def _coordinates(key: Any) -> dict[str, str]:
    numbers = key.public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": _base64url(numbers.x), "y": _base64url(numbers.y)}


def _base64url(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
