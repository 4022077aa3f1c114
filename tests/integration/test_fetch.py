"""Fetching over real sockets: limits, TLS, and that the checked address is the one connected to."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from authz.sources.fetch import Fetcher, FetchError, FetchRules
from tests.fakes.web_server import Handle, answer, serving
from tests.mint.tls_material import Authority, server_context

RULES = FetchRules(timeout=0.5, max_bytes=1000)


def _get(handle: Handle, rules: FetchRules = RULES, path: str = "/keys") -> bytes:
    with serving(handle) as port:
        return Fetcher(rules).get(f"http://127.0.0.1:{port}{path}").body


def test_a_body_and_its_age_are_fetched() -> None:
    """With one plain request that names its host and asks for no compression."""
    heads: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        heads.append(head)
        answer(b"{}", headers="Cache-Control: public, max-age=60\r\n")(connection, head)

    with serving(handle) as port:
        fetched = Fetcher(RULES).get(f"http://localhost:{port}/keys?p=1")

    assert (fetched.body, fetched.max_age) == (b"{}", 60.0)
    assert heads[0].startswith(b"GET /keys?p=1 HTTP/1.1\r\n")
    assert f"host: localhost:{port}\r\n".encode() in heads[0].lower()
    assert b"accept-encoding: identity\r\n" in heads[0].lower()


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(status: str) -> None:
    """Wherever it leads (CVE-2026-41413)."""
    asked: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        asked.append(head)
        answer(b"", status=status, headers="Location: /other\r\n")(connection, head)

    with pytest.raises(FetchError, match="redirect"):
        _get(handle)
    assert len(asked) == 1


@pytest.mark.parametrize("status", ["204 No Content", "206 Partial", "400 Bad", "404 Not Found", "500 Error"])
def test_only_200_counts(status: str) -> None:
    """And the status is told to discovery."""
    with pytest.raises(FetchError) as caught:
        _get(answer(b"", status=status))

    assert caught.value.status == int(status[:3])


def test_a_body_over_the_limit_is_refused_by_its_announced_length() -> None:
    """Before it is read."""
    with pytest.raises(FetchError, match="over 1000"):
        _get(answer(b"x" * 1001))


def test_a_body_over_the_limit_is_refused_while_it_streams() -> None:
    """A server that announces nothing gets no further."""

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            connection.sendall(b"100\r\n" + b"x" * 256 + b"\r\n")

    with pytest.raises(FetchError, match="over 1000"):
        _get(handle)


def test_a_compressed_answer_is_refused() -> None:
    """We asked for none, and what unpacks can grow without bound."""
    with pytest.raises(FetchError, match="compressed"):
        _get(answer(gzip.compress(b"x"), headers="Content-Encoding: gzip\r\n"))


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"])
def test_a_server_that_drips_can_not_stretch_the_time(start: bytes) -> None:
    """The limit is on the whole exchange, not on each octet: head, headers and body alike."""

    def handle(connection: socket.socket, _: bytes) -> None:
        connection.sendall(start)
        pause = threading.Event()
        while not pause.wait(0.02):
            connection.sendall(b"x")

    began = time.monotonic()
    with pytest.raises(FetchError, match="within"):
        _get(handle)
    assert time.monotonic() - began < 2.0


@pytest.mark.parametrize("reply", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort"])
def test_a_server_that_breaks_off_or_speaks_nonsense_is_an_error(reply: bytes) -> None:
    """A truncated document is never taken for a whole one."""
    with pytest.raises(FetchError):
        _get(lambda connection, _: connection.sendall(reply))


def test_a_closed_port_is_an_error() -> None:
    """With a reason that holds nothing of the other side."""
    with pytest.raises(FetchError, match="refused"):
        Fetcher(RULES).get("http://127.0.0.1:9/keys")


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys come from where they were configured."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert _get(answer(b"ok")) == b"ok"


def test_the_checked_address_is_the_one_connected_to() -> None:
    """The name is resolved once; a second answer that differs changes nothing (DNS rebinding)."""
    answers = iter([("127.0.0.1",), ("192.0.2.1",)])

    with serving(answer(b"ok")) as port:
        fetcher = Fetcher(RULES, resolve=lambda host, _: next(answers))
        assert fetcher.get(f"http://localhost:{port}/keys").body == b"ok"
    assert next(answers) == ("192.0.2.1",)


def test_the_next_address_is_tried_when_one_refuses() -> None:
    """A name with a dead address still works."""
    with serving(answer(b"ok")) as port:
        fetcher = Fetcher(RULES, resolve=lambda host, _: ("127.0.0.2", "127.0.0.1"))
        assert fetcher.get(f"http://localhost:{port}/keys").body == b"ok"


# --- TLS ---


def _context(tmp_path: Path, authority: Authority) -> ssl.SSLContext:
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    return server_context(tmp_path, authority.leaf())


def test_tls_is_verified_against_the_ca_file(tmp_path: Path) -> None:
    """By name and chain; a private address needs the setting."""
    context = _context(tmp_path, Authority())
    rules = FetchRules(timeout=5, allow_private=True, ca_file=tmp_path / "ca.pem")

    with serving(answer(b"ok"), context) as port:
        assert Fetcher(rules).get(f"https://localhost:{port}/keys").body == b"ok"
        with pytest.raises(FetchError, match="address"):
            Fetcher(FetchRules(ca_file=rules.ca_file)).get(f"https://localhost:{port}/keys")
        with pytest.raises(FetchError, match="certificate"):
            Fetcher(rules, resolve=lambda host, _: ("127.0.0.1",)).get(f"https://idp.shop.example:{port}/keys")
        with pytest.raises(FetchError, match="certificate"):
            Fetcher(FetchRules(timeout=5, allow_private=True)).get(f"https://localhost:{port}/keys")


def test_an_absent_ca_file_is_an_error(tmp_path: Path) -> None:
    """And doesn't fall back to the system's trust store."""
    rules = FetchRules(allow_private=True, ca_file=tmp_path / "missing.pem")

    with pytest.raises(FetchError, match="CA file"):
        Fetcher(rules).get("https://127.0.0.1:9/keys")
