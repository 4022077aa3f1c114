"""The SPIFFE Workload API over the package `spiffe` (extra `spiffe`): what it hands out, as our own values.

Owns: the only use of that package: its messages and its readers of certificates. Its client isn't used: one trust
domain whose bundle it can't read (one without X.509 authorities is enough) takes the bundles of all others away, and
it tells nobody that a connection was lost. One connection is one attempt. Must not: judge what was handed out (authn
does), or keep anything.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authz.authn.authority import jwk_parameters
from authz.authn.encoding import EncodingError, read_json_object
from authz.model.errors import AuthzError

Jwk = Mapping[str, Any]

_HEADER: Final = (("workload.spiffe.io", "true"),)
"""Shows that whoever asks means the Workload API (SPIFFE Workload Endpoint §6): no request forgery gets here."""
_OPTIONS: Final = (
    # A connection of its own for each attempt: shared ones also share their waiting after failure.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
_SCHEME: Final = "spiffe://"
_JWT_USE: Final = "jwt-svid"


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
    """Our SVIDs, the default one first, and each trust domain's authorities as `x509-svid` keys of a bundle. `faults`
    has the trust domains whose authorities can't be read."""

    svids: tuple[Svid, ...]
    authorities: Mapping[str, tuple[Jwk, ...]]
    faults: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKeyUpdate:
    """Each trust domain's keys for JWT-SVIDs, as `jwt-svid` keys of a bundle; `faults` as above."""

    keys: Mapping[str, tuple[Jwk, ...]]
    faults: Mapping[str, str] = field(default_factory=dict)


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
        from spiffe._proto import workload_pb2 as messages
        from spiffe._proto import workload_pb2_grpc as stubs
    except ImportError:
        raise WorkloadApiError("the package `spiffe` isn't installed (extra `spiffe`)") from None
    if not Path(address.removeprefix("unix:")).exists():
        raise WorkloadApiError("there is no such socket")
    channel = grpc.insecure_channel(address, options=_OPTIONS)
    stub: Any = stubs.SpiffeWorkloadAPIStub(channel)  # type: ignore[no-untyped-call] # gRPC generates no types

    def certificates() -> None:
        for answer in stub.FetchX509SVID(messages.X509SVIDRequest(), metadata=_HEADER):
            listener.certificates(_certificates(answer))
        raise WorkloadApiError(_ENDED)

    def token_keys() -> None:
        try:
            for answer in stub.FetchJWTBundles(messages.JWTBundlesRequest(), metadata=_HEADER):
                listener.token_keys(_token_keys(answer))
        except grpc.RpcError as error:
            if _code(error) is not grpc.StatusCode.UNIMPLEMENTED:
                raise
            # JWT-SVIDs are optional (SPIFFE Workload API §3). This stream is over, the other one goes on.
            listener.token_keys(TokenKeyUpdate(keys={}))
            return
        raise WorkloadApiError(_ENDED)

    for name, stream in (("certificates", certificates), ("token-keys", token_keys)):
        thread = threading.Thread(target=_follow, args=(stream, listener), name=f"workload-{name}", daemon=True)
        thread.start()
    return channel.close


_ENDED: Final = "the stream was ended"
_REASONS: Final = {
    grpc.StatusCode.PERMISSION_DENIED: "no identity is registered for this process",
    grpc.StatusCode.UNAVAILABLE: "the socket doesn't answer, or hung up",
    grpc.StatusCode.UNIMPLEMENTED: "the socket speaks no Workload API",
}


def _follow(stream: Callable[[], None], listener: Listener) -> None:
    try:
        stream()
    except grpc.RpcError as error:
        code = _code(error)
        listener.ended(_REASONS.get(code, f"gRPC status {code.name}") if code else _ENDED)
    except WorkloadApiError as error:
        listener.ended(str(error))
    except Exception as error:  # noqa: BLE001 - a thread must not end without a word
        listener.ended(f"an answer can't be used ({type(error).__name__})")


def _code(error: grpc.RpcError) -> grpc.StatusCode | None:
    code: Any = getattr(error, "code", None)  # There on errors of calls, which is what comes here.
    return code() if callable(code) else None


def _certificates(answer: Any) -> CertificateUpdate:
    """Raises `WorkloadApiError` when our own SVID can't be read."""
    raw = {domain.removeprefix(_SCHEME): der for domain, der in answer.federated_bundles.items()}
    svids = tuple(_svid(svid) for svid in answer.svids)
    raw |= {domain_of(svid.id): given.bundle for svid, given in zip(svids, answer.svids, strict=True)}
    authorities: dict[str, tuple[Jwk, ...]] = {}
    faults: dict[str, str] = {}
    for domain, der in raw.items():
        try:
            authorities[domain] = tuple(_authorities(domain, der))
        except WorkloadApiError as error:
            faults[domain] = str(error)
    return CertificateUpdate(svids=svids, authorities=authorities, faults=faults)


def _svid(given: Any) -> Svid:
    from spiffe import X509Svid
    from spiffe.errors import PySpiffeError

    try:
        svid = X509Svid.parse_raw(given.x509_svid, given.x509_svid_key)
    except PySpiffeError:
        raise WorkloadApiError("our own certificate can't be read") from None
    private: Any = svid.private_key
    return Svid(
        id=str(svid.spiffe_id),
        chain=b"".join(certificate.public_bytes(Encoding.PEM) for certificate in svid.cert_chain),
        key=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        not_before=svid.leaf.not_valid_before_utc.timestamp(),
        not_after=svid.leaf.not_valid_after_utc.timestamp(),
    )


def _authorities(domain: str, der: bytes) -> Iterable[Jwk]:
    """A trust domain may have none: one that issues JWT-SVIDs only."""
    from spiffe import TrustDomain, X509Bundle
    from spiffe.errors import PySpiffeError

    if not der:
        return
    try:
        found = X509Bundle.parse_raw(TrustDomain(domain), der).x509_authorities
    except PySpiffeError:
        raise WorkloadApiError("the authorities can't be read") from None
    for certificate in found:
        octets = base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")
        yield {**jwk_parameters(certificate.public_key()), "use": "x509-svid", "x5c": [octets]}


def _token_keys(answer: Any) -> TokenKeyUpdate:
    keys: dict[str, tuple[Jwk, ...]] = {}
    faults: dict[str, str] = {}
    for name, document in answer.bundles.items():
        domain = name.removeprefix(_SCHEME)
        try:
            keys[domain] = tuple(_jwks(document))
        except EncodingError as error:
            faults[domain] = f"the keys for JWT-SVIDs can't be read: {error}"
    return TokenKeyUpdate(keys=keys, faults=faults)


def _jwks(document: bytes) -> Iterable[Jwk]:
    """A plain JWK set here, in which `use` is left out or says the same (SPIFFE Workload API §6.2.4)."""
    entries = read_json_object(document).get("keys")
    for entry in entries if type(entries) is list else ():
        if type(entry) is dict and entry.get("use", _JWT_USE) == _JWT_USE:
            yield {**entry, "use": _JWT_USE}


def domain_of(spiffe_id: str) -> str:
    """The trust domain of a SPIFFE ID that was read before."""
    return spiffe_id.removeprefix(_SCHEME).partition("/")[0]
