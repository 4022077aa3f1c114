"""`authz lint DIR`: every fault of a policy directory at once, with place, code and help."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli.exit_codes import NO, POLICY_INVALID, YES

NAME: Final = "lint"
HELP: Final = "report every fault of a policy directory"
DESCRIPTION: Final = "Reports every fault of a policy directory. Exit code 0, 3 with errors, 5 when unreadable."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--strict", action="store_true", help="warnings end with exit code 1")


def run(arguments: argparse.Namespace) -> int:
    """Print every fault and a summary."""
    from authz.cli import fault_report
    from authz.cli.policy_directory import read

    directory = read(arguments.directory)
    files, faults = directory.files, directory.faults
    errors = fault_report.count_errors(faults)
    if arguments.output == "json":
        import json

        report = {"files": len(files), "errors": errors, "warnings": len(faults) - errors,
                  "faults": fault_report.as_json(faults)}
        print(json.dumps(report, indent=2))
    else:
        for line in fault_report.as_text(faults, files):
            print(line)
        print(fault_report.summary(faults, len(files)))
    if errors:
        return POLICY_INVALID
    return NO if faults and arguments.strict else YES
