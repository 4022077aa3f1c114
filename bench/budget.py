"""The engine's budget, in process: a line per step of a check, each in units of one RS256-2048 verification.

`python -m bench.budget` prints the profile table. The unit is the cryptography library's own verification in the same
run, so that the numbers can be compared between machines. Steps are the real functions on the decision case
(`bench.material`); whole answers go through `CheckService` with audit trail and metrics, from bytes to bytes, and
count the audit writer's thread too.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Final

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
from authz.policy.compiled import Matched
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.load import load
from authz.server.service import CheckService, Recorder
from authz.sources.directory import read_policy_directory
from authz.wire.decode import decode, view
from authz.wire.encode import encode
from authz.wire.pb import check_pb2 as pb
from bench import matching
from bench.material import Ask, Material, message
from bench.timing import micros
from tests.fakes.ports import FixedBundles, FixedKeys, FixedPolicies

TOKENS: Final = 2_000
"""Distinct tokens of the cold lines and of the cache's size: more would only take longer."""
LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row. `limit` is what the budget allows, in the same unit as `value`."""

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


class Engine:
    """The service without its front, on one case."""

    def __init__(
        self,
        material: Material,
        directory: Path,
        *,
        tokens: int,
        recorders: tuple[Recorder, ...],
        revocations: Revocations | None = None,
    ) -> None:
        loaded = load(read_policy_directory(material.write(directory)))
        assert loaded.policy is not None, loaded.faults
        self.policy = loaded.policy
        issuers = {f"issuer{number}": key for number, key in enumerate(material.keys)}
        sets = {name: import_key_set(_jwks(key), ALGORITHMS)[0] for name, key in issuers.items()}
        bundle = import_bundle(material.authority.bundle(), "shop.example")
        self.cache = TokenCache(tokens) if tokens else TokenCache(1, 0.0)
        keys, bundles = FixedKeys(sets), FixedBundles(bundle)
        self.authenticator = Authenticator(keys, bundles, self.cache, CertificateCache(), LIMITS, revocations)
        point = DecisionPoint(
            FixedPolicies(self.policy), keys, bundles, self.cache, LIMITS, authenticator=self.authenticator
        )
        self.service = CheckService(point, recorders, limits=LIMITS)
        self.point = point

    def answer(self, asked: bytes) -> bytes:
        return self.service.answer(asked, remaining=1.0)


class _Last:
    """A recorder that keeps the last record, to measure the others with."""

    def __init__(self) -> None:
        self.kept: list[DecisionRecord] = []

    def record(self, record: DecisionRecord) -> None:
        self.kept[:] = [record]


def measure() -> list[Line]:
    """The whole table; takes about half a minute."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        audit = AuditLog(open_sink(Path("/dev/null")), capacity=1_000_000)
        audit.start()
        stack.callback(audit.close)
        metrics = Metrics()
        stack.callback(metrics.close)
        return list(_lines(directory, audit, metrics))


def _lines(directory: Path, audit: AuditLog, metrics: Metrics) -> Iterator[Line]:
    material = Material()
    unit = raw_verification(material)

    def written() -> None:
        while audit.counts().waiting:
            time.sleep(0.0005)

    def line(step: str, call: Callable[[], object], limit: float | None = None) -> Line:
        spent = micros(call, settle=written)
        return Line(step=step, value=spent, ratio=spent / unit, limit=limit)

    yield Line(step="one RS256-2048 verification (the unit)", value=unit, ratio=1.0)
    yield from _steps(material, directory / "steps", audit, metrics, line)
    yield from _whole(directory, (audit, metrics), line)
    yield from _matching(unit)
    yield from _loading()
    yield Line(step="token cache entry", value=cache_entry(directory / "entry"), unit="bytes", limit=2048)


def _steps(
    material: Material,
    directory: Path,
    audit: AuditLog,
    metrics: Metrics,
    line: Callable[[str, Callable[[], object]], Line],
) -> Iterator[Line]:
    last = _Last()
    engine = Engine(material, directory, tokens=100, recorders=(last,))
    asked = message(Ask(token=material.token()))
    assert not pb.CheckResponse.FromString(engine.answer(asked)).status.code
    now = last.kept[0].time
    raw = decode(asked, LIMITS)
    request = parse_request(raw, LIMITS)
    matched = engine.policy.match(request)
    assert isinstance(matched, Matched)
    policy, authenticator = engine.policy, engine.authenticator
    usage, guardrails = usage_of(matched, request)
    trusted = Trusted(
        issuers=policy.issuers,
        issuers_by_url=policy.issuers_by_url,
        trust=policy.trust,
        audiences=matched.route.audiences,
    )
    principals = authenticator.principals(request, usage, trusted, now=now)
    decision = evaluate(policy.removable, matched, guardrails, request, principals, now)

    yield line("protobuf's own parse", lambda: pb.CheckRequest.FromString(asked))
    yield line("decode", lambda: decode(asked, LIMITS))
    yield line("parse_request", lambda: parse_request(raw, LIMITS))
    yield line("view (for the record)", lambda: view(raw))
    yield line("match", lambda: policy.match(request))
    yield line("usage_of", lambda: usage_of(matched, request))
    yield line("authenticate, warm", lambda: authenticator.principals(request, usage, trusted, now=now))
    yield line("evaluate", lambda: evaluate(policy.removable, matched, guardrails, request, principals, now))
    yield line("decide (match to evaluate), warm", lambda: engine.point.decide(request, now=now))
    # What is worked out once per request shows only with a fresh one: this is more than the sum of its parts above.
    yield line(
        "decode to decide, a fresh request each time",
        lambda: engine.point.decide(parse_request(decode(asked, LIMITS), LIMITS), now=now),
    )
    yield line(
        "encode",
        lambda: encode(
            decision,
            decision_id="01JD3W8Z5Q6R7S8T9V0W1X2Y3Z",
            revision=policy.revision,
            transport=request.transport,
            grpc=False,
        ),
    )
    yield line("audit record (its thread counted)", lambda: audit.record(last.kept[0]))
    yield line("metrics record", lambda: metrics.record(last.kept[0]))


