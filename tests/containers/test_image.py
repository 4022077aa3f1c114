"""The image by itself: how big, what is in it and what isn't, who runs it, how fast it is up."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Final

import docker
import pytest
from docker.models.containers import Container

from examples.store.processes import wait_for
from tests.containers import daemon, images
from tests.mint.check_messages import check_message, read_answer

_MAX_ABOVE_BASE: Final = 150 * 1000 * 1000
_MAX_START: Final = 1.0
"""Seconds from the start of the container to the first line that says that it listens."""
_POLICY: Final = str(images.ROOT / "examples" / "store" / "policy")
_STARTS: Final = 10
_ASK: Final = """
import grpc, sys
with grpc.insecure_channel("unix:/run/authz/authz.sock") as channel:
    check = channel.unary_unary("/envoy.service.auth.v3.Authorization/Check")
    print(check(bytes.fromhex(sys.argv[1]), timeout=5, wait_for_ready=True).hex())
"""
"""A check of the service in the container, from inside: it has no network."""


@pytest.fixture(scope="module")
def engine() -> docker.DockerClient:
    """The daemon."""
    return daemon.client()


@pytest.fixture
def served(engine: docker.DockerClient) -> Iterator[Container]:
    """The image as it comes, with a policy directory and nothing that it may write to but its socket's folder."""
    container = _serve(engine)
    yield container
    container.remove(force=True, v=True)


def test_the_image_is_small(engine: docker.DockerClient) -> None:
    """What is put on top of the base stays below its limit."""
    above = engine.images.get(images.AUTHZ).attrs["Size"] - engine.images.get(images.BASE).attrs["Size"]

    assert 0 < above < _MAX_ABOVE_BASE, f"{above / 1e6:.0f} MB"


def test_it_says_what_it_is(engine: docker.DockerClient) -> None:
    """Version and revision stand in its labels; the version is the one that the program tells."""
    labels = engine.images.get(images.AUTHZ).labels
    told = _run(engine, "version")

    assert labels["org.opencontainers.image.version"] in told
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])


def test_nobody_is_root_in_it(engine: docker.DockerClient) -> None:
    """It runs as an account of its own, which owns none of the program's files."""
    config = engine.images.get(images.AUTHZ).attrs["Config"]
    owned = _run(engine, "-c", "find /opt/authz /usr /bin /sbin -user 10001 -print -quit", entrypoint="sh")

    assert config["User"] == "10001:10001"
    assert owned == ""


@pytest.mark.parametrize("program", ["gcc", "cc", "mypyc", "pip", "make", "curl"])
def test_nothing_that_builds_or_fetches_is_ours(engine: docker.DockerClient, program: str) -> None:
    """Of the tools of the building stage none is in what we add; the base has whatever it has."""
    found = _run(engine, "-c", f"ls /opt/authz/bin/{program} 2>/dev/null || true", entrypoint="sh")

    assert found == ""


def test_no_certificate_of_the_builder_is_left(engine: docker.DockerClient) -> None:
    """The CA bundle that pip needed is neither in a layer of the result nor in its history."""
    command = "find / -xdev -name 'ca-bundle*' -not -path '/proc/*' 2>/dev/null || true"
    found = _run(engine, "-c", command, entrypoint="sh")
    history = json.dumps(engine.images.get(images.AUTHZ).history())

    assert found == ""
    assert "ca-bundle" not in history
    assert "PIP_" not in history


def test_both_fronts_and_the_extras_of_a_service_are_in_it(engine: docker.DockerClient) -> None:
    """The packages of every extra that is used while serving can be imported."""
    code = "import grpc, pygrpc_native, redis, hiredis, cel_expr_python, spiffe; print('all')"

    assert _run(engine, "-c", code, entrypoint="python") == "all"


def test_it_is_compiled_exactly_when_that_was_asked_for(served: Container) -> None:
    """The log line `started` says what runs."""
    _seconds_to_serving(served)

    assert f"compiled={str(images.COMPILED).lower()}" in served.logs().decode().split()


