"""Introspection over real sockets: a server that answers, is slow, is dead, or lies."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from authz.engine.ports import Introspected
from authz.model.errors import Unavailable
from authz.model.issuer import IntrospectionSettings, IssuerSettings
from authz.model.patience import UNHURRIED, Patience
from authz.sources.fetch import Fetcher, FetchRules
from authz.sources.introspection import MAX_ANSWER_BYTES, Introspector
from tests.fakes.web_server import Handle, answer, serving
from tests.mint import tokens
from tests.mint.tokens import NOW

ACTIVE = json.dumps({"active": True, **tokens.claims()}).encode()
RULES = FetchRules(timeout=0.5, max_bytes=MAX_ANSWER_BYTES)


@dataclass
class Asked:
    """An introspector that asks a server on loopback."""

    introspector: Introspector
    issuer: IssuerSettings

    def ask(self, token: str = "opaque", *, patience: Patience = UNHURRIED) -> Introspected:
        return self.introspector.ask(self.issuer, token, now=NOW, patience=patience)

    def why(self, **how: Any) -> str:
        with pytest.raises(Unavailable) as error:
            self.ask(**how)
        return error.value.detail


@contextmanager
def asking(handle: Handle, directory: Path) -> Iterator[Asked]:
    (directory / "secret").write_text("s3cr3t")
    with serving(handle) as port:
        settings = IntrospectionSettings(
            endpoint=f"http://127.0.0.1:{port}/introspect", client_id="authz", credential_file="secret"
        )
        issuer = IssuerSettings(
            name="corp", issuer=tokens.ISSUER, audiences=frozenset({tokens.AUDIENCE}), introspection=settings
        )
        introspector = Introspector(directory, Fetcher(RULES).post, limit=4)
        try:
            yield Asked(introspector, issuer)
        finally:
            introspector.close()


def test_the_question_is_one_plain_post(tmp_path: Path) -> None:
    """The token stands in its body only, as a form whose length is told (RFC 7662 §2.1)."""
    seen: list[bytes] = []

    def handle(connection: socket.socket, head: bytes) -> None:
        text, _, body = head.partition(b"\r\n\r\n")
        length = int(next(line for line in text.lower().split(b"\r\n") if line.startswith(b"content-length:"))[15:])
        while len(body) < length:
            body += connection.recv(4096)
        seen.extend((text, body))
        answer(ACTIVE)(connection, head)

    with asking(handle, tmp_path) as asked:
        said = asked.ask("a/b+c=")

    assert said.claims is not None
    head, body = seen
    assert head.startswith(b"POST /introspect HTTP/1.1\r\n")
    assert b"content-type: application/x-www-form-urlencoded\r\n" in head.lower()
    assert b"authorization: basic " in head.lower()
    assert body == b"token=a%2Fb%2Bc%3D&token_type_hint=access_token"
    assert b"a%2Fb" not in head


@pytest.mark.parametrize(
    ("handle", "why"),
    [
        (answer(ACTIVE, status="401 Unauthorized"), "status 401"),
        (answer(ACTIVE, status="500 Oops"), "status 500"),
        (answer(ACTIVE, status="302 Found", headers="Location: /other\r\n"), "redirect"),
        (answer(b"<html>"), "JSON"),
        (answer(b'{"sub": "alice"}'), "active"),
        (answer(b'{"active": true, "pad": "' + b"x" * MAX_ANSWER_BYTES + b'"}'), "bytes"),
        (answer(ACTIVE, headers="Content-Encoding: gzip\r\n"), "compressed"),
        (lambda connection, head: connection.sendall(b"220 mail.example ESMTP\r\n"), "HTTP/1.1"),
        (lambda connection, head: None, "HTTP/1.1"),
    ],
)
def test_a_server_that_lies_is_no_verdict(tmp_path: Path, handle: Handle, why: str) -> None:
    """Neither an allow nor "not active": the token's state isn't known."""
    with asking(handle, tmp_path) as asked:
        said = asked.why()

    # A connection that ends while we still write may show as a reset before the nonsense is read.
    assert why in said or (why == "HTTP/1.1" and "the connection failed" in said)


def test_a_dead_server_is_noticed_at_once(tmp_path: Path) -> None:
    """A refused connection needs no timeout."""
    with asking(answer(ACTIVE), tmp_path) as asked:
        pass
    introspector = Introspector(tmp_path, Fetcher(RULES).post, limit=4)

    start = time.monotonic()
    with pytest.raises(Unavailable) as error:
        introspector.ask(asked.issuer, "opaque", now=NOW, patience=UNHURRIED)

    assert "refused" in error.value.detail
    assert time.monotonic() - start < 0.4
    introspector.close()


def test_a_slow_server_costs_a_check_no_more_than_its_deadline(tmp_path: Path) -> None:
    """503 inside the deadline; the answer that comes later serves the next check."""
    release = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        release.wait(5)
        answer(ACTIVE)(connection, head)

    with asking(handle, tmp_path) as asked:
        deadline = time.monotonic() + 0.1
        assert "deadline" in asked.why(patience=Patience(lambda: deadline - time.monotonic()))
        assert time.monotonic() < deadline + 0.2
        release.set()

        assert asked.ask().claims is not None


def test_a_server_that_drips_is_cut_off(tmp_path: Path) -> None:
    """The limit on the whole exchange holds however often an octet comes."""
    stop = threading.Event()

    def handle(connection: socket.socket, head: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        while not stop.wait(0.05):
            connection.sendall(b" ")

    try:
        with asking(handle, tmp_path) as asked:
            assert "no complete answer" in asked.why()
    finally:
        stop.set()
