"""`authz serve --workers`: several real processes, what becomes of them, and what their supervisor says at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from authz.config.workers import STEP
from authz.wire.reflection import METHOD_PATH
from examples.store.processes import accepts, free_ports, wait_for
from tests.fakes.processes import REPOSITORY, RunningService
from tests.mint.check_messages import check_message, read_answer

POLICY = REPOSITORY / "tests" / "cases" / "cli" / "policies" / "plain"
Start = Callable[..., RunningService]


@pytest.fixture
def start() -> Iterator[Start]:
    running: list[RunningService] = []

    def begin(listen: str, *arguments: str, wait: str = "0ms", policy: Path = POLICY) -> RunningService:
        service = RunningService(
            "--policy",
            str(policy),
            "--workers",
            "2",
            "--listen",
            listen,
            "--admin-listen",
            "off",
            "--health-wait",
            wait,
            *arguments,
        )
        running.append(service)
        return service

    yield begin
    for service in running:
        service.end()


def spaced_ports(count: int = 2) -> list[int]:
    """Free ports a worker's step apart."""
    for _ in range(50):
        (first,) = free_ports(1)
        ports = [first + STEP * index for index in range(count)]
        if not any(accepts(port) for port in ports):
            return ports
    raise AssertionError("no free ports a step apart")


def code_of(target: str, path: str = "/livez") -> int:
    """0 for an allow, else the HTTP status."""
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = channel.unary_unary(METHOD_PATH)(check_message(path=path), timeout=5)
    return int(read_answer(answer).denied_response.status.code)


def pids(service: RunningService, count: int = 2) -> list[int]:
    """The workers' processes, once all serve."""
    found = [int(service.event("worker_start")["pid"]) for _ in range(count)]
    service.event("workers_started")
    return found


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_each_worker_answers_at_its_own_address_and_all_end_together(start: Start, tmp_path: Path) -> None:
    """Ports in steps of ten, sockets by number, one audit file; SIGTERM drains one after the other and ends with 0."""
    audit = tmp_path / "audit.log"
    first, second = spaced_ports()
    service = start(f"127.0.0.1:{first}", "--listen", f"unix:{tmp_path}/a.sock", "--audit-file", str(audit))
    workers = pids(service)

    targets = [f"127.0.0.1:{first}", f"127.0.0.1:{second}", f"unix:{tmp_path}/a.sock.0", f"unix:{tmp_path}/a.sock.1"]
    codes = [code_of(target, "/nowhere") for target in targets for _ in range(20)]
    service.signal(signal.SIGTERM)

    assert codes == [403] * 80
    assert [service.event("worker_drain")["worker"] for _ in workers] == [0, 1]
    assert service.wait() == 0
    assert all(map(gone, workers))
    assert len([json.loads(line) for line in audit.read_text().splitlines()]) == 80


def test_a_worker_that_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    """The others go on, and it comes back at the same address; one that dies again and again comes more slowly."""
    service = start(f"unix:{tmp_path}/a.sock")
    _, second = pids(service)

    os.kill(second, signal.SIGKILL)
    ended = service.event("worker_ended")
    during = code_of(f"unix:{tmp_path}/a.sock.0", "/nowhere")
    again = int(service.event("worker_start")["pid"])
    service.event("started")
    after = code_of(f"unix:{tmp_path}/a.sock.1", "/nowhere")
    os.kill(again, signal.SIGKILL)
    later = service.event("worker_ended")

    assert (ended["worker"], ended["code"]) == (1, 137)
    assert (during, after) == (403, 403)
    assert later["again_in_seconds"] > ended["again_in_seconds"]


def test_signals_to_the_whole_group_drain_nobody_twice(start: Start, tmp_path: Path) -> None:
    """As a terminal's Ctrl-C or a service manager sends them: the workers leave them to the supervisor."""
    service = start(f"unix:{tmp_path}/a.sock", wait="300ms")
    workers = pids(service)

    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)
    service.signal(signal.SIGTERM)

    assert [service.event("worker_drain")["worker"] for _ in workers] == [0, 1]
    assert service.wait() == 0


def test_a_second_signal_ends_all_at_once(start: Start, tmp_path: Path) -> None:
    """Who asks twice waits for nobody; the exit code says that it wasn't clean."""
    service = start(f"unix:{tmp_path}/a.sock", wait="10m")
    workers = pids(service)
    service.signal(signal.SIGTERM)
    service.event("worker_drain")

    service.signal(signal.SIGTERM)

    assert service.wait(10) == 1
    assert all(map(gone, workers))


def test_workers_end_when_their_supervisor_is_killed(start: Start, tmp_path: Path) -> None:
    """Nobody is left to hold the addresses."""
    service = start(f"unix:{tmp_path}/a.sock")
    workers = pids(service)

    service.signal(signal.SIGKILL)

    wait_for("the workers' end", lambda: all(map(gone, workers)))
    assert not Path(f"{tmp_path}/a.sock.0").exists()


def test_sighup_reaches_every_worker(start: Start, tmp_path: Path) -> None:
    """All read the policies again at once, however seldom they look."""
    policy = tmp_path / "policy"
    policy.mkdir()
    for file in POLICY.iterdir():
        (policy / file.name).write_bytes(file.read_bytes())
    service = start(f"unix:{tmp_path}/a.sock", "--reload-interval", "1h", policy=policy)
    pids(service)
    for file in policy.glob("*.yaml"):
        file.write_text(file.read_text() + "# another text\n")

    service.signal(signal.SIGHUP)

    assert {service.event("policy_updated")["worker"] for _ in range(2)} == {0, 1}


def test_a_policy_that_cant_be_served_is_told_once(start: Start, tmp_path: Path) -> None:
    """The first worker finds out, and the exit code is that of a single process."""
    service = start(f"unix:{tmp_path}/a.sock", policy=Path("/nonexistent"))

    assert service.wait() == 5
    assert sum("can't be served" in line for line in service.lines) == 1


def test_an_occupied_address_of_any_worker_ends_the_start(start: Start) -> None:
    """With 5, and nobody is left."""
    first, second = spaced_ports()
    with socket.create_server(("127.0.0.1", second)):
        service = start(f"127.0.0.1:{first}")

        assert service.wait() == 5
    assert not accepts(first)


def test_audit_lines_of_several_workers_on_one_pipe_stay_whole() -> None:
    """Long lines of two processes at once: a pipe would mix them without the lock."""
    script = (
        "import sys\nfrom authz.observe.sinks import DescriptorSink\n"
        "for _ in range(50): DescriptorSink(1).write((sys.argv[1].encode() * 9000 + b'\\n') * 4)\n"
    )
    reading, writing = os.pipe()
    writers = [subprocess.Popen([sys.executable, "-c", script, name], stdout=writing, cwd=REPOSITORY) for name in "ab"]
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().splitlines()
    for writer in writers:
        writer.wait(10)

    assert sorted(set(lines)) == [b"a" * 9000, b"b" * 9000]
    assert len(lines) == 400
