"""The engine's budget, in process: a line per step of a check, each in units of one RS256-2048 verification.

`python -m bench.budget` prints the profile table. The unit is the cryptography library's own verification in the same
run, so that the numbers can be compared between machines; the goals in microseconds are those of a core on which one
takes about 40. Steps are the engine's public functions on the decision case, one after the other: each call has a
request of its own (`bench.traffic`), fresh from the step before, whose making isn't measured. Whole answers go through
`CheckService` with audit trail and metrics, from bytes to bytes. The audit writer's thread counts everywhere.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from authz.authn import algorithms
from authz.authn.keys import import_key_set
from authz.authn.svid import import_bundle
from authz.engine.authenticate import Authenticator, Trusted
from authz.engine.check import DecisionPoint
from authz.engine.ports import Revocations
from authz.engine.token_cache import CertificateCache, TokenCache
from authz.model.issuer import ALGORITHMS
from authz.model.record import DecisionRecord
from authz.model.request import Limits, parse_request
from authz.observe.audit import AuditLog
from authz.observe.metrics import Metrics
from authz.observe.sinks import open_sink
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet
from authz.policy.load import load
from authz.server.service import CheckService, Recorder
from authz.sources.directory import read_policy_directory
from authz.wire.decode import decode, view
from authz.wire.encode import encode
from authz.wire.pb import check_pb2 as pb
from bench import matching
from bench.material import Material, asks, distinct, warm
from bench.timing import USUAL, Effort, micros, over
from bench.traffic import stream
from tests.fakes.ports import FixedBundles, FixedKeys, FixedPolicies
from tests.mint.keys import SigningKey, jwk_set

TOKENS: Final = 2_000
"""Distinct tokens of the cache entry's size: more would only take longer."""
MEMORY: Final = 10_000
"""Distinct requests that fill whatever is remembered beside the cache."""
CACHE: Final = 10_000
"""Entries of the token cache (its default)."""
UNIT: Final = 25 / 0.6
"""µs of the unit on the core that the goals in µs are for: a warm check in 25."""
LIMITS: Final = Limits()

Prepare = Callable[[int], Sequence[Any]]


class Line(NamedTuple):
    """One row. `limit` is what the budget allows, in units where there is a ratio, otherwise in the value's unit."""

    step: str
    value: float
    unit: str = "µs"
    ratio: float | None = None
    limit: float | None = None

    @property
    def holds(self) -> bool | None:
        """None when the budget says nothing about this step."""
        measured = self.value if self.ratio is None else self.ratio
        return None if self.limit is None else measured <= self.limit

    @property
    def goal(self) -> float | None:
        """The limit in the value's own unit."""
        return self.limit if self.ratio is None or self.limit is None else self.limit * UNIT

    @property
    def holds_here(self) -> bool | None:
        """The same by the goal in microseconds."""
        return None if self.goal is None else self.value <= self.goal


class Engine:
    """The service without its front, on one case."""

    def __init__(
        self,
        material: Material,
        directory: Path,
        *,
        tokens: int = CACHE,
        recorders: tuple[Recorder, ...],
        revocations: Revocations | None = None,
    ) -> None:
        loaded = load(read_policy_directory(material.write(directory)))
        assert loaded.policy is not None, loaded.faults
        self.policy = loaded.policy
        issuers = {f"issuer{number}": key for number, key in enumerate(material.keys)}
        sets = {name: import_key_set(jwk_set(key), ALGORITHMS)[0] for name, key in issuers.items()}
        bundle = import_bundle(material.authority.bundle(), "shop.example")
        self.cache = TokenCache(tokens)
        keys, bundles = FixedKeys(sets), FixedBundles(bundle)
        self.authenticator = Authenticator(keys, bundles, self.cache, CertificateCache(), LIMITS, revocations)
        self.point = DecisionPoint(
            FixedPolicies(self.policy), keys, bundles, self.cache, LIMITS, authenticator=self.authenticator
        )
        self.service = CheckService(self.point, recorders, limits=LIMITS)

    def answer(self, asked: bytes) -> bytes:
        """As a front asks."""
        answer = self.service.answer_at_once(asked, remaining=1.0)
        assert answer is not None
        return answer

    def permits(self, asked: bytes) -> bool:
        return pb.CheckResponse.FromString(self.answer(asked)).HasField("ok_response")


class _Kept:
    """A recorder that keeps records, to measure the others with."""

    def __init__(self) -> None:
        self.records: list[DecisionRecord] = []

    def record(self, record: DecisionRecord) -> None:
        self.records.append(record)

    def taken(self) -> list[DecisionRecord]:
        found, self.records = self.records, []
        return found


class _Trail:
    """The audit log into nothing, and how long its writer still has to work."""

    def __init__(self) -> None:
        self.log = AuditLog(open_sink(Path("/dev/null")), capacity=1_000_000)
        self._asked = 0

    def record(self, record: DecisionRecord) -> None:
        self._asked += 1
        self.log.record(record)

    def settle(self) -> None:
        """Until every line that was asked for is written: the last batch is no longer waiting while it is encoded."""
        late = time.monotonic() + 10
        while (counts := self.log.counts()).written < self._asked:
            assert not counts.failed and not counts.overflow and time.monotonic() < late, counts
            time.sleep(0.001)


