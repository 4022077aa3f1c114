"""Socket paths: nobody's socket is taken over, ours is narrow and goes when we go."""

from __future__ import annotations

import socket
import stat
from pathlib import Path

import pytest

from authz.server.front import ListenError
from authz.server.unix_socket import SocketPath


def bind(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(1)
    return listener


def test_a_claimed_socket_is_narrow_and_removed_on_release(tmp_path: Path) -> None:
    """Mode 0660 at most, and neither socket nor lock is left behind."""
    path = tmp_path / "authz.sock"
    claim = SocketPath(str(path), 0o777)
    claim.claim()
    with claim.binding():
        listener = bind(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    claim.release()
    listener.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_server_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    """The lock says so even before anybody listens."""
    first, second = (SocketPath(str(tmp_path / "a.sock")) for _ in range(2))
    first.claim()

    with pytest.raises(ListenError, match="another authz serves this socket"):
        second.claim()

    first.release()
    second.claim()
    second.release()


def test_a_stale_socket_is_removed(tmp_path: Path) -> None:
    """A socket that nobody listens on is what a crash leaves behind."""
    path = tmp_path / "a.sock"
    bind(path).close()
    claim = SocketPath(str(path))

    claim.claim()

    assert not path.exists()
    claim.release()


def test_somebody_elses_socket_is_left_alone(tmp_path: Path) -> None:
    """A listening socket without our lock belongs to another program."""
    path = tmp_path / "a.sock"
    listener = bind(path)

    with pytest.raises(ListenError, match="another process listens"):
        SocketPath(str(path)).claim()

    assert path.exists()
    listener.close()


def test_a_plain_file_is_never_removed(tmp_path: Path) -> None:
    """A mistyped path must not delete what stands there."""
    path = tmp_path / "a.sock"
    path.write_text("precious")

    with pytest.raises(ListenError, match="no socket"):
        SocketPath(str(path)).claim()

    assert path.read_text() == "precious"


def test_release_leaves_a_successors_socket(tmp_path: Path) -> None:
    """What stands at the path by then may not be ours any more."""
    path = tmp_path / "a.sock"
    claim = SocketPath(str(path))
    claim.claim()
    with claim.binding():
        ours = bind(path)
    path.unlink()
    theirs = bind(path)

    claim.release()

    assert path.exists()
    ours.close()
    theirs.close()


@pytest.mark.parametrize("path", ["x" * 200, "/nonexistent/directory/a.sock"])
def test_an_unusable_path_is_a_listen_error(path: str) -> None:
    """Too long, or nowhere: said in words."""
    with pytest.raises(ListenError, match="unix:"):
        SocketPath(path).claim()
