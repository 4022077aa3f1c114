"""The policy directory's files as bytes, read as one consistent state (policy language §1).

Owns: which files belong to a policy directory, and reading them so that an atomic swap in the middle
(Kubernetes' `..data` link) is noticed. Must not: interpret content, or skip what it can't read: half a
directory would be another policy. Only names that end in .yaml or .yml (also in other case: a fault that
linking names) are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from authz.model.errors import AuthzError
from authz.policy.faults import Fault, FaultCode, Place
from authz.sources.files import FileError, Signature, describe, read_signed

MAX_FILES: Final = 2000
MAX_DEPTH: Final = 16
"""Levels of sub-directories; also what ends a loop of symbolic links."""
MAX_ENTRIES: Final = 20_000
"""Directory entries looked at, policies or not: bounds a directory that somebody pointed at by mistake."""
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
MAX_ATTEMPTS: Final = 5

_SUFFIXES: Final = (".yaml", ".yml")


class DirectoryError(AuthzError):
    """The directory can't be read as it stands; `faults` say what and where."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Reading:
    """Files by path relative to the directory with '/', and the tree's signature as of the reading."""

    files: Mapping[str, bytes]
    signature: TreeSignature


TreeSignature = tuple[tuple[str, Signature], ...]


def read_policy_directory(path: Path) -> Mapping[str, bytes]:
    """All policy files, consistent; raises `DirectoryError` with every fault."""
    return read_directory(path).files


def read_directory(path: Path) -> Reading:
    """As `read_policy_directory`, with the signature that tells whether reading again could find anything
    else."""
    for _ in range(MAX_ATTEMPTS):
        before = scan(path)
        try:
            reading = _read(path, before)
        except DirectoryError:
            if scan(path) == before:
                raise
            continue
        if reading.signature == before and scan(path) == before:
            return reading
    message = "the directory changes while it is being read"
    raise DirectoryError(_fault(FaultCode.FILE_UNREADABLE, ".", message))


def scan(path: Path) -> TreeSignature:
    """The tree's policy files and what `stat` says of them, sorted; raises `DirectoryError`."""
    walk = _Walk(path)
    found = sorted(walk.files())
    if walk.faults:
        raise DirectoryError(*sorted(walk.faults, key=lambda fault: (fault.place, fault.message)))
    return tuple(found)


def _read(path: Path, signature: TreeSignature) -> Reading:
    files: dict[str, bytes] = {}
    seen: list[tuple[str, Signature]] = []
    faults: list[Fault] = []
    total = 0
    for name, _ in signature:
        try:
            content, status = read_signed(path / name)
        except FileError as error:
            faults.append(_fault(FaultCode.FILE_UNREADABLE, name, error.reason))
            continue
        files[name] = content
        seen.append((name, status))
        total += len(content)
        if total > MAX_TOTAL_BYTES:
            message = f"over {MAX_TOTAL_BYTES} bytes of policies"
            raise DirectoryError(_fault(FaultCode.DIRECTORY_LIMIT, ".", message))
    if faults:
        raise DirectoryError(*faults)
    return Reading(files, tuple(seen))


@dataclass(slots=True)
class _Walk:
    """One pass over the tree; what can't be looked at becomes a fault."""

    root: Path
    faults: list[Fault] = field(default_factory=list)
    entries: int = 0
    count: int = 0

    def files(self) -> Iterator[tuple[str, Signature]]:
        yield from self._directory("", 0)

    def _directory(self, relative: str, depth: int) -> Iterator[tuple[str, Signature]]:
        try:
            with os.scandir(self.root / relative) as listing:
                entries = sorted(entry.name for entry in listing)
        except OSError as error:
            self._add(FaultCode.FILE_UNREADABLE, relative or ".", describe(error))
            return
        for name in entries:
            self.entries += 1
            if self.entries > MAX_ENTRIES or self.count > MAX_FILES:
                message = f"over {MAX_FILES} policy files or {MAX_ENTRIES} entries"
                self._add(FaultCode.DIRECTORY_LIMIT, ".", message)
                return
            if not name.startswith("."):
                yield from self._entry(f"{relative}/{name}" if relative else name, depth)

    def _entry(self, relative: str, depth: int) -> Iterator[tuple[str, Signature]]:
        is_policy = relative.lower().endswith(_SUFFIXES)
        try:
            status = (self.root / relative).stat()
        except OSError as error:
            # A dangling link may stand for a sub-directory of policies as well as for a file of them.
            self._add(FaultCode.FILE_UNREADABLE, relative, describe(error))
            return
        if stat.S_ISDIR(status.st_mode):
            if depth + 1 > MAX_DEPTH:
                message = f"over {MAX_DEPTH} levels deep, or links in a loop"
                self._add(FaultCode.DIRECTORY_LIMIT, relative, message)
                return
            yield from self._directory(relative, depth + 1)
        elif is_policy:
            yield from self._file(relative, status)

    def _file(self, relative: str, status: os.stat_result) -> Iterator[tuple[str, Signature]]:
        if not _is_text(relative):
            self._add(FaultCode.FILE_NAME, ascii(relative), "the file's name is not UTF-8")
            return
        self.count += 1
        yield relative, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    def _add(self, code: FaultCode, file: str, message: str) -> None:
        fault = _fault(code, file, message)
        if fault not in self.faults:
            self.faults.append(fault)


def _is_text(name: str) -> bool:
    return name.isprintable() and "\\" not in name and not any("\ud800" <= c <= "\udfff" for c in name)


def _fault(code: FaultCode, file: str, message: str) -> Fault:
    return Fault(place=Place(file), code=code.code, message=message, help=code.help)
