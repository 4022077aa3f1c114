"""The keys of every configured issuer: implements `engine.ports.IssuerKeys`.

Owns: one source per issuer, and which of them live on when the policy directory is reloaded. Must not:
decide anything about a token, or share keys between issuers (a key belongs to the issuer that published it,
RFC 8725 §3.8).

How to wire it (app): `KeyStore(directory, fetch=Fetcher(rules).get, rules=RefreshRules(…), report=…)`; hand
it to `PolicyDirectory`, which calls `prepare`/`apply` before each new policy is visible and `poll` on each
tick; `tried_once()` gates readiness; `states()` feeds metrics; `close()` at shutdown.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from authz.authn.keys import KeySet
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, JwksFile, KeySource
from authz.model.reason import Reason
from authz.policy.faults import Fault
from authz.sources.background import Running
from authz.sources.discovery import Get
from authz.sources.file_keys import FileKeys
from authz.sources.remote_keys import Environment, RemoteKeys
from authz.sources.schedule import RefreshRules
from authz.sources.state import Report, SourceState, unreported

Identity = tuple[str, str, KeySource, tuple[str, ...]]
"""Everything about an issuer that its keys depend on; a source lives on while it is unchanged."""


class _Source(Protocol):
    def keys(self) -> KeySet: ...
    def unknown(self) -> Refused: ...
    def tried(self) -> bool: ...
    def state(self) -> SourceState: ...


@dataclass(frozen=True, slots=True)
class _Entry:
    settings: IssuerSettings
    source: RemoteKeys | FileKeys


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """What `apply` will put in force. With `faults` it must not be applied."""

    entries: Mapping[str, _Entry]
    faults: tuple[Fault, ...]


class KeyStore:
    """See the module. `directory` is the policy directory, which `jwks_file` is relative to."""

    def __init__(
        self,
        directory: Path,
        *,
        fetch: Get,
        rules: RefreshRules | None = None,
        report: Report = unreported,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._directory = directory
        self._env = Environment(get=fetch, rules=rules or RefreshRules(), clock=clock, random=jitter, report=report)
        self._entries: Mapping[str, _Entry] = {}
        self._running = Running()

    # --- engine.ports.IssuerKeys ---

    def keys(self, issuer: IssuerSettings) -> KeySet:
        return self._source(issuer).keys()

    def unknown(self, issuer: IssuerSettings) -> Refused:
        return self._source(issuer).unknown()

    def _source(self, issuer: IssuerSettings) -> _Source:
        entry = self._entries.get(issuer.name)
        # A check that still runs under the policy before a reload asks with the settings of that policy.
        if entry is None or (entry.settings is not issuer and _identity(entry.settings) != _identity(issuer)):
            raise Unavailable(Reason.KEYS_UNAVAILABLE, "the issuer's settings have just changed")
        return entry.source

    # --- reload ---

    def prepare(self, issuers: Iterable[IssuerSettings]) -> KeyPlan:
        """Build what the issuers need, reusing sources whose settings are unchanged. Starts and stops
        nothing."""
        living = {_identity(entry.settings): entry.source for entry in self._entries.values()}
        entries: dict[str, _Entry] = {}
        faults: list[Fault] = []
        for settings in issuers:
            source = living.get(_identity(settings)) or self._make(settings)
            entries[settings.name] = _Entry(settings, source)
            faults.extend(_file_faults(settings, source))
        return KeyPlan(entries, tuple(faults))

    def apply(self, plan: KeyPlan) -> None:
        """Put a plan without faults in force: new issuers begin to fetch, those that are gone stop."""
        if plan.faults:
            raise ValueError("a plan with faults can't be applied")
        self._entries = plan.entries
        self._running.replace(_remote(plan.entries))

    def reconfigure(self, issuers: Iterable[IssuerSettings]) -> tuple[Fault, ...]:
        """`prepare` and, without faults, `apply`."""
        plan = self.prepare(issuers)
        if not plan.faults:
            self.apply(plan)
        return plan.faults

    def poll(self) -> None:
        """Look at key files again; called by the reload loop."""
        for entry in self._entries.values():
            if isinstance(entry.source, FileKeys):
                entry.source.poll()

    # --- for operators ---

    def tried_once(self) -> bool:
        """Whether each issuer's keys were asked for at least once since it was configured, well or not."""
        return all(entry.source.tried() for entry in self._entries.values())

    def states(self) -> tuple[SourceState, ...]:
        return tuple(entry.source.state() for entry in self._entries.values())

    def close(self) -> None:
        """Stop all threads and wait for them, for a few seconds at most."""
        self._running.close()

    def _make(self, settings: IssuerSettings) -> RemoteKeys | FileKeys:
        if isinstance(settings.keys, JwksFile):
            return FileKeys(
                settings,
                settings.keys,
                self._directory,
                max_stale=self._env.rules.max_stale,
                clock=self._env.clock,
                report=self._env.report,
            )
        return RemoteKeys(settings, self._env)


def _identity(settings: IssuerSettings) -> Identity:
    return settings.name, settings.issuer, settings.keys, settings.algorithms


def _remote(entries: Mapping[str, _Entry]) -> list[RemoteKeys]:
    return [entry.source for entry in entries.values() if isinstance(entry.source, RemoteKeys)]


def _file_faults(settings: IssuerSettings, source: RemoteKeys | FileKeys) -> list[Fault]:
    """A key file that can't be used is a fault of the platform's documents (docs/verification.md)."""
    if not isinstance(source, FileKeys):
        return []
    source.poll()
    if not source.error:
        return []
    return [source.fault()]
