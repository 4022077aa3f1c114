"""A stream in memory that several processes share, and that can be away, lose entries or come back without them."""

from __future__ import annotations

from collections.abc import Sequence

from authz.engine.revocations import RevocationPlane
from authz.sources.revocation_stream import StreamJournal
from authz.sources.revocations import JournalError, RevocationList
from tests.fakes.clock import FakeClock
from tests.mint.revocations import numbered
from tests.mint.tokens import NOW


class FakeStream:
    """What the store holds. `away` makes each command fail; ids are `1-0`, `2-0`, …"""

    def __init__(self) -> None:
        self.entries: list[tuple[str, bytes]] = []
        self.leases: set[str] = set()
        self.away = False
        self._next = 1

    def add(self, record: bytes) -> str:
        identity = f"{self._next}-0"
        self._next += 1
        self.entries.append((identity, record))
        return identity

    def lose(self, *identities: str) -> None:
        """All entries, or those."""
        self.entries = [each for each in self.entries if identities and each[0] not in identities]
        self.leases.clear()


class FakeStreamClient:
    """`StreamClient` of one process; `waits` are the seconds that its reads would have waited."""

    def __init__(self, stream: FakeStream, *, page: int = 1000) -> None:
        self._stream = stream
        self._page = page
        self.waits: list[float] = []
        self.closed = False

    def read(self, after: str, count: int, block: float) -> Sequence[tuple[str, bytes]]:
        self.waits.append(block)
        return self.page(after, count)

    def page(self, after: str, count: int) -> Sequence[tuple[str, bytes]]:
        self._answer()
        return [each for each in self._stream.entries if _number(each[0]) > _number(after)][: min(count, self._page)]

    def has(self, identity: str) -> bool:
        self._answer()
        return any(each[0] == identity for each in self._stream.entries)

    def append(self, records: Sequence[bytes]) -> None:
        self._answer()
        for record in records:
            self._stream.add(record)

    def remove(self, identities: Sequence[str]) -> None:
        self._answer()
        self._stream.lose(*identities)

    def lease(self, name: str, seconds: int) -> bool:
        self._answer()
        if name in self._stream.leases:
            return False
        self._stream.leases.add(name)
        return True

    def release(self, name: str) -> None:
        self._answer()
        self._stream.leases.discard(name)

    def close(self) -> None:
        self.closed = True

    def _answer(self) -> None:
        if self._stream.away:
            raise JournalError("away")


class Process:
    """One process that follows the stream, a turn at a time."""

    def __init__(self, stream: FakeStream, *, capacity: int = 1000, page: int = 1000) -> None:
        self.clock, self.wall = FakeClock(), FakeClock(NOW)
        self.client = FakeStreamClient(stream, page=page)
        self.delays: list[float] = []
        self.journal = StreamJournal(self.client, clock=self.clock, wall=self.wall, jitter=lambda: 0.0)
        self.entries = RevocationList(
            RevocationPlane(capacity), self.journal, max_stale=30.0, wall=self.wall, clock=self.clock
        )

    def turn(self, times: int = 1) -> Process:
        for _ in range(times):
            self.journal.round(self.entries, self._wait)
        return self

    def knows(self, *numbers: int) -> bool:
        return all(self.entries.covers(numbered(number)) for number in numbers)

    def _wait(self, seconds: float) -> bool:
        self.delays.append(seconds)
        self.clock.advance(seconds)
        return False


def _number(identity: str) -> int:
    return int(identity.partition("-")[0])
