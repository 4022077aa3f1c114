"""docs/tutorial.md from top to bottom, in an empty directory, with a real Envoy; only the ports are others."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from examples.store import envoys
from examples.store.processes import Processes, accepts, free_ports, wait_for
from tests.architecture import console, tree

PAGE: Final = "docs/tutorial.md"
_PORT_OF: Final = {"python3": "8080", "authz": "9001", "envoy": "10000"}
"""What a server of the page accepts connections on once it is up."""
_SECONDS: Final = 15.0
"""How long a command may be repeated: a reload takes a moment."""


def test_the_tutorial_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """Each block is a file, commands with their output, or a server that goes on running."""
    ports = dict(zip(("8080", "9000", "9001", "10000"), map(str, free_ports(4)), strict=True))
    seen = {"file": 0, "server": 0, "command": 0}

    logs = tmp_path / "logs"
    logs.mkdir()
    with Processes(logs) as processes:
        for block in tree.blocks(PAGE):
            text = _with_ports(block.text, ports)
            named = console.file_of(text)
            if named is not None:
                console.put(tmp_path, *named)
                seen["file"] += 1
            elif block.language == "sh":
                _serve(text, ports, processes, tmp_path)
                seen["server"] += 1
            else:
                assert block.language == "console"
                for command, expected in console.commands(text):
                    _check(command, expected, tmp_path)
                    seen["command"] += 1

    assert seen["file"] >= 6
    assert seen["server"] == len(_PORT_OF)
    assert seen["command"] >= 15


def _with_ports(text: str, ports: dict[str, str]) -> str:
    for shown, real in ports.items():
        text = text.replace(shown, real)
    return text


def _serve(text: str, ports: dict[str, str], processes: Processes, folder: Path) -> None:
    """One server of the page, started as it stands; it ends with the test."""
    words = shlex.split(text)
    port = int(ports[_PORT_OF[words[0]]])
    binary = {"python3": sys.executable, "envoy": str(envoys.binary())}.get(words[0])
    command = [binary or str(Path(sys.executable).with_name(words[0])), *words[1:]]
    process = processes.start(words[0], command, directory=folder)
    process.wait_ready(lambda: accepts(port))


def _check(command: str, expected: str, folder: Path) -> None:
    """The command prints what the page shows: at once, or (for curl) once a new policy is in force."""
    done = console.run(command, folder)
    if command.startswith("curl"):

        def again() -> bool:
            nonlocal done
            done = console.run(command, folder)
            return console.fits(expected, done.stdout)

        if not console.fits(expected, done.stdout):
            wait_for(f"{command} prints {expected}", again, within=_SECONDS)
    assert console.fits(expected, done.stdout), f"$ {command}\n{done.stdout}{done.stderr}"
