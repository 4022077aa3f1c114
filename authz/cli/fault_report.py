"""Faults as people and programs read them: `file:line:column: error[code]: message`, the line itself, a help line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from authz.policy.faults import Fault, Severity

_MAX_SHOWN: Final = 160
"""Characters of a source line; a longer one is shown without its rest."""


def as_text(faults: Iterable[Fault], files: Mapping[str, bytes]) -> Iterator[str]:
    """Each fault as a few lines."""
    for fault in faults:
        yield str(fault)
        yield from _source(fault, files)
        if fault.help:
            yield f"  help: {fault.help}"


def summary(faults: Sequence[Fault], files: int) -> str:
    """`3 files: 1 error, 2 warnings`."""
    errors = count_errors(faults)
    return f"{_count(files, 'file')}: {_count(errors, 'error')}, {_count(len(faults) - errors, 'warning')}"


def count_errors(faults: Iterable[Fault]) -> int:
    """How many are no warnings."""
    return sum(fault.severity is Severity.ERROR for fault in faults)


def as_json(faults: Iterable[Fault]) -> list[dict[str, object]]:
    """Each fault with stable keys."""
    return [
        {
            "file": fault.place.file,
            "line": fault.place.line,
            "column": fault.place.column,
            "severity": fault.severity.value,
            "code": fault.code,
            "message": fault.message,
            "help": fault.help,
            "policy": fault.policy,
        }
        for fault in faults
    ]


def _source(fault: Fault, files: Mapping[str, bytes]) -> Iterator[str]:
    """The line that the fault stands on, with a caret under its column."""
    lines = files.get(fault.place.file, b"").decode("utf-8", "replace").splitlines()
    if not 1 <= fault.place.line <= len(lines):
        return
    number = str(fault.place.line)
    line = lines[fault.place.line - 1]
    if not line.strip() or not line.replace("\t", " ").isprintable():
        return
    yield f"  {number} | {line[:_MAX_SHOWN].rstrip()}"
    if fault.place.column <= min(len(line), _MAX_SHOWN):
        indent = "".join("\t" if character == "\t" else " " for character in line[: fault.place.column - 1])
        yield f"  {' ' * len(number)} | {indent}^"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
