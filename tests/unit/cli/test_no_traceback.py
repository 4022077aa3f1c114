"""Whatever a command is pointed at, it ends with a sentence and a documented exit code: no traceback, no bug."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from authz.cli import exit_codes, main


def _absent(folder: Path) -> Path:
    return folder / "absent"


def _file(folder: Path) -> Path:
    file = folder / "file"
    file.write_text("no directory")
    return file


def _bytes(folder: Path) -> Path:
    (folder / "policy.yaml").write_bytes(bytes(range(256)))
    return folder


def _text(folder: Path) -> Path:
    (folder / "policy.yaml").write_text("- just\n- a list\n")
    (folder / "x_test.yaml").write_text("apiVersion: authz/v1\nkind: RoutePolicyTest\n")
    return folder


def _empty(folder: Path) -> Path:
    return folder


def _loop(folder: Path) -> Path:
    (folder / "loop").symlink_to(folder)
    (folder / "gone.yaml").symlink_to(folder / "nowhere.yaml")
    return folder


PLACES: tuple[Callable[[Path], Path], ...] = (_absent, _file, _bytes, _text, _empty, _loop)
COMMANDS = (
    "lint {0}",
    "lint {0} --output sarif",
    "lint {0} --output json",
    "test {0} --cover --mutate",
    "test {0} --output junit",
    "explain {0} GET http://orders.shop.example/",
    "explain {0} GET http://orders.shop.example/ --token a.b.c",
    "explain {0} --check-request {0}",
    "explain {0} GET http://x/ --keys {0}",
    "explain {0} GET \x00",
    "diff {0} {0}",
    "diff HEAD:nowhere {0}",
    "diff {0} {0} --replay {0}",
    "routes {0}",
    "can {0} --as corp:alice",
    "can {0} GET nothing",
    "who-can {0} GET orders.shop.example/orders/42",
    "lock {0} --check",
    "fmt {0} --check",
    "decisions {0}",
    "why abc --audit {0} {0}",
    "import openapi {0}",
    "import proto {0}",
    "bundle show {0}",
    "issuer check {0}",
    "config show --config {0}",
    "explain-code nothing",
)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__.strip("_"))
@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_ends_with_a_sentence(
    line: str, place: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Absent, no directory, no text, no policy, empty, or full of links."""
    where = str(place(tmp_path))
    try:
        code = main([word.format(where) for word in line.split(" ")])
    except SystemExit as leaving:
        code = int(leaving.code or 0)

    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    assert code in exit_codes.MEANINGS
    assert code != exit_codes.BUG, said.err
