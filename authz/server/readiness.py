"""Whether Envoy may be sent here, and what stands behind the answer.

Ready once a policy is in force and each issuer and bundle was tried once, until the drain begins. One that is down does
not change that: only its own routes answer 503. Reads states from the sources; decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from authz.policy.link import PolicyState
from authz.sources.revocations import RevocationState
from authz.sources.state import SourceState


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    """The policy in force; `refused` are the faults that kept the newest text of the directory out."""

    revision: str = ""
    policies: tuple[PolicyState, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def loaded(self) -> bool:
        return self.revision != ""


class States(Protocol):
    """Where readiness comes from: the sources of the running service."""

    def policy(self) -> PolicyReport: ...

    def issuers(self) -> tuple[SourceState, ...]: ...

    def bundles(self) -> tuple[SourceState, ...]: ...

    def certificates(self) -> tuple[SourceState, ...]:
        """Our own certificate, where somebody hands it to us."""
        ...

    def revocations(self) -> RevocationState | None:
        """None: nothing can be revoked at this service."""
        ...

    def tried(self) -> bool:
        """Whether each issuer's keys and each bundle were asked for at least once, whatever came of it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One look at everything; `summary` says in a few words why not ready."""

    summary: str
    ready: bool
    policy: PolicyReport
    issuers: tuple[SourceState, ...]
    bundles: tuple[SourceState, ...]
    certificates: tuple[SourceState, ...] = ()
    revocations: RevocationState | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "ready": self.ready,
            "summary": self.summary,
            "policy": {
                "revision": self.policy.revision,
                "refused": list(self.policy.refused),
                "policies": {state.name: _policy_json(state) for state in self.policy.policies},
            },
            "issuers": {state.name: _source_json(state) for state in self.issuers},
            "bundles": {state.name: _source_json(state) for state in self.bundles},
            "certificates": {state.name: _source_json(state) for state in self.certificates},
            "revocations": None if self.revocations is None else _revocations_json(self.revocations),
        }


class Readiness:
    """Asks the states anew for each report."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._draining = False

    def drain(self) -> None:
        """Not ready from now on."""
        self._draining = True

    def report(self) -> Report:
        policy = self._states.policy()
        revocations = self._states.revocations()
        summary = _summary(self._draining, policy, self._states.tried, revocations)
        return Report(
            summary=summary,
            ready=summary == _READY,
            policy=policy,
            issuers=self._states.issuers(),
            bundles=self._states.bundles(),
            certificates=self._states.certificates(),
            revocations=revocations,
        )


_READY = "ready"


def _summary(
    draining: bool, policy: PolicyReport, tried: Callable[[], bool], revocations: RevocationState | None
) -> str:
    if draining:
        return "draining"
    if not policy.loaded:
        return "no policy is loaded"
    if revocations is not None and not revocations.journal.tried:
        return "revocations have not been read yet"
    return _READY if tried() else "keys and bundles have not been tried yet"


def _policy_json(state: PolicyState) -> dict[str, object]:
    return {"status": state.status.value, "faults": list(state.faults), "unavailable_routes": list(state.routes)}


def _revocations_json(state: RevocationState) -> dict[str, object]:
    journal = state.journal
    return {
        "state": "stale" if state.stale else "fresh",
        "store": journal.store,
        "loaded": journal.loaded,
        "age_seconds": None if journal.age is None else round(journal.age, 1),
        "entries": {kind.value: count for kind, count in state.entries.items()},
        "capacity": state.capacity,
        "full": state.overflowed,
        "pending": state.pending,
        "gaps": journal.gaps,
        "unreadable": journal.unreadable,
        "error": journal.error,
    }


def _source_json(state: SourceState) -> dict[str, object]:
    age = None if state.age is None else round(state.age, 1)
    return {
        "state": state.freshness.value,
        "age_seconds": age,
        "size": state.size,
        "revision": state.revision,
        "failures": state.failures,
        "reason": state.cause.value,
        "error": state.error,
        "source": state.origin,
    }
