"""The revocation list in memory: asked for each request, with dictionary look-ups only.

Owns: the entries in force, their expiry, the bound on their number. Must not: do I/O, wait, or know where entries come
from. One entry costs about a hundred bytes: a key of 15 octets and one small integer that holds both of its times and
is shared between entries with the same times. Readers take no lock: a look-up in a dictionary is atomic.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from authz.model.errors import AuthzError
from authz.model.principal import PrincipalKind, User
from authz.model.revocation import ALWAYS, Revocation, RevocationKind, key_of
from authz.model.spiffe import SpiffeId

DEFAULT_CAPACITY: Final = 1_000_000
RESERVE: Final = 100
"""One part in a hundred of the capacity is kept for what people revoke: logouts can't use up all of it."""
_MINUTE: Final = 60
"""Seconds; entries end at whole minutes (rounded up), so that many share their times."""
_SHARED: Final = 4096


_ORDER: Final = (
    RevocationKind.TOKEN,
    RevocationKind.SESSION,
    RevocationKind.SUBJECT,
    RevocationKind.SESSIONLESS,
    RevocationKind.CLIENT,
    RevocationKind.CLIENT,
)
"""In which kinds of entries a token is looked for; the first that holds is reported."""

Marks = tuple[bytes | None, ...]
"""The key for each of them; None where the token bears no such name."""


