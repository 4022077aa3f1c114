"""Authorities of a trust domain: the CA certificates of a bundle (X509-SVID §4, §5; RFC 5280 §4.2).

Owns: whether a bundle's key may sign workload certificates. Must not: know the clock (validity is judged at
use), or take a constrained authority for an unconstrained one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from authz.authn.certificate import (
    CURVES,
    CertificateError,
    check_critical,
    check_key,
    extension_value,
    load_der,
    uri_names,
)
from authz.authn.encoding import encode_base64url

_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.EXTENDED_KEY_USAGE,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Authority:
    """One CA certificate. `not_before` and `not_after` are seconds since the epoch, both inclusive."""

    certificate: x509.Certificate
    not_before: float
    not_after: float
    fingerprint: str
    """SHA-256 of the DER, in hex."""

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def read_authority(entry: Mapping[str, Any], trust_domain: str) -> Authority:
    """The authority in one `x509-svid` key of a bundle; raises `CertificateError`."""
    chain = entry.get("x5c")
    if type(chain) is not list or len(chain) != 1 or type(chain[0]) is not str:
        raise CertificateError("x5c holds exactly one certificate (SPIFFE Bundle §4.2.2)")
    certificate = load_der(chain[0])
    check_key(certificate)
    _check_parameters(entry, certificate)
    _check_extensions(certificate)
    # X509-SVID §4.1: an authority that bears a SPIFFE ID bears its own trust domain's, which has no path.
    if any(name != f"spiffe://{trust_domain}" for name in uri_names(certificate)):
        raise CertificateError("its SPIFFE ID is not the trust domain's (X509-SVID §4.1)")
    return Authority(
        certificate=certificate,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def _check_parameters(entry: Mapping[str, Any], certificate: x509.Certificate) -> None:
    """RFC 7517 §4.7: the JWK's own parameters are those of the certificate's key."""
    expected = jwk_parameters(certificate.public_key())
    if not expected or any(entry.get(name) != value for name, value in expected.items()):
        raise CertificateError("the key's parameters aren't those of its certificate (RFC 7517 §4.7)")


def jwk_parameters(public: object) -> dict[str, str]:
    """A public key's own members of a JWK (RFC 7518 §6, RFC 8037 §2); none for a kind that we don't take."""
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers()
        return {"kty": "RSA", "n": _number(modulus.n), "e": _number(modulus.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        point = public.public_numbers()
        x, y = _number(point.x, size), _number(point.y, size)
        return {"kty": "EC", "crv": CURVES[public.curve.name], "x": x, "y": y}
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": encode_base64url(raw)}
    return {}


def _check_extensions(certificate: x509.Certificate) -> None:
    check_critical(certificate, _UNDERSTOOD)
    if extension_value(certificate, x509.NameConstraints) is not None:
        raise CertificateError("name constraints aren't understood (RFC 5280 §4.2.1.10)")
    constraints = extension_value(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise CertificateError("a signing certificate is a CA (X509-SVID §4.1)")
    usage = extension_value(certificate, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        raise CertificateError("a signing certificate has keyCertSign (X509-SVID §4.3)")
    purposes = extension_value(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise CertificateError("its extendedKeyUsage excludes client authentication (RFC 5280 §4.2.1.12)")


def _number(value: int, size: int | None = None) -> str:
    return encode_base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))
