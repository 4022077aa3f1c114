"""Who stands at a door through which something can be changed: admission by the system's or a certificate's word.

Owns: the check of a Unix socket's peer (SO_PEERCRED: the kernel's word at the time of `connect`) and of a client
certificate (mTLS: exactly one URI among its names, a SPIFFE ID on the list). Must not: take anybody's own word.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import ssl
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509

from authz.authn.certificate import CertificateError, uri_names
from authz.model.spiffe import SpiffeId
from authz.server.front import ListenError
from authz.server.http_door import NotAdmitted
from authz.server.tls import AllowedPeers, TlsFiles

_CREDENTIALS: Final = struct.Struct("3i")
_PEERGROUPS: Final = 59
"""SO_PEERGROUPS of socket(7), Linux 4.13; Python has no name for it."""
_MAX_GROUPS: Final = 256
"""What Python's largest answer holds; of a caller with more of them only the first group counts."""
_ROOT: Final = 0


class SocketCallers:
    """Callers of a Unix socket: root, our own user and, with `group`, members of the group that the socket has."""

    def __init__(self, path: Path, *, group: bool) -> None:
        self._path = path
        self._group = group

    def admit(self, connection: socket.socket) -> tuple[socket.socket, str]:
        """The caller as `unix:NAME` (or its number); raises `NotAdmitted`."""
        _, uid, gid = _CREDENTIALS.unpack(
            connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        if uid not in (_ROOT, os.geteuid()) and not (self._group and self._is_member(connection, gid)):
            raise NotAdmitted(f"user {uid} may not revoke")
        return connection, f"unix:{_name_of(uid)}"

    def _is_member(self, connection: socket.socket, primary: int) -> bool:
        wanted = self._path.stat().st_gid
        return wanted == primary or wanted in _groups_of(connection)


class CertificateCallers:
    """Callers over mTLS: those on the list. The files are read for each connection, so a rotation needs no notice."""

    def __init__(self, files: TlsFiles, allowed: Iterable[SpiffeId]) -> None:
        self._files = files
        self._allowed = AllowedPeers(allowed)
        try:
            self._context()
        except (OSError, ValueError) as error:
            raise ListenError(f"TLS files of revocation.listen: {getattr(error, 'strerror', None) or error}") from error

    def admit(self, connection: socket.socket) -> tuple[socket.socket, str]:
        """The connection inside TLS, and the caller's SPIFFE ID; raises `NotAdmitted` or OSError."""
        secured = self._context().wrap_socket(connection, server_side=True)
        try:
            names = _names_of(secured.getpeercert(binary_form=True))
            if not self._allowed.permits({"peer_uri": [name.encode() for name in names]}):
                raise NotAdmitted("the certificate's SPIFFE ID is not on the list of those that may revoke")
        except BaseException:
            with contextlib.suppress(OSError):
                secured.close()
            raise
        return secured, names[0]

    def _context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        # A resumed session would skip the check of the certificate against the authorities in force.
        context.num_tickets = 0
        context.load_cert_chain(self._files.certificate, self._files.key)
        context.load_verify_locations(cafile=self._files.client_ca)
        return context


def _names_of(certificate: bytes | None) -> list[str]:
    if certificate is None:
        return []
    try:
        return list(uri_names(x509.load_der_x509_certificate(certificate)))
    except (ValueError, CertificateError):
        return []


def _groups_of(connection: socket.socket) -> tuple[int, ...]:
    """The peer's supplementary groups; none when the kernel doesn't say."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, _PEERGROUPS, 4 * _MAX_GROUPS)
    except OSError:
        return ()
    return struct.unpack(f"{len(raw) // 4}I", raw)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
