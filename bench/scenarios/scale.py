"""How cost grows: with routes, issuers, tokens, processes; what a reload under load does; revocations."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, count, cycle, islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

import yaml

from bench import cores, wrk
from bench.accounting import each, used
from bench.client import check_connection
from bench.contenders import envoys, table
from bench.contenders.table import Place, Running, Skipped
from bench.material import USERS, Material, asks, warm
from bench.measuring import AnsweredWrongly, closed, each_once, under, warm_up
from bench.pool import ALGORITHM, pool
from bench.report import Cell, Report
from bench.scenarios.endurance import fresh
from bench.scenarios.stage import Length, best_front, stage
from bench.traffic import http1
from examples.store.processes import wait_for

ROUTES = (10, 100, 1_000, 10_000)
ISSUERS = (1, 10, 50)
TOKENS = (1, 1_000, 10_000, 100_000, 1_000_000)
REVOCATIONS = (0, 1_000, 1_000_000)
PROCESSES = (1, 2, 3, 4)
_FILLED = 15_000
"""Checks before those that are measured."""
_SAMPLE = 10_000
"""Checks with tokens drawn from all of them."""
_FOUND = 50.0
"""Percent of an even share from which a process is one that Envoy knows to be healthy."""
_LIST = 5_000
"""Requests that each client process goes through."""
_RELOAD_RATE = 300
RELOAD_SECONDS = 4.0


def run(report: Report, length: Length) -> None:
    """Each in turn, on our best front."""
    _routes(report, length)
    _issuers(report, length)
    _tokens(report, length)
    _processes(report, length)
    _reload(report)
    _revocations(report)


def _routes(report: Report, length: Length) -> None:
    def material(size: int) -> Material:
        return Material(routes=size)

    _grow(report, length, "routes", ROUTES, material, warm)


def _issuers(report: Report, length: Length) -> None:
    def material(size: int) -> Material:
        return Material(issuers=size, algorithm="ES256")  # Keys of RSA take a tenth of a second each to make.

    _grow(report, length, "issuers", ISSUERS, material, lambda made: warm(made, issuers=len(made.keys)))


def _revocations(report: Report) -> None:
    """In process, each size in a process of its own."""
    rows: list[dict[str, Cell]] = []
    for size in REVOCATIONS:
        command = [sys.executable, "-m", "bench.revocations", str(size)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
    report.table("scale-revocations", "scale: revocations in force (in process, nothing recorded)", rows)


def _grow(
    report: Report,
    length: Length,
    what: str,
    sizes: tuple[int, ...],
    material: Callable[[int], Material],
    messages: Callable[[Material], Iterator[bytes]],
) -> None:
    rows: list[dict[str, Cell]] = []
    for size in sizes:
        with stage(material(size)) as place:
            start = time.monotonic()
            running = best_front(place, report)
            ready = time.monotonic() - start
            asked = messages(place.material)
            warm_up(running, asked)
            rows.append(
                {
                    what: size,
                    **_row(under(running, closed(asked, in_flight=8, seconds=length.seconds))),
                    "start s": ready,
                }
            )
    _table(report, what, rows, "warm tokens, closed loop, 8 in flight")


def _tokens(report: Report, length: Length) -> None:
    """Tokens drawn at random from so many: enough that the cache (10,000 entries) has its share, then a sample."""
    rows: list[dict[str, Cell]] = []
    sizes = [size for size in TOKENS if size <= length.tokens]
    tokens = pool(length.tokens)
    for size in sizes:
        with stage(Material(algorithm=ALGORITHM, key=tokens.key)) as place:
            running = best_front(place, report)
            drawn = Random(size)
            order = chain(range(min(size, _FILLED)), (drawn.randrange(size) for _ in count()))
            messages = fresh(place.material, tokens, order)
            under(running, each_once(list(islice(messages, checks(size) - _SAMPLE)), in_flight=8))
            one = under(running, each_once(list(islice(messages, _SAMPLE)), in_flight=8))
            rows.append({"tokens": size, **_row(one)})
    _table(report, "tokens", rows, "Ed25519, drawn at random from so many; the cache holds 10,000")


def checks(size: int) -> int:
    """Those that fill the cache, and the sample."""
    return max(1_000, min(size, _FILLED)) + _SAMPLE


def _row(one: dict[str, float]) -> dict[str, Cell]:
    return {
        "CPU µs/check": one["cpu"],
        "checks/s": one["rate"],
        "p50 ms": one["p50"],
        "p99 ms": one["p99"],
        "RSS MB": one["rss"],
    }


def _table(report: Report, what: str, rows: list[dict[str, Cell]], how: str) -> None:
    smallest = float(rows[0]["CPU µs/check"] or 1)
    for row in rows:
        row["× smallest"] = float(row["CPU µs/check"] or 0) / smallest
    report.table(f"scale-{what}", f"scale: {what} ({how})", rows)
    points = [(float(row[what] or 0), float(row["CPU µs/check"] or 0)) for row in rows]
    report.line(f"scale-{what}", f"CPU per check by {what}", (what, "µs"), {"authz": points}, logarithmic=True)


def _processes(report: Report, length: Length) -> None:
    """`authz serve --workers N`: one client process for each address, all on the client's core; then through Envoy."""
    rows: list[dict[str, Cell]] = []
    with stage() as place:
        for workers in PROCESSES:
            running = _several(place, workers)
            _wait_for_all(running, workers)
            shared = _through_envoy(report, place, running, workers, length)
            rows.append({"processes": workers, **_together(running, place.material, length.seconds), **shared})
            running.process.stop()
    report.table(
        "scale-processes",
        f"scale: processes (on {len(cores.SERVERS)} server core(s), closed loop, 8 in flight each)",
        rows,
        "Rates can grow only up to the number of server cores, and to what one client core can ask. `via Envoy/s` and "
        "`least, % of fair`: 32 connections through an Envoy with the cluster that `authz envoy cluster` prints, and "
        "how much the process with the least to do had of an even share.",
    )


