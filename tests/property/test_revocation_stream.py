"""Whatever happens to the store: once it is back, every process knows what any of them was told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from authz.sources.revocations import NotEverywhere
from tests.fakes.streams import FakeStream, Process
from tests.mint.revocations import numbered

PROCESSES = 3
WHO = st.integers(0, PROCESSES - 1)
STEPS = st.one_of(
    st.tuples(st.just("act"), WHO, st.integers(0, 5)),
    st.tuples(st.just("turn"), WHO, st.just(0)),
    st.tuples(st.just("away"), st.just(0), st.just(0)),
    st.tuples(st.just("back"), st.just(0), st.just(0)),
    st.tuples(st.just("lose all"), st.just(0), st.just(0)),
    st.tuples(st.just("lose newest"), st.just(0), st.integers(1, 3)),
)


@given(steps=st.lists(STEPS, max_size=40))
def test_what_was_told_to_one_is_known_to_all(steps: list[tuple[str, int, int]]) -> None:
    """Acts, outages and losses in any order; at no time does a process forget what it was told itself."""
    stream = FakeStream()
    processes = [Process(stream) for _ in range(PROCESSES)]
    told: list[set[int]] = [set() for _ in processes]
    for step, who, number in steps:
        if step == "act":
            told[who].add(number)
            _tell(processes[who], number)
        elif step == "turn":
            processes[who].turn()
        elif step in ("away", "back"):
            stream.away = step == "away"
        elif step == "lose all":
            stream.lose()
        else:
            _lose_newest(stream, number)
        assert all(_holds(process, own) for process, own in zip(processes, told, strict=True))

    stream.away = False
    for _ in range(4):
        stream.leases.clear()
        for process in processes:
            process.turn(2)

    everything = set().union(*told)
    assert all(_holds(process, everything) for process in [*processes, Process(stream).turn()])
    assert not any(process.entries.stale() for process in processes)


def _tell(process: Process, number: int) -> None:
    try:
        process.entries.enact(numbered(number))
    except NotEverywhere:
        assert process.entries.state().pending


def _lose_newest(stream: FakeStream, count: int) -> None:
    newest = [identity for identity, _ in stream.entries[-count:]]
    if newest:
        stream.lose(*newest)


def _holds(process: Process, numbers: set[int]) -> bool:
    entries = [numbered(number) for number in numbers]
    return all(process.entries.find(one.kind, one.key) is not None for one in entries)
