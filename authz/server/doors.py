"""The doors through which people revoke: a Unix socket on this machine and an mTLS listener for others.

Owns: which doors the settings ask for, and binding them. Must not: say who may come in (`server.callers`) or what is
asked (`server.control`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from authz.config.settings import RevocationSettings, Settings, TlsSettings
from authz.server.callers import CertificateCallers, SocketCallers
from authz.server.control import Control
from authz.server.front import ListenError
from authz.server.http_door import Admit, HttpDoor, bind
from authz.server.tls import TlsFiles
from authz.server.unix_socket import SocketPath

_OWN: Final = 0o600
_GROUP: Final = 0o660


class Door:
    """One way in; `start` binds and serves, `close` ends it."""

    def __init__(self, control: Control, listen: Callable[[], tuple[socket.socket, str]], admit: Admit) -> None:
        self._control = control
        self._listen = listen
        self._admit = admit
        self._door: HttpDoor | None = None
        self._path: SocketPath | None = None

    @classmethod
    def on_socket(cls, control: Control, path: str, *, group: bool) -> Door:
        """A Unix socket; others than those whom the kernel names as ours are turned away."""
        claimed = SocketPath(path, _GROUP if group else _OWN)
        door = cls(control, lambda: _bind_socket(claimed, path), SocketCallers(Path(path), group=group).admit)
        door._path = claimed
        return door

    def start(self) -> str:
        """Serve; where. Raises `ListenError`."""
        listener, where = self._listen()
        self._door = HttpDoor(listener, self._control.answer, admit=self._admit, name="revoking")
        self._door.start()
        return where

    def close(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._path is not None:
            self._path.release()


def doors_of(settings: Settings, control: Control) -> Iterator[Door]:
    """The doors that the settings ask for, not open yet. Raises `ListenError` for TLS files that can't be used."""
    chosen = settings.revocation
    if chosen.socket is not None:
        yield Door.on_socket(control, chosen.socket.path, group=chosen.group)
    if chosen.listen is not None:
        yield _over_tls(control, chosen, settings.tls)


def _over_tls(control: Control, chosen: RevocationSettings, tls: TlsSettings) -> Door:
    address = chosen.listen
    assert address is not None
    files = TlsFiles(certificate=str(tls.cert), key=str(tls.key), client_ca=str(tls.client_ca))

    def listen() -> tuple[socket.socket, str]:
        try:
            listener = bind(address.host, address.port)
        except OSError as error:
            raise ListenError(f"{address}: {error.strerror}") from error
        host = f"[{address.host}]" if ":" in address.host else address.host
        return listener, f"{host}:{listener.getsockname()[1]}"

    return Door(control, listen, CertificateCallers(files, chosen.operators).admit)


def _bind_socket(claimed: SocketPath, path: str) -> tuple[socket.socket, str]:
    claimed.claim()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with claimed.binding():
            listener.bind(path)
        listener.listen(32)
    except (OSError, ListenError) as error:
        listener.close()
        claimed.release()
        raise ListenError(f"unix:{path}: {getattr(error, 'strerror', None) or error}") from error
    return listener, f"unix:{path}"