def _several(place: Place, workers: int) -> Running:
    settings = {"workers": str(workers)}
    for contender in table.OURS:
        with contextlib.suppress(Skipped):
            name = f"workers-{workers}"
            return table.start_ours(place, contender.front, name=name, on=cores.SERVERS, settings=settings)
    raise RuntimeError("the service has no front that starts")


def _wait_for_all(running: Running, workers: int) -> None:
    wait_for("an address of each process", lambda: len(addresses_of(running.process.log)) >= workers)


def _through_envoy(report: Report, place: Place, running: Running, workers: int, length: Length) -> dict[str, Cell]:
    """A real Envoy with the printed cluster: does it spread checks over all of them?"""
    flags = ["--listen", running.address, "--admin-listen", f"127.0.0.1:{running.admin}", "--workers", str(workers)]
    command = [sys.executable, "-m", "authz", "envoy", "cluster", *flags, "--policy-dir", str(place.policy)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    filters, _ = envoys.ext_authz([running.address])
    name = running.process.name
    nothing: dict[str, Cell] = {"via Envoy/s": None, "least, % of fair": None}
    if why := wrk.missing():
        report.skip(f"processes through Envoy: {why}")
        return nothing
    try:
        service, service_port = envoys.start_service(place, f"service-{name}", (filters, yaml.safe_load(printed)))
        caller, port = envoys.start_caller(place, f"caller-{name}", service_port)
    except Skipped as why:
        report.skip(f"processes through Envoy: {why}")
        return nothing
    asked = place.directory / "requests"
    minted = [place.material.token(subject=f"user-{user}") for user in range(USERS)]
    wrk.write(http1(asks(place.material, minted)), asked)
    url = f"http://127.0.0.1:{port}"
    with contextlib.suppress(TimeoutError):  # Whoever Envoy hasn't found healthy by then shows in the table.
        wait_for("a share for each process", lambda: _shared(running, workers, url, asked, 1)[1] > _FOUND, within=12)
    rate, least = _shared(running, workers, url, asked, length.through)
    for process in (caller, service):
        process.stop()
    return {"via Envoy/s": rate, "least, % of fair": least}


def _shared(running: Running, workers: int, url: str, asked: Path, seconds: float) -> tuple[float, float]:
    """Requests a second, and how much of an even share the process with the least to do had, in percent."""
    before = each(running.process.pid)
    result = wrk.run(url, asked, connections=32, seconds=seconds)
    spent = [one.since(before[pid]) for pid, one in each(running.process.pid).items() if pid in before]
    busiest = sorted(spent)[-workers:]  # Beside them there is who supervises.
    return result.rate, min(busiest) / (sum(busiest) / workers) * 100


def _together(running: Running, material: Material, seconds: float) -> dict[str, Cell]:
    messages = list(islice(warm(material), _LIST))
    addresses = addresses_of(running.process.log)
    before = used(running.process.pid)
    with ProcessPoolExecutor(len(addresses), mp_context=get_context("fork")) as asking:
        found = list(asking.map(_ask, addresses, [messages] * len(addresses), [seconds] * len(addresses)))
    after = used(running.process.pid)
    calls, rate, p99 = sum(one[0] for one in found), sum(one[1] for one in found), max(one[2] for one in found)
    return {
        "addresses": len(addresses),
        "CPU µs/check": after.since(before) / calls * 1e6,
        "checks/s": rate,
        "p99 ms": p99,
        "RSS MB": after.resident / 1e6,
    }


def _ask(address: str, messages: list[bytes], seconds: float) -> tuple[int, float, float]:
    with check_connection(address) as connection:
        outcome = connection.closed_loop(cycle(messages), in_flight=8, seconds=seconds)
    if outcome.permits != outcome.calls:
        raise AnsweredWrongly(f"{address}: {outcome.denials} denials, {outcome.errors} errors, {outcome.empty} empty")
    return outcome.permits, outcome.rate, outcome.percentile(0.99)


def addresses_of(log: Path) -> list[str]:
    """Every address that the service said it listens on."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if '"listening"' in line)
    return sorted(
        {f"{line['address'].rpartition(':')[0]}:{line['port']}" if line["port"] else line["address"] for line in lines}
    )


def _reload(report: Report) -> None:
    """A policy of 10,000 routes replaced while checks come at a steady rate."""
    with stage(Material(routes=10_000)) as place:
        running = best_front(place, report)
        messages = warm(place.material)
        warm_up(running, messages)
        rows: list[dict[str, Cell]] = []
        with check_connection(running.address) as connection:
            for phase in ("before", "while reloading", "after"):
                took: list[float] = []
                worker = threading.Thread(target=_replace, args=(place.material, place.policy, running, took))
                if phase == "while reloading":
                    worker.start()
                outcome = connection.open_loop(messages, rate=_RELOAD_RATE, seconds=RELOAD_SECONDS)
                if phase == "while reloading":
                    worker.join()
                rows.append(
                    {
                        "phase": phase,
                        "checks": outcome.calls,
                        "not permitted": outcome.calls - outcome.permits,
                        "p50 ms": outcome.percentile(0.5),
                        "p99 ms": outcome.percentile(0.99),
                        "worst ms": outcome.percentile(1.0),
                        "in force after s": took[0] if took else None,
                    }
                )
        report.table("scale-reload", f"scale: 10,000 routes reloaded at {_RELOAD_RATE} checks/s", rows)


def _replace(material: Material, policy: Path, running: Running, took: list[float]) -> None:
    def updates() -> int:
        return running.process.log.read_text().count('"policy_updated"')

    before, start = updates(), time.monotonic()
    material.write_routes(policy, comment="the same, written again")
    wait_for("the reload", lambda: updates() > before, within=30)
    took.append(time.monotonic() - start)
