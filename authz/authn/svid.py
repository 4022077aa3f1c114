"""Workload identities: trust bundles (SPIFFE Trust Domain and Bundle §4) and the caller's SPIFFE ID.

Owns: which authorities speak for a trust domain, and how a peer's principal becomes an ID. Must not: read
files, know the clock, or judge a certificate (authn.leaf does). What can't be used in a bundle is skipped
with a warning; a document that is no bundle raises `BundleError`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography import x509

from authz.authn.authority import Authority, read_authority
from authz.authn.certificate import CertificateError
from authz.authn.encoding import EncodingError, read_json_object
from authz.authn.keys import KeySet, read_keys
from authz.model.errors import AuthzError, Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId, SpiffeIdError, check_trust_domain

MAX_BUNDLE_BYTES: Final = 1024 * 1024
MAX_AUTHORITIES: Final = 64
"""Keys of one bundle. A trust domain has a few authorities, twice that while they rotate."""

JWT_ALGORITHMS: Final = ("RS256", "PS256", "ES256")
"""Those of JWT-SVID §2.1 that exist here."""

_JWT_USE: Final = "jwt-svid"
_SCHEME: Final = "spiffe://"


class BundleError(AuthzError):
    """The document is no SPIFFE bundle; the message names the rule."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrustBundle:
    """The authorities of one trust domain: for certificates, and `jwt_keys` for JWT-SVIDs. `revision` changes with
    any change to them."""

    trust_domain: str
    authorities: tuple[Authority, ...]
    revision: str
    jwt_keys: KeySet = field(default_factory=lambda: KeySet(()))
    warnings: tuple[str, ...] = ()
    """What was skipped, for operators."""
    sequence: int | None = None
    """Grows with each edition (SPIFFE Bundle §4.1.1); None where the publisher leaves it out."""
    refresh_hint: float | None = None
    """Seconds after which the publisher wants to be asked again (SPIFFE Bundle §4.1.2)."""

    def named(self, subject: x509.Name) -> Iterable[Authority]:
        """The authorities of this name: more than one while their keys rotate."""
        return (authority for authority in self.authorities if authority.certificate.subject == subject)


def import_bundle(document: bytes, trust_domain: str) -> TrustBundle:
    """Read a SPIFFE bundle in JWKS form for a trust domain; raises `BundleError`.

    Without a usable `x509-svid` key no certificate verifies, without a `jwt-svid` key no JWT-SVID (SPIFFE Bundle
    §4.2.2).
    """
    try:
        check_trust_domain(trust_domain)
    except SpiffeIdError as error:
        raise BundleError(str(error)) from None
    authorities: list[Authority] = []
    warnings: list[str] = []
    content = _content(document)
    for position, entry in enumerate(entries := _entries(content)):
        try:
            authority = _read_entry(entry, trust_domain)
        except CertificateError as error:
            warnings.append(f"keys[{position}] is skipped: {error}")
        else:
            authorities.extend(authority)
    jwt_keys, skipped = _jwt_keys(entries)
    return TrustBundle(
        trust_domain=trust_domain,
        authorities=tuple(authorities),
        warnings=(*warnings, *skipped),
        revision=_revision(trust_domain, authorities, jwt_keys),
        jwt_keys=jwt_keys,
        sequence=_whole(content, "spiffe_sequence"),
        refresh_hint=_whole(content, "spiffe_refresh_hint"),
    )


def workload_id(principal: str, domains: Set[str]) -> SpiffeId | None:
    """The ID in a principal as Envoy names its peer; None when it is no SPIFFE ID at all.

    Raises `Refused`: WORKLOAD_INVALID when the ID breaks the grammar, TRUST_DOMAIN_UNKNOWN when its trust
    domain is not configured. Not checked here: that somebody verified the peer.
    """
    if not principal.startswith(_SCHEME):
        return None
    return known_id(principal, domains)


def known_id(text: str, domains: Set[str]) -> SpiffeId:
    """The SPIFFE ID that the whole text must be; raises `Refused` as `workload_id` does."""
    try:
        spiffe_id = SpiffeId.parse(text)
    except SpiffeIdError as error:
        raise Refused(Reason.WORKLOAD_INVALID, str(error)) from None
    if spiffe_id.trust_domain not in domains:
        raise Refused(Reason.TRUST_DOMAIN_UNKNOWN, "the trust domain is not configured")
    return spiffe_id


def _content(document: bytes) -> Mapping[str, Any]:
    if len(document) > MAX_BUNDLE_BYTES:
        raise BundleError("a bundle has at most 1 MiB")
    try:
        return read_json_object(document)
    except EncodingError as error:
        raise BundleError(f"a bundle is a JSON object: {error}") from None


def _entries(content: Mapping[str, Any]) -> list[Any]:
    entries = content.get("keys")
    if type(entries) is not list:
        raise BundleError("a bundle has an array `keys` (SPIFFE Bundle §4.1.3)")
    if len(entries) > MAX_AUTHORITIES:
        raise BundleError("a bundle has at most 64 keys")
    return entries


def _whole(content: Mapping[str, Any], name: str) -> int | None:
    """A whole number, not negative; None where it isn't there (SPIFFE Bundle §4.1.1, §4.1.2)."""
    value = content.get(name)
    if value is None:
        return None
    if type(value) is not int or not 0 <= value < 2**64:
        raise BundleError(f"{name} is a whole number of at most 64 bits")
    return value


def _read_entry(entry: Any, trust_domain: str) -> tuple[Authority, ...]:
    """No authority for a key of another use (SPIFFE Bundle §4.2.2: `use` is required, others are ignored)."""
    if type(entry) is not dict:
        raise CertificateError("a key is a JSON object (RFC 7517 §4)")
    if entry.get("use") != "x509-svid":
        return ()
    return (read_authority(entry, trust_domain),)


def _jwt_keys(entries: list[Any]) -> tuple[KeySet, tuple[str, ...]]:
    """The keys that sign JWT-SVIDs; each has a `kid` (SPIFFE Bundle §4.2.1)."""
    own = [entry for entry in entries if type(entry) is dict and entry.get("use") == _JWT_USE]
    keys, warnings = read_keys([entry for entry in own if "kid" in entry], JWT_ALGORITHMS, use=_JWT_USE)
    return keys, tuple(f"jwt-svid {warning}" for warning in warnings)


def _revision(trust_domain: str, authorities: list[Authority], jwt_keys: KeySet) -> str:
    lines = [trust_domain, *sorted(authority.fingerprint for authority in authorities), jwt_keys.revision]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
