"""X.509-SVIDs: a workload's certificate checked against the trust bundles (X509-SVID §5, RFC 5280 §6.1).

Owns: the numbered steps of `verify_svid`. Must not: read files or a clock. Only the leaf is seen: one that
was issued by an intermediate which the bundle lacks doesn't verify. Someone else's duty: that the peer
holds the certificate's key (Envoy's TLS handshake).
"""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, SignatureAlgorithmOID

from authz.authn.authority import Authority
from authz.authn.certificate import (
    CertificateError,
    check_critical,
    check_key,
    decode_certificate,
    extension_value,
    read_der,
    uri_names,
)
from authz.authn.svid import TrustBundle, known_id
from authz.model.errors import Refused, Unavailable
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId, SpiffeIdError

_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.EXTENDED_KEY_USAGE,
    }
)
_KEPT_NAMES: Final = 1_024
_KEPT_CHARACTERS: Final = 4_096
"""Longer certificates than workloads have, kept by the thousand, would fill the memory."""
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedSvid:
    """A workload's ID, verified against the bundle of that revision; it holds within these times
    (inclusive).
    """

    id: SpiffeId
    revision: str
    not_before: float
    not_after: float


def verify_svid(
    text: str, domains: Set[str], bundle_of: Callable[[str], TrustBundle | None], *, now: float
) -> VerifiedSvid:
    """Verify the caller's certificate; raises `Refused` for the first step that fails.

    `text` is URL-encoded PEM, `domains` are the configured trust domains. `Unavailable(KEYS_UNAVAILABLE)`
    when the trust domain's bundle could not be had.
    """
    try:
        # 1. It is one X.509 version 3 certificate.
        certificate = decode_certificate(text)
        # 2. Exactly one URI among its names (X509-SVID §2). 3. That is a SPIFFE ID with a path (§5.2).
        # 4. Its trust domain is configured (SPIFFE Bundle §5).
        spiffe_id = known_id(_single_uri(certificate), domains)
        # 5. It is a leaf for authentication (X509-SVID §4, §5.2).
        _check_profile(certificate, ExtendedKeyUsageOID.CLIENT_AUTH, "clientAuth")
        # 6. Key and signature algorithms are sound.
        check_key(certificate)
        _check_signature_algorithm(certificate)
        # 7. It is valid now (RFC 5280 §4.1.2.5).
        not_before, not_after = _validity(certificate)
        _check_time(not_before, not_after, now)
        # 8. An authority of that trust domain, itself valid now, signed it (X509-SVID §5.1, RFC 5280 §6.1.3).
        bundle = bundle_of(spiffe_id.trust_domain)
        if bundle is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "there is no bundle of the trust domain")
        authority = _issuer(certificate, bundle, now)
    except CertificateError as error:
        raise Refused(Reason.WORKLOAD_INVALID, str(error)) from None
    return VerifiedSvid(
        id=spiffe_id,
        revision=bundle.revision,
        not_before=max(not_before, authority.not_before),
        not_after=min(not_after, authority.not_after),
    )


def named_id(text: str) -> str:
    """The one URI that a certificate bears (X509-SVID §2), whoever signed it; raises
    `Refused(WORKLOAD_INVALID)`.

    For when Envoy verified the peer: its `principal` shows only the first of several names. The same few certificates
    come again and again, and what one bears never changes: it is kept, in bounds.
    """
    return _kept_name(text) if len(text) <= _KEPT_CHARACTERS else _name_of(text)


def _name_of(text: str) -> str:
    try:
        return _single_uri(decode_certificate(text))
    except CertificateError as error:
        raise Refused(Reason.WORKLOAD_INVALID, str(error)) from None


_kept_name: Final = lru_cache(maxsize=_KEPT_NAMES)(_name_of)


def server_id(der: bytes) -> SpiffeId:
    """The SPIFFE ID of a TLS server's certificate (X509-SVID §2, §4, §5.2); raises `Refused(WORKLOAD_INVALID)`.

    Someone else's duty: that it chains to the trust domain's authorities and is valid now (the TLS handshake).
    """
    try:
        certificate = read_der(der)
        found = SpiffeId.parse(_single_uri(certificate))
        _check_profile(certificate, ExtendedKeyUsageOID.SERVER_AUTH, "serverAuth")
    except (CertificateError, SpiffeIdError) as error:
        raise Refused(Reason.WORKLOAD_INVALID, str(error)) from None
    return found


def _single_uri(certificate: x509.Certificate) -> str:
    names = uri_names(certificate)
    if len(names) != 1:
        raise CertificateError("an SVID bears exactly one URI (X509-SVID §2)")
    return names[0]


def _check_profile(certificate: x509.Certificate, purpose: x509.ObjectIdentifier, name: str) -> None:
    check_critical(certificate, _UNDERSTOOD)
    constraints = extension_value(certificate, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise CertificateError("a workload's certificate is no CA (X509-SVID §4.1)")
    usage = extension_value(certificate, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise CertificateError("a leaf has digitalSignature (X509-SVID §4.3)")
    if usage.key_cert_sign or usage.crl_sign:
        raise CertificateError("a leaf has neither keyCertSign nor cRLSign (X509-SVID §4.3)")
    purposes = extension_value(certificate, x509.ExtendedKeyUsage)
    if purposes is not None and purpose not in purposes:
        raise CertificateError(f"its extendedKeyUsage lacks {name} (X509-SVID §4.4)")


def _check_signature_algorithm(certificate: x509.Certificate) -> None:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        raise CertificateError("its signature algorithm isn't known") from None
    if digest is None and certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519:
        return
    if not isinstance(digest, _HASHES):
        raise CertificateError("its signature is over none of SHA-256, SHA-384 and SHA-512")


def _validity(certificate: x509.Certificate) -> tuple[float, float]:
    return certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()


def _check_time(not_before: float, not_after: float, now: float) -> None:
    if not not_before <= now <= not_after:
        raise CertificateError("the certificate is expired or not yet valid (RFC 5280 §4.1.2.5)")


def _issuer(certificate: x509.Certificate, bundle: TrustBundle, now: float) -> Authority:
    for authority in bundle.named(certificate.issuer):
        if authority.not_before <= now <= authority.not_after and _signed(certificate, authority):
            return authority
    raise CertificateError("no valid authority of its trust domain signed it (X509-SVID §5.1)")


def _signed(certificate: x509.Certificate, authority: Authority) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True
