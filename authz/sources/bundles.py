"""SPIFFE trust bundles of every configured trust domain: implements `engine.ports.TrustBundles`.

Owns: one source per trust domain (a file, a bundle endpoint, the Workload API), and which of them live on when the
policy directory is reloaded. Must not: take one domain's bundle for another's (SPIFFE Federation §4.2).

How to wire it (app): `BundleStore(directory, fetch=Fetcher(rules).get, workload_api=…, report=…)`, handed to
`PolicyDirectory`; `tried_once()` gates readiness; `states()` feeds metrics; `close()` at shutdown.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from authz.authn.svid import TrustBundle
from authz.model.issuer import BundleEndpoint, BundleOrigin, BundleWorkloadApi, TrustSettings
from authz.policy.faults import Fault, has_errors
from authz.sources.background import Running, Surroundings
from authz.sources.endpoint_bundles import EndpointBundle, Fetch
from authz.sources.fetch import Fetched, FetchError
from authz.sources.file_bundles import FileBundle, is_unused, path_of
from authz.sources.schedule import RefreshRules
from authz.sources.server_trust import ServerTrust
from authz.sources.state import Cause, Freshness, Report, SourceEvent, SourceState, unreported
from authz.sources.workload_api import WorkloadApi

_NO_SOCKET: Final = "no Workload API is configured (keys.workload_api)"


class PushedBundle:
    """One trust domain's bundle as the Workload API hands it out; `api` is None where none is configured."""

    def __init__(self, domain: str, api: WorkloadApi | None) -> None:
        self.domain = domain
        self._api = api

    def bundle(self) -> TrustBundle | None:
        return None if self._api is None else self._api.bundle(self.domain)

    def poll(self) -> None:
        """Nothing to look at: it is pushed."""

    def tried(self) -> bool:
        return self._api is None or self._api.tried()

    def state(self) -> SourceState:
        if self._api is not None:
            return self._api.bundle_state(self.domain)
        return SourceState(
            name=self.domain,
            freshness=Freshness.ABSENT,
            age=None,
            size=0,
            revision="",
            error=_NO_SOCKET,
            cause=Cause.WORKLOAD_API,
            origin="workload API",
        )


BundleSource = FileBundle | EndpointBundle | PushedBundle


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What `apply` will put in force. With errors among `faults` it must not be applied."""

    sources: Mapping[str, tuple[BundleOrigin, BundleSource]]
    faults: tuple[Fault, ...]


def _offline(url: str, trust: ServerTrust | None) -> Fetched:
    raise FetchError("nothing is fetched here")


class BundleStore:
    """See the module. `directory` is the policy directory, which files are relative to."""

    def __init__(
        self,
        directory: Path,
        *,
        fetch: Fetch = _offline,
        workload_api: WorkloadApi | None = None,
        rules: RefreshRules | None = None,
        report: Report = unreported,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._directory = directory
        self._fetch = fetch
        self._api = workload_api
        self._env = Surroundings(rules=rules or RefreshRules(), clock=clock, random=jitter, report=report)
        self._sources: Mapping[str, tuple[BundleOrigin, BundleSource]] = {}
        self._running = Running()

    # --- engine.ports.TrustBundles ---

    def bundle(self, trust_domain: str) -> TrustBundle | None:
        """None also for a domain that nobody configured."""
        found = self._sources.get(trust_domain)
        return None if found is None else found[1].bundle()

    # --- reload ---

    def prepare(self, trust: TrustSettings | None) -> BundlePlan:
        """Read what the trust domains need, reusing sources whose origin is the same. Starts and stops nothing."""
        wanted: Mapping[str, BundleOrigin] = {} if trust is None else trust.bundles
        sources = {domain: (origin, self._source(domain, origin)) for domain, origin in wanted.items()}
        unused = trust is not None and is_unused(trust)
        faults: list[Fault] = []
        for _, source in sources.values():
            source.poll()
            file = source.bootstrap if isinstance(source, EndpointBundle) else source
            if isinstance(file, FileBundle) and file.error:
                faults.append(file.fault(unused=unused))
        return BundlePlan(sources, tuple(faults))

    def apply(self, plan: BundlePlan, *, strict: bool = True) -> None:
        """Put a plan without errors in force: new endpoints begin to be fetched, those that are gone stop.

        Not `strict`: also one with errors, for somebody who wants to see them in the states."""
        if strict and has_errors(plan.faults):
            raise ValueError("a plan with errors can't be applied")
        self._tell_unserved(plan)
        self._sources = plan.sources
        self._running.replace(source for _, source in plan.sources.values() if isinstance(source, EndpointBundle))

    def reconfigure(self, trust: TrustSettings | None) -> tuple[Fault, ...]:
        """`prepare` and, without errors, `apply`."""
        plan = self.prepare(trust)
        if not has_errors(plan.faults):
            self.apply(plan)
        return plan.faults

    def poll(self) -> None:
        """Look at the files again; called by the reload loop."""
        for _, source in self._sources.values():
            source.poll()

    # --- for operators ---

    def tried_once(self) -> bool:
        """Whether each bundle was asked for at least once, well or not."""
        return all(source.tried() for _, source in self._sources.values())

    def states(self) -> tuple[SourceState, ...]:
        return tuple(source.state() for _, source in self._sources.values())

    def close(self) -> None:
        """Stop all threads and wait for them, for a few seconds at most."""
        self._running.close()

    def _tell_unserved(self, plan: BundlePlan) -> None:
        """Say once of each trust domain that its bundle can't come, for want of a setting."""
        for domain, (origin, _) in plan.sources.items():
            known = domain in self._sources and self._sources[domain][0] == origin
            if isinstance(origin, BundleWorkloadApi) and self._api is None and not known:
                self._env.report(SourceEvent(kind="bundle", name=domain, error=_NO_SOCKET))

    def _source(self, domain: str, origin: BundleOrigin) -> BundleSource:
        living = self._sources.get(domain)
        if living is not None and living[0] == origin:
            return living[1]
        file = self._file(domain, path_of(origin)) if path_of(origin) else None
        if isinstance(origin, BundleEndpoint):
            return EndpointBundle(domain, origin, self._env, self._fetch, file)
        if file is not None:
            return file
        return PushedBundle(domain, self._api)

    def _file(self, domain: str, path: str) -> FileBundle:
        return FileBundle(
            domain,
            path,
            self._directory,
            max_stale=self._env.rules.max_stale,
            clock=self._env.clock,
            report=self._env.report,
        )
