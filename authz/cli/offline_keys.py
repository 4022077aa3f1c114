"""Issuers' keys without a network: from the directory's key files, and from files given on the command line.

Implements `engine.ports.IssuerKeys`. What would have to be fetched is unavailable here, as it is in the service while
the provider is down.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from authz.authn.keys import KeySet, KeySetError, import_key_set
from authz.cli.exit_codes import ENVIRONMENT
from authz.cli.failure import CommandFailed
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksFile
from authz.model.reason import Reason
from authz.policy.faults import Fault
from authz.sources.file_keys import FileKeys
from authz.sources.files import FileError, read_bounded
from authz.sources.state import unreported

_NOT_FETCHED: Final = "keys aren't fetched offline: give the issuer's key set with --keys [ISSUER=]FILE"


class OfflineKeys:
    """`given` holds key sets by issuer name; "" stands for every issuer whose keys would be fetched."""

    def __init__(
        self, directory: Path, issuers: Iterable[IssuerSettings], given: Mapping[str, bytes] | None = None
    ) -> None:
        self._files = {
            settings.name: FileKeys(
                settings, settings.keys, directory, max_stale=float("inf"), clock=time.monotonic, report=unreported
            )
            for settings in issuers
            if isinstance(settings.keys, JwksFile)
        }
        self._given = given or {}
        for source in self._files.values():
            source.poll()

    @property
    def faults(self) -> list[Fault]:
        """A key file that can't be used is a fault of the platform's documents (docs/verification.md)."""
        return [source.fault() for source in self._files.values() if source.error]

    def keys(self, issuer: IssuerSettings) -> KeySet:
        given = self._given.get(issuer.name)
        if given is None and issuer.name in self._files:
            return self._files[issuer.name].keys()
        if given is None:
            given = self._given.get("")
        if given is None:
            raise Unavailable(Reason.KEYS_UNAVAILABLE, _NOT_FETCHED)
        try:
            return import_key_set(given, issuer.algorithms)[0]
        except KeySetError as error:
            raise CommandFailed(ENVIRONMENT, f"--keys: {error}") from error

    def unknown(self, issuer: IssuerSettings) -> Refused:
        return Refused(Reason.TOKEN_KEY_UNKNOWN, f"the given keys of issuer {issuer.name} lack this key")


def read_given(arguments: Iterable[str]) -> dict[str, bytes]:
    """`[ISSUER=]FILE` options as `OfflineKeys` takes them."""
    given: dict[str, bytes] = {}
    for argument in arguments:
        name, equals, file = argument.partition("=")
        if not equals:
            name, file = "", argument
        try:
            given[name] = read_bounded(Path(file))
        except FileError as error:
            raise CommandFailed(ENVIRONMENT, f"--keys {file}: {error.reason}") from error
    return given
