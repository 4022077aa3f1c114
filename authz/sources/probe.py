"""One issuer's keys fetched once, step by step, for an operator who wants to see what the service would meet.

Owns: the record of each step. Must not: do any step in another way than the service does (discovery, fetch and import
are its own), or keep anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from authz.authn.keys import KeySet, KeySetError, import_key_set
from authz.model.issuer import Discovery, IssuerSettings, JwksFile, JwksUri
from authz.sources.discovery import Get, discover
from authz.sources.fetch import Fetched, FetchError
from authz.sources.file_keys import FileKeys
from authz.sources.state import Cause, unreported

_ENVIRONMENT: Final = frozenset(
    {Cause.NAME, Cause.CONNECTION, Cause.TIMEOUT, Cause.FILE, Cause.WORKLOAD_API, Cause.UNTRIED}
)


class Verdict(Enum):
    """GOOD: as it should be. BAD: it answers, and can't be used. UNREACHABLE: it doesn't answer."""

    GOOD = "ok"
    BAD = "no"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, and what came of it."""

    what: str
    verdict: Verdict
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One issuer. `steps` in order: one may fail although the whole is good (a first discovery document that isn't
    there)."""

    name: str
    verdict: Verdict
    steps: tuple[Step, ...]
    keys: tuple[tuple[str, str], ...] = ()
    """`kid` and algorithm of each usable key."""
    warnings: tuple[str, ...] = ()


def verdict_of(cause: Cause, status: int | None = None) -> Verdict:
    """Whether a failure is the other side's word, or that there was none."""
    if cause in _ENVIRONMENT or (status is not None and status >= 500):
        return Verdict.UNREACHABLE
    return Verdict.GOOD if cause is Cause.NONE else Verdict.BAD


def check_issuer(issuer: IssuerSettings, get: Get, directory: Path) -> Probe:
    """Discovery and key set of an issuer, as the service would have them."""
    if isinstance(issuer.keys, JwksFile):
        return _file(issuer, issuer.keys, directory)
    record = _Record(get)
    try:
        url = issuer.keys.url if isinstance(issuer.keys, JwksUri) else discover(issuer.issuer, record.get)
        if isinstance(issuer.keys, Discovery):
            record.add("the document names this issuer, octet for octet", Verdict.GOOD)
        keys, warnings = import_key_set(record.get(url).body, issuer.algorithms)
        if not len(keys):
            raise FetchError("the key set holds no usable key")
    except FetchError as error:
        return record.failed(issuer.name, error.reason, verdict_of(error.cause, error.status))
    except KeySetError as error:
        return record.failed(issuer.name, str(error), Verdict.BAD)
    return record.passed(issuer.name, keys, warnings)


def _file(issuer: IssuerSettings, keys: JwksFile, directory: Path) -> Probe:
    source = FileKeys(issuer, keys, directory, max_stale=float("inf"), clock=time.monotonic, report=unreported)
    source.poll()
    record = _Record(_nothing)
    what = f"file {keys.path}"
    if source.error:
        verdict = verdict_of(source.cause)
        record.add(what, verdict, source.error)
        return Probe(name=issuer.name, verdict=verdict, steps=tuple(record.steps))
    record.add(what, Verdict.GOOD)
    return record.passed(issuer.name, source.keys(), ())


def _nothing(url: str) -> Fetched:
    raise FetchError("nothing is fetched for a file")


@dataclass(slots=True)
class _Record:
    """Fetches, and writes down each fetch."""

    inner: Get
    steps: list[Step] = field(default_factory=list)
    told: str = ""
    """The reason of the failure that was written down last."""

    def get(self, url: str) -> Fetched:
        try:
            fetched = self.inner(url)
        except FetchError as error:
            self.told = error.reason
            self.add(url, verdict_of(error.cause, error.status), error.reason)
            raise
        self.add(url, Verdict.GOOD, f"{len(fetched.body)} bytes")
        return fetched

    def add(self, what: str, verdict: Verdict, detail: str = "") -> None:
        self.steps.append(Step(what, verdict, detail))

    def failed(self, name: str, reason: str, verdict: Verdict) -> Probe:
        if reason != self.told:
            self.add(reason, verdict)
        return Probe(name=name, verdict=verdict, steps=tuple(self.steps))

    def passed(self, name: str, keys: KeySet, warnings: tuple[str, ...]) -> Probe:
        self.add(f"{len(keys)} usable {'key' if len(keys) == 1 else 'keys'}", Verdict.GOOD)
        return Probe(
            name=name,
            verdict=Verdict.GOOD,
            steps=tuple(self.steps),
            warnings=warnings,
            keys=tuple((key.kid or "(no kid)", key.algorithm) for key in keys),
        )
