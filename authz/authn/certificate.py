"""A peer's certificate as Envoy sends it: URL-encoded PEM of the leaf (`source.certificate`).

Owns: the one reading of that text, and what certificates have in common (keys, extensions). Must not: judge
whom a certificate stands for (authn.leaf, authn.authority). Errors never hold the input.
"""

from __future__ import annotations

import binascii
import re
from typing import Final, TypeVar
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from authz.authn.encoding import encode_base64url
from authz.authn.material import KeyMaterialError, check_rsa

MAX_CERTIFICATE_BYTES: Final = 64 * 1024
"""URL-encoded. A workload's certificate has 1 to 3 KiB."""

CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9+/=._~ \r\n-]|%[0-9A-Fa-f]{2})+")
_PEM: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\r?\n((?:[A-Za-z0-9+/=]+\r?\n)+)-----END CERTIFICATE-----(?:\r?\n)?"
)
_LINE_ENDS: Final = {ord("\r"): None, ord("\n"): None}

Kind = TypeVar("Kind", bound=x509.ExtensionType)


class CertificateError(ValueError):
    """The certificate can't be used; the message names the rule."""


def decode_certificate(text: str) -> x509.Certificate:
    """The one certificate in URL-encoded PEM (RFC 7468 §5.1); raises `CertificateError`."""
    if len(text) > MAX_CERTIFICATE_BYTES:
        raise CertificateError("a certificate has at most 64 KiB")
    if not _ENCODED.fullmatch(text):
        raise CertificateError("the certificate is not URL-encoded (RFC 3986 §2.1)")
    block = _PEM.fullmatch(unquote(text, encoding="latin-1"))
    if block is None:
        raise CertificateError("not exactly one PEM certificate (RFC 7468 §5.1)")
    return load_der(block[1].translate(_LINE_ENDS))


def load_der(encoded: str) -> x509.Certificate:
    """A version 3 certificate from strict standard base64 of its DER; raises `CertificateError`."""
    try:
        octets = binascii.a2b_base64(encoded.encode("ascii"), strict_mode=True)
    except ValueError:
        raise CertificateError("no base64 DER certificate (RFC 5280 §4.1)") from None
    return read_der(octets)


def read_der(octets: bytes) -> x509.Certificate:
    """A version 3 certificate from its DER; raises `CertificateError`."""
    try:
        certificate = x509.load_der_x509_certificate(octets)
        version = certificate.version
        # Names and times are parsed on demand: here a broken one is still a broken certificate.
        _ = certificate.subject, certificate.issuer
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except (ValueError, x509.InvalidVersion):
        raise CertificateError("no base64 DER certificate (RFC 5280 §4.1)") from None
    if version is not x509.Version.v3:
        raise CertificateError("not an X.509 version 3 certificate (RFC 5280 §4.1.2.1)")
    return certificate


def thumbprint(certificate: x509.Certificate) -> str:
    """`x5t#S256` of a certificate: base64url of the SHA-256 of its DER (RFC 8705 §3.1)."""
    return encode_base64url(certificate.fingerprint(hashes.SHA256()))


def check_key(certificate: x509.Certificate) -> None:
    """Return if the certificate's own key is of an accepted kind and size; raises `CertificateError`."""
    try:
        public = certificate.public_key()
    except Exception:  # noqa: BLE001 - broken and unsupported keys raise many types; none is a key we can use
        raise CertificateError("the certificate's key can't be read") from None
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        try:
            check_rsa(numbers.n, numbers.e)
        except KeyMaterialError as error:
            raise CertificateError(str(error)) from None
    elif isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name not in CURVES:
            raise CertificateError("the certificate's curve is none of P-256, P-384 and P-521")
    elif not isinstance(public, ed25519.Ed25519PublicKey):
        raise CertificateError("the certificate's key is none of RSA, ECDSA and Ed25519")


def check_critical(certificate: x509.Certificate, understood: frozenset[x509.ObjectIdentifier]) -> None:
    """Return if each critical extension is understood (RFC 5280 §4.2); raises `CertificateError`."""
    for extension in extensions(certificate):
        if extension.critical and extension.oid not in understood:
            raise CertificateError("a critical extension that isn't understood (RFC 5280 §4.2)")


def extensions(certificate: x509.Certificate) -> x509.Extensions:
    """All extensions; raises `CertificateError` when one of them can't be read or stands twice."""
    try:
        return certificate.extensions
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise CertificateError("the certificate's extensions can't be read (RFC 5280 §4.2)") from None


def extension_value(certificate: x509.Certificate, kind: type[Kind]) -> Kind | None:
    """The value of an extension, None when there is none of that kind; raises `CertificateError`."""
    try:
        return extensions(certificate).get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def uri_names(certificate: x509.Certificate) -> list[str]:
    """The URIs among the subject alternative names, in order (RFC 5280 §4.2.1.6)."""
    names = extension_value(certificate, x509.SubjectAlternativeName)
    return names.get_values_for_type(x509.UniformResourceIdentifier) if names is not None else []
