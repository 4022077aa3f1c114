"""The file of one process: what survives a restart, a torn line, a full disk."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from authz.engine.revocations import RevocationPlane
from authz.model.revocation import RevocationKind
from authz.sources import revocation_file
from authz.sources.revocation_file import FileJournal
from authz.sources.revocation_records import encode
from authz.sources.revocations import NotEverywhere, RevocationList
from tests.fakes.clock import FakeClock
from tests.mint.revocations import LATER, numbered, revocation
from tests.mint.tokens import NOW

Open = Callable[[], RevocationList]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "revocations.jsonl"


@pytest.fixture
def wall() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def opened(path: Path, wall: FakeClock) -> Iterator[Open]:
    """Opens the list anew, as after a restart."""
    running: list[RevocationList] = []

    def begin() -> RevocationList:
        for each in running:
            each.close()
        journal = FileJournal(path, wall=wall)
        entries = RevocationList(RevocationPlane(1000), journal, max_stale=30.0, wall=wall, clock=FakeClock())
        running.append(entries)
        entries.open()
        return entries

    yield begin
    for each in running:
        each.close()


def test_what_was_revoked_is_revoked_after_a_restart(opened: Open) -> None:
    """Each act is on the disk when it returns; lifts too."""
    entries = opened()
    for number in range(3):
        entries.enact(numbered(number))
    entries.enact(revocation(RevocationKind.TOKEN, "token-1", lifted=True))

    again = opened()

    assert again.size() == 2
    assert again.covers(numbered(2))
    assert not again.stale()
    assert [one.note.value for one in again.history()] == ["token-0", "token-1", "token-2", "token-1"]


def test_only_the_owner_may_read_it(opened: Open, path: Path) -> None:
    """It names who was locked out, and why."""
    opened().enact(numbered(0))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("torn", range(1, len(encode(numbered(1))) + 1, 7))
def test_a_torn_last_line_is_cut(opened: Open, path: Path, torn: int) -> None:
    """It was never acknowledged; what comes next stands on a line of its own."""
    opened().enact(numbered(0))
    with path.open("ab") as file:
        file.write(encode(numbered(1))[:torn])

    entries = opened()
    entries.enact(numbered(2))

    assert not entries.stale()
    assert [one.note.value for one in opened().history()] == ["token-0", "token-2"]


def test_a_line_in_the_middle_that_cant_be_read_is_kept_and_told(opened: Open, path: Path) -> None:
    """Something is missing: strict issuers are told so, everything else is in force."""
    opened().enact(numbered(0))
    with path.open("ab") as file:
        file.write(b'{"kind":"token","key":"dam\xffaged"}\n' + encode(numbered(1)) + b"\n")

    entries = opened()

    assert entries.size() == 2
    assert entries.state().journal.unreadable == 1
    assert entries.stale()


def test_a_second_process_is_turned_away(opened: Open, path: Path, wall: FakeClock) -> None:
    """Two would not see each other's acts: they need a shared store."""
    opened()
    second = RevocationList(RevocationPlane(10), FileJournal(path, wall=wall), max_stale=30.0, wall=wall)

    with pytest.raises(OSError, match=r"store\.url"):
        second.open()


def test_what_has_ended_is_compacted_away(path: Path, wall: FakeClock, opened: Open) -> None:
    """The file shrinks to what counts, and later acts go on behind it."""
    entries = opened()
    for number in range(10):
        entries.enact(numbered(number, until=int(NOW) + 60 if number < 9 else LATER))
    wall.advance(600)
    journal = FileJournal(path, wall=wall)
    entries.close()
    journal.open(entries)

    journal.compact()
    journal.publish((numbered(10),))
    journal.close()

    assert [one.note.value for one in journal.history()] == ["token-9", "token-10"]


def test_a_full_disk_leaves_the_act_in_force_here(opened: Open, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told; half a line is taken back; the next turn writes what waited."""
    entries = opened()
    real = os.fsync

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(revocation_file.os, "fsync", full)
    with pytest.raises(NotEverywhere, match="No space"):
        entries.enact(numbered(0))
    size = path.stat().st_size
    monkeypatch.setattr(revocation_file.os, "fsync", real)
    entries.hand_over()

    assert size == 0
    assert entries.covers(numbered(0))
    assert [one.note.value for one in entries.history()] == ["token-0"]
