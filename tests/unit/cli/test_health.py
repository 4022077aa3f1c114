"""Whom `authz health` asks when nobody says it: the address at which the settings of this place speak plaintext."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.cli import main


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A working directory without settings."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("listen", "asked"),
    [("127.0.0.1:1", "127.0.0.1:1"), ("127.0.0.1:1,unix:/nonexistent/authz.sock", "unix:/nonexistent/authz.sock")],
)
def test_a_unix_socket_is_asked_first(
    listen: str, asked: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A port that wants no certificate comes second; nobody is there in either case, and the message says where."""
    monkeypatch.setenv("AUTHZ_LISTEN", listen)

    assert main(["health"]) == 5
    assert asked in capsys.readouterr().err


def test_without_plaintext_it_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A probe can't show a certificate: with mTLS alone it wants a socket beside the port."""
    names = {"TLS__CERT": "c.pem", "TLS__KEY": "k.pem", "TLS__CLIENT_CA": "ca.pem", "LISTEN": "0.0.0.0:9000"}
    for name, value in {**names, "TLS__MAY_CONNECT": "spiffe://shop.example/envoy"}.items():
        monkeypatch.setenv(f"AUTHZ_{name}", value)

    assert main(["health"]) == 2
    assert "add a unix: address" in capsys.readouterr().err
