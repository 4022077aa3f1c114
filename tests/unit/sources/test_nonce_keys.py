"""The keys of nonces: from a file that may change, or made for one process."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.model.errors import SettingsError
from authz.sources.nonce_keys import NonceKeys
from authz.sources.state import SourceEvent
from tests.fakes.clock import FakeClock

FIRST, SECOND, THIRD = (bytes([number]) * 32 for number in (65, 66, 67))


def test_without_a_file_each_process_has_its_own() -> None:
    """Enough for one process; two of them don't take each other's nonces."""
    own = NonceKeys(None)

    assert own.keys() == own.keys() != NonceKeys(None).keys()
    assert len(own.keys()[0]) == 32


def test_a_new_key_signs_and_the_one_before_still_counts(tmp_path: Path) -> None:
    """The file is looked at once a second at most."""
    file, clock = tmp_path / "key", FakeClock()
    file.write_bytes(FIRST + b"\n")
    keys = NonceKeys(file, clock=clock)
    assert keys.keys() == (FIRST,)

    file.write_bytes(SECOND)
    assert keys.keys() == (FIRST,)
    clock.advance(1)
    assert keys.keys() == (SECOND, FIRST)
    file.write_bytes(THIRD)
    clock.advance(1)
    assert keys.keys() == (THIRD, SECOND)


def test_a_file_that_goes_bad_keeps_its_predecessor(tmp_path: Path) -> None:
    """And says so, once."""
    file, clock, events = tmp_path / "key", FakeClock(), list[SourceEvent]()
    file.write_bytes(FIRST)
    keys = NonceKeys(file, clock=clock, report=events.append)

    file.write_bytes(b"short")
    for _ in range(3):
        clock.advance(1)
        assert keys.keys() == (FIRST,)

    assert [event.error for event in events] == ["a key has at least 32 octets"]


@pytest.mark.parametrize("content", [None, b"", b"short"])
def test_a_service_doesnt_start_without_its_key(tmp_path: Path, content: bytes | None) -> None:
    """Nonces that nobody else could check would lock clients out one replica at a time."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(SettingsError):
        NonceKeys(file)
