"""Which certificates a listener shows and whom it lets in."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.model.spiffe import SpiffeId
from authz.server.front import ListenError
from authz.server.tls import AllowedPeers, ServerCertificate, TlsFiles
from tests.mint.tls_material import Authority

GATEWAY = "spiffe://shop.example/ns/edge/sa/gateway"
CA = Authority()


def write(directory: Path, *, ca: Authority = CA) -> TlsFiles:
    leaf = ca.leaf("spiffe://shop.example/ns/authz/sa/authz")
    for name, content in (("tls.crt", leaf.certificate), ("tls.key", leaf.key), ("ca.crt", ca.certificate)):
        (directory / name).write_bytes(content)
    return TlsFiles(
        certificate=str(directory / "tls.crt"), key=str(directory / "tls.key"), client_ca=str(directory / "ca.crt")
    )


@pytest.mark.parametrize(
    ("uris", "expected"),
    [
        ([GATEWAY], True),
        ([], False),
        ([GATEWAY, GATEWAY], False),
        ([GATEWAY, "spiffe://shop.example/other"], False),
        (["spiffe://shop.example/ns/edge/sa/other"], False),
        ([GATEWAY + "/"], False),
        ([GATEWAY + "\n"], False),
        ([GATEWAY.upper()], False),
        (["https://shop.example/ns/edge/sa/gateway"], False),
        (["spiffe://shop.example/\u00e9"], False),
    ],
)
def test_only_one_uri_san_on_the_list_may_ask(uris: list[str], expected: bool) -> None:
    """Exactly one URI SAN, octet for octet a SPIFFE ID on the list."""
    peers = AllowedPeers([SpiffeId.parse(GATEWAY)])

    assert peers.permits({"peer_uri": [uri.encode() for uri in uris]}) is expected


def test_an_empty_list_lets_nobody_in() -> None:
    """Empty means deny."""
    assert not AllowedPeers([]).permits({"peer_uri": [GATEWAY.encode()]})
    assert not AllowedPeers([]).permits({})


def test_unchanged_files_are_not_read_again(tmp_path: Path) -> None:
    """None is gRPC's word for "no change"."""
    certificate = ServerCertificate(write(tmp_path))
    certificate.credentials()

    assert certificate.changed() is None


def test_changed_files_are_used_from_the_next_handshake_on(tmp_path: Path) -> None:
    """A rotated certificate is picked up once."""
    certificate = ServerCertificate(write(tmp_path))
    certificate.credentials()
    write(tmp_path)

    assert certificate.changed() is not None
    assert certificate.changed() is None


@pytest.mark.parametrize("broken", ["tls.crt", "tls.key", "ca.crt"])
def test_broken_files_leave_the_last_good_ones(tmp_path: Path, broken: str) -> None:
    """A half-written rotation changes nothing, and the finished one is taken."""
    certificate = ServerCertificate(write(tmp_path))
    certificate.credentials()
    (tmp_path / broken).write_text("not yet")

    assert certificate.changed() is None
    write(tmp_path)
    assert certificate.changed() is not None


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tls.key", None, "No such file"),
        ("tls.key", b"-----BEGIN NOTHING-----", "no unencrypted PEM private key"),
        ("tls.key", CA.leaf().key, "doesn't belong"),
        ("tls.crt", b"", "no PEM certificates"),
        ("ca.crt", b"", "no PEM certificates"),
    ],
)
def test_unusable_files_at_start_are_a_listen_error(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    """Said in words with the file's name, for exit code 5."""
    files = write(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)

    with pytest.raises(ListenError, match=message):
        ServerCertificate(files).credentials()
