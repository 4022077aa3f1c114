"""The same decision through real Envoys: what it adds to a request, in CPU and in latency.

`wrk` drives closed loops; the open loop is ours and counts from the intended time. Both send the same requests, no two
of a ring alike. CPU is that of the service's Envoy and of whoever decides for it, which share one core; the caller's
Envoy stands on the client's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from bench import wrk
from bench.accounting import used
from bench.client import header_block, request_connection
from bench.contenders import envoys, table
from bench.contenders.table import Place, Running, Skipped
from bench.material import USERS, asks
from bench.measuring import AnsweredWrongly
from bench.report import Cell, Measure, Report, turns
from bench.scenarios.stage import Length, stage
from bench.traffic import BROWSER, HOST, ITEM, http1, http2, path_of
from examples.store.client import Answer
from examples.store.processes import Process
from tests.e2e.edge import send_plain

CONNECTIONS = (1, 8, 32)
RATES = (300, 1000)
NOTHING = "nothing (floor)"
PATHS = 8
"""Deciders, with and without token caches; nothing; Envoy's own."""
_OWN, _OWN_COLD = "Envoy jwt_authn+RBAC", "Envoy jwt_authn+RBAC, no token cache"
_COLD = "{}, no token cache"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Caller's Envoy, service's Envoy, and the decider behind it, if any."""

    port: int
    service: Process
    decider: Process | None


def run(report: Report, length: Length) -> None:
    """Closed and open loops for each decider."""
    if why := wrk.missing():
        report.skip(f"through Envoy: {why}")
        return
    with stage() as place:
        paths = _paths(place, report)
        if not paths:
            return
        headers = {**dict(BROWSER), "authorization": f"Bearer {place.material.token()}"}
        for name, each in paths.items():
            _prove(place, name, each, headers)
        turns_each, measures = rounds(length), _Measures(paths, *_requests(place), length.through)
        for connections in CONNECTIONS:
            found = turns(turns_each, list(paths), measures.closed(connections))
            _table(report, f"closed-{connections}", f"closed loop, {connections} connections", found)
        for rate in RATES:
            found = turns(turns_each, list(paths), measures.open(rate))
            _table(report, f"open-{rate}", f"open loop, {rate} requests/s", found)


def rounds(length: Length) -> int:
    """One less than elsewhere: there are many measurements."""
    return max(1, length.rounds - 1)


@dataclass(frozen=True, slots=True)
class _Measures:
    """The two ways of asking, for `turns`."""

    paths: Mapping[str, Way]
    whole: Path
    """Requests for wrk."""
    blocks: Iterator[bytes]
    """Requests for our own client."""
    seconds: float

    def closed(self, connections: int) -> Measure:
        return lambda name, _: _closed(name, self.paths[name], self.whole, connections, self.seconds)

    def open(self, rate: float) -> Measure:
        return lambda name, _: _open(name, self.paths[name], self.blocks, rate, self.seconds)


def _requests(place: Place) -> tuple[Path, Iterator[bytes]]:
    """Those of the decision case, for both clients. The item is always the one that RBAC can look for."""
    minted = [place.material.token(subject=f"user-{user}") for user in range(USERS)]
    asked = asks(place.material, minted, items=(ITEM,))
    whole = place.directory / "requests"
    wrk.write(http1(asked), whole)
    return whole, cycle([header_block(headers) for headers in http2(asked)])


def _paths(place: Place, report: Report) -> dict[str, Way]:
    """Each decider with two Envoys of its own; those that can't run here are said."""
    found: dict[str, Way] = {}
    try:
        found[NOTHING] = _path(place, NOTHING, ([], []), None)
    except Skipped as why:
        report.skip(f"through Envoy: {why}")
        return {}
    for contender in (*table.OURS, table.REGO, table.FLOOR):
        for name, settings in ((contender.name, {}), (_COLD.format(contender.name), {"token_cache_size": "0"})):
            if settings and contender.front != "native":
                continue
            try:
                running = table.start(contender, place, **settings)
            except Skipped as why:
                report.skip(f"{contender.name}: {why}")
                break
            found[name] = _path(place, name, envoys.ext_authz([running.address]), running)
    for name, cached in ((_OWN, True), (_OWN_COLD, False)):
        found[name] = _path(place, name, envoys.own_filters(place, cached=cached), None)
    return found


