"""Makes certificate authorities, X.509-SVIDs with any defect, and SPIFFE bundles. Good ones last one hour."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.mint.keys import PrivateKey, public_members
from tests.mint.tokens import NOW

HOUR = timedelta(hours=1)
TRUST_DOMAIN = "shop.example"
FRONTEND = "spiffe://shop.example/ns/shop/sa/frontend"


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate
    private: PrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def private_pem(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def encoded(self) -> str:
        """As Envoy sends it in `source.certificate`: PEM with all but unreserved characters percent-encoded."""
        return quote(self.pem, safe="")

    def jwk(self, **members: Any) -> dict[str, Any]:
        """The `x509-svid` key of a bundle; members given override it, and `None` leaves one out."""
        der = base64.b64encode(self.certificate.public_bytes(Encoding.DER)).decode()
        entry = public_members(self.private.public_key()) | {"use": "x509-svid", "x5c": [der]} | members
        return {name: value for name, value in entry.items() if value is not None}


@cache
def authority(trust_domain: str = TRUST_DOMAIN, name: str = "root") -> Issued:
    """A trust domain's self-signed CA, the same each time within one process."""
    return make_authority(trust_domain=trust_domain, name=name)


def make_authority(
    *,
    trust_domain: str = TRUST_DOMAIN,
    name: str = "root",
    private: PrivateKey | None = None,
    uris: Sequence[str] | None = None,
    ca: bool | None = True,
    path_length: int | None = None,
    key_cert_sign: bool | None = True,
    purposes: Sequence[x509.ObjectIdentifier] = (),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer: Issued | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> Issued:
    """A CA certificate; `None` for `ca` or `key_cert_sign` leaves the extension out."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [*extra]
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), True))
    if key_cert_sign is not None:
        extensions.append((key_usage(key_cert_sign=key_cert_sign, crl_sign=True), True))
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    names = [f"spiffe://{trust_domain}"] if uris is None else uris
    return issue(
        subject=f"{name}.{trust_domain}",
        uris=names,
        extensions=extensions,
        private=private,
        issuer=issuer,
        begin=begin,
        end=end or moment() + 24 * HOUR,
    )


def svid(
    spiffe_id: str = FRONTEND,
    *,
    issuer: Issued | None = None,
    uris: Sequence[str] | None = None,
    dns: Sequence[str] = (),
    ca: bool | None = False,
    usage: x509.KeyUsage | str | None = "leaf",
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
    private: PrivateKey | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Issued:
    """A workload's certificate, one hour long and sound unless something is overridden."""
    extensions: list[tuple[x509.ExtensionType, bool]] = [*extra]
    if ca is not None:
        extensions.append((x509.BasicConstraints(ca=ca, path_length=None), True))
    if usage is not None:
        extensions.append((usage if isinstance(usage, x509.KeyUsage) else key_usage(digital_signature=True), True))
    if purposes:
        extensions.append((x509.ExtendedKeyUsage(purposes), False))
    return issue(
        subject="workload",
        uris=[spiffe_id] if uris is None else uris,
        dns=dns,
        extensions=extensions,
        private=private,
        issuer=issuer or authority(),
        begin=begin,
        end=end,
        digest=digest,
    )


def issue(
    *,
    subject: str,
    uris: Sequence[str] = (),
    dns: Sequence[str] = (),
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    private: PrivateKey | None = None,
    issuer: Issued | None = None,
    begin: datetime | None = None,
    end: datetime | None = None,
    digest: hashes.HashAlgorithm | None = None,
) -> Issued:
    """Any certificate, signed by `issuer` or by itself."""
    private = private or ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signer: Any = issuer.private if issuer else private
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.certificate.subject if issuer else name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin or moment() - HOUR / 2)
        .not_valid_after(end or moment() + HOUR / 2)
    )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(host) for host in dns]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    plain = isinstance(signer, ed25519.Ed25519PrivateKey)
    return Issued(builder.sign(signer, None if plain else (digest or hashes.SHA256())), private)


def bundle(*authorities: Issued | Mapping[str, Any]) -> bytes:
    """A SPIFFE bundle of authorities, or of JWKs as they are."""
    entries = [entry.jwk() if isinstance(entry, Issued) else entry for entry in authorities]
    return json.dumps({"spiffe_sequence": 1, "spiffe_refresh_hint": 300, "keys": entries}).encode()


def key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def moment(now: float = NOW) -> datetime:
    return datetime.fromtimestamp(now, UTC)
