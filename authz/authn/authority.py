"""Authorities of a trust domain: the CA certificates of a bundle (X509-SVID §4, §5; RFC 5280 §4.2, §6.1.4).

Owns: whether a bundle's key may sign workload certificates. Must not: know the clock (validity is judged at use),
or take a constrained authority for an unconstrained one: a critical extension that isn't understood excludes it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from authz.authn.material import KeyMaterialError, check_rsa

_UNDERSTOOD: Final = frozenset({
    x509.ExtensionOID.BASIC_CONSTRAINTS, x509.ExtensionOID.KEY_USAGE, x509.ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    x509.ExtensionOID.EXTENDED_KEY_USAGE,
})
_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

Kind = TypeVar("Kind", bound=x509.ExtensionType)


class AuthorityError(ValueError):
    """The key is no authority; the message names the rule."""


class CertificateKeyError(ValueError):
    """The certificate's key or signature algorithm is not one that is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Authority:
    """One CA certificate. `not_before` and `not_after` are seconds since the epoch, both inclusive."""

    certificate: x509.Certificate
    not_before: float
    not_after: float
    fingerprint: str
    """SHA-256 of the DER, in hex."""


def read_authority(entry: Mapping[str, Any], trust_domain: str) -> Authority:
    """The authority in one `x509-svid` key of a bundle; raises `AuthorityError`."""
    certificate = _certificate(entry.get("x5c"))
    try:
        check_key(certificate)
        _check_jwk(entry, certificate)
        _check_extensions(certificate, trust_domain)
    except (CertificateKeyError, ValueError, x509.DuplicateExtension) as error:
        raise AuthorityError(_rule(error)) from None
    return Authority(
        certificate=certificate,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def check_key(certificate: x509.Certificate) -> None:
    """Whether the certificate's own key is of an accepted kind and size; raises `CertificateKeyError`."""
    try:
        public = certificate.public_key()
    except Exception:  # noqa: BLE001 - unsupported and broken keys raise many types; each is a key we can't use
        raise CertificateKeyError("the certificate's key can't be read") from None
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        try:
            check_rsa(numbers.n, numbers.e)
        except KeyMaterialError as error:
            raise CertificateKeyError(str(error)) from None
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in _CURVES:
            raise CertificateKeyError("the certificate's curve is none of P-256, P-384 and P-521")
    elif not isinstance(public, ed25519.Ed25519PublicKey):
        raise CertificateKeyError("the certificate's key is none of RSA, ECDSA and Ed25519")


def critical_beyond(certificate: x509.Certificate, understood: frozenset[x509.ObjectIdentifier]) -> bool:
    """Whether a critical extension isn't understood (RFC 5280 §4.2: then the certificate is rejected)."""
    return any(extension.critical and extension.oid not in understood for extension in certificate.extensions)


def extension_value(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """The value of an extension, None when the certificate has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _certificate(chain: object) -> x509.Certificate:
    """SPIFFE Bundle §4.2.2: exactly one certificate, standard base64 of its DER (RFC 7517 §4.7)."""
    if type(chain) is not list or len(chain) != 1 or type(chain[0]) is not str:
        raise AuthorityError("x5c holds exactly one certificate (SPIFFE Bundle §4.2.2)")
    try:
        return x509.load_der_x509_certificate(binascii.a2b_base64(chain[0].encode("ascii"), strict_mode=True))
    except ValueError:
        raise AuthorityError("x5c is no base64 DER certificate (RFC 7517 §4.7)") from None


def _check_jwk(entry: Mapping[str, Any], certificate: x509.Certificate) -> None:
    """RFC 7517 §4.7: the JWK's own parameters are those of the certificate's key."""
    expected = _public_members(certificate.public_key())
    if any(entry.get(name) != value for name, value in expected.items()):
        raise AuthorityError("the key's parameters aren't those of its certificate (RFC 7517 §4.7)")


def _public_members(public: object) -> dict[str, str]:
    if isinstance(public, rsa.RSAPublicKey):
        rsa_numbers = public.public_numbers()
        return {"kty": "RSA", "n": _unsigned(rsa_numbers.n), "e": _unsigned(rsa_numbers.e)}
    if isinstance(public, ec.EllipticCurvePublicKey):
        size = (public.curve.key_size + 7) // 8
        point = public.public_numbers()
        curve = _CURVES[public.curve.name]
        return {"kty": "EC", "crv": curve, "x": _fixed(point.x, size), "y": _fixed(point.y, size)}
    if isinstance(public, ed25519.Ed25519PublicKey):
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _text(raw)}
    raise AuthorityError("the certificate's key is none of RSA, ECDSA and Ed25519")


def _check_extensions(certificate: x509.Certificate, trust_domain: str) -> None:
    if critical_beyond(certificate, _UNDERSTOOD) or extension_value(certificate, x509.NameConstraints):
        raise AuthorityError("a constraint or critical extension that isn't understood (RFC 5280 §4.2)")
    constraints = extension_value(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise AuthorityError("a signing certificate is a CA (X509-SVID §4.1)")
    usage = extension_value(certificate, x509.KeyUsage)
    if usage is None or not usage.key_cert_sign:
        raise AuthorityError("a signing certificate has keyCertSign (X509-SVID §4.3)")
    purposes = extension_value(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and x509.ExtendedKeyUsageOID.CLIENT_AUTH not in purposes:
        raise AuthorityError("its extendedKeyUsage excludes client authentication (RFC 5280 §4.2.1.12)")
    _check_names(certificate, trust_domain)


def _check_names(certificate: x509.Certificate, trust_domain: str) -> None:
    """X509-SVID §4.1: an authority that bears a SPIFFE ID bears its own trust domain's, without a path."""
    names = extension_value(certificate, x509.SubjectAlternativeName)
    ids = names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
    if any(name != f"spiffe://{trust_domain}" for name in ids):
        raise AuthorityError("its SPIFFE ID is not the trust domain's (X509-SVID §4.1)")


def _rule(error: Exception) -> str:
    if isinstance(error, AuthorityError | CertificateKeyError):
        return str(error)
    return "the certificate's extensions can't be read"


def _unsigned(number: int) -> str:
    return _fixed(number, (number.bit_length() + 7) // 8)


def _fixed(number: int, size: int) -> str:
    return _text(number.to_bytes(size, "big"))


def _text(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")
