"""The bound on waiting: bursts may wait, a queue that stands may not."""

from __future__ import annotations

from authz.server.standing import BURST, CALM, FEWEST, PROBE, SHORTEST, StandingQueue

LIMIT = 10_000
COST = 0.000_01
SHORT = round(SHORTEST / COST)


def queue(*, cost: float = COST, limit: int = LIMIT) -> StandingQueue:
    """One that knows what a check costs."""
    made = StandingQueue(limit)
    for _ in range(1000):
        made.worked(1, cost)
    return made


def overrun(made: StandingQueue, now: float) -> None:
    """More than a burst waits."""
    made.places(LIMIT, now)
    assert made.stands


def near(value: int, wanted: float) -> bool:
    return abs(value - wanted) <= 1


def test_a_burst_waits_its_turn() -> None:
    """What can be worked off soon is not refused, and the queue doesn't count as standing."""
    made = queue()

    room = made.places(900, 0.0)

    assert near(room, BURST / COST)
    assert not made.stands


def test_more_than_a_burst_leaves_room_for_the_shortest_wait() -> None:
    """From then on little may wait."""
    made = queue()

    assert near(made.places(2000, 0.0), SHORT)
    assert made.stands
    assert near(made.places(900, 0.01), SHORT)


def test_the_room_follows_the_cost_of_a_check() -> None:
    """Ten times the cost, a tenth of the room; never fewer than a handful."""
    assert near(queue(cost=COST * 10).places(0, 0.0), BURST / COST / 10)
    assert queue(cost=1.0).places(0, 0.0) == FEWEST


def test_the_limit_holds_whatever_a_check_costs() -> None:
    """`limits.queue` is the last word."""
    made = queue(limit=3)

    assert made.places(3, 0.0) == 3
    assert made.places(4, 0.0) == 3


def test_calm_lets_bursts_in_again() -> None:
    """After a while without anything over the bound, and not before."""
    made = queue()
    overrun(made, 0.0)

    made.places(0, CALM / 2)
    assert made.stands
    made.places(0, CALM * 1.01)
    assert not made.stands


def test_what_is_over_the_bound_puts_the_calm_off() -> None:
    """The load goes on: so does the bound."""
    made = queue()
    overrun(made, 0.0)

    for step in range(1, 11):
        made.places(SHORT * 2, step * CALM / 2)

    assert made.stands


def test_now_and_then_it_is_seen_whether_the_load_is_still_too_high() -> None:
    """Callers that only come back because they were refused are let in."""
    made = queue()
    overrun(made, 0.0)
    made.places(SHORT * 2, PROBE)

    assert near(made.places(SHORT * 2, PROBE * 1.01), BURST / COST)
    assert not made.stands


def test_an_idle_moment_while_calls_are_refused_makes_room() -> None:
    """Calls that come in bursts would leave nothing to do in between; with work at hand the room shrinks again."""
    made = queue()
    overrun(made, 0.0)
    before = made.places(0, 0.001)

    made.rested(0.002)
    after = made.places(0, 0.002)
    for _ in range(100):
        made.worked(100, 100 * COST)

    assert near(after - before, 0.002 / COST)
    assert before - 1 <= made.places(0, 0.003) < after


def test_the_room_never_grows_beyond_a_burst() -> None:
    """However long there was nothing to do."""
    made = queue()
    overrun(made, 0.0)

    made.rested(3600.0)

    assert near(made.places(0, 0.001), BURST / COST)


def test_idle_moments_without_overload_change_nothing() -> None:
    """There was nothing to do: that is all."""
    made = queue()

    made.rested(3600.0)

    assert near(made.places(2000, 0.0), SHORT)
