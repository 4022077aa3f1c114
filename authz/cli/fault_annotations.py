"""Faults for machines that review changes: SARIF 2.1.0 for code scanning, and workflow commands for annotations.

File names are given as they are seen from where the command runs, so that a review finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

from authz import __version__
from authz.policy.faults import Fault, FaultCode, Severity

SARIF_VERSION: Final = "2.1.0"
_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_LEVELS: Final = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def as_sarif(faults: Sequence[Fault], directory: str) -> dict[str, object]:
    """One run with a rule for each code that occurs (SARIF 2.1.0 §3.14, §3.49)."""
    codes = sorted({fault.code for fault in faults})
    registry = {code.code: code for code in FaultCode}
    rules = [
        {
            "id": code,
            "help": {"text": registry[code].help},
            "defaultConfiguration": {"level": _LEVELS[registry[code].severity]},
        }
        for code in codes
    ]
    driver = {"name": "authz lint", "version": __version__, "rules": rules}
    results = [_result(fault, directory, codes.index(fault.code)) for fault in faults]
    return {"$schema": _SCHEMA, "version": SARIF_VERSION, "runs": [{"tool": {"driver": driver}, "results": results}]}


def as_github(faults: Iterable[Fault], directory: str) -> Iterator[str]:
    """Workflow commands: one annotation for each fault."""
    for fault in faults:
        place = fault.place
        properties = {
            "file": _seen(directory, place.file),
            "line": place.line,
            "col": place.column,
            "title": f"authz {fault.code}",
        }
        text = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in properties.items())
        yield f"::{_LEVELS[fault.severity]} {text}::{_escaped(f'{fault.message} ({fault.help})', '')}"


def _result(fault: Fault, directory: str, rule: int) -> dict[str, object]:
    place = fault.place
    region = {"startLine": place.line, "startColumn": place.column}
    location = {"artifactLocation": {"uri": _seen(directory, place.file)}, "region": region}
    return {
        "ruleId": fault.code,
        "ruleIndex": rule,
        "level": _LEVELS[fault.severity],
        "message": {"text": f"{fault.message}. {fault.help}"},
        "locations": [{"physicalLocation": location}],
    }


def _seen(directory: str, file: str) -> str:
    return (PurePath(directory) / file).as_posix()


def _escaped(text: str, also: str) -> str:
    """`%`, line breaks and separators as the runner reads them."""
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
