"""The revocation stream's commands, spoken to Redis or Valkey: implements `revocation_stream.StreamClient`.

Owns: the keys' names and the turn from the client library's exceptions to `JournalError`. Must not: try again, or
know what a record says. Following waits on a connection of its own, so that no act waits behind it.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from authz.sources.revocation_stream import BLOCK_SECONDS
from authz.sources.revocations import JournalError
from authz.sources.store import StoreAddress, connect, describe, failures

_PATIENCE: Final = 1.0
"""Seconds that a read may last beyond its own waiting, and an act at least: nobody's request waits for either."""
_FIELD: Final = b"r"


class RedisStream:
    """See the module. Raises `SettingsError` when the client library is missing."""

    def __init__(self, address: StoreAddress) -> None:
        self._key = f"{address.prefix}revocations"
        self._own = secrets.token_hex(8)
        self._reader = connect(address, timeout=BLOCK_SECONDS + _PATIENCE)
        self._writer = connect(address, timeout=max(address.timeout, _PATIENCE))

    def read(self, after: str, count: int, block: float) -> Sequence[tuple[str, bytes]]:
        with _told():
            # 0 would wait for ever, so not to wait is None.
            wait = int(block * 1000) or None
            streams = cast(Any, self._reader.xread({self._key: after}, count=count, block=wait))
            return _entries(streams[0][1]) if streams else ()

    def page(self, after: str, count: int) -> Sequence[tuple[str, bytes]]:
        with _told():
            return _entries(cast(Any, self._writer.xrange(self._key, min=f"({after}", count=count)))

    def has(self, identity: str) -> bool:
        with _told():
            return bool(self._reader.xrange(self._key, min=identity, max=identity, count=1))

    def append(self, records: Sequence[bytes]) -> None:
        with _told():
            pipeline = self._writer.pipeline(transaction=False)
            for record in records:
                pipeline.xadd(self._key, {_FIELD: record})
            pipeline.execute()

    def remove(self, identities: Sequence[str]) -> None:
        with _told():
            self._writer.xdel(self._key, *identities)

    def lease(self, name: str, seconds: int) -> bool:
        with _told():
            return bool(self._writer.set(f"{self._key}:{name}", self._own, nx=True, ex=seconds))

    def release(self, name: str) -> None:
        with _told():
            if self._writer.get(f"{self._key}:{name}") == self._own.encode():
                self._writer.delete(f"{self._key}:{name}")

    def close(self) -> None:
        for client in (self._reader, self._writer):
            with contextlib.suppress(*failures()):
                client.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except failures() as error:
        raise JournalError(describe(error)) from None


def _entries(rows: Sequence[Any]) -> Sequence[tuple[str, bytes]]:
    """An entry without our field is one that nobody can read."""
    return [(identity.decode(), (fields or {}).get(_FIELD, b"")) for identity, fields in rows]