class Journey:
    """One request on its way through the steps."""

    __slots__ = ("asked", "decision", "guardrails", "matched", "principals", "raw", "request", "usage")

    def __init__(self, asked: bytes) -> None:
        self.asked: bytes = asked
        self.raw: Any = None
        self.request: Any = None
        self.matched: Any = None
        self.usage: Any = None
        self.guardrails: Any = None
        self.principals: Any = None
        self.decision: Any = None


class Steps:
    """A check taken apart, in order; a step fills in what the next one needs. (A call through it costs 0.1 µs.)"""

    def __init__(self, policy: PolicySet, authenticator: Authenticator) -> None:
        self._policy = policy
        self._authenticator = authenticator
        self._now = time.time()

    def all(self) -> dict[str, Callable[[Journey], None]]:
        return {
            "decode": self._decode,
            "parse": self._parse,
            "match": self._match,
            "authenticate, warm": self._authenticate,
            "evaluate": self._evaluate,
            "encode": self._encode,
        }

    def _decode(self, one: Journey) -> None:
        one.raw = decode(one.asked, LIMITS)

    def _parse(self, one: Journey) -> None:
        one.request = parse_request(one.raw, LIMITS)

    def _match(self, one: Journey) -> None:
        one.matched = self._policy.match(one.request)

    def _authenticate(self, one: Journey) -> None:
        one.usage, one.guardrails = usage_of(one.matched, one.request)
        trusted = Trusted(
            issuers=self._policy.issuers,
            issuers_by_url=self._policy.issuers_by_url,
            trust=self._policy.trust,
            audiences=one.matched.route.audiences,
        )
        one.principals = self._authenticator.principals(one.request, one.usage, trusted, now=self._now)

    def _evaluate(self, one: Journey) -> None:
        one.decision = evaluate(
            self._policy.removable, one.matched, one.guardrails, one.request, one.principals, self._now
        )

    def _encode(self, one: Journey) -> None:
        encode(
            one.decision,
            decision_id="01JD3W8Z5Q6R7S8T9V0W1X2Y3Z",
            revision=self._policy.revision,
            transport=one.request.transport,
            grpc=False,
        )


class Extent(NamedTuple):
    """How much of the table, and how thoroughly."""

    effort: Effort = USUAL
    routes: tuple[int, ...] = matching.SIZES
    entries: int = TOKENS
    memory: int = MEMORY
    loading: bool = True