def _whole(
    directory: Path, recorders: tuple[Recorder, ...], line: Callable[[str, Callable[[], object], float | None], Line]
) -> Iterator[Line]:
    material = Material()
    asked = message(Ask(token=material.token()))
    bare = Engine(material, directory / "bare", tokens=100, recorders=())
    yield line("whole answer, warm, nothing recorded", lambda: bare.answer(asked), None)
    warm = Engine(material, directory / "warm", tokens=100, recorders=recorders)
    yield line("WHOLE ANSWER, WARM", lambda: warm.answer(asked), 0.6)
    denied = message(Ask(token=material.token(), item="43"))
    yield line("whole denial, warm", lambda: warm.answer(denied), None)
    for algorithm, limit in (("RS256", 2.2), ("ES256", 3.7)):
        signed = Material(algorithm=algorithm)
        cold = Engine(signed, directory / algorithm, tokens=0, recorders=recorders)
        messages = cycle([message(Ask(token=signed.token())) for _ in range(50)])
        yield line(f"WHOLE ANSWER, COLD {algorithm}", _each(cold, messages), limit)


def _each(engine: Engine, messages: Iterator[bytes]) -> Callable[[], object]:
    return lambda: engine.answer(next(messages))


def raw_verification(material: Material) -> float:
    """The unit: the library alone, on a signature of a token's size."""
    key = material.keys[0]
    signed = material.token().rpartition(".")[0].encode()
    public, signature = import_key_set(_jwks(key), ALGORITHMS)[0].find(key.kid, "RS256").public, key.sign(signed)
    assert algorithms.verifies("RS256", public, signature, signed)
    return micros(lambda: algorithms.verifies("RS256", public, signature, signed))


def _matching(unit: float) -> Iterator[Line]:
    smallest = 0.0
    for size in matching.SIZES:
        loaded = load(matching.directory(size))
        assert loaded.policy is not None
        policy, asked = loaded.policy, matching.request(min(size, matching.ROUTES_PER_POLICY) - 1)
        spent = micros(lambda policy=policy, asked=asked: policy.match(asked))  # type: ignore[misc]  # bound at once
        smallest = smallest or spent
        yield Line(step=f"match among {size:,} routes", value=spent, ratio=spent / unit)
    yield Line(step="matching: 10,000 routes to 10", value=spent / smallest, unit="×", limit=1.5)


def _loading() -> Iterator[Line]:
    """In a process of its own: what a load leaves behind can't be told apart in one that has loaded before."""
    done = subprocess.run([sys.executable, "-m", "bench.loading"], capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    yield Line(step="load 10,000 routes", value=seconds, unit="s", limit=3.0)
    yield Line(step="memory of 10,000 routes", value=megabytes, unit="MB", limit=60.0)


def cache_entry(directory: Path) -> float:
    """Bytes that one more cached token holds on to."""
    material = Material(algorithm="EdDSA")
    engine = Engine(material, directory, tokens=TOKENS, recorders=())
    messages = [message(Ask(token=material.token())) for _ in range(TOKENS)]
    engine.answer(messages[0])
    gc.collect()
    tracemalloc.start()
    try:
        for asked in messages[1:]:
            engine.answer(asked)
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert engine.cache.counters.entries == TOKENS
    return held / (TOKENS - 1)


def _jwks(key: object) -> bytes:
    from tests.mint.keys import SigningKey, jwk_set

    assert isinstance(key, SigningKey)
    return jwk_set(key)


def table(lines: list[Line]) -> str:
    """The profile table as text."""
    rows = [f"{'step':42} {'value':>10} {'':5} {'units':>7} {'budget':>7}"]
    for each in lines:
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        limit = "" if each.limit is None else f"{each.limit:g}"
        verdict = {None: "", True: "ok", False: "OVER"}[each.holds]
        rows.append(f"{each.step:42} {each.value:10,.2f} {each.unit:5} {ratio:>7} {limit:>7} {verdict}".rstrip())
    return "\n".join(rows)


def main() -> None:
    print(table(measure()))


if __name__ == "__main__":
    main()
