"""A real Redis on a loopback port: killed, restarted with or without its data, paused as in a partition.

Owns: the process. Must not: know what anybody keeps in it.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from examples.store.processes import Process, Processes, free_ports, wait_for
from tests.real import tools


class RedisServer:
    """One server. `start` after `kill` brings it back with what it had written (append-only file)."""

    def __init__(self, directory: Path, processes: Processes, *, name: str = "redis") -> None:
        self.name = name
        self.port = free_ports(1)[0]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._data = directory / name
        self._data.mkdir()
        self._processes = processes
        self._process: Process | None = None

    def start(self) -> RedisServer:
        """Start it and wait until it answers PING."""
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self._data),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
        }
        command = [
            str(tools.redis_server()),
            *(part for name, value in options.items() for part in (f"--{name}", value)),
        ]
        process = self._processes.start(self.name, command)
        process.wait_ready(lambda: self.command("PING") == "+PONG")
        self._process = process
        return self

    def kill(self) -> None:
        """End it at once: connections break and are refused from now on."""
        self._running().kill()

    def restart(self, *, empty: bool = False) -> None:
        """Kill it and start it again; `empty`: without what it knew, as after the loss of a disk."""
        self.kill()
        if empty:
            for file in sorted(self._data.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and answers nothing, as on the other side of a broken network."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._running().pid, signal.SIGCONT)
        wait_for("redis after its pause", lambda: self.command("PING") == "+PONG")

    def command(self, *words: str) -> str:
        """One command in the protocol itself, the first line of the answer; empty when nobody answers."""
        text = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"*{len(words)}\r\n{text}".encode())
                return connection.makefile("rb").readline().decode().strip()
        except OSError:
            return ""

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError("redis was never started")
        return self._process
