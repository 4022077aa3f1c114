"""Who may come in: by the kernel's word at a Unix socket, by a certificate over mTLS."""

from __future__ import annotations

import os
import socket
import ssl
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from authz.cli import control_client, parser
from authz.cli.failure import CommandFailed
from authz.config.listen import ListenAddress
from authz.config.settings import RevocationSettings, Settings, TlsSettings
from authz.model.spiffe import SpiffeId
from authz.server import callers
from authz.server.callers import CertificateCallers, SocketCallers
from authz.server.control import Control
from authz.server.doors import doors_of
from authz.server.front import ListenError
from authz.server.http_door import NotAdmitted
from authz.server.tls import TlsFiles
from tests.fakes.revoking import Desk
from tests.mint.tls_material import Authority, Pair

OPERATOR = "spiffe://shop.example/ns/platform/sa/operator"
SERVICE = "spiffe://shop.example/ns/authz/sa/authz"


@pytest.fixture
def short() -> Iterator[Path]:
    """A directory whose name leaves room for a socket."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    yield ours, theirs
    ours.close()
    theirs.close()


# --- the Unix socket ---


def test_our_own_user_may_revoke(pair: tuple[socket.socket, socket.socket], short: Path) -> None:
    """Under the name that the system has for it."""
    _, name = SocketCallers(short, group=False).admit(pair[0])

    assert name.startswith("unix:")
    assert name != "unix:"


def test_another_user_may_not(
    pair: tuple[socket.socket, socket.socket], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the socket's mode lets through."""
    monkeypatch.setattr(callers, "_ROOT", -1)
    monkeypatch.setattr(callers.os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(NotAdmitted):
        SocketCallers(short, group=False).admit(pair[0])


def test_members_of_the_sockets_group_may_where_that_is_wanted(
    pair: tuple[socket.socket, socket.socket], short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says which groups the caller was in when it connected."""
    monkeypatch.setattr(callers, "_ROOT", -1)
    monkeypatch.setattr(callers.os, "geteuid", lambda: os.getuid() + 1)

    SocketCallers(short, group=True).admit(pair[0])
    if os.getuid() == 0:
        os.chown(short, 0, 54_321)
        with pytest.raises(NotAdmitted):
            SocketCallers(short, group=True).admit(pair[0])


def test_the_kernel_says_all_groups_of_the_caller(pair: tuple[socket.socket, socket.socket]) -> None:
    """Supplementary ones, as the system has them for this very process."""
    answer = pair[0].getsockopt(socket.SOL_SOCKET, callers._PEERGROUPS, 4 * callers._MAX_GROUPS)

    assert len(answer) == 4 * len(os.getgroups()), "the kernel and Python take a question of this size"
    assert callers._groups_of(pair[0]) == tuple(os.getgroups())


def ask(*words: str) -> control_client.Answer:
    arguments = parser("revoke").parse_args(["revoke", "list", *words])
    return control_client.ask(arguments, "GET", "/revocations")


@pytest.mark.parametrize(("group", "mode"), [(False, 0o600), (True, 0o660)])
def test_the_socket_is_narrow_and_goes_with_the_service(short: Path, group: bool, mode: int) -> None:
    """And is answered meanwhile."""
    desk, path = Desk(), short / "revoke.sock"
    settings = Settings(revocation=RevocationSettings(socket=ListenAddress(path=str(path)), group=group))
    (door,) = doors_of(settings, Control(desk.revoker, desk.entries))
    door.start()

    found, answer = stat.S_IMODE(path.stat().st_mode), ask("--socket", str(path))
    door.close()

    assert found == mode
    assert answer.document["entries"] == []
    assert not path.exists()


# --- mTLS ---


@dataclass
class Remote:
    """A listener, and what its callers may show."""

    port: int
    authority: Authority
    directory: Path

    def ask(self, *uris: str, server_id: str = SERVICE, authority: Authority | None = None) -> int:
        write(self.directory, "caller", (authority or self.authority).leaf(*uris))
        return ask(
            "--server",
            f"127.0.0.1:{self.port}",
            "--server-id",
            server_id,
            "--ca",
            str(self.directory / "ca.pem"),
            "--cert",
            str(self.directory / "caller.pem"),
            "--key",
            str(self.directory / "caller.key"),
        ).status


def write(directory: Path, name: str, pair: Pair) -> None:
    (directory / f"{name}.pem").write_bytes(pair.certificate)
    (directory / f"{name}.key").write_bytes(pair.key)


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    authority, desk = Authority(), Desk()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    write(tmp_path, "service", authority.leaf(SERVICE))
    settings = Settings(
        tls=TlsSettings(cert=tmp_path / "service.pem", key=tmp_path / "service.key", client_ca=tmp_path / "ca.pem"),
        revocation=RevocationSettings(
            listen=ListenAddress(host="127.0.0.1", port=0), operators=(SpiffeId.parse(OPERATOR),)
        ),
    )
    (door,) = doors_of(settings, Control(desk.revoker, desk.entries))
    yield Remote(int(door.start().rpartition(":")[2]), authority, tmp_path)
    door.close()


def test_who_is_on_the_list_may_revoke(remote: Remote) -> None:
    """By exactly one SPIFFE ID in a certificate of the CA."""
    assert remote.ask(OPERATOR) == 200


@pytest.mark.parametrize("uris", [(), (SERVICE,), (OPERATOR, SERVICE), (OPERATOR + "/x",), ("https://a.example",)])
def test_anybody_else_is_hung_up_on(remote: Remote, uris: tuple[str, ...]) -> None:
    """Several names are none."""
    with pytest.raises(CommandFailed):
        remote.ask(*uris)


def test_the_same_name_from_another_ca_is_no_name(remote: Remote) -> None:
    """The handshake fails."""
    with pytest.raises(CommandFailed):
        remote.ask(OPERATOR, authority=Authority("other"))


def test_without_a_certificate_nothing_is_answered(remote: Remote) -> None:
    """The listener asks for one."""
    context = ssl.create_default_context(cafile=remote.directory / "ca.pem")
    with (
        pytest.raises(OSError),
        socket.create_connection(("127.0.0.1", remote.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        secured.sendall(b"GET /revocations HTTP/1.0\r\n\r\n")
        if not secured.recv(100):
            raise ConnectionResetError


def test_the_caller_makes_sure_of_the_service(remote: Remote) -> None:
    """Nothing is sent to one that shows another ID."""
    with pytest.raises(CommandFailed, match="another SPIFFE ID"):
        remote.ask(OPERATOR, server_id=OPERATOR)


def test_files_are_read_for_each_connection(remote: Remote) -> None:
    """A rotated certificate is shown at once."""
    write(remote.directory, "service", remote.authority.leaf(OPERATOR))

    assert remote.ask(OPERATOR, server_id=OPERATOR) == 200


def test_files_that_cant_be_used_end_the_start(tmp_path: Path) -> None:
    """In words."""
    missing = str(tmp_path / "none.pem")

    with pytest.raises(ListenError, match="TLS files"):
        CertificateCallers(TlsFiles(certificate=missing, key=missing, client_ca=missing), ())
