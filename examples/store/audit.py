"""Reading authz's audit log: which decision had which reason.

Owns: finding a line by its decision id. Must not: guess; a line that doesn't come is an error.
"""

from __future__ import annotations

import json
from pathlib import Path

from examples.store.processes import wait_for


class AuditTrail:
    """The audit lines of one file."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._position = 0
        self._lines: dict[str, dict[str, object]] = {}

    def find(self, decision_id: str) -> dict[str, object]:
        """The line of one decision; waits for it, since it is written beside the answer and not before it."""
        wait_for(f"audit line {decision_id}", lambda: self.knows(decision_id), within=5)
        return self._lines[decision_id]

    def lines(self) -> list[dict[str, object]]:
        """Every line so far; waits for the first."""
        wait_for("an audit line", lambda: self._read() or self._lines, within=5)
        return list(self._lines.values())

    def knows(self, decision_id: str) -> bool:
        """Whether the line is there by now."""
        if decision_id not in self._lines:
            self._read()
        return decision_id in self._lines

    def _read(self) -> None:
        if not self.file.exists():
            return
        with self.file.open("rb") as file:
            file.seek(self._position)
            complete, newline, _ = file.read().rpartition(b"\n")
        self._position += len(complete) + len(newline)
        for line in complete.splitlines():
            self._keep(line)

    def _keep(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
        except ValueError:
            return
        if isinstance(entry, dict) and isinstance(entry.get("id"), str):
            self._lines[entry["id"]] = entry
