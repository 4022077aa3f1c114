"""`authz lock DIR`: writes `access.lock`, the committed text of effective access, or says that it is stale."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT, NO, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.cli.policy_directory import ReadDirectory
    from authz.policy.faults import Fault

NAME: Final = "lock"
HELP: Final = "write who may call what into access.lock"
DESCRIPTION: Final = (
    "Writes effective access into DIR/access.lock, a text to commit: a change of access shows in plain git diff. With "
    "--check nothing is written: exit code 0 when the file is current, 1 when it is stale."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked about, and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    parser.add_argument("--check", action="store_true", help="only say whether the file is current")


def run(arguments: argparse.Namespace) -> int:
    """Write the file, or with `--check` say whether it is current."""
    from authz.cli.revisions import read_side
    from authz.policy.lock import FILE_NAME, lock_text

    path = Path(arguments.directory) / FILE_NAME
    wanted = lock_text(read_side(arguments.directory))
    written = read_lock(Path(arguments.directory))
    if arguments.check:
        if written == wanted:
            return YES
        print(f"{path}: lock-stale: it isn't what the policy says; `authz lock {arguments.directory}` renews it")
        from difflib import unified_diff

        lines = unified_diff(
            (written or "").splitlines(), wanted.splitlines(), f"{path} as written", "as the policy says", lineterm=""
        )
        for line in lines:
            print(line)
        return NO
    if written != wanted:
        try:
            path.write_text(wanted, encoding="utf-8")
        except OSError as error:
            raise CommandFailed(ENVIRONMENT, f"{path}: {error.strerror}") from error
    print(f"{path}: {'unchanged' if written == wanted else 'written'}", file=sys.stderr)
    return YES


def stale(directory: ReadDirectory) -> tuple[Fault, ...]:
    """The fault of a lock that isn't what the policy says; none where there is no lock, or no sound policy."""
    from authz.cli.fault_report import count_errors
    from authz.policy.faults import Fault, FaultCode, Place
    from authz.policy.lock import FILE_NAME, lock_text
    from authz.policy.meaning import Side

    written = read_lock(directory.path)
    if written is None or directory.policy is None or count_errors(directory.faults):
        return ()
    wanted = lock_text(Side(directory.policy, directory.documents)).splitlines()
    lines = written.splitlines()
    if lines == wanted:
        return ()
    pairs = enumerate(zip(lines, wanted, strict=False), 1)
    first = next((number for number, (one, other) in pairs if one != other), min(len(lines), len(wanted)) + 1)
    code = FaultCode.LOCK_STALE
    return (
        Fault(
            place=Place(FILE_NAME, first),
            code=code.code,
            message="the lock isn't what the policy says",
            help=code.help,
            severity=code.severity,
        ),
    )


def read_lock(directory: Path) -> str | None:
    """The file as it stands; None when there is none."""
    from authz.policy.lock import FILE_NAME

    path = directory / FILE_NAME
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(ENVIRONMENT, f"{path}: {error}") from error
