"""Child processes that never outlive the demo: starting, waiting until ready, log tails, stopping.

Owns: every process and port that the example uses. Must not: know what it is that runs.
On Linux the kernel ends a child when its parent dies (PR_SET_PDEATHSIG): even a killed demo leaves nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_INTERVAL = 0.02
"""Seconds between two looks at a condition; the only place where anything here waits."""

_PORTS = range(15_000, 32_000)
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_TAIL_LINES = 25


class StartFailed(Exception):
    """Something did not come up; the text says what and holds the end of its log."""


def wait_for(what: str, condition: Callable[[], object], *, within: float = 15.0) -> None:
    """Poll until `condition` is true; `TimeoutError` names what was waited for."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within:g} s")
        time.sleep(POLL_INTERVAL)


def free_ports(count: int) -> list[int]:
    """Loopback ports that were free just now; all are held until all are known, so that they differ.

    They lie below the range from which systems take the ports of outgoing connections: until somebody listens,
    no connection can take one away.
    """
    candidates = random.sample(_PORTS, len(_PORTS))
    with contextlib.ExitStack() as held:
        bound = (port for port in candidates if _bind(held.enter_context(socket.socket()), port))
        return list(itertools.islice(bound, count))


def _bind(probe: socket.socket, port: int) -> bool:
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def accepts(port: int) -> bool:
    """Whether somebody listens on the loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """One child in a session of its own, its output in a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._child = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                cwd=directory,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call, no locks taken
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        return self._child.poll()

    def wait_ready(self, ready: Callable[[], object], *, within: float = 60.0) -> None:
        """Wait until `ready`; a child that ended or is too slow is `StartFailed` with its last lines."""

        def settled() -> bool:
            return self.exit_code is not None or bool(ready())

        try:
            wait_for(self.name, settled, within=within)
        except TimeoutError as late:
            raise StartFailed(f"{late}\n{self.tail()}") from late
        if self.exit_code is not None:
            raise StartFailed(f"{self.name} ended with exit code {self.exit_code}\n{self.tail()}")

    def tail(self) -> str:
        """The last lines of the log, indented."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "\n".join([f"  the end of {self.log.name}:", *(f"  | {line}" for line in lines)])

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._child.wait()

    def wait(self, *, within: float) -> int:
        return self._child.wait(within)

    def stop(self, *, grace: float = 5.0) -> None:
        """SIGTERM, after `grace` seconds SIGKILL; the whole process group either way."""
        self.terminate()
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self.kill()

    def _signal(self, number: int) -> None:
        if self._child.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, number)


class Processes:
    """Every child of one run; leaving the `with` block ends them all, the last started first."""

    def __init__(self, log_directory: Path) -> None:
        self._logs = log_directory
        self._running: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._running):
            process.terminate()
        for process in reversed(self._running):
            process.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> Process:
        log = self._logs / f"{name}.log"
        process = Process(name, command, log=log, environment=environment, directory=directory)
        self._running.append(process)
        return process


def _die_with_parent() -> None:
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
