"""Values made for every check: equal by content, without a dictionary, and closed to assignment under mypy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from authz.model.light import light_value


@light_value
class Pair:
    left: int
    right: str = ""


def test_it_takes_fields_by_position_and_by_name() -> None:
    """A call by position costs half as much."""
    assert Pair(1, "a") == Pair(left=1, right="a")
    assert Pair(1) != Pair(1, "a")


def test_equal_values_have_equal_hashes() -> None:
    """They may stand in sets and as keys, as frozen ones do."""
    assert len({Pair(1, "a"), Pair(1, "a"), Pair(2, "a")}) == 2


def test_it_has_no_room_for_other_attributes() -> None:
    """Slots only: a misspelled name is an error."""
    with pytest.raises(AttributeError):
        Pair(1).other = 2  # type: ignore[attr-defined]  # what it is about


def test_mypy_refuses_an_assignment(tmp_path: Path) -> None:
    """What frozen dataclasses do at run time is the type checker's part here, so it has to be seen doing it."""
    (tmp_path / "assigns.py").write_text(
        "from authz.model.light import light_value\n@light_value\nclass One:\n    field: int\nOne(1).field = 2\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", str(tmp_path / "assigns.py")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[3], check=False)
    assert 'Property "field" defined in "One" is read-only' in result.stdout
