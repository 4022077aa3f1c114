"""Policy directories to compare: a directory, or the state of one in a git revision (`REV:path`).

A revision is read with `git archive`, so that nothing is checked out and the work tree isn't looked at. Only what a
policy directory reads counts; a symbolic link in a revision is refused, since what it leads to may not be part of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT, POLICY_INVALID, USAGE
from authz.cli.failure import CommandFailed
from authz.cli.output import show

if TYPE_CHECKING:
    from authz.policy.meaning import Side

_SUFFIXES: Final = (".yaml", ".yml")
_SECONDS: Final = 60


def read_side(where: str, *, git: bool = False) -> Side:
    """Load what is to be compared. Raises `CommandFailed`: 3 with the faults when the policy is invalid."""
    from authz.policy.meaning import Side

    if git or (":" in where and not Path(where).exists()):
        from authz.policy.load import load

        files = _files_of_revision(where)
        loaded = load(files)
        policy, parsed, faults = loaded.policy, loaded.parsed, loaded.faults
    else:
        from authz.cli.policy_directory import read

        directory = read(where, references=False)
        policy, parsed, faults, files = directory.policy, directory.documents, directory.faults, directory.files
    from authz.cli import fault_report

    if policy is None or fault_report.count_errors(faults):
        show(fault_report.as_text(faults, files), sys.stderr)
        raise CommandFailed(POLICY_INVALID, f"{where}: the policy is invalid")
    return Side(policy, parsed)


def _files_of_revision(where: str) -> Mapping[str, bytes]:
    import subprocess

    revision, colon, path = where.partition(":")
    if not (revision and colon) or revision.startswith("-"):
        raise CommandFailed(USAGE, f"{where}: write REVISION:PATH")
    try:
        done = subprocess.run(  # noqa: S603 - no shell, and the revision is no option
            ["git", "archive", "--format=tar", f"{revision}:{path.strip('/')}"],  # noqa: S607 - whichever git is there
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(ENVIRONMENT, f"git can't be run: {type(error).__name__}") from error
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["git archive failed"]
        raise CommandFailed(ENVIRONMENT, f"{where}: {message[-1]}")
    return files_of_archive(done.stdout, where)


def files_of_archive(data: bytes, where: str) -> dict[str, bytes]:
    """The policy files of a tar archive; raises `CommandFailed` for a link."""
    import io
    import tarfile

    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            if any(part.startswith(".") for part in path.parts):
                continue
            if member.issym() or member.islnk():
                raise CommandFailed(ENVIRONMENT, f"{where}: {path} is a link, which a revision can't follow")
            content = archive.extractfile(member) if path.suffix.lower() in _SUFFIXES else None
            if content is not None:
                files[str(path)] = content.read()
    return files
