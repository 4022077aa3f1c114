"""One measurement of one server: load for a while, and what it cost by the kernel's books."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from bench.accounting import used
from bench.client import Connection, Outcome, check_connection
from bench.contenders.table import Running

Load = Callable[[Connection], Outcome]


class AnsweredWrongly(Exception):
    """A measurement of wrong answers is none."""


def under(running: Running, load: Load, *, all_permits: bool = True) -> dict[str, float]:
    """CPU µs per check, checks a second, latencies in ms, resident MB.

    Without `all_permits` some may be refused (as `overloaded`, where calls don't wait for answers) and are counted.
    """
    with check_connection(running.address) as connection:
        before = used(running.process.pid)
        outcome = load(connection)
        after = used(running.process.pid)
    if all_permits and outcome.permits != outcome.calls:
        raise AnsweredWrongly(
            f"{running.name}: {outcome.denials} denials, {outcome.errors} errors, {outcome.empty} empty answers "
            f"of {outcome.calls}; the last denial: {outcome.denial_sample!r}"
        )
    return {
        "cpu": after.since(before) / outcome.calls * 1e6,
        "rate": outcome.rate,
        "p50": outcome.percentile(0.5),
        "p99": outcome.percentile(0.99),
        "rss": after.resident / 1e6,
        "calls": outcome.calls,
        "failed": outcome.calls - outcome.permits,
    }


def closed(messages: Iterator[bytes], *, in_flight: int, seconds: float) -> Load:
    """Half a second to get going, which isn't measured, is the caller's business (`warm_up`)."""
    return lambda connection: connection.closed_loop(messages, in_flight=in_flight, seconds=seconds)


def each_once(messages: Sequence[bytes], *, in_flight: int) -> Load:
    """Every message one time."""
    return lambda connection: connection.closed_loop(iter(messages), in_flight=in_flight, calls=len(messages))


def paced(messages: Iterator[bytes], *, rate: float, seconds: float) -> Load:
    """Open loop."""
    return lambda connection: connection.open_loop(messages, rate=rate, seconds=seconds)


def warm_up(running: Running, messages: Iterator[bytes], *, seconds: float = 0.5) -> None:
    """Fill caches, let just-in-time specialisation settle."""
    under(running, closed(messages, in_flight=8, seconds=seconds), all_permits=False)
