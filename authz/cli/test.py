"""`authz test DIR`: runs the tests that stand beside the policies, by the service's own matcher and evaluator."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT, POLICY_INVALID, TESTS_FAILED, YES
from authz.cli.output import add_output, show

if TYPE_CHECKING:
    from authz.cli.rehearsal import Rehearsal

NAME: Final = "test"
HELP: Final = "run the tests of a policy directory"
DESCRIPTION: Final = (
    "Runs the tests (files that end in _test.yaml) of a policy directory. Exit code 0; 4 when a test failed, the "
    "coverage is too low or a mutant survived; 3 when policies or tests are invalid; 5 when the directory can't be "
    "read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The directory, which tests, what else to find out."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    add_output(parser, "json", "junit")
    parser.add_argument(
        "-k", dest="only", default="", metavar="SUBSTRING", help="only tests whose POLICY/NAME holds it"
    )
    parser.add_argument(
        "--cover", action="store_true", help="report which alternatives of the routes are allowed and denied by tests"
    )
    parser.add_argument("--fail-under", type=percent, metavar="N", help="with --cover: exit code 4 below N percent")
    parser.add_argument(
        "--mutate", action="store_true", help="leave out one condition at a time and report those that no test misses"
    )
    parser.add_argument("--watch", action="store_true", help="run again after each change, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Run once, or after each change."""
    if arguments.watch:
        from authz.cli.watch import watch

        return watch(lambda: _run(arguments), arguments.directory)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from authz.cli import rehearsal
    from authz.cli.fault_report import as_text, count_errors
    from authz.cli.policy_directory import is_unreadable, read
    from authz.cli.progress import progress
    from authz.policy.faults import Severity

    with progress(f"reading {arguments.directory}"):
        directory = read(arguments.directory, tests=True, references=False)
    if directory.policy is None or count_errors(directory.faults):
        errors = (fault for fault in directory.faults if fault.severity is Severity.ERROR)
        show(as_text(errors, directory.files), sys.stderr)
        return ENVIRONMENT if is_unreadable(directory.faults) else POLICY_INVALID
    with progress(f"testing {arguments.directory}"):
        done = rehearsal.rehearse(directory, only=arguments.only, cover=arguments.cover, mutate=arguments.mutate)
    _print(done, arguments.output)
    return _exit_code(done, arguments.fail_under)


def _print(done: Rehearsal, output: str) -> None:
    if output == "json":
        import json

        from authz.cli.rehearsal_report import as_json

        print(json.dumps(as_json(done), indent=2))
    elif output == "junit":
        from authz.cli.junit import as_junit

        print(as_junit(done))
    else:
        from authz.cli.rehearsal_report import as_tree

        show(as_tree(done))


def _exit_code(done: Rehearsal, fail_under: float | None) -> int:
    if any(not result.passed for result in done.results):
        return TESTS_FAILED
    if done.coverage is not None and fail_under is not None and done.coverage.percent < fail_under:
        return TESTS_FAILED
    return TESTS_FAILED if done.mutated is not None and done.mutated.holes else YES


def percent(text: str) -> float:
    """A number from 0 to 100; `ValueError` for anything else."""
    value = float(text)
    if not 0 <= value <= 100:
        raise ValueError(text)
    return value
