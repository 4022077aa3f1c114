"""The real program as a child process, for tests that need signals, ports and exit codes."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]


class RunningService:
    """`authz serve …`; its log is read line by line."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "authz", "serve", *arguments],
            cwd=REPOSITORY,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._fresh: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def event(self, name: str, timeout: float = 20.0) -> dict[str, Any]:
        """The next log line of this event."""
        while True:
            line = self._fresh.get(timeout=timeout)
            assert line is not None, f"the service ended without {name}: {self.lines}"
            if line.startswith("{"):
                fields: dict[str, Any] = json.loads(line)
                if fields.get("event") == name:
                    return fields

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout: float = 20.0) -> int:
        """The exit code."""
        code = self.process.wait(timeout)
        self._reader.join(5)
        return code

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))
            self._fresh.put(line)
        self._fresh.put(None)