def measure(extent: Extent | None = None) -> list[Line]:
    """The whole table; takes about half a minute."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        trail = _Trail()
        trail.log.start()
        stack.callback(trail.log.close)
        metrics = Metrics()
        stack.callback(metrics.close)
        return list(_lines(directory, trail, metrics, extent or Extent()))


def _lines(directory: Path, trail: _Trail, metrics: Metrics, extent: Extent) -> Iterator[Line]:
    effort = extent.effort
    unit = raw_verification(Material().keys[0], effort)

    def line(step: str, prepare: Prepare, call: Callable[[Any], object], limit: float | None = None) -> Line:
        spent = over(prepare, call, effort, settle=trail.settle)
        return Line(step, spent, ratio=spent / unit, limit=limit)

    yield Line("one RS256-2048 verification (the unit)", unit, ratio=1.0)
    yield from _steps(directory / "steps", trail, metrics, line)
    yield from _whole(directory, (trail, metrics), line)
    yield from _matching(unit, effort, extent.routes)
    if extent.loading:
        yield from _loading()
    yield Line(
        "token cache entry", cache_entry(directory / "entry", extent.entries, extent.memory), "bytes", limit=2048
    )


def _steps(
    directory: Path, trail: _Trail, metrics: Metrics, line: Callable[[str, Prepare, Callable[[Any], object]], Line]
) -> Iterator[Line]:
    material, kept = Material(), _Kept()
    engine = Engine(material, directory, recorders=(kept,))
    asked = warm(material, prefix=False)
    assert engine.permits(next(asked))
    steps = Steps(engine.policy, engine.authenticator).all()
    ahead: list[Callable[[Journey], None]] = []

    def travelled(number: int) -> list[Journey]:
        journeys = [Journey(one) for one in islice(asked, number)]
        for journey in journeys:
            for step in ahead:
                step(journey)
        return journeys

    def records(number: int) -> list[DecisionRecord]:
        kept.taken()
        for one in islice(asked, number):
            engine.answer(one)
        return kept.taken()

    def few(number: int) -> list[bytes]:
        return list(islice(asked, number))

    yield line("protobuf's own parse", few, pb.CheckRequest.FromString)
    parts = []
    for name, step in steps.items():
        parts.append(line(name, travelled, step))
        yield parts[-1]
        ahead.append(step)
        if name == "parse":
            yield line("view of the request (for the record)", travelled, lambda journey: view(journey.raw))
    for name, recorder in (("record audit (its writer's thread counted)", trail), ("record metrics", metrics)):
        parts.append(line(name, records, recorder.record))
        yield parts[-1]
    yield Line("these eight steps", sum(one.value for one in parts), ratio=sum(one.ratio or 0 for one in parts))


def _whole(
    directory: Path,
    recorders: tuple[Recorder, ...],
    line: Callable[[str, Prepare, Callable[[Any], object], float | None], Line],
) -> Iterator[Line]:
    material = Material()
    asked = warm(material, prefix=False)
    refused = stream(asks(material, [material.token()], items=("43", "44")), prefix=False)
    bare = Engine(material, directory / "bare", recorders=())
    yield line("whole answer, warm, nothing recorded", lambda number: list(islice(asked, number)), bare.answer, None)
    engine = Engine(material, directory / "warm", recorders=recorders)
    assert engine.permits(next(asked)) and not engine.permits(next(refused))
    yield line("WHOLE ANSWER, WARM", lambda number: list(islice(asked, number)), engine.answer, 0.6)
    yield line("whole denial, warm", lambda number: list(islice(refused, number)), engine.answer, None)
    for algorithm, limit in (("RS256", 2.2), ("ES256", 3.7)):
        signed = Material(algorithm=algorithm)
        cold = Engine(signed, directory / algorithm, recorders=recorders)
        yield line(f"WHOLE ANSWER, COLD {algorithm}", _fresh(signed), cold.answer, limit)
        assert cold.cache.counters.hits == 0


def _fresh(material: Material) -> Prepare:
    return lambda number: distinct(material, number, prefix=False)


def raw_verification(key: SigningKey, effort: Effort = USUAL) -> float:
    """The unit: the library alone, on what a token of the case has signed."""
    material = Material(key=key)
    signed = material.token().rpartition(".")[0].encode()
    public, signature = import_key_set(jwk_set(key), ALGORITHMS)[0].find(key.kid, "RS256").public, key.sign(signed)
    assert algorithms.verifies("RS256", public, signature, signed)
    return micros(lambda: algorithms.verifies("RS256", public, signature, signed), effort)


def _matching(unit: float, effort: Effort, sizes: Sequence[int]) -> Iterator[Line]:
    """One route again and again: what the search costs. Each in turn: with the memory that lies further away."""
    smallest: dict[str, float] = {}
    effort = replace(effort, calls=10 * effort.calls)
    for size in sizes:
        loaded = load(matching.directory(size))
        assert loaded.policy is not None
        every = range(min(size, matching.ROUTES_PER_POLICY))
        for how, routes in (("one of them", every[-1:]), ("each in turn", every)):
            spent = over(_requests(cycle(routes)), loaded.policy.match, effort)
            smallest.setdefault(how, spent)
            yield Line(f"match among {size:,} routes, {how}", spent, ratio=spent / unit)
            if size == sizes[-1]:
                growth = spent / smallest[how]
                yield Line(f"growth from {sizes[0]:,} to {size:,} routes, {how}", growth, "×", limit=1.5)


def _requests(routes: Iterator[int]) -> Prepare:
    """New ones each: at every size they are as far from the processor."""
    return lambda number: [matching.request(route) for route in islice(routes, number)]


def _loading() -> Iterator[Line]:
    """In a process of its own: what a load leaves behind can't be told apart in one that has loaded before."""
    done = subprocess.run([sys.executable, "-m", "bench.loading"], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    yield Line("load of 10,000 routes", seconds, "s", limit=3.0)
    yield Line("memory of 10,000 routes", megabytes, "MB", limit=60.0)


def cache_entry(directory: Path, entries: int = TOKENS, memory: int = MEMORY) -> float:
    """Bytes that one more cached token holds on to. What is remembered beside (texts, headers) is bounded by itself:
    another cache's `memory` of requests fill it first."""
    material = Material(algorithm="EdDSA")
    messages = distinct(material, memory + entries, prefix=False)
    tracemalloc.start()
    try:
        _answered(Engine(material, directory / "filling", tokens=memory, recorders=()), messages[:memory])
        engine = Engine(material, directory / "measured", tokens=entries, recorders=())
        _answered(engine, messages[memory : memory + 1])
        before = _held()
        _answered(engine, messages[memory + 1 :])
        held = _held() - before
    finally:
        tracemalloc.stop()
    assert engine.cache.counters.entries == entries
    return held / (entries - 1)


def _answered(engine: Engine, messages: Sequence[bytes]) -> None:
    for asked in messages:
        engine.answer(asked)


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def rows(lines: Sequence[Line]) -> list[dict[str, str | float | None]]:
    """The profile table: both verdicts, by units and by microseconds (or whatever the goal is in)."""
    verdict = {None: "", True: "yes", False: "NO"}
    return [
        {
            "step": one.step,
            "value": one.value,
            "": one.unit,
            "units": one.ratio,
            "goal, units": one.limit if one.ratio is not None else None,
            "holds": verdict[one.holds] if one.ratio is not None else "",
            "goal": one.goal,
            "holds ": verdict[one.holds_here],
        }
        for one in lines
    ]


def main() -> None:
    from bench.report import markdown

    found = rows(measure())
    print(json.dumps(found) if "--json" in sys.argv else markdown(found))


if __name__ == "__main__":
    main()