def _path(place: Place, name: str, parts: tuple[list[envoys.Part], list[envoys.Part]], decider: Running | None) -> Way:
    file = "".join(letter if letter.isalnum() else "-" for letter in name)
    service, service_port = envoys.start_service(place, f"service-{file}", parts)
    _, port = envoys.start_caller(place, f"caller-{file}", service_port)
    return Way(port=port, service=service, decider=None if decider is None else decider.process)


def _prove(place: Place, name: str, path: Way, headers: Mapping[str, str]) -> None:
    """Whoever decides lets the right request through and refuses what this caller may not do."""
    if (status := _ask(path, path_of(7), headers).status) != 200:
        raise AnsweredWrongly(f"{name} answered the right request with {status}")
    if name in {NOTHING, table.GO_NOOP}:
        return
    for what, ask in place.material.wrong().items():
        # The peer is the caller's Envoy, always the same; RBAC can't look at the item.
        if what == "another peer" or (what == "another's item" and name.startswith(_OWN)):
            continue
        answer = _ask(path, ask.path, {**headers, "authorization": f"Bearer {ask.token}"})
        if answer.status not in {401, 403}:
            raise AnsweredWrongly(f"{name} answered {what} with {answer.status}")


def _ask(path: Way, target: str, headers: Mapping[str, str]) -> Answer:
    return send_plain(path.port, "GET", target, {"Host": HOST, **headers})


def _closed(name: str, path: Way, whole: Path, connections: int, seconds: float) -> dict[str, float]:
    before = _cpu(path)
    result = wrk.run(f"http://127.0.0.1:{path.port}", whole, connections=connections, seconds=seconds)
    after = _cpu(path)
    _some_passed(name, result.failed, result.requests)
    return {
        **_numbers(before, after, result.requests, path),
        "rate": result.rate,
        "p50": result.p50,
        "p99": result.p99,
        "failed": result.failed,
    }


def _open(name: str, path: Way, blocks: Iterator[bytes], rate: float, seconds: float) -> dict[str, float]:
    with request_connection(f"127.0.0.1:{path.port}", {}, path=path_of(7), host=HOST) as connection:
        before = _cpu(path)
        outcome = connection.open_loop(blocks, rate=rate, seconds=seconds)
        after = _cpu(path)
    _some_passed(name, outcome.calls - outcome.permits, outcome.calls)
    return {
        **_numbers(before, after, outcome.calls, path),
        "rate": outcome.rate,
        "p50": outcome.percentile(0.5),
        "p99": outcome.percentile(0.99),
        "failed": outcome.calls - outcome.permits,
    }


def _some_passed(name: str, failed: int, requests: int) -> None:
    """Those that met Envoy's timeout on a busy machine are shown; a run without one permit measures nothing."""
    if failed >= requests:
        raise AnsweredWrongly(f"{name}: all of {requests} requests failed")


def _cpu(path: Way) -> tuple[float, float]:
    return used(path.service.pid).cpu, used(path.decider.pid).cpu if path.decider else 0.0


def _numbers(before: tuple[float, float], after: tuple[float, float], requests: int, path: Way) -> dict[str, float]:
    envoy, decider = ((late - early) / requests * 1e6 for early, late in zip(before, after, strict=True))
    pids = [path.service.pid, *([path.decider.pid] if path.decider else [])]
    return {"envoy": envoy, "decider": decider, "rss": used(*pids).resident / 1e6}


def _table(report: Report, key: str, title: str, found: Mapping[str, Mapping[str, float]]) -> None:
    floor = found[NOTHING]["envoy"]
    added = {name: one["envoy"] + one["decider"] - floor for name, one in found.items()}
    ours = next((added[name] for name in (table.OURS_NATIVE, table.OURS_GRPCIO) if name in added), None)
    rows: list[dict[str, Cell]] = [
        {
            "decides": name,
            "Envoy µs": one["envoy"],
            "decider µs": one["decider"],
            "added µs": added[name],
            "× ours": added[name] / ours if ours else None,
            "requests/s": one["rate"],
            "p50 ms": one["p50"],
            "p99 ms": one["p99"],
            "RSS MB": one["rss"],
            "failed": int(one["failed"]),
        }
        for name, one in found.items()
    ]
    failed = any(one["failed"] for one in found.values())
    why = ["`failed`: no answer within Envoy's timeout of 0.5 s, or refused as overloaded."] if failed else []
    report.table(f"envoy-{key}", f"through Envoy: {title}", rows, *why)
    report.bars(
        f"envoy-{key}",
        f"CPU per request through Envoy: {title}",
        "µs",
        {name: [one["envoy"], one["decider"]] for name, one in found.items()},
        ["the service's Envoy", "the decider"],
    )
