"""The bound on waiting: bursts may wait, a queue that stands may not."""

from __future__ import annotations

from authz.server.standing import BURST, CALLERS, CALM, FEWEST, PROBE, SHORTEST, STANDING, StandingQueue

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
    """More than the limit waits."""
    made.places(LIMIT + 1, now)
    assert made.stands


def near(value: int, wanted: float) -> bool:
    return abs(value - wanted) <= 1


def test_a_short_queue_is_served_in_order() -> None:
    """What can be worked off soon is not refused, oldest first."""
    made = queue()

    assert made.places(round(BURST / COST) - 1, 0.0) == LIMIT
    assert not made.newest_first
    assert not made.stands


def test_callers_that_await_their_answers_are_no_long_queue() -> None:
    """However slow a check is: they never ask for more than can be done."""
    made = queue(cost=0.01)

    assert [made.places(CALLERS, float(second)) for second in range(10)] == [LIMIT] * 10
    assert not made.stands


def test_a_long_burst_is_served_in_full_newest_first() -> None:
    """Nobody is refused; when what is left is short again, it is served in order."""
    made = queue()

    assert made.places(2000, 0.0) == LIMIT
    assert made.newest_first
    assert made.places(2000, STANDING) == LIMIT
    assert made.places(500, STANDING * 1.01) == LIMIT
    assert not made.newest_first
    assert made.places(2000, STANDING * 1.02) == LIMIT
    assert not made.stands


def test_a_queue_that_stays_long_stands() -> None:
    """From then on little may wait."""
    made = queue()
    made.places(2000, 0.0)

    assert near(made.places(2000, STANDING * 1.01), SHORT)
    assert made.stands
    assert made.newest_first
    assert near(made.places(500, STANDING * 1.02), SHORT)


def test_more_than_the_limit_stands_at_once() -> None:
    """However short that is in time."""
    made = queue(limit=100)

    assert made.places(100, 0.0) == 100
    assert not made.stands
    assert near(made.places(1500, 0.0), SHORT)
    assert made.stands


def test_a_small_limit_is_the_last_word() -> None:
    """`limits.queue` holds whatever a check costs; so few never stand."""
    made = queue(limit=3)

    assert [made.places(waiting, 0.0) for waiting in (3, 4, 50)] == [3, 3, 3]
    assert not made.stands


def test_the_room_follows_the_cost_of_a_check() -> None:
    """Three times the cost, a third of the room; never fewer than a handful."""
    dear, dearest = queue(cost=COST * 3), queue(cost=1.0)
    overrun(dear, 0.0)
    overrun(dearest, 0.0)

    assert near(dear.places(0, 0.0), SHORT / 3)
    assert dearest.places(0, 0.0) == FEWEST


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

    assert made.places(SHORT * 2, PROBE * 1.01) == LIMIT
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

    assert near(made.places(LIMIT + 1, 0.0), SHORT)
