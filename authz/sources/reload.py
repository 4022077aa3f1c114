"""The policy in force: first load, then a loop that notices changes. Implements `engine.ports.Policies`.

Owns: when the directory is read again, and the swap. A new set is built whole, its keys and bundles are
prepared, and only then one reference changes; whatever goes wrong on the way keeps the set in force and
says why (policy language §1). Must not: judge content (policy.load does), or let a fault end the loop.

How to wire it (app): make `KeyStore` and `BundleStore` over the same directory, then `policies =
PolicyDirectory(path, keys=…, bundles=…, report=…)`; `policies.load_first()` (raises `PolicyRefused`: exit
code 3) and `policies.start()`. SIGHUP calls `reload_now()`, which only sets a flag. `state()` feeds
readiness and metrics. At shutdown `close()`, then the stores' own `close`.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from authz.model.errors import AuthzError
from authz.policy.faults import Fault, Severity, has_errors
from authz.policy.link import PolicySet, PolicyState
from authz.policy.load import Loaded, load
from authz.sources.bundles import BundleStore
from authz.sources.directory import DirectoryError, Reading, TreeSignature, read_directory, scan
from authz.sources.jwks import KeyStore
from authz.sources.state import Report, SourceEvent, unreported
from authz.sources.undisturbed import dismantle

DEFAULT_INTERVAL: Final = 1.0
"""Seconds between looks at the directory."""
FULL_READ_TICKS: Final = 60
"""Ticks after which content is read although `stat` shows no change: some network file systems don't show
all."""
RETRY_TICKS: Final = 5
"""Ticks after which a refused directory is tried again unchanged: what it refers to may have changed."""
JOIN_SECONDS: Final = 5.0


class LoadPolicy(Protocol):
    """`policy.load.load`: files and the policy in force to what comes next."""

    def __call__(self, files: Mapping[str, bytes], previous: PolicySet | None = None) -> Loaded: ...


class PolicyRefused(AuthzError):
    """The first load found no policy that can be served; `faults` say why."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryState:
    """What readiness shows. Times are seconds since the epoch; `refused` says that the directory as it is
    now isn't what is in force. `faults` are those of the last attempt, warnings included, as
    `file:line:column: …` lines."""

    revision: str = ""
    loaded_at: float | None = None
    attempted_at: float | None = None
    loads: int = 0
    refusals: int = 0
    refused: bool = False
    faults: tuple[str, ...] = ()
    policies: tuple[PolicyState, ...] = ()


