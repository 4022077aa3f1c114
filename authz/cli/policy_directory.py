"""A policy directory as the offline commands read it: the server's loader, and the files that it refers to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import ENVIRONMENT
from authz.cli.failure import CommandFailed
from authz.model.issuer import JwksFile
from authz.policy.document import ParsedDirectory
from authz.policy.faults import Fault, FaultCode, Severity
from authz.policy.load import load
from authz.sources.directory import DirectoryError, read_policy_directory

if TYPE_CHECKING:
    from authz.policy.link import PolicySet
    from authz.policy.suite import Suite

_UNREADABLE: Final = frozenset({FaultCode.FILE_UNREADABLE.code, FaultCode.DIRECTORY_LIMIT.code})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDirectory:
    """`policy` is None when the server would refuse to start with it. `faults` are sorted by place."""

    path: Path
    files: Mapping[str, bytes]
    policy: PolicySet | None
    faults: tuple[Fault, ...]
    documents: ParsedDirectory = field(default_factory=ParsedDirectory)
    suites: tuple[Suite, ...] = ()


def read(directory: str, *, today: date | None = None, tests: bool = False, references: bool = True) -> ReadDirectory:
    """Read and link everything; with `today` also say which dates have passed, with `tests` read the tests too.
    Without `references` the files that documents refer to (keys, bundles) aren't looked at.

    Raises `CommandFailed` with exit code 5 when the directory can't be read.
    """
    path = Path(directory)
    try:
        files = read_policy_directory(path)
    except DirectoryError as error:
        if is_unreadable(error.faults):
            lines = [f"{path / fault.place.file}: {fault.message}" for fault in error.faults]
            raise CommandFailed(ENVIRONMENT, *lines) from error
        return ReadDirectory(path=path, files={}, policy=None, faults=error.faults)
    loaded = load(files, today=today)
    faults = [*loaded.faults, *(_reference_faults(path, loaded.policy) if references else ())]
    suites: tuple[Suite, ...] = ()
    if tests:
        from authz.policy.parse_tests import read_suites

        read_tests = read_suites(files, loaded.parsed)
        suites = read_tests.suites
        faults += read_tests.faults
    faults.sort(key=lambda fault: (fault.place, fault.code, fault.message))
    return ReadDirectory(
        path=path, files=files, policy=loaded.policy, faults=tuple(faults), documents=loaded.parsed, suites=suites
    )


def is_unreadable(faults: Iterable[Fault]) -> bool:
    """Whether the faults are of the file system and not of what is written."""
    return any(fault.code in _UNREADABLE for fault in faults)


def _reference_faults(path: Path, policy: PolicySet | None) -> list[Fault]:
    """Faults of key files and bundles, as the server finds them at load. Imports cryptography only if need be.

    A file that isn't here is a warning: it may be mounted only where the service runs, which does insist on it.
    """
    faults: list[Fault] = []
    if policy is None:
        return faults
    if any(isinstance(issuer.keys, JwksFile) for issuer in policy.issuers.values()):
        from authz.cli.offline_keys import OfflineKeys

        faults += OfflineKeys(path, policy.issuers.values()).faults
    if policy.trust is not None and policy.trust.bundles:
        from authz.sources.file_bundles import file_faults

        faults += file_faults(policy.trust, path)
    missing = FaultCode.FILE_MISSING.code
    return [replace(fault, severity=Severity.WARNING) if fault.code == missing else fault for fault in faults]
