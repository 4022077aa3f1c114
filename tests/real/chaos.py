"""The table of docs/chaos.md as tests run it: what can be down, which kinds of request there are.

Owns: reading the page, breaking and mending each thing, sending each kind. Must not: know what is expected; the
page alone says that.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from authz.model.reason import ALLOWED
from examples.store.audit import AuditTrail
from examples.store.processes import free_ports, wait_for
from tests.e2e.edge import Authz
from tests.real.idp import OPAQUE, Proofs, RealProvider
from tests.real.mesh import TrustDomain
from tests.real.redis_server import RedisServer
from tests.real.sidecars import HOST, Mesh, Sidecar

PAGE: Final = Path(__file__).parents[2] / "docs" / "chaos.md"

Table = Mapping[str, Mapping[str, str]]
"""What is down → kind of request → what the client gets."""


def read_table(text: str) -> Table:
    """The table whose first column is headed `down`."""
    lines = [_cells(line) for line in text.splitlines() if line.startswith("|")]
    start = next(number for number, cells in enumerate(lines) if cells[0] == "down")
    kinds = lines[start][1:]
    return {cells[0]: dict(zip(kinds, cells[1:], strict=True)) for cells in lines[start + 2 :]}


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


class Town(Mesh):
    """A mesh with a Redis."""

    redis: RedisServer


@dataclass(slots=True, kw_only=True)
class Scene:
    """Two authz, an Envoy before the application and one of a caller. `tokens` are by kind of request."""

    mesh: Town
    shop: TrustDomain
    audit: AuditTrail
    instances: list[Authz] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    proofs: Proofs = field(default_factory=Proofs)
    caller: Sidecar | None = None

    def outcome(self, kind: str) -> str:
        """What one request of a kind gets, as the page writes it."""
        assert self.caller is not None
        target, token = _TARGETS[kind], self.tokens.get(kind, "")
        headers: dict[str, str] = {}
        if kind == "dpop":
            proof = self.proofs.proof("GET", f"https://{HOST}{target}", token=token)
            headers, token = {"Authorization": f"DPoP {token}", "DPoP": proof}, ""
        answer = self.mesh.call(self.caller, target, token=token, headers=headers)
        if answer.status == 200:
            return "allowed"
        return f"{answer.status} {self._why(answer.headers.get('x-authz-decision-id', ''))}"

    def _why(self, decision_id: str) -> str:
        """The recorded reason; what authz allowed, or never saw, Envoy itself refused."""
        if not decision_id:
            return "by Envoy"
        try:
            reason = str(self.audit.find(decision_id)["reason"])
        except TimeoutError:
            return "unrecorded"
        return "by Envoy" if reason == ALLOWED else reason

    def settle(self, kind: str, expected: str, *, within: float = 30.0) -> set[str]:
        """Ask until the outcome is the expected one several times in a row (whichever instance decides); all seen."""
        seen: set[str] = set()
        run = 0

        def steady() -> bool:
            nonlocal run
            found = self.outcome(kind)
            seen.add(found)
            run = run + 1 if found == expected else 0
            return run >= _IN_A_ROW

        try:
            wait_for(kind, steady, within=within)
        except TimeoutError as late:
            raise AssertionError(f"{kind}: expected {expected}, got {sorted(seen)}") from late
        return seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """How one thing is broken and mended. `early`: before authz starts. `settings`: flags of authz."""

    begin: Callable[[Scene], object]
    end: Callable[[Scene], object]
    early: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def scene_of(mesh: Town, shop: TrustDomain, outage: Outage) -> Iterator[Scene]:
    """Everything running and the thing down; leaving the block ends this row's processes."""
    scene = Scene(mesh=mesh, shop=shop, audit=AuditTrail(mesh.directory / f"audit-{len(mesh.instances)}.jsonl"))
    mesh.trust(shop)
    scene.tokens = _tokens(mesh.corp, scene.proofs)
    if outage.early:
        _publish_a_key(scene)
        outage.begin(scene)
    scene.instances = [_start_authz(scene, **outage.settings) for _ in range(2)]
    _revoke(scene, scene.tokens["revoked"])
    ports = tuple(each.port for each in scene.instances)
    orders = mesh.start_orders(shop, authz_ports=ports)
    scene.caller = mesh.start_caller(shop, "frontend", authz_ports=ports)
    if not outage.early:
        for kind in ("public", "known-token", "known-opaque", "workload", "person-and-workload"):
            scene.settle(kind, "allowed")
        _publish_a_key(scene)
        outage.begin(scene)
    try:
        yield scene
    finally:
        for process in (scene.caller.process, orders.process, *(each.process for each in scene.instances)):
            process.stop()


def _tokens(corp: RealProvider, proofs: Proofs) -> dict[str, str]:
    """One of each kind, none of them presented yet."""
    return {
        "known-token": corp.client_token(),
        "new-token": corp.client_token(),
        "person-and-workload": corp.log_in("alice").access_token,
        "revoked": corp.client_token(),
        "known-opaque": corp.log_in("alice", OPAQUE).access_token,
        "new-opaque": corp.log_in("alice", OPAQUE).access_token,
        "dpop": corp.log_in("alice", client="web-dpop", dpop=proofs).access_token,
    }