class PlaneFull(AuthzError):
    """There is no room for another entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filed:
    """An entry as memory holds it."""

    kind: RevocationKind
    key: bytes
    before: int
    until: int


class RevocationPlane:
    """See the module. Any thread may ask and change it."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self.capacity: Final = capacity
        self._lock: Final = threading.Lock()
        self._tables: Final = {kind: _Table() for kind in RevocationKind}
        self._asked: Final = tuple((kind, self._tables[kind], self._tables[kind].entries) for kind in _ORDER)
        self._entries: Final = tuple(self._tables[kind].entries for kind in dict.fromkeys(_ORDER))
        self._workloads: Final = self._tables[RevocationKind.WORKLOAD]
        self._shared: Final[dict[int, int]] = {}

    # --- questions: no lock, no wait ---

    def revoked(self, user: User, *, now: float, marks: Callable[[], Marks] | None = None) -> RevocationKind | None:
        """By which kind of entry the token of this user is revoked, None when by none. `marks` are those of `marks_of`,
        from a caller that keeps them."""
        tokens, sessions, subjects, sessionless, clients = self._entries
        if not (tokens or sessions or subjects or sessionless or clients):
            return None
        for (kind, table, entries), mark in zip(self._asked, marks_of(user) if marks is None else marks(), strict=True):
            if mark is not None and mark in entries and table.holds(mark, _issued(user), now):
                return kind
        return None

    def revoked_workload(self, workload: SpiffeId, *, now: float) -> bool:
        """Whether this SPIFFE ID is revoked."""
        return bool(self._workloads.entries) and self._workloads.holds(_workload_mark(workload), 0, now)

    def find(self, kind: RevocationKind, key: bytes) -> Filed | None:
        """The entry of this key, whether or not its time is over."""
        packed = self._tables[kind].entries.get(key)
        return None if packed is None else _filed(kind, key, packed)

    def covers(self, one: Revocation) -> bool:
        """Whether an entry here already says all that this one says."""
        found = self.find(one.kind, one.key)
        return found is not None and found.before >= one.before and found.until >= one.until

    def __len__(self) -> int:
        return sum(len(table.entries) for table in self._tables.values())

    def counts(self) -> dict[RevocationKind, int]:
        """Entries by kind."""
        return {kind: len(table.entries) for kind, table in self._tables.items()}

    def has_room(self, *, reserved: bool) -> bool:
        """Whether one more entry fits; without `reserved` the last part of the capacity isn't touched."""
        return len(self) < (self.capacity if reserved else self.capacity - self.capacity // RESERVE)

    def filed(self) -> Iterator[Filed]:
        """Every entry that was there when its kind's turn came."""
        for kind, table in self._tables.items():
            with self._lock:
                keys = list(table.entries)
            for key in keys:
                found = self.find(kind, key)
                if found is not None:
                    yield found

    # --- changes ---

    def apply(self, one: Revocation) -> bool:
        """Put an entry in force, or take one back; whether anything changed. Entries of one key are joined: the later
        of both times counts. Raises `PlaneFull`."""
        table = self._tables[one.kind]
        with self._lock:
            if one.lifted:
                return table.entries.pop(one.key, None) is not None
            before = table.entries.get(one.key)
            if before is None and len(self) >= self.capacity:
                raise PlaneFull("the revocation list is full")
            packed = self._packed(one.before, _minute(one.until))
            if before is not None:
                packed = self._packed(max(before & ALWAYS, one.before), max(before >> 32, packed >> 32))
            if packed == before:
                return False
            table.put(one.key, packed, fresh=before is None)
            return True

    def expire(self, *, now: float) -> int:
        """Forget the entries whose time is over; how many."""
        with self._lock:
            return sum(table.expire(int(now) // _MINUTE) for table in self._tables.values())

    def _packed(self, before: int, minute: int) -> int:
        """Both times in one integer of at most 60 bits, the same object for the same times."""
        packed = minute << 32 | min(max(before, 0), ALWAYS)
        if len(self._shared) >= _SHARED:
            self._shared.clear()
        return self._shared.setdefault(packed, packed)


class _Table:
    """The entries of one kind: key → times, and for each minute the keys that may end then. An entry that was made to
    last longer moves when its first minute comes: the same act again and again takes no more room."""

    __slots__ = ("_ending", "entries")

    def __init__(self) -> None:
        self.entries: dict[bytes, int] = {}
        self._ending: dict[int, list[bytes]] = {}

    def holds(self, key: bytes, issued: int, now: float) -> bool:
        packed = self.entries.get(key)
        return packed is not None and now < (packed >> 32) * _MINUTE and issued <= packed & ALWAYS

    def put(self, key: bytes, packed: int, *, fresh: bool) -> None:
        self.entries[key] = packed
        if fresh:
            self._ending.setdefault(packed >> 32, []).append(key)

    def expire(self, minute: int) -> int:
        gone = 0
        for ending in [each for each in self._ending if each <= minute]:
            for key in self._ending.pop(ending):
                # It may have been lifted, or made to last longer.
                packed = self.entries.get(key)
                if packed is None:
                    continue
                if packed >> 32 <= minute:
                    del self.entries[key]
                    gone += 1
                else:
                    self._ending.setdefault(packed >> 32, []).append(key)
        return gone


class UnsafeNoRevocations(RevocationPlane):
    """For tools that examine no credentials, and a service without any way to revoke: nothing is revoked, and issuers
    that insist on knowing (`revocation: strict`) are told that nobody knows."""

    def __init__(self) -> None:
        super().__init__(0)

    def stale(self) -> bool:
        return True


def marks_of(user: User) -> Marks:
    """Where entries that revoke this user's token would be filed: as many as `_ORDER` says, in that order."""
    session = user.claims.get("sid")
    names = (
        user.claims.get("jti"),
        session,
        user.subject,
        None if type(session) is str and session else user.subject,
        user.client,
        # A token that stands for a client may name it only as its subject.
        user.subject if user.kind is PrincipalKind.CLIENT else None,
    )
    return tuple(_mark(kind, user.issuer_url, name) for kind, name in zip(_ORDER, names, strict=True))


def _mark(kind: RevocationKind, issuer: str, name: object) -> bytes | None:
    return key_of(kind, issuer, name) if type(name) is str else None


@lru_cache(maxsize=4096)
def _workload_mark(workload: SpiffeId) -> bytes:
    return key_of(RevocationKind.WORKLOAD, "", str(workload))


def _issued(user: User) -> int:
    """The second in which the token was issued; one that doesn't say counts as older than any (RFC 7662 allows it)."""
    issued = user.claims.get("iat")
    return int(issued) if type(issued) is int or type(issued) is float else 0


def _minute(seconds: int) -> int:
    return -(-seconds // _MINUTE)


def _filed(kind: RevocationKind, key: bytes, packed: int) -> Filed:
    return Filed(kind=kind, key=key, before=packed & ALWAYS, until=(packed >> 32) * _MINUTE)