@pytest.mark.parametrize(("path", "status"), [("/healthz", 200), ("/orders/42", 401)])
def test_it_answers_checks(served: Container, path: str, status: int) -> None:
    """A public route is open, another one wants a token."""
    message = check_message("GET", path, "www.shop.example", destination="www.shop.example")
    code, output = served.exec_run(["python", "-c", _ASK, message.hex()])
    assert code == 0, output.decode()
    answer = read_answer(bytes.fromhex(output.decode()))

    assert (answer.denied_response.status.code or 200) == status


def test_it_starts_within_a_second(engine: docker.DockerClient) -> None:
    """From the container's start to the line that says that it serves, by Docker's own clock, on a machine that has a
    second to spare: tried again while it hasn't."""
    times: list[float] = []
    while len(times) < _STARTS and min(times, default=_MAX_START) >= _MAX_START:
        container = _serve(engine)
        try:
            times.append(_seconds_to_serving(container))
        finally:
            container.remove(force=True, v=True)

    print(f"\nup in {', '.join(f'{seconds:.2f}' for seconds in times)} s")
    assert min(times) < _MAX_START


def test_its_own_health_check_finds_it(served: Container) -> None:
    """`authz health` without an address asks where the settings say."""
    wait_for("healthy", lambda: _state(served)["Health"]["Status"] == "healthy", within=30)

    assert served.exec_run(["authz", "health"]).output.decode().strip() == "SERVING"


def test_it_can_write_nowhere_but_where_it_must(served: Container) -> None:
    """With a read-only root every other folder refuses it."""
    code, output = served.exec_run(["sh", "-c", "touch /opt/authz/x /etc/authz/x /tmp/x /x"])

    assert code != 0
    assert output.decode().count("Read-only file system") == 4


def test_sigterm_ends_it_cleanly(served: Container) -> None:
    """It drains and exits with 0 before Docker loses patience."""
    _seconds_to_serving(served)
    began = time.monotonic()
    served.stop(timeout=20)

    assert _state(served)["ExitCode"] == 0
    assert time.monotonic() - began < 15


def _serve(engine: docker.DockerClient) -> Container:
    environment = {
        "AUTHZ_POLICY_DIR": "/policy",
        "AUTHZ_LISTEN": "127.0.0.1:9000,unix:/run/authz/authz.sock",
        "AUTHZ_HEALTH_WAIT": "0s",
        "AUTHZ_LOG__FORMAT": "text",
    }
    return engine.containers.run(
        images.AUTHZ,
        detach=True,
        read_only=True,
        cap_drop=["ALL"],
        network_mode="none",
        environment=environment,
        security_opt=["no-new-privileges:true"],
        tmpfs={"/run/authz": "uid=10001"},
        labels={daemon.LABEL: daemon.RUN},
        volumes={_POLICY: {"bind": "/policy", "mode": "ro"}},
    )


def _seconds_to_serving(container: Container) -> float:
    wait_for("the start", lambda: b"event=started" in container.logs(), within=20)
    line = next(each for each in container.logs(timestamps=True).decode().splitlines() if "event=started" in each)
    return _instant(line.split()[0]) - _instant(str(_state(container)["StartedAt"]))


def _instant(text: str) -> float:
    """RFC 3339 with nanoseconds, as seconds of the day."""
    hours, minutes, seconds = text.partition("T")[2].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _state(container: Container) -> dict[str, object]:
    container.reload()
    state: dict[str, object] = container.attrs["State"]
    return state


def _run(engine: docker.DockerClient, *command: str, entrypoint: str | None = None) -> str:
    output = engine.containers.run(
        images.AUTHZ,
        list(command),
        entrypoint=entrypoint,
        remove=True,
        network_mode="none",
        labels={daemon.LABEL: daemon.RUN},
    )
    return output.decode().strip()
