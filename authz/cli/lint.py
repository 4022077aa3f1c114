"""`authz lint DIR`: every fault of a policy directory at once, with place, code and help."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import NO, POLICY_INVALID, YES
from authz.cli.output import add_output, show

if TYPE_CHECKING:
    from authz.cli.policy_directory import ReadDirectory
    from authz.policy.faults import Fault

_FAILING: Final = frozenset({"guardrail-expired", "candidate-expired"})
"""Warnings that the service lives with and that fail lint all the same (policy language §6)."""
NAME: Final = "lint"
HELP: Final = "report every fault of a policy directory"
DESCRIPTION: Final = (
    "Reports every fault of a policy directory. Exit code 0; 3 with errors; 1 with --strict and warnings, or when an "
    "exception's date has passed; 5 when the directory can't be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    add_output(parser, "json", "sarif", "github")
    parser.add_argument("--now", metavar="TIME", help="judge dates as of this time, such as 2026-11-21T10:00:00Z")
    parser.add_argument("--strict", action="store_true", help="warnings end with exit code 1")


def run(arguments: argparse.Namespace) -> int:
    """Print every fault and a summary."""
    from datetime import UTC, datetime

    from authz.cli import fault_report
    from authz.cli.moment import moment
    from authz.cli.policy_directory import read
    from authz.cli.progress import progress

    today = datetime.fromtimestamp(moment(arguments.now), UTC).date()
    with progress(f"linting {arguments.directory}"):
        directory = read(arguments.directory, today=today, tests=True)
        files, faults = directory.files, _with_advice(directory)
    errors = fault_report.count_errors(faults)
    _print(arguments.output, arguments.directory, files, faults)
    if errors:
        return POLICY_INVALID
    failing = faults if arguments.strict else [fault for fault in faults if fault.code in _FAILING]
    return NO if failing else YES


def _print(output: str, directory: str, files: Mapping[str, bytes], faults: tuple[Fault, ...]) -> None:
    import json

    from authz.cli import fault_annotations, fault_report

    errors = fault_report.count_errors(faults)
    if output == "json":
        counts = {"files": len(files), "errors": errors, "warnings": len(faults) - errors}
        print(json.dumps({**counts, "faults": fault_report.as_json(faults)}, indent=2))
    elif output == "sarif":
        print(json.dumps(fault_annotations.as_sarif(faults, directory), indent=2))
    elif output == "github":
        show(fault_annotations.as_github(faults, directory))
    else:
        show(fault_report.as_text(faults, files))
        print(fault_report.summary(faults, len(files)))


def _with_advice(directory: ReadDirectory) -> tuple[Fault, ...]:
    """The faults, and, where the directory can be served at all, what a sound policy may still get wrong."""
    if directory.policy is None:
        return directory.faults
    from authz.policy.lint import exercised, lint

    tests = {}
    if directory.suites:
        from authz.cli.rehearsal import rehearse

        tests = dict(exercised(rehearse(directory).results))
    from authz.cli.lock import stale

    advice = lint(directory.documents, tests)
    faults = {*directory.faults, *advice, *stale(directory)}
    return tuple(sorted(faults, key=lambda fault: (fault.place, fault.code, fault.message)))
