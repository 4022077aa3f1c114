"""The demo's certificate authorities: X.509-SVIDs for workloads, a server certificate for the public door.

Owns: making keys and certificates. Must not: write files or know which workloads exist.
Standard: SPIFFE X509-SVID (leaf: exactly one URI SAN, not a CA; §4 and §5), SPIFFE bundle in JWKS form
(§4). A production mesh gets all of this from its own issuer (SPIRE, Istio, cert-manager).
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SVID_LIFETIME = dt.timedelta(hours=1)
"""Short, so that a stolen key is soon worthless; the demo renews at half of it."""

_CA_LIFETIME = dt.timedelta(days=1)
_BACKDATED = dt.timedelta(minutes=1)
"""Clocks of one machine agree; a minute covers rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A private key and its certificate, PEM."""

    key: bytes
    certificate: bytes

    @property
    def pem(self) -> bytes:
        """Both in one text: one file, so that one rename replaces them together."""
        return self.key + self.certificate


class Authority:
    """One self-signed root. Leaves are signed by it directly, so that the leaf alone can be checked.

    `kept` is the `pair` of one that was made before: it signs on.
    """

    def __init__(
        self, name: str, *, trust_domain: str = "", lifetime: dt.timedelta = _CA_LIFETIME, kept: bytes = b""
    ) -> None:
        if kept:
            self._key, self._certificate = _restored(kept)
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self._key.public_key(), lifetime)
        builder = builder.issuer_name(_name(name))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=True), critical=True)
        builder = builder.add_extension(self._key_identifier(), critical=False)
        if trust_domain:
            own_id = x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")
            builder = builder.add_extension(x509.SubjectAlternativeName([own_id]), critical=False)
        self._certificate = builder.sign(self._key, hashes.SHA256())

    @property
    def certificate(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def pair(self) -> KeyPair:
        """The root itself, for whoever keeps it."""
        return KeyPair(key=_private_pem(self._key), certificate=self.certificate)

    def svid(self, spiffe_id: str, *, lifetime: dt.timedelta = SVID_LIFETIME) -> KeyPair:
        """An X.509-SVID: good for both ends of a connection, its URI SAN is the identity."""
        return self._leaf("workload", [x509.UniformResourceIdentifier(spiffe_id)], lifetime, client=True)

    def server(self, *dns_names: str) -> KeyPair:
        """An ordinary server certificate."""
        names: list[x509.GeneralName] = [x509.DNSName(name) for name in dns_names]
        return self._leaf(dns_names[0], names, SVID_LIFETIME * 20, client=False)

    def node(self, name: str) -> KeyPair:
        """A certificate that a machine proves itself with to SPIRE's server (x509pop)."""
        return self._leaf(name, [x509.DNSName(name)], SVID_LIFETIME * 20, client=True)

    def bundle(self) -> bytes:
        """The SPIFFE bundle of this trust domain."""
        numbers = self._key.public_key().public_numbers()
        der = self._certificate.public_bytes(serialization.Encoding.DER)
        key = {
            "kty": "EC",
            "crv": "P-256",
            "use": "x509-svid",
            "x": _coordinate(numbers.x),
            "y": _coordinate(numbers.y),
            "x5c": [base64.b64encode(der).decode()],
        }
        document = {"keys": [key], "spiffe_sequence": 1, "spiffe_refresh_hint": 300}
        return json.dumps(document, indent=1).encode()

    def _leaf(self, name: str, names: list[x509.GeneralName], lifetime: dt.timedelta, *, client: bool) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH] + [ExtendedKeyUsageOID.CLIENT_AUTH] * client
        builder = _builder(name, key.public_key(), lifetime).issuer_name(self._certificate.subject)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_identifier())
        builder = builder.add_extension(issuer, critical=False)
        return KeyPair(
            key=_private_pem(key),
            certificate=builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM),
        )

    def _key_identifier(self) -> x509.SubjectKeyIdentifier:
        return x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _restored(pem: bytes) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the kept root has no key on an elliptic curve")
    return key, x509.load_pem_x509_certificate(pem)


def _builder(name: str, key: ec.EllipticCurvePublicKey, lifetime: dt.timedelta) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _name(text: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "The store"), x509.NameAttribute(NameOID.COMMON_NAME, text)]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _coordinate(number: int) -> str:
    return base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode()
