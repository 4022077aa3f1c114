"""Following the shared stream: every process knows what any of them was told, whatever happens to the store."""

from __future__ import annotations

import pytest

from authz.model.revocation import RevocationKind
from authz.sources.revocation_records import encode
from authz.sources.revocation_stream import BLOCK_SECONDS, MAX_RETRY, SWEEP_LEASE
from authz.sources.revocations import NotEverywhere, RevocationRefused
from tests.fakes.streams import FakeStream, Process
from tests.mint.revocations import LATER, numbered, revocation
from tests.mint.tokens import NOW


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream()


def test_an_act_of_one_is_in_force_in_all(stream: FakeStream) -> None:
    """In its own process at once, in the others with their next read; lifted likewise."""
    one, two = Process(stream).turn(), Process(stream).turn()

    one.entries.enact(numbered(1))
    assert one.knows(1)
    two.turn()
    assert two.knows(1)
    two.entries.enact(revocation(RevocationKind.TOKEN, "token-1", lifted=True))
    one.turn()

    assert (one.entries.size(), two.entries.size()) == (0, 0)


def test_a_new_process_reads_everything_before_it_waits(stream: FakeStream) -> None:
    """Page after page without blocking; only then it is loaded, and waits for news."""
    for number in range(2500):
        stream.add(encode(numbered(number)))
    process = Process(stream, capacity=10_000).turn()
    assert not process.entries.state().journal.loaded

    process.turn(3)

    assert process.entries.state().journal.loaded
    assert process.entries.size() == 2500
    assert process.client.waits == [0.0, 0.0, 0.0, BLOCK_SECONDS]


def test_what_has_ended_is_not_taken(stream: FakeStream) -> None:
    """A record that outlived its entry costs no memory."""
    stream.add(encode(numbered(1, until=int(NOW))))

    assert Process(stream).turn().entries.size() == 0


def test_while_the_store_is_away_what_is_known_stays_and_grows_old(stream: FakeStream) -> None:
    """Known entries go on counting; the age is measured, and after the bound the list is stale."""
    process = Process(stream).turn()
    process.entries.enact(numbered(1))
    stream.away = True

    process.turn(3)
    assert process.knows(1)
    assert not process.entries.stale()
    process.clock.advance(30.0)

    assert process.entries.stale()
    assert process.entries.state().journal.error == "away"
    stream.away = False
    process.turn()
    assert not process.entries.stale()


def test_a_process_that_never_reached_the_store_is_stale_but_tried(stream: FakeStream) -> None:
    """It serves what needs no list; readiness doesn't wait for ever."""
    stream.away = True

    state = Process(stream).turn().entries.state()

    assert state.stale
    assert (state.journal.tried, state.journal.loaded) == (True, False)


def test_it_asks_again_ever_more_slowly(stream: FakeStream) -> None:
    """Doubling up to a bound; after a success from the beginning."""
    process = Process(stream)
    stream.away = True
    process.turn(7)

    assert process.delays == [0.1, 0.2, 0.4, 0.8, 1.6, MAX_RETRY, MAX_RETRY]
    stream.away = False
    process.turn()
    stream.away = True
    process.turn()
    assert process.delays[-1] == 0.1


def test_an_act_while_the_store_is_away_is_handed_over_later(stream: FakeStream) -> None:
    """In force here at once, and the caller is told that the others don't know yet."""
    one, two = Process(stream).turn(), Process(stream).turn()
    stream.away = True

    with pytest.raises(NotEverywhere, match="away"):
        one.entries.enact(numbered(1))
    assert one.entries.find(RevocationKind.TOKEN, numbered(1).key) is not None
    assert not one.entries.covers(numbered(1)), "asked again, it isn't said to be everywhere"
    assert one.entries.state().pending == 1
    stream.away = False
    one.turn()
    two.turn()

    assert one.entries.state().pending == 0
    assert two.knows(1)


def test_a_store_that_lost_everything_gets_it_back(stream: FakeStream) -> None:
    """From whoever knows; a process that starts afterwards knows all of it, and nothing is there twice."""
    one, two = Process(stream).turn(), Process(stream).turn()
    for number in range(3):
        one.entries.enact(numbered(number))
    for process in (one, two):
        process.turn(2)

    stream.lose()
    for process in (one, two, one, two):
        process.turn(2)

    assert Process(stream).turn().knows(0, 1, 2)
    assert len(stream.entries) == 3
    assert [process.entries.state().journal.gaps for process in (one, two)] == [1, 1]


