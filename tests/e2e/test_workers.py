"""Several workers behind one Envoy that lists them all, as `authz envoy cluster` prints it: what a loss costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from authz.cli import main
from authz.config.workers import STEP
from examples.store import envoys
from examples.store.processes import accepts, free_ports, wait_for
from tests.e2e.edge import Authz, Edge, send_plain
from tests.e2e.load import Load


@pytest.fixture
def edge(own_edge: Edge) -> Iterator[Edge]:
    yield own_edge


def start_workers(edge: Edge, front: str = "auto") -> Authz:
    """Two workers, at ports a step apart."""
    listen, admin = spaced_port(), spaced_port()
    settings = {"workers": "2", "listen": f"127.0.0.1:{listen}", "admin_listen": f"127.0.0.1:{admin}"}
    authz = edge.start_authz(health_wait="2s", front=front, **settings)
    authz.process.wait_ready(lambda: "workers_started" in authz.process.log.read_text())
    return authz


def spaced_port() -> int:
    """A free port whose neighbour a step further is free too."""
    for _ in range(50):
        (first,) = free_ports(1)
        if not accepts(first + STEP):
            return first
    raise AssertionError("no free ports a step apart")


def takes_part(admin_port: int) -> bool:
    """Whether a worker has decided anything since it was started."""
    try:
        metrics = send_plain(admin_port, "GET", "/metrics", {"Host": "localhost"}).body
    except OSError:
        return False
    return b"authz_decisions_total{" in metrics


def pids(authz: Authz) -> list[int]:
    """The workers' processes, as the log has them."""
    lines = [json.loads(line) for line in authz.process.log.read_text().splitlines() if line.startswith("{")]
    return [int(line["pid"]) for line in lines if line.get("event") == "worker_start"]


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_killing_a_worker_under_load_loses_nothing(edge: Edge, front: str) -> None:
    """Envoy asks the other one again; the dead one comes back and takes its share."""
    authz = start_workers(edge, front)
    edge.start_envoy(authz_ports=(authz.port, authz.port + STEP))

    with Load(edge.ports[True], "/healthz", {"Host": "shop.test"}) as load:
        load.wait_for_more(200)
        os.kill(pids(authz)[1], signal.SIGKILL)
        load.wait_for_more(200)
        wait_for("the new worker's share", lambda: takes_part(authz.admin_port + STEP))
        os.kill(pids(authz)[0], signal.SIGKILL)
        load.wait_for_more(200)

    assert load.outcomes.keys() == {200}, load.outcomes


def test_draining_in_turn_under_load_loses_nothing(edge: Edge) -> None:
    """Two workers are told to stop while two others run beside them: no request is denied or dropped."""
    first, second = start_workers(edge), start_workers(edge)
    edge.start_envoy(authz_ports=(first.port, first.port + STEP, second.port, second.port + STEP))

    with Load(edge.ports[True], "/healthz", {"Host": "shop.test"}) as load:
        load.wait_for_more(200)
        first.process.terminate()
        code = first.process.wait(within=30)
        load.wait_for_more(200)

    assert code == 0
    assert load.outcomes.keys() == {200}, load.outcomes


@pytest.mark.parametrize(
    "flags",
    [
        ["--workers", "3"],
        ["--listen", "unix:/run/authz/authz.sock", "--workers", "2"],
        [
            "--listen",
            "0.0.0.0:9000",
            "--address",
            "192.0.2.7",
            "--tls-cert",
            "a",
            "--tls-key",
            "b",
            "--tls-client-ca",
            "c",
            "--tls-may-connect",
            "spiffe://shop.example/ns/shop/sa/edge",
        ],
    ],
)
def test_envoy_takes_the_cluster_that_is_printed(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`envoy --mode validate`, with ports, sockets and mTLS; the retry policy in the comment is the documented one."""
    monkeypatch.chdir(tmp_path)
    assert main(["envoy", "cluster", *flags]) == 0
    text = capsys.readouterr().out
    comment = "\n".join(line.removeprefix("#").removeprefix("   ") for line in text.splitlines() if line[:2] == "# ")
    clusters = yaml.safe_load(text)
    (tmp_path / "pem").mkdir()
    for name in ("tls.crt", "tls.key", "authz-ca.crt"):
        text = text.replace(f"/etc/envoy/{name}", str(tmp_path / "pem" / name))
    _write_pem(tmp_path / "pem")
    file = tmp_path / "envoy.yaml"
    file.write_text(yaml.safe_dump({"static_resources": {"clusters": yaml.safe_load(text)}}))

    done = subprocess.run(envoys.command(file, validate=True), capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert len(clusters) == 1
    assert clusters[0]["circuit_breakers"] == {"thresholds": [{"max_retries": 1024}]}
    service = yaml.safe_load(comment.split("\n", 1)[1])
    assert service["retry_policy"]["retry_back_off"] == {"base_interval": "0.025s", "max_interval": "0.5s"}


def _write_pem(directory: Path) -> None:
    from examples.store.ca import Authority

    authority = Authority("mesh", trust_domain="shop.example")
    svid = authority.svid("spiffe://shop.example/ns/shop/sa/edge").pem
    for name, pem in (("tls.crt", svid), ("tls.key", svid), ("authz-ca.crt", authority.certificate)):
        (directory / name).write_bytes(pem)
