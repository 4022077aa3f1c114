"""Revocations in a stream that all processes share, in Redis or Valkey.

Owns: following the stream from the last entry that was read, noticing that the store lost something, giving it back
what this process knows, and removing entries whose time is over. Must not: be called by a check, or drop from memory
what the store has lost.

The rule that finds every loss: the entry that was read last must still be there. A store that came back empty, from an
older copy or as a replica that lagged doesn't have it; then everything is read again and what is in force here and
isn't there is added. A process that removes entries never removes the newest, so nobody misses it for that.
"""

from __future__ import annotations

import itertools
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

from authz.engine.revocations import Filed
from authz.model.revocation import Revocation
from authz.sources.revocation_records import RecordError, decode, encode
from authz.sources.revocations import JournalError, JournalState, Receiver

_LOG: Final = logging.getLogger("authz.sources")
START: Final = "0-0"
PAGE: Final = 1000
BLOCK_SECONDS: Final = 0.5
"""A read that brings nothing within it is a sign of life: the store's age is never much above it."""
FIRST_RETRY: Final = 0.1
MAX_RETRY: Final = 2.0
"""Seconds between attempts; the delay doubles and is shortened at random, so that processes don't ask in step."""
RESTORE_BATCH: Final = 500
RESTORE_LEASE: Final = 30
SWEEP_LEASE: Final = 3600
"""Seconds; one process at a time gives back, one an hour removes."""


class StreamClient(Protocol):
    """The few commands that are needed. Each raises `JournalError` when the store doesn't answer in time."""

    def read(self, after: str, count: int, block: float) -> Sequence[tuple[str, bytes]]:
        """The next entries after an id, waiting up to `block` seconds for the first."""
        ...

    def page(self, after: str, count: int) -> Sequence[tuple[str, bytes]]:
        """As `read`, without waiting, beside a `read` on another thread."""
        ...

    def has(self, identity: str) -> bool: ...

    def append(self, records: Sequence[bytes]) -> None: ...

    def remove(self, identities: Sequence[str]) -> None: ...

    def lease(self, name: str, seconds: int) -> bool:
        """Whether this process now holds the named lease, which nobody else gets for so long."""
        ...

    def release(self, name: str) -> None: ...

    def close(self) -> None: ...


