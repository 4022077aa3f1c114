"""Overload at twice the capacity, and a restart under load: what becomes of every call.

Overload: with more asked than it can do, the service should go on doing what it can, soon, and refuse the rest at
once with a denial that says so (503, never a gRPC error, which Envoy may take for an allow). Restart: a replacement is
started, the old one is told to stop, behind an Envoy with the documented retry policy; nothing may be lost.
"""

from __future__ import annotations

import contextlib
import statistics
import threading
from collections.abc import Iterator
from itertools import repeat

from authz.wire.pb import check_pb2 as pb
from bench.client import Outcome, check_connection, percentile, request_connection
from bench.contenders import envoys, table
from bench.contenders.table import Contender, Place, Running, Skipped
from bench.material import warm
from bench.measuring import closed, paced, under
from bench.report import Cell, Report
from bench.scenarios.stage import Length, stage
from bench.traffic import BROWSER, HOST, path_of
from examples.store.processes import free_ports, wait_for
from tests.e2e.edge import send_plain

RATE = 200
"""Requests a second while instances are replaced."""


def run(report: Report, length: Length) -> None:
    """Both, on each front that there is."""
    _overload(report, length)
    _restart(report)


def _overload(report: Report, length: Length) -> None:
    rows: list[dict[str, Cell]] = []
    with stage() as place:
        for contender in table.OURS:
            try:
                # Without a token cache a check costs enough for this client to ask for twice as many.
                running = table.start(contender, place, token_cache_size="0")
            except Skipped as why:
                report.skip(f"overload, {contender.name}: {why}")
                continue
            rows.append(_overloaded(running, place, length.seconds * 2))
            running.process.stop()
    if rows:
        report.table(
            "overload",
            "overload: twice the capacity, open loop, every token verified",
            rows,
            "Goals: p99 of what is accepted under twice the unloaded one; goodput over 80 % of capacity; every refusal "
            "an honest 503 denial. `asked/s` under `twice` means that the client couldn't ask for as many.",
        )


def _overloaded(running: Running, place: Place, seconds: float) -> dict[str, Cell]:
    messages = warm(place.material)
    capacity = _capacity(running, messages, seconds)
    unloaded = under(running, paced(messages, rate=capacity * 0.5, seconds=seconds), all_permits=False)
    with check_connection(running.address) as connection:
        outcome = connection.open_loop(messages, rate=capacity * 2, seconds=seconds)
    # Measured again: whatever else the machine did meanwhile counts for both.
    capacity = statistics.mean((capacity, _capacity(running, messages, seconds)))
    return {
        "front": running.name,
        "capacity/s": capacity,
        "asked/s": outcome.calls / seconds,
        "goodput %": outcome.permits / outcome.seconds / capacity * 100,
        "unloaded p99 ms": unloaded["p99"],
        "accepted p99 ms": outcome.percentile(0.99),
        "× unloaded": outcome.percentile(0.99) / unloaded["p99"],
        "refused": outcome.denials,
        "refusal p99 ms": percentile(outcome.denial_latencies, 0.99),
        "refused with": _status(outcome),
        "gRPC errors": outcome.errors + outcome.empty,
    }


def _capacity(running: Running, messages: Iterator[bytes], seconds: float) -> float:
    return under(running, closed(messages, in_flight=16, seconds=seconds), all_permits=False)["rate"]


def _settings(address: str) -> dict[str, str]:
    """As docs/operations.md has it: NOT_SERVING is shown for longer than Envoy takes to see it."""
    return {"listen": address, "health_wait": "2s"}


def _status(outcome: Outcome) -> str:
    if not outcome.denials:
        return "–"
    denied = pb.CheckResponse.FromString(outcome.denial_sample).denied_response
    return f"HTTP {denied.status.code}"


def _restart(report: Report) -> None:
    rows: list[dict[str, Cell]] = []
    for contender in table.OURS:
        with stage() as place:
            try:
                rows.append(_restarted(contender, place))
            except Skipped as why:
                report.skip(f"restart, {contender.name}: {why}")
    if rows:
        report.table(
            "restart",
            f"restart under load: two instances replaced in turn, {RATE} requests/s through Envoy",
            rows,
            "`lost` is every request that didn't get its 200.",
        )


def _restarted(contender: Contender, place: Place) -> dict[str, Cell]:
    first, second = (f"127.0.0.1:{port}" for port in free_ports(2))
    running = table.start_ours(place, contender.front, name="first", settings=_settings(first))
    _, service_port = envoys.start_service(place, "service", envoys.ext_authz([first, second]))
    _, port = envoys.start_caller(place, "caller", service_port)
    headers = {**dict(BROWSER), "authorization": f"Bearer {place.material.token()}"}
    # Until Envoy has seen its first health check there is nobody to ask: that isn't the restart's doing.
    wait_for("the first permit", lambda: send_plain(port, "GET", path_of(7), {"Host": HOST, **headers}).status == 200)
    outcome, replacements = Outcome(), [second, first]
    with (
        request_connection(f"127.0.0.1:{port}", headers, path=path_of(7), host=HOST) as connection,
        _replacing(place, contender, running, replacements) as done,
    ):
        while not done.is_set():
            outcome.add(connection.open_loop(repeat(b""), rate=RATE, seconds=1.0))
    return {
        "front": contender.name,
        "restarts": len(replacements),
        "requests": outcome.calls,
        "lost": outcome.calls - outcome.permits,
        "p50 ms": outcome.percentile(0.5),
        "p99 ms": outcome.percentile(0.99),
        "worst ms": max(outcome.latencies) * 1e3,
    }


@contextlib.contextmanager
def _replacing(place: Place, contender: Contender, running: Running, addresses: list[str]) -> Iterator[threading.Event]:
    """In the background: start the next instance on its address, let Envoy see it, stop the one before."""
    done, over, failures = threading.Event(), threading.Event(), list[BaseException]()

    def replace() -> None:
        current = running
        try:
            for address in addresses:
                fresh = table.start_ours(place, contender.front, name="next", settings=_settings(address))
                done.wait(1.5)
                current.process.terminate()
                current.process.wait(within=30)
                current = fresh
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            failures.append(error)
        finally:
            done.set()
            # A child is told to stop when the thread that started it ends: the last one has to serve on.
            over.wait()

    thread = threading.Thread(target=replace)
    thread.start()
    try:
        yield done
    finally:
        over.set()
        thread.join()
        if failures:
            raise failures[0]
