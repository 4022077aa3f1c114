"""What the running service says about itself: states for readiness, events for the log, readings for metrics.

Reads the sources, the caches and the audit trail; changes nothing. Labels and texts come from the policy directory,
never from requests.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from authz.engine.token_cache import TokenCache
from authz.observe import names
from authz.observe.audit import AuditLog
from authz.observe.metrics import Metrics, Reading
from authz.server.admission import Admission
from authz.server.readiness import PolicyReport
from authz.server.revoking import Revoker
from authz.sources.bundles import BundleStore
from authz.sources.jwks import KeyStore
from authz.sources.reload import PolicyDirectory
from authz.sources.revocations import RevocationList, RevocationState
from authz.sources.state import SourceEvent, SourceState
from authz.sources.workload_api import WorkloadApi

_LOG: Final = logging.getLogger("authz.sources")


def report(event: SourceEvent) -> None:
    """One log line for each change of a source, with every fault and warning that came with it."""
    fields: dict[str, object] = {
        "event": f"{event.kind}_{'failed' if event.error else 'updated'}",
        "name_of": event.name,
        "revision": event.revision,
    }
    if event.warnings:
        fields["warnings"] = list(event.warnings)
    if event.error:
        _LOG.error(
            f"{event.kind}: a change was refused, or only a part of it taken",
            extra={**fields, "faults": event.error.splitlines()},
        )
    elif event.warnings:
        _LOG.warning(f"{event.kind}: updated, with warnings", extra=fields)
    else:
        _LOG.info(f"{event.kind}: updated", extra=fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningStates:
    """A `readiness.States` of the real sources."""

    policies: PolicyDirectory
    keys: KeyStore
    trust_bundles: BundleStore
    workload_apis: tuple[WorkloadApi, ...] = ()
    own: WorkloadApi | None = None
    """Where our own certificate comes from, if not from files."""
    revoked: RevocationList | None = None

    def policy(self) -> PolicyReport:
        state = self.policies.state()
        return PolicyReport(
            revision=state.revision, policies=state.policies, refused=state.faults if state.refused else ()
        )

    def issuers(self) -> tuple[SourceState, ...]:
        return self.keys.states()

    def bundles(self) -> tuple[SourceState, ...]:
        return self.trust_bundles.states()

    def certificates(self) -> tuple[SourceState, ...]:
        return () if self.own is None else (self.own.svid_state(),)

    def tried(self) -> bool:
        return self.keys.tried_once() and self.trust_bundles.tried_once()

    def revocations(self) -> RevocationState | None:
        return None if self.revoked is None else self.revoked.state()


def show(
    metrics: Metrics,
    states: RunningStates,
    *,
    tokens: TokenCache,
    audit: AuditLog | None,
    admissions: Sequence[Admission],
) -> None:
    """Let `metrics` read everything that isn't counted per decision."""
    readers: dict[names.Instrument, Callable[[], Iterable[Reading]]] = {
        names.IN_FLIGHT: lambda: [Reading(sum(bound.count for bound in admissions))],
        names.TOKEN_CACHE: lambda: _cache(tokens),
        names.TOKEN_CACHE_SIZE: lambda: [Reading(tokens.counters.entries)],
        names.KEYS_AGE: lambda: _ages(states.issuers()),
        names.KEYS_COUNT: lambda: [Reading(each.size, (each.name,)) for each in states.issuers()],
        names.KEYS_FAILURES: lambda: [Reading(each.failures, (each.name,)) for each in states.issuers()],
        names.KEYS_STATE: lambda: _states(states.issuers()),
        names.BUNDLE_AGE: lambda: _ages(states.bundles()),
        names.BUNDLE_COUNT: lambda: [Reading(each.size, (each.name,)) for each in states.bundles()],
        names.BUNDLE_FAILURES: lambda: [Reading(each.failures, (each.name,)) for each in states.bundles()],
        names.BUNDLE_STATE: lambda: _states(states.bundles()),
        names.SVID_AGE: lambda: _ages(states.certificates()),
        names.SVID_EXPIRY: lambda: _expiry(states.own),
        names.SVID_STATE: lambda: _states(states.certificates()),
        names.POLICY_INFO: lambda: [Reading(1, (states.policy().revision,))],
        names.POLICY_LOADS: lambda: _loads(states.policies),
        names.POLICY_REFUSED: lambda: [Reading(int(states.policies.state().refused))],
        names.POLICY_FAULTS: lambda: [Reading(len(states.policies.state().faults))],
        names.POLICY_STATUS: lambda: [Reading(1, (each.name, each.status.value)) for each in states.policy().policies],
    }
    if audit is not None:
        readers[names.AUDIT_DROPPED] = lambda: _dropped(audit)
        readers[names.AUDIT_WAITING] = lambda: [Reading(audit.counts().waiting)]
    if states.revoked is not None:
        readers |= _revocation_readers(states.revoked)
    for instrument, read in readers.items():
        metrics.observe(instrument, read)


def show_acts(metrics: Metrics, revoker: Revoker) -> None:
    """Let `metrics` read what was asked for at the doors of revocation."""
    metrics.observe(
        names.REVOCATION_ACTS, lambda: [Reading(count, labels) for labels, count in revoker.counts().items()]
    )


def _revocation_readers(revoked: RevocationList) -> dict[names.Instrument, Callable[[], Iterable[Reading]]]:
    values: dict[names.Instrument, Callable[[RevocationState], float | None]] = {
        names.REVOCATIONS_CAPACITY: lambda state: state.capacity,
        names.REVOCATIONS_AGE: lambda state: state.journal.age,
        names.REVOCATIONS_STALE: lambda state: int(state.stale),
        names.REVOCATIONS_PENDING: lambda state: state.pending,
        names.REVOCATIONS_FULL: lambda state: int(state.overflowed),
        names.REVOCATIONS_UNREADABLE: lambda state: state.journal.unreadable,
        names.REVOCATIONS_GAPS: lambda state: state.journal.gaps,
    }

    def reader(value: Callable[[RevocationState], float | None]) -> Callable[[], Iterable[Reading]]:
        return lambda: [Reading(found) for found in (value(revoked.state()),) if found is not None]

    readers = {instrument: reader(value) for instrument, value in values.items()}
    readers[names.REVOCATIONS] = lambda: [
        Reading(count, (kind.value,)) for kind, count in revoked.state().entries.items()
    ]
    return readers


def _ages(states: Iterable[SourceState]) -> list[Reading]:
    return [Reading(state.age, (state.name,)) for state in states if state.age is not None]


def _states(states: Iterable[SourceState]) -> list[Reading]:
    return [Reading(1, (state.name, state.freshness.value, state.cause.value)) for state in states]


def _expiry(own: WorkloadApi | None) -> list[Reading]:
    left = None if own is None else own.expires()
    return [] if own is None or left is None else [Reading(left, (own.svid_state().name,))]


def _cache(tokens: TokenCache) -> list[Reading]:
    counters = tokens.counters
    return [Reading(counters.hits, ("hit",)), Reading(counters.misses, ("miss",))]


def _loads(policies: PolicyDirectory) -> list[Reading]:
    state = policies.state()
    return [Reading(state.loads, ("loaded",)), Reading(state.refusals, ("refused",))]


def _dropped(audit: AuditLog) -> list[Reading]:
    counts = audit.counts()
    return [Reading(counts.overflow, ("overflow",)), Reading(counts.failed, ("failed",))]