class PolicyDirectory:
    """See the module. One thread; `current` is one attribute access."""

    def __init__(
        self,
        path: Path,
        *,
        keys: KeyStore,
        bundles: BundleStore,
        report: Report = unreported,
        interval: float = DEFAULT_INTERVAL,
        loader: LoadPolicy = load,
        now: Callable[[], float] = time.time,
        building: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """`building` stands around each run of `loader` (`undisturbed` in the service)."""
        self._path = path
        self._keys = keys
        self._bundles = bundles
        self._report = report
        self._interval = interval
        self._loader = loader
        self._now = now
        self._building = building
        self._policy: PolicySet | None = None
        self._retired: list[PolicySet] = []
        self._state = DirectoryState()
        self._signature: TreeSignature | None = None
        self._digest = ""
        self._ticks = 0
        self._forced = False
        self._stopped = False
        self._wake = threading.Event()
        self._turn = threading.Lock()
        self._thread: threading.Thread | None = None

    def current(self) -> PolicySet | None:
        return self._policy

    def state(self) -> DirectoryState:
        return self._state

    def load_first(self) -> None:
        """The first load, on the caller's thread. Raises `PolicyRefused` when nothing can be served."""
        with self._turn:
            faults = self._attempt()
        if self._policy is None:
            raise PolicyRefused(*faults)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="policy-reload", daemon=True)
        self._thread.start()

    def reload_now(self) -> None:
        """Read the directory at once although nothing seems to have changed. Safe in a signal handler."""
        self._forced = True
        self._wake.set()

    def close(self) -> None:
        self._stopped = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)

    def tick(self) -> None:
        """One look at the directory and at the files that it refers to; never raises."""
        with self._turn:
            self._ticks += 1
            try:
                dismantle(self._retired)
                if self._due():
                    self._attempt()
                else:
                    self._keys.poll()
                    self._bundles.poll()
            except Exception as error:  # noqa: BLE001 - the loop must outlive any bug; the policy in force stays
                self._refuse((), f"internal error ({type(error).__name__})")

    def _run(self) -> None:
        while not self._stopped:
            self._wake.wait(self._interval)
            self._wake.clear()
            if not self._stopped:
                self.tick()

    def _due(self) -> bool:
        forced, self._forced = self._forced, False
        if forced or self._ticks % FULL_READ_TICKS == 0:
            return True
        if self._state.refused and self._ticks % RETRY_TICKS == 0:
            return True
        try:
            return scan(self._path) != self._signature
        except DirectoryError:
            return True

    def _attempt(self) -> tuple[Fault, ...]:
        """Read, and take over what was read if it is new; the faults that refuse it, if any."""
        try:
            reading = read_directory(self._path)
        except DirectoryError as error:
            return self._refuse(error.faults)
        self._signature = reading.signature
        digest = _digest(reading)
        if digest == self._digest and not self._state.refused:
            self._keys.poll()
            self._bundles.poll()
            return ()
        return self._take(reading, digest)

    def _take(self, reading: Reading, digest: str) -> tuple[Fault, ...]:
        with self._building():
            loaded = self._loader(reading.files, self._policy)
        if loaded.policy is None:
            return self._refuse(loaded.faults)
        keys = self._keys.prepare(loaded.policy.issuers.values())
        bundles = self._bundles.prepare(loaded.policy.trust)
        faults = (*keys.faults, *bundles.faults, *loaded.faults)
        if has_errors((*keys.faults, *bundles.faults)):
            return self._refuse(faults)
        # Keys and bundles first: a policy must not be visible before the issuers that it names are known.
        self._keys.apply(keys)
        self._bundles.apply(bundles)
        if self._policy is not None:
            # Checks that began under it go on with it; at the next look they have finished.
            self._retired.append(self._policy)
        self._policy = loaded.policy
        self._digest = digest
        self._accept(loaded.policy, faults)
        return ()

    def _accept(self, policy: PolicySet, faults: tuple[Fault, ...]) -> None:
        now = self._now()
        texts = tuple(str(fault) for fault in faults)
        self._state = replace(
            self._state,
            revision=policy.revision,
            loaded_at=now,
            attempted_at=now,
            loads=self._state.loads + 1,
            refused=False,
            faults=texts,
            policies=policy.policies,
        )
        errors = [str(fault) for fault in faults if fault.severity is Severity.ERROR]
        warnings = tuple(str(fault) for fault in faults if fault.severity is Severity.WARNING)
        self._report(
            SourceEvent(
                kind="policy",
                name=str(self._path),
                revision=policy.revision,
                error="\n".join(errors),
                warnings=warnings,
            )
        )

    def _refuse(self, faults: tuple[Fault, ...], text: str = "") -> tuple[Fault, ...]:
        """Keep what is in force; told once per new set of faults."""
        texts = (text,) if text else tuple(str(fault) for fault in faults)
        news = not self._state.refused or texts != self._state.faults
        self._state = replace(
            self._state, attempted_at=self._now(), refused=True, faults=texts, refusals=self._state.refusals + news
        )
        if news:
            self._report(
                SourceEvent(kind="policy", name=str(self._path), revision=self._state.revision, error="\n".join(texts))
            )
        return faults


def _digest(reading: Reading) -> str:
    """Names and contents, each with its length, so that no two directories have the same text."""
    digest = hashlib.sha256()
    for name, content in sorted(reading.files.items()):
        for part in (name.encode("utf-8", "surrogatepass"), content):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
