"""The SPIFFE Workload API through the package `spiffe` (extra `spiffe`): what it hands out, as our own values.

Owns: the only use of that package. One connection is one attempt: the package's own reconnecting is off, since it tells
nobody that a connection was lost. Must not: judge what was handed out (authn does), or keep anything.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz.authn.authority import jwk_parameters
from authz.model.errors import AuthzError

if TYPE_CHECKING:
    from spiffe import X509Svid

Jwk = Mapping[str, Any]

_UNSUPPORTED: Final = "UNIMPLEMENTED"


class WorkloadApiError(AuthzError):
    """The Workload API can't be used; the message is ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Svid:
    """One of our own X.509-SVIDs: chain and key in PEM. `not_after` in seconds since the epoch."""

    id: str
    chain: bytes
    key: bytes = field(repr=False)
    not_before: float
    not_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateUpdate:
    """Our SVIDs, the default one first, and each trust domain's authorities as `x509-svid` keys of a bundle."""

    svids: tuple[Svid, ...]
    authorities: Mapping[str, tuple[Jwk, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeyUpdate:
    """Each trust domain's keys for JWT-SVIDs, as `jwt-svid` keys of a bundle."""

    keys: Mapping[str, tuple[Jwk, ...]]


class Listener(Protocol):
    """Told on threads of the connection."""

    def certificates(self, update: CertificateUpdate, /) -> None: ...

    def token_keys(self, update: TokenKeyUpdate, /) -> None: ...

    def ended(self, reason: str, /) -> None:
        """The connection is of no use any more."""
        ...


Close = Callable[[], None]
Connect = Callable[[str, Listener], Close]
"""Opens both streams at an address `unix:…`; raises `WorkloadApiError`."""


def connect(address: str, listener: Listener) -> Close:
    """A `Connect` over the package."""
    try:
        from spiffe import WorkloadApiClient
        from spiffe.errors import ArgumentError
    except ImportError:
        raise WorkloadApiError("the package `spiffe` isn't installed (extra `spiffe`)") from None
    try:
        client = WorkloadApiClient(address)
    except ArgumentError:
        raise WorkloadApiError("there is no such socket") from None

    def certificates(context: Any) -> None:
        listener.certificates(_certificates(context))

    def token_keys(bundles: Any) -> None:
        listener.token_keys(_token_keys(bundles))

    def no_token_keys(error: Exception) -> None:
        if _UNSUPPORTED in str(error):
            listener.token_keys(TokenKeyUpdate(keys={}))  # JWT-SVIDs are optional (SPIFFE Workload API §3).
        else:
            listener.ended(_reason(error))

    client.stream_x509_contexts(certificates, lambda error: listener.ended(_reason(error)), retry_connect=False)
    client.stream_jwt_bundles(token_keys, no_token_keys, retry_connect=False)
    return client.close


def _certificates(context: Any) -> CertificateUpdate:
    bundles = context.x509_bundle_set.bundles
    return CertificateUpdate(
        svids=tuple(_svid(svid) for svid in context.x509_svids),
        authorities={
            str(bundle.trust_domain): tuple(_authority(each) for each in bundle.x509_authorities) for bundle in bundles
        },
    )


def _svid(svid: X509Svid) -> Svid:
    private: Any = svid.private_key
    return Svid(
        id=str(svid.spiffe_id),
        chain=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in svid.cert_chain),
        key=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        not_before=svid.leaf.not_valid_before_utc.timestamp(),
        not_after=svid.leaf.not_valid_after_utc.timestamp(),
    )


def _authority(certificate: Any) -> Jwk:
    der = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
    return {**jwk_parameters(certificate.public_key()), "use": "x509-svid", "x5c": [der]}


def _token_keys(bundles: Any) -> TokenKeyUpdate:
    return TokenKeyUpdate(keys={
        str(bundle.trust_domain): tuple(
            {**jwk_parameters(key), "use": "jwt-svid", "kid": kid} for kid, key in bundle.jwt_authorities.items()
        )
        for bundle in bundles.bundles
    })


_REASONS: Final = {
    "PERMISSION_DENIED": "no identity is registered for this process",
    "UNAVAILABLE": "the socket doesn't answer",
    _UNSUPPORTED: "the socket speaks no Workload API",
    "stream ended": "the stream was ended",
}


def _reason(error: Exception) -> str:
    text = str(error)
    return next((reason for word, reason in _REASONS.items() if word in text), "an answer can't be used")