def _revoke(scene: Scene, token: str) -> None:
    """`authz revoke` at the first instance."""
    part = token.split(".")[1]
    jti = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))["jti"]
    socket = scene.mesh.directory / f"revoke-{scene.instances[0].port}.sock"
    # A `jti` may begin with a hyphen; behind `--` it is no option.
    words = ["revoke", "token", "--issuer", "corp", "--why", "a test", "--socket", str(socket), "--", jti]
    subprocess.run([sys.executable, "-m", "authz", *words], check=True, capture_output=True, timeout=30)


def _start_authz(scene: Scene, **settings: str) -> Authz:
    mesh, port = scene.mesh, int(settings.pop("listen", "").rpartition(":")[2] or free_ports(1)[0])
    return mesh.start_authz(
        **{
            "audit_file": str(scene.audit.file),
            "keys_timeout": "1s",
            "listen": f"127.0.0.1:{port}",
            "store_url": mesh.redis.url,
            "revocation_socket": f"unix:{mesh.directory}/revoke-{port}.sock",
            **settings,
        }
    )


def _publish_a_key(scene: Scene) -> None:
    """From now on the provider signs with a key that authz doesn't have."""
    scene.mesh.corp.publish_key()
    scene.mesh.corp.switch_key()
    scene.tokens["unknown-key"] = scene.mesh.corp.client_token()


def _revive(scene: Scene, count: int) -> None:
    """Start the first instances again on the ports that Envoy knows."""
    for number in range(count):
        port = scene.instances[number].port
        scene.instances[number] = _start_authz(scene, listen=f"127.0.0.1:{port}")


def _signal(scene: Scene, number: int, instances: int = 2) -> None:
    """Send a signal to the first instances."""
    for each in scene.instances[:instances]:
        os.kill(each.process.pid, number)


def _break_file(scene: Scene, name: str) -> None:
    """As an editor that saved half a file; waits until authz has seen it."""
    scene.mesh.put(name, b"{")
    wait_for("the fault to be seen", lambda: _faults(scene))


def _faults(scene: Scene) -> list[str]:
    """What authz says is wrong with its files."""
    told = scene.mesh.readiness()
    faulty = [name for name, bundle in told["bundles"].items() if bundle["error"]]
    return [*told["policy"]["refused"], *faulty]


_TARGETS: Final = {
    "public": "/healthz",
    "known-token": "/anyone",
    "new-token": "/anyone",
    "unknown-key": "/anyone",
    "known-opaque": "/anyone",
    "new-opaque": "/anyone",
    "dpop": "/anyone",
    "revoked": "/anyone",
    "workload": "/stock",
    "person-and-workload": "/orders/42",
}
_IN_A_ROW: Final = 4
KINDS: Final = tuple(_TARGETS)

OUTAGES: Final[Mapping[str, Outage]] = {
    "nothing": Outage(begin=lambda scene: None, end=lambda scene: None),
    "provider-killed": Outage(begin=lambda scene: scene.mesh.corp.kill(), end=lambda scene: scene.mesh.corp.start()),
    "provider-hanging": Outage(begin=lambda scene: scene.mesh.corp.pause(), end=lambda scene: scene.mesh.corp.resume()),
    "provider-failing": Outage(
        begin=lambda scene: scene.mesh.corp.behave(status=500), end=lambda scene: scene.mesh.corp.behave()
    ),
    "provider-down-at-start": Outage(
        early=True, begin=lambda scene: scene.mesh.corp.kill(), end=lambda scene: scene.mesh.corp.start()
    ),
    "redis-killed": Outage(begin=lambda scene: scene.mesh.redis.kill(), end=lambda scene: scene.mesh.redis.start()),
    "redis-hanging": Outage(begin=lambda scene: scene.mesh.redis.pause(), end=lambda scene: scene.mesh.redis.resume()),
    "spire-agent-killed": Outage(
        begin=lambda scene: scene.shop.agent.kill(), end=lambda scene: scene.shop.restart_agent()
    ),
    "spire-server-killed": Outage(
        begin=lambda scene: scene.shop.server.kill(), end=lambda scene: scene.shop.restart_server()
    ),
    "one-authz-killed": Outage(
        begin=lambda scene: scene.instances[0].process.kill(), end=lambda scene: _revive(scene, 1)
    ),
    "one-authz-hanging": Outage(
        begin=lambda scene: _signal(scene, signal.SIGSTOP, 1), end=lambda scene: _signal(scene, signal.SIGCONT, 1)
    ),
    "every-authz-killed": Outage(
        begin=lambda scene: _signal(scene, signal.SIGKILL), end=lambda scene: _revive(scene, 2)
    ),
    "every-authz-hanging": Outage(
        begin=lambda scene: _signal(scene, signal.SIGSTOP), end=lambda scene: _signal(scene, signal.SIGCONT)
    ),
    "application-killed": Outage(
        begin=lambda scene: scene.mesh.application_process.kill(), end=lambda scene: scene.mesh.start_application()
    ),
    "policies-broken": Outage(
        begin=lambda scene: _break_file(scene, "issuers.yaml"), end=lambda scene: scene.mesh.trust(scene.shop)
    ),
    "bundle-broken": Outage(
        begin=lambda scene: _break_file(scene, f"bundles/{scene.shop.name}.json"),
        end=lambda scene: scene.mesh.renew_bundles(scene.shop),
    ),
    "audit-disk-full": Outage(settings={"audit_file": "/dev/full"}, begin=lambda scene: None, end=lambda scene: None),
}