def test_a_store_that_came_back_older_gets_the_rest_back(stream: FakeStream) -> None:
    """The newest entries are missing although others came since: the last one that was read isn't there."""
    one = Process(stream).turn()
    for number in range(4):
        one.entries.enact(numbered(number))
    one.turn(2)
    stream.lose("3-0", "4-0")
    stream.add(encode(numbered(9)))

    one.turn(2)

    assert Process(stream).turn().knows(0, 1, 2, 3, 9)
    assert len(stream.entries) == 5


def test_a_weaker_record_is_replaced_by_what_is_known(stream: FakeStream) -> None:
    """An older copy may hold the entry with an earlier end."""
    one = Process(stream).turn()
    one.entries.enact(numbered(1, until=LATER))
    one.entries.enact(numbered(1, until=LATER + 6000))
    one.turn(2)
    stream.lose("2-0")

    one.turn(2)

    assert Process(stream).turn().entries.covers(numbered(1, until=LATER + 6000))


def test_what_the_store_took_and_lost_at_once_is_sent_again(stream: FakeStream) -> None:
    """A replica took over that hadn't got it, before anybody had read it: the entry that was read last is there."""
    one, two = Process(stream).turn(), Process(stream).turn()
    for number in range(2):
        one.entries.enact(numbered(number))
        stream.lose(f"{number + 1}-0")

    one.turn(3)
    two.turn()

    assert two.knows(0, 1)
    assert len(stream.entries) == 2


def test_only_one_gives_back_at_a_time(stream: FakeStream) -> None:
    """Who doesn't hold the lease waits, and then finds that nothing is missing."""
    one, two = Process(stream).turn(), Process(stream).turn()
    one.entries.enact(numbered(1))
    for process in (one, two):
        process.turn(2)
    stream.lose()
    stream.leases.add("restore")

    one.turn(2)
    assert stream.entries == []
    stream.leases.clear()
    one.turn()
    two.turn(3)

    assert len(stream.entries) == 1


def test_what_has_ended_is_removed_but_never_the_newest(stream: FakeStream) -> None:
    """So that nobody takes its absence for a loss; one process an hour, a page at a time."""
    process = Process(stream).turn()
    for number in range(3):
        process.entries.enact(numbered(number, until=int(NOW) + 60))
    process.turn()
    process.wall.advance(600)
    process.clock.advance(SWEEP_LEASE)
    stream.leases.clear()

    process.turn(3)

    assert [identity for identity, _ in stream.entries] == ["3-0"]
    assert process.entries.size() == 0
    assert process.entries.state().journal.gaps == 0


def test_an_entry_that_ended_and_was_removed_is_no_loss(stream: FakeStream) -> None:
    """A process that was away while it happened reads all again, quietly."""
    process = Process(stream).turn()
    process.entries.enact(numbered(1, until=int(NOW) + 60))
    process.turn()
    process.wall.advance(600)
    stream.lose()

    process.turn(2)

    assert process.entries.state().journal.gaps == 0
    assert not process.entries.stale()


def test_a_record_that_cant_be_read_is_counted_and_told(stream: FakeStream) -> None:
    """Following goes on behind it; strict issuers are told that something is missing."""
    stream.add(b"{}")
    stream.add(encode(numbered(1)))

    process = Process(stream).turn()

    assert process.knows(1)
    assert process.entries.state().journal.unreadable == 1
    assert process.entries.stale()


def test_a_full_list_refuses_acts_and_says_so(stream: FakeStream) -> None:
    """An act that has no room is in force nowhere; what others revoked and has no room here makes the list stale."""
    small, large = Process(stream, capacity=5).turn(), Process(stream).turn()
    for number in range(5):
        small.entries.enact(numbered(number))

    with pytest.raises(RevocationRefused, match="capacity"):
        small.entries.enact(numbered(5))
    large.turn()
    large.entries.enact(numbered(6, until=int(NOW) + 60))
    small.turn()

    assert small.entries.state().overflowed
    assert small.entries.stale()
    assert large.entries.size() == 6


def test_room_that_came_free_is_used_for_what_had_none(stream: FakeStream) -> None:
    """Everything is read again, and the list is whole."""
    small, large = Process(stream, capacity=5).turn(), Process(stream).turn()
    for number in range(5):
        large.entries.enact(numbered(number, until=int(NOW) + 60))
    large.entries.enact(numbered(9))
    small.turn()
    assert small.entries.stale()

    small.wall.advance(600)
    small.clock.advance(10)
    small.turn(3)

    assert small.knows(9)
    assert not small.entries.stale()


def test_the_history_is_read_in_pages(stream: FakeStream) -> None:
    """From the oldest, however many there are."""
    for number in range(25):
        stream.add(encode(numbered(number)))

    values = [one.note.value for one in Process(stream, page=10).entries.history()]

    assert values == [f"token-{number}" for number in range(25)]
