"""Uses that are remembered once: in this process, and in the shared store (a fake of its client)."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from authz.model.errors import Unavailable, WouldBlock
from authz.model.patience import AT_ONCE, UNHURRIED, Patience
from authz.sources.replays import GRACE, LocalReplays, StoredReplays
from authz.sources.store import StoreAddress

NOW = 1000.0


class Client:
    """A store's client with one table; `error` is raised instead, `gate` holds answers back."""

    def __init__(self) -> None:
        self.table: dict[str, int] = {}
        self.error: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def set(self, name: str, value: bytes, *, nx: bool, ex: int) -> bool | None:
        assert nx
        self.gate.wait(10)
        if self.error is not None:
            raise self.error
        if name in self.table:
            return None
        self.table[name] = ex
        return True

    def close(self) -> None:
        return


@pytest.fixture
def stored() -> Any:
    replays = StoredReplays(StoreAddress(url="redis://localhost:1/0"), limit=3)
    replays._client = Client()
    yield replays
    replays._client.gate.set()
    replays.close()


def first(replays: Any, key: bytes = b"a", until: float = NOW + 60, *, now: float = NOW, **how: Any) -> bool:
    return bool(replays.first_use(key, until, now=now, **{"patience": UNHURRIED} | how))


def test_a_key_is_used_once() -> None:
    """Another key is another matter; when its time is over nobody needs to know any more."""
    replays = LocalReplays()

    assert [first(replays), first(replays), first(replays, b"b")] == [True, False, True]
    assert not first(replays, now=NOW + 60 + GRACE - 1)
    assert first(replays, now=NOW + 60 + GRACE)


def test_when_there_is_no_room_nothing_is_forgotten() -> None:
    """A flood can't push out a use: who comes then gets a 503."""
    replays = LocalReplays(capacity=2)
    first(replays, b"a"), first(replays, b"b")

    with pytest.raises(Unavailable) as error:
        first(replays, b"c")

    assert error.value.reason.code == "store_unavailable"
    assert not first(replays, b"a")
    assert first(replays, b"c", until=NOW + 500, now=NOW + 200)


def test_memory_never_makes_anybody_wait() -> None:
    """One process answers at once."""
    assert first(LocalReplays(), patience=AT_ONCE)


@pytest.mark.parametrize("make", [LocalReplays, None])
def test_of_many_at_once_one_is_first(make: Any, stored: StoredReplays) -> None:
    """The step is atomic."""
    replays = stored if make is None else make()
    found: list[bool] = []
    threads = [threading.Thread(target=lambda: found.append(first(replays))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)

    assert sorted(found) == [False, False, True]


def test_the_store_forgets_by_itself(stored: Any) -> None:
    """Each key ends a while after its time; its name begins with the installation's prefix and shows nothing."""
    assert first(stored, b"\xff" * 32, until=NOW + 59.5)

    ((name, seconds),) = stored._client.table.items()
    assert name.startswith("authz:proof:")
    assert seconds == 60 + GRACE


@pytest.mark.parametrize("error", [RedisConnectionError("secret words"), TimeoutError(), OSError("x")])
def test_a_store_that_cant_be_used_is_a_503(stored: Any, error: Exception) -> None:
    """It is not known whether the use was the first; the text says nothing that the store said."""
    stored._client.error = error

    with pytest.raises(Unavailable) as unavailable:
        first(stored)

    assert unavailable.value.reason.code == "store_unavailable"
    assert "secret" not in unavailable.value.detail


def test_a_check_leaves_at_its_deadline(stored: Any) -> None:
    """A store that doesn't answer costs no more time than the check has; the write may still count."""
    stored._client.gate.clear()

    with pytest.raises(Unavailable):
        first(stored, patience=Patience(lambda: 0.01))
    stored._client.gate.set()


def test_who_may_not_wait_writes_nothing(stored: Any) -> None:
    """The caller asks again where waiting is fine, and is then the first."""
    with pytest.raises(WouldBlock):
        first(stored, patience=AT_ONCE)

    assert first(stored)