class StreamJournal:
    """See the module. `clock` measures, `wall` tells the time of day; both in seconds."""

    def __init__(
        self,
        client: StreamClient,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._clock = clock
        self._wall = wall
        self._jitter = jitter
        self._position = START
        self._position_until = 0
        self._answered: float | None = None
        self._loaded = False
        self._tried = False
        """A store that is down must not keep the service down: then strict issuers deny, and readiness shows why."""
        self._reading_all = True
        self._verified = True
        self._lacking: set[bytes] | None = None
        """After a loss: what is in force here and wasn't met in the stream yet. It holds memory's own keys."""
        self._sending = threading.Lock()
        self._sent: dict[bytes, bool] = {}
        """Our own records that weren't read back yet, and whether the store has taken them."""
        self._gaps = 0
        self._unreadable = 0
        self._error = ""
        self._failures = 0
        self._sweep: str | None = None
        self._sweep_due = clock() + SWEEP_LEASE * jitter()

    # --- sources.revocations.Journal ---

    def open(self, receiver: Receiver) -> None:
        """Nothing: what the stream holds is read by the first rounds, and readiness waits for them."""

    def round(self, receiver: Receiver, wait: Callable[[float], bool]) -> None:
        try:
            self._turn(receiver)
        except JournalError as error:
            self._verified = False
            self._sweep = None
            self._tell_failed(str(error))
            receiver.expire()
            wait(self._delay())
            return
        self._tell_mended()
        receiver.expire()

    def publish(self, records: tuple[Revocation, ...]) -> None:
        encoded = [encode(one) for one in records]
        with self._sending:
            self._sent.update(dict.fromkeys(encoded, False))
        taken = False
        try:
            self._client.append(encoded)
            taken = True
        finally:
            with self._sending:
                self._settle(encoded, taken=taken)

    def history(self) -> Iterator[Revocation]:
        after = START
        while page := self._client.page(after, PAGE):
            after = page[-1][0]
            yield from (one for _, record in page if (one := _readable(record)) is not None)

    def reconcile(self, receiver: Receiver) -> None:
        self._lacking = {filed.key for filed in receiver.filed()}
        self._position, self._position_until = START, 0
        self._reading_all = True
        self._unreadable = 0

    def state(self) -> JournalState:
        answered = self._answered
        return JournalState(
            store="stream",
            loaded=self._loaded,
            tried=self._tried,
            age=None if answered is None else self._clock() - answered,
            gaps=self._gaps,
            unreadable=self._unreadable,
            error=self._error,
        )

    def close(self) -> None:
        self._client.close()

    # --- one turn ---

    def _turn(self, receiver: Receiver) -> None:
        if not self._verified:
            self._compare_position(receiver)
        with self._sending:
            sent = tuple(record for record, taken in self._sent.items() if taken)
        following = not self._reading_all
        entries = self._client.read(self._position, PAGE, BLOCK_SECONDS if following else 0.0)
        self._answered = self._clock()
        if following and self._compare_position(receiver):
            return
        for identity, record in entries:
            self._take(identity, record, receiver)
        if self._reading_all and len(entries) < PAGE:
            self._reading_all = False
            self._loaded = self._tried = True
        if not self._reading_all and self._lacking is not None:
            self._give_back(self._lacking, receiver)
        receiver.hand_over()
        if not entries:
            self._send_again(sent)
            self._sweep_some()

    def _settle(self, records: list[bytes], *, taken: bool) -> None:
        """They may have been read back while the store's answer was on its way. Under the lock."""
        for record in records:
            if taken and record in self._sent:
                self._sent[record] = True
            elif not taken:
                self._sent.pop(record, None)

    def _send_again(self, sent: tuple[bytes, ...]) -> None:
        """What was taken before a read that reached the end, and was never met: a replica that took over lacks it."""
        with self._sending:
            lost = [record for record in sent if record in self._sent]
        if lost:
            self._client.append(lost)

    def _compare_position(self, receiver: Receiver) -> bool:
        """Whether the entry that was read last has gone; then everything is read again, and compared with memory."""
        lost = self._position != START and not self._client.has(self._position)
        # An entry whose time was over may have been removed; reading all again then costs little and finds nothing.
        if lost and self._wall() < self._position_until:
            self._gaps += 1
            _LOG.error(
                "the store has lost revocations; reading all of it and giving back what is known",
                extra={"event": "revocations_gap", "gaps": self._gaps},
            )
        if lost:
            self.reconcile(receiver)
        self._verified = True
        return lost

    def _take(self, identity: str, record: bytes, receiver: Receiver) -> None:
        self._position = identity
        with self._sending:
            self._sent.pop(record, None)
        one = _readable(record)
        if one is None:
            self._unreadable += 1
            self._position_until = 0
            _LOG.error("an entry of the revocation stream can't be read", extra={"event": "revocation_unreadable"})
            return
        self._position_until = one.until
        receiver.receive(one)
        if self._lacking is not None and not one.lifted and _says_as_much(one, receiver.find(one.kind, one.key)):
            self._lacking.discard(one.key)

    def _give_back(self, lacking: set[bytes], receiver: Receiver) -> None:
        """Add what the store lacks. Others do the same: who comes second reads what the first has added."""
        if lacking and not self._client.lease("restore", RESTORE_LEASE):
            return
        while lacking and (entries := self._client.read(self._position, PAGE, 0.0)):
            for identity, record in entries:
                self._take(identity, record, receiver)
        now = self._wall()
        missing = (filed for filed in receiver.filed() if filed.key in lacking and filed.until > now)
        count = 0
        while batch := [_restored(filed) for filed in itertools.islice(missing, RESTORE_BATCH)]:
            self._client.append(batch)
            count += len(batch)
        self._lacking = None
        # An empty set took no lease, unless the reading above has emptied it.
        self._client.release("restore")
        if count:
            _LOG.warning(
                "revocations were given back to the store", extra={"event": "revocations_restored", "count": count}
            )

    def _sweep_some(self) -> None:
        """Remove what has ended, a page each time that there is nothing else to do."""
        if self._sweep is None:
            if self._clock() < self._sweep_due:
                return
            self._sweep_due = self._clock() + SWEEP_LEASE * (1.0 + self._jitter())
            if not self._client.lease("sweep", SWEEP_LEASE):
                return
            self._sweep = START
        page = self._client.page(self._sweep, PAGE)
        now = self._wall()
        ended = [identity for identity, record in page if _ended(record, now) and identity != self._position]
        if ended:
            self._client.remove(ended)
        self._sweep = page[-1][0] if len(page) == PAGE else None

    # --- failures ---

    def _delay(self) -> float:
        delay: float = min(FIRST_RETRY * 2.0 ** min(self._failures - 1, 8), MAX_RETRY)
        return delay * (1.0 - 0.5 * self._jitter())

    def _tell_failed(self, error: str) -> None:
        self._tried = True
        self._failures += 1
        self._error = error
        if self._failures == 1:
            _LOG.error(
                "the revocation stream can't be followed; what is known stays in force",
                extra={"event": "revocations_lost", "error": error},
            )

    def _tell_mended(self) -> None:
        if self._failures:
            _LOG.info(
                "the revocation stream is followed again",
                extra={"event": "revocations_followed", "failures": self._failures},
            )
        self._failures, self._error = 0, ""


def _readable(record: bytes) -> Revocation | None:
    try:
        return decode(record)
    except RecordError:
        return None


def _ended(record: bytes, now: float) -> bool:
    one = _readable(record)
    return one is not None and one.until <= now


def _says_as_much(one: Revocation, filed: Filed | None) -> bool:
    """Whether a record says as much as memory, whose times are rounded up to whole minutes."""
    return filed is not None and one.before >= filed.before and -(-one.until // 60) * 60 >= filed.until


def _restored(filed: Filed) -> bytes:
    return encode(Revocation(kind=filed.kind, key=filed.key, until=filed.until, before=filed.before))
