"""`authz revoke` and the service as processes: one instance with its file, from the act to the denial."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from authz.wire.reflection import METHOD_PATH
from tests.fakes.processes import REPOSITORY, RunningService
from tests.mint.check_messages import check_message, read_answer

HOST = "orders.shop.example"
ORDERS = "spiffe://shop.example/ns/shop/sa/orders"
FRONTEND = "spiffe://shop.example/ns/shop/sa/frontend"
POLICY = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: team-orders}
service: {hosts: [orders.shop.example]}
routes:
  - id: orders.rpc
    match: {methods: [GET], path: /rpc}
    allow: {workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}
"""
PLATFORM = """\
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: shop.json}}
peers: {verified_by: envoy}
---
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {jwks_file: corp.json}
"""


class Place:
    """A directory with policies, a list and an audit trail; services that were started end with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "revoke.sock"
        self.list = directory / "revocations.jsonl"
        self.audit = directory / "audit.jsonl"
        policy = directory / "policy"
        policy.mkdir()
        bundle = REPOSITORY / "tests" / "cases" / "cli" / "policies" / "shop" / "bundles" / "shop.json"
        (policy / "shop.json").write_bytes(bundle.read_bytes())
        (policy / "corp.json").write_text('{"keys": []}')
        (policy / "orders.yaml").write_text(POLICY)
        (policy / "platform.yaml").write_text(PLATFORM)
        self.running: list[RunningService] = []

    def start(self, *arguments: str) -> int:
        """A service; the port of its checks."""
        service = RunningService(
            "--policy",
            str(self.directory / "policy"),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--health-wait",
            "0ms",
            "--audit-file",
            str(self.audit),
            "--revocation-socket",
            f"unix:{self.socket}",
            "--revocation-file",
            str(self.list),
            *arguments,
        )
        self.running.append(service)
        port = int(service.event("listening")["port"])
        service.event("started")
        return port

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        service = self.running.pop()
        service.signal(number)
        service.wait()

    def revoke(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "authz", "revoke", *words, "--socket", str(self.socket)]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)

    def lines(self, event: str) -> list[dict[str, Any]]:
        lines = (json.loads(line) for line in self.audit.read_text().splitlines())
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="authz-") as name:
        place = Place(Path(name))
        yield place
        for service in place.running:
            service.end()


def code_of(port: int) -> int:
    """What the frontend gets: 0 for an allow, else the HTTP status."""
    message = check_message(path="/rpc", host=HOST, source=FRONTEND, destination=ORDERS)
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = channel.unary_unary(METHOD_PATH)(message, timeout=5)
    return int(read_answer(answer).denied_response.status.code)


def test_a_revoked_workload_is_denied_until_it_is_lifted(place: Place) -> None:
    """In force when the command returns, also after a restart and a kill; each step is on the audit trail."""
    port = place.start()
    before = code_of(port)

    done = place.revoke("workload", FRONTEND, "--why", "stolen key")
    after = code_of(port)
    place.stop()
    port = place.start()
    restarted = code_of(port)
    place.stop(signal.SIGKILL)
    place.socket.unlink()
    port = place.start()
    killed = code_of(port)
    lifted = place.revoke("lift", "workload", FRONTEND, "--why", "new key")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"revoked: workload {FRONTEND} until ")
    assert (before, after, restarted, killed) == (0, 403, 403, 403)
    assert lifted.returncode == 0
    assert code_of(port) == 0
    assert {line["reason"] for line in place.lines("decision")} == {"allowed", "workload_revoked"}
    acts = [(line["act"], line["kind"], line["value"], line["why"]) for line in place.lines("revocation")]
    assert acts == [("revoke", "workload", FRONTEND, "stolen key"), ("lift", "workload", FRONTEND, "new key")]
    assert all(line["by"].startswith("unix:") for line in place.lines("revocation"))


def test_the_list_shows_who_did_what_and_why(place: Place) -> None:
    """Newest first, as text and as JSON."""
    place.start()
    place.revoke("subject", "alice", "--issuer", "corp", "--why", "left the company")
    place.revoke("token", "4f2c", "--issuer", "corp", "--why", "seen in a log")

    text, document = place.revoke("list"), place.revoke("list", "--output", "json")

    assert [line.split(" ")[0:2] for line in text.stdout.splitlines()] == [
        ["token", "4f2c"],
        ["subject", "alice"],
        ["2", "of"],
    ]
    entries = json.loads(document.stdout)["entries"]
    assert [(each["value"], each["why"]) for each in entries] == [
        ("4f2c", "seen in a log"),
        ("alice", "left the company"),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["subject", "alice", "--issuer", "nobody", "--why", "x"], 1, "no issuer of the policies has this name"),
        (["workload", "frontend", "--why", "x"], 1, "begins with spiffe://"),
        (["workload", FRONTEND, "--why", "x", "--for", "soon"], 2, "write a duration"),
        (["lift", "token", "x", "--issuer", "corp", "--why", "x"], 1, "no such entry"),
        (["token", "x", "--why", "x"], 2, "--issuer"),
        (["token", "x", "--issuer", "corp"], 2, "--why"),
        (["list", "--limit", "0"], 2, "limit"),
    ],
)
def test_what_cant_be_done_says_why(place: Place, words: list[str], code: int, said: str) -> None:
    """Nothing is changed, and the trail has what was tried."""
    place.start()

    ended = place.revoke(*words)

    assert (ended.returncode, "Traceback" in ended.stderr) == (code, False)
    assert said in ended.stderr


def test_nobody_there_is_5(place: Place) -> None:
    """As for every command that needs somebody else."""
    assert place.revoke("list").returncode == 5


def test_a_second_instance_with_the_same_file_doesnt_start(place: Place) -> None:
    """Two lists in one file would each miss the other's acts."""
    place.start()
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "authz",
            "serve",
            "--policy",
            str(place.directory / "policy"),
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "off",
            "--audit-file",
            str(place.audit),
            "--revocation-file",
            str(place.list),
            "--revocation-socket",
            f"unix:{place.directory}/other.sock",
        ],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 5
    assert "store.url" in ended.stderr
