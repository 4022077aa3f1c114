"""The pod of deploy/ as a process here: its settings and its policy, its mounts laid out as the kubelet does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import grpc
import pytest
import yaml

from authz.wire.reflection import METHOD_PATH
from tests.fakes.processes import RunningService
from tests.mint import manifests
from tests.mint.check_messages import check_message, read_answer
from tests.mint.tls_material import Authority

_GATEWAY: Final = "spiffe://cluster.local/ns/edge/sa/gateway"
_MESH: Final = Authority()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    """The pod's command with the pod's files; paths and addresses are this machine's, and no issuer is asked."""
    for name in ("policy", "tls"):
        (tmp_path / name).mkdir()
    _mount(tmp_path, "2026_1", "orders:read")
    shown = _MESH.leaf("spiffe://cluster.local/ns/authz/sa/authz")
    for name, content in (("tls.crt", shown.certificate), ("tls.key", shown.key), ("ca.crt", _MESH.certificate)):
        (tmp_path / "tls" / name).write_bytes(content)
    settings = manifests.settings()
    settings["tls"] = {
        name: f"{tmp_path}{value}" if isinstance(value, str) else value for name, value in settings["tls"].items()
    }
    here = {"policy_dir": f"{tmp_path}/policy", "listen": ["127.0.0.1:0"], "admin_listen": "127.0.0.1:0"}
    (tmp_path / "authz.yaml").write_text(yaml.safe_dump({**settings, **here, "health_wait": "0s"}))
    command = manifests.pod()["containers"][0]["args"]

    running = RunningService(*command[1:-1], str(tmp_path / "authz.yaml"), "--reload-interval", "100ms")
    yield running
    running.end()


def _mount(root: Path, generation: str, scope: str) -> None:
    """The example's policy with keys from a file and this scope for orders."""
    data = manifests.policy()
    issuers = data["platform__issuers.yaml"]
    data["platform__issuers.yaml"] = issuers.replace("discovery", "{jwks_file: platform/cluster.local.json}")
    data["orders.yaml"] = data["orders.yaml"].replace("orders:read", scope)
    manifests.mount_policy(root / "policy", generation, data)


def _code(port: int, identity: str, message: bytes) -> int:
    """0 for an allow, else the HTTP status; as an Envoy with this identity asks."""
    own = _MESH.leaf(identity)
    credentials = grpc.ssl_channel_credentials(_MESH.certificate, own.key, own.certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
        answer = channel.unary_unary(METHOD_PATH)(message, timeout=5)
    return int(read_answer(answer).denied_response.status.code)


def test_the_pod_answers_its_envoys_and_nobody_else(service: RunningService) -> None:
    """The gateway's public route is open at the gateway only, the rest wants credentials, a stranger is denied."""
    port = service.event("listening")["port"]
    service.event("started")
    at = "www.shop.example"
    health = check_message(path="/healthz", host=at, destination=at)

    assert _code(port, _GATEWAY, health) == 0
    assert _code(port, _GATEWAY, check_message(path="/orders/42", host=at, destination=at)) == 401
    assert _code(port, _GATEWAY, check_message(path="/healthz", host=at, destination="spiffe://cluster.local/x")) == 403
    assert _code(port, "spiffe://cluster.local/ns/shop/sa/stranger", health) == 403


def test_a_turned_mount_is_one_new_policy(service: RunningService, tmp_path: Path) -> None:
    """The kubelet's rename of `..data` is one update; SIGTERM ends the process in good order."""
    service.event("started")

    _mount(tmp_path, "2026_2", "orders:list")

    service.event("policy_updated")
    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    assert not any('"policy_failed"' in line for line in service.lines)
