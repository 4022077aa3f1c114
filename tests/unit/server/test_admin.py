"""The second listener: what it says, and that nobody can occupy it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from authz.policy.link import PolicyState, PolicyStatus
from authz.server.admin import AdminPages, AdminServer
from authz.server.front import ListenError
from authz.server.readiness import PolicyReport, Readiness
from authz.sources.revocations import RevocationState
from authz.sources.state import Cause, Freshness, SourceState


@dataclass
class FakeStates:
    """States by hand."""

    report: PolicyReport = field(default_factory=PolicyReport)
    is_tried: bool = False
    revoked: RevocationState | None = None

    def policy(self) -> PolicyReport:
        return self.report

    def issuers(self) -> tuple[SourceState, ...]:
        return (
            SourceState(
                name="corp",
                freshness=Freshness.STALE,
                age=12.3456,
                size=2,
                revision="k1",
                error="timeout",
                failures=3,
                cause=Cause.TIMEOUT,
                origin="discovery",
            ),
        )

    def bundles(self) -> tuple[SourceState, ...]:
        return ()

    def certificates(self) -> tuple[SourceState, ...]:
        return ()

    def revocations(self) -> RevocationState | None:
        return self.revoked

    def tried(self) -> bool:
        return self.is_tried


LOADED = PolicyReport(
    revision="r1",
    refused=("guardrails.yaml:1:1: error[yaml-syntax]: x",),
    policies=(PolicyState(name="orders", status=PolicyStatus.LAST_GOOD, faults=("orders.yaml:3:1: …",)),),
)


@pytest.fixture
def states() -> FakeStates:
    return FakeStates()


@pytest.fixture
def readiness(states: FakeStates) -> Readiness:
    return Readiness(states)


@pytest.fixture
def port(readiness: Readiness) -> Iterator[int]:
    server = AdminServer("127.0.0.1:0", AdminPages(readiness, lambda: ("text/plain; version=0.0.4", b"up 1\n")))
    yield server.start()
    server.close()


def ask(port: int, target: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_alive_is_not_ready(port: int) -> None:
    """A service without a policy lives but takes no traffic."""
    assert ask(port, "/livez") == (200, b"ok\n")
    assert ask(port, "/readyz") == (503, b"no policy is loaded\n")


def test_ready_once_the_policy_is_loaded_and_issuers_were_tried(port: int, states: FakeStates) -> None:
    """An issuer that is down doesn't matter, one that wasn't asked yet does."""
    states.report = LOADED
    assert ask(port, "/readyz") == (503, b"keys and bundles have not been tried yet\n")

    states.is_tried = True
    assert ask(port, "/readyz") == (200, b"ready\n")


def test_draining_is_not_ready(port: int, states: FakeStates, readiness: Readiness) -> None:
    """From the first signal on."""
    states.report, states.is_tried = LOADED, True
    readiness.drain()

    assert ask(port, "/readyz") == (503, b"draining\n")


def test_verbose_says_what_stands_behind_it(port: int, states: FakeStates) -> None:
    """Revision, each policy's state with its faults, issuers with age and error."""
    states.report, states.is_tried = LOADED, True

    status, body = ask(port, "/readyz?verbose")

    report = json.loads(body)
    assert status == 200
    assert report["policy"]["revision"] == "r1"
    assert report["policy"]["refused"] == list(LOADED.refused)
    assert report["policy"]["policies"]["orders"]["status"] == "last_good"
    assert report["issuers"]["corp"] == {
        "state": "stale",
        "age_seconds": 12.3,
        "size": 2,
        "revision": "k1",
        "failures": 3,
        "reason": "timeout",
        "error": "timeout",
        "source": "discovery",
    }


def test_metrics_are_the_exposition(port: int) -> None:
    """Whatever the metrics registry renders."""
    assert ask(port, "/metrics") == (200, b"up 1\n")


def test_head_has_no_body(port: int) -> None:
    """Same status, no body."""
    assert ask(port, "/livez", "HEAD") == (200, b"")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(port: int, method: str) -> None:
    """GET and HEAD only."""
    assert ask(port, "/livez", method)[0] == 501


@pytest.mark.parametrize("target", ["/", "/livez/", "/debug", "/readyz/../livez"])
def test_other_paths_are_not_found(port: int, target: str) -> None:
    """Three pages and nothing else."""
    assert ask(port, target)[0] == 404


def test_silent_connections_dont_keep_probes_out(port: int) -> None:
    """More idle connections than threads and places: the surplus is hung up on, and a probe soon gets through."""
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    for connection in idle:
        connection.close()

    # One that comes while the last of them are looked at is hung up on too, and asks again, as probes do.
    answers = (_ask_once(port) for _ in range(100))

    assert next(answer for answer in answers if answer) == 200


def _ask_once(port: int) -> int:
    """The status; 0 when it was hung up on."""
    with contextlib.suppress(http.client.HTTPException, OSError):
        return ask(port, "/livez")[0]
    return 0


@pytest.mark.parametrize("garbage", [b"\r\n\r\n", b"\x16\x03\x01\x00\r\n\r\n", b"GET /" + b"a" * 9000, b"GET\r\n\r\n"])
def test_garbage_ends_the_connection_only(port: int, garbage: bytes) -> None:
    """What is no HTTP is dropped; the next probe is answered."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection, contextlib.suppress(OSError):
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass

    assert ask(port, "/livez")[0] == 200


def test_an_occupied_port_is_a_listen_error(port: int, readiness: Readiness) -> None:
    """Said in words, for exit code 5."""
    with pytest.raises(ListenError, match="in use"):
        AdminServer(f"127.0.0.1:{port}", AdminPages(readiness, lambda: ("", b""))).start()
