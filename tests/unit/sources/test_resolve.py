"""Name resolution that doesn't come back holds nobody for longer than they said."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from authz.sources.fetch import Fetcher, FetchError, FetchRules
from authz.sources.resolve import BoundedResolver
from authz.sources.state import Cause


class Hanging:
    """A resolver that answers only when a test lets it."""

    def __init__(self) -> None:
        self.release = threading.Event()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append(host)
        if host.startswith("slow"):
            self.release.wait(10)
        return ("192.0.2.1",)


def test_a_look_up_that_hangs_is_a_timeout() -> None:
    """And one under way is shared: a host that hangs costs one thread, however often it is asked for."""
    resolver = BoundedResolver(hanging := Hanging())

    for _ in range(3):
        with pytest.raises(TimeoutError):
            resolver.addresses("slow.example", 443, within=0.01)
    assert hanging.asked == ["slow.example"]
    hanging.release.set()
    assert resolver.addresses("slow.example", 443, within=5) == ("192.0.2.1",)


def test_another_host_is_not_held_up() -> None:
    """Each look-up has its own thread."""
    resolver = BoundedResolver(hanging := Hanging())
    with pytest.raises(TimeoutError):
        resolver.addresses("slow.example", 443, within=0.01)

    assert resolver.addresses("quick.example", 443, within=5) == ("192.0.2.1",)
    hanging.release.set()


def test_hanging_look_ups_are_bounded() -> None:
    """64 hosts may hang; the next one is an error at once."""
    resolver = BoundedResolver(hanging := Hanging())

    def ask(number: int) -> bool:
        try:
            resolver.addresses(f"slow{number}.example", 443, within=0.01)
        except TimeoutError:
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(64)))
    with pytest.raises(OSError, match="too many"):
        resolver.addresses("one-more.example", 443, within=5)
    hanging.release.set()


def test_a_failed_look_up_is_what_it_was() -> None:
    """Its error reaches whoever asked."""

    def fail(host: str, port: int) -> tuple[str, ...]:
        raise OSError("no such name")

    with pytest.raises(OSError, match="no such name"):
        BoundedResolver(fail).addresses("gone.example", 443, within=5)


def test_a_fetch_counts_name_resolution_into_its_limit() -> None:
    """The reason says which part it was."""
    hanging = Hanging()

    with pytest.raises(FetchError, match="wasn't resolved within") as caught:
        Fetcher(FetchRules(timeout=0.05), resolve=hanging).get("https://slow.example/keys")

    assert caught.value.cause is Cause.NAME
    hanging.release.set()
