"""The certificate that a listener shows and the proxies that may connect: mTLS only, from files or the Workload API.

A private CA signs short-lived certificates, so the material is looked at before every handshake; connections that stand
are left alone. What can't be read or doesn't fit together leaves the last good set in use and says so in the log. Who
may connect is judged by the verified client certificate's URI SANs: exactly one (X509-SVID §2), a SPIFFE ID on the
list.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.server.front import ListenError
from authz.sources.workload_api import ServingSvid, WorkloadApi

_LOG: Final = logging.getLogger("authz.server")
_PEER_URI: Final = "peer_uri"
"""gRPC's name for the URI SANs of the peer's verified certificate."""
_MAX_FILE_BYTES: Final = 1024 * 1024
_FIRST_SVID_SECONDS: Final = 30.0
"""How long a start waits for the Workload API: an agent that starts beside us needs a moment."""


class Material(Protocol):
    """Certificate, key and client CA, wherever they come from. Each method raises `ListenError`."""

    def await_first(self, allowed: Iterable[SpiffeId], /) -> None:
        """Before anything is loaded: wait until there is something, and see that it can verify the `allowed`."""
        ...

    def stamp(self) -> object:
        """A value that changes whenever the material does."""
        ...

    def load(self) -> grpc.ServerCertificateConfiguration: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """PEM files: our certificate chain and key, and the CA that client certificates must chain to."""

    certificate: str
    key: str
    client_ca: str

    def paths(self) -> tuple[Path, Path, Path]:
        return Path(self.certificate), Path(self.key), Path(self.client_ca)

    def await_first(self, allowed: Iterable[SpiffeId], /) -> None:
        """Files are there or they aren't."""

    def stamp(self) -> object:
        try:
            found = [path.stat() for path in self.paths()]
        except OSError as error:
            raise ListenError(f"TLS file {error.filename}: {error.strerror}") from error
        return tuple((status.st_mtime_ns, status.st_size, status.st_ino) for status in found)

    def load(self) -> grpc.ServerCertificateConfiguration:
        certificate, key, client_ca = (_read(path) for path in self.paths())
        _check_pair(certificate, key, self)
        try:
            x509.load_pem_x509_certificates(client_ca)
        except ValueError as error:
            raise ListenError(f"TLS file {self.client_ca}: no PEM certificates") from error
        return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=client_ca)


class WorkloadMaterial:
    """Our X.509-SVID, and the authorities of our own trust domain: a federated one could name our proxies."""

    def __init__(self, api: WorkloadApi, *, patience: float = _FIRST_SVID_SECONDS) -> None:
        self._api = api
        self._patience = patience

    def await_first(self, allowed: Iterable[SpiffeId], /) -> None:
        if not self._api.wait_for_svid(self._patience):
            why = self._api.svid_state().error or "no answer"
            raise ListenError(f"{self._api.address}: no certificate from the Workload API: {why}")
        own = SpiffeId.parse(self._serving().svid.id).trust_domain
        if any(workload.trust_domain != own for workload in allowed):
            raise ListenError(f"tls.may_connect: with tls.workload_api, of our own trust domain {own}")

    def stamp(self) -> object:
        return self._serving()

    def load(self) -> grpc.ServerCertificateConfiguration:
        serving = self._serving()
        return grpc.ssl_server_certificate_configuration(
            [(serving.svid.key, serving.svid.chain)], root_certificates=serving.authorities
        )

    def _serving(self) -> ServingSvid:
        serving = self._api.svid()
        if serving is None:
            raise ListenError(f"{self._api.address}: the Workload API hands out no certificate")
        return serving


class ServerCertificate:
    """The material in use, as gRPC's dynamic server credentials ask for it."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._lock = threading.Lock()
        self._stamp: object = None

    def credentials(self) -> grpc.ServerCredentials:
        """Read everything once; raises `ListenError` when it can't be used."""
        self._stamp = self._material.stamp()
        first = self._material.load()
        fetch: Callable[[], Any] = self.changed  # gRPC takes None for "no change"; its stubs don't say so.
        return grpc.dynamic_ssl_server_credentials(first, fetch, require_client_authentication=True)

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """New material if the files changed since the last look, else None; never raises (it runs inside gRPC)."""
        with self._lock:
            try:
                stamp = self._material.stamp()
                if stamp == self._stamp:
                    return None
                fresh = self._material.load()
            except Exception as error:  # noqa: BLE001 - called by gRPC's own thread before a handshake
                detail = str(error) if isinstance(error, ListenError) else type(error).__name__
                _LOG.error(
                    "new TLS material can't be used; the last good one stays",
                    extra={"event": "tls_reload_failed", "error": detail},
                )
                return None
            self._stamp = stamp
            _LOG.info("new TLS material in use", extra={"event": "tls_reloaded"})
            return fresh


class AllowedPeers:
    """The proxies that may ask. An empty list lets nobody in."""

    def __init__(self, allowed: Iterable[SpiffeId]) -> None:
        self._allowed = frozenset(allowed)

    def permits(self, auth_context: Mapping[str, Sequence[bytes]]) -> bool:
        """Whether the connection's verified certificate has exactly one URI SAN and it is on the list."""
        uris = auth_context.get(_PEER_URI, ())
        if len(uris) != 1:
            return False
        try:
            return SpiffeId.parse(uris[0].decode("ascii")) in self._allowed
        except (SpiffeIdError, UnicodeDecodeError):
            return False


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ListenError(f"TLS file {path}: {error.strerror}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise ListenError(f"TLS file {path}: larger than {_MAX_FILE_BYTES} bytes")
    return content


def _check_pair(certificate: bytes, key: bytes, files: TlsFiles) -> None:
    """A key of another certificate would fail every handshake, and gRPC wouldn't say why."""
    try:
        leaf = x509.load_pem_x509_certificates(certificate)[0]
    except ValueError as error:
        raise ListenError(f"TLS file {files.certificate}: no PEM certificates") from error
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError) as error:
        raise ListenError(f"TLS file {files.key}: no unencrypted PEM private key") from error
    if _public_bytes(leaf.public_key()) != _public_bytes(private.public_key()):
        raise ListenError(f"TLS file {files.key}: the key doesn't belong to the certificate in {files.certificate}")


def _public_bytes(key: object) -> bytes:
    encode = getattr(key, "public_bytes", None)
    if encode is None:
        raise ListenError("the certificate's kind of key isn't supported")
    der: bytes = encode(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return der
