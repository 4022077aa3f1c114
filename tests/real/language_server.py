"""A minimal client of the Language Server Protocol over standard input and output (LSP 3.17), for one server.

Owns: framing, requests and the wait for what the server publishes. Must not: know anything of policies.
"""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

PATIENCE: Final = 30.0
"""Seconds that any one answer may take on a busy machine."""


class LanguageServer:
    """A running server with one open document."""

    def __init__(self, command: list[str], root: Path, settings: Mapping[str, Any]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root)
        self._settings = settings
        self._inbox: queue.Queue[dict[str, Any]] = queue.Queue()
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()
        self.ask(
            "initialize",
            {
                "processId": None,
                "rootUri": root.as_uri(),
                "capabilities": {
                    "textDocument": {"completion": {"completionItem": {"snippetSupport": False}}},
                    "workspace": {"configuration": True},
                },
            },
        )
        self._tell("initialized", {})
        self._tell("workspace/didChangeConfiguration", {"settings": settings})

    def __enter__(self) -> LanguageServer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def open(self, file: Path) -> None:
        """Show the server a file of the disk."""
        document = {"uri": file.as_uri(), "languageId": "yaml", "version": 1, "text": file.read_text()}
        self._tell("textDocument/didOpen", {"textDocument": document})

    def diagnostics(self, file: Path) -> list[str]:
        """The messages that the server publishes about the file."""
        while True:
            message = self._next()
            if message.get("method") == "textDocument/publishDiagnostics" and message["params"]["uri"] == file.as_uri():
                return [found["message"] for found in message["params"]["diagnostics"]]

    def completions(self, file: Path, line: int, character: int) -> list[str]:
        """The labels that the server offers at a place; both numbers count from 0."""
        where = {"textDocument": {"uri": file.as_uri()}, "position": {"line": line, "character": character}}
        answer = self.ask("textDocument/completion", where)
        return [item["label"] for item in answer["items"]]

    def ask(self, method: str, parameters: Mapping[str, Any]) -> Any:
        """A request, and its result."""
        self._number += 1
        self._send({"id": self._number, "method": method, "params": parameters})
        while True:
            message = self._next()
            if message.get("id") == self._number and "method" not in message:
                return message.get("result")

    def _next(self) -> dict[str, Any]:
        """The next message; the server's own questions are answered on the way."""
        message = self._inbox.get(timeout=PATIENCE)
        if "method" in message and "id" in message:
            wanted = message["params"]["items"] if message["method"] == "workspace/configuration" else []
            result = [self._settings.get(item.get("section", ""), {}) for item in wanted] if wanted else None
            self._send({"id": message["id"], "result": result})
        return message

    def _tell(self, method: str, parameters: Mapping[str, Any]) -> None:
        self._send({"method": method, "params": parameters})

    def _send(self, message: Mapping[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.split(b":")[1])
            while stream.readline().strip():
                pass
            self._inbox.put(json.loads(stream.read(length)))
