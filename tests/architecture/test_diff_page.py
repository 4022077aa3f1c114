"""docs/diff.md shows what is printed: each command runs in tests/cases/diff as it stands."""

from __future__ import annotations

import re
import shlex

import pytest

from authz.cli import main
from tests.architecture import tree

PAGE = "docs/diff.md"
DIRECTORY = tree.ROOT / "tests" / "cases" / "diff"
_SHOWN = re.compile(r"^```console\n\$ authz (.*)\n((?:.*\n)*?)```\n\nExit code (\d+)\.$", re.MULTILINE)
COMMANDS = _SHOWN.findall(tree.text_of(PAGE))


@pytest.mark.parametrize(("command", "output", "code"), COMMANDS, ids=[command for command, _, _ in COMMANDS])
def test_each_command_prints_what_the_page_shows(
    command: str, output: str, code: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard output and exit code."""
    monkeypatch.chdir(DIRECTORY)

    ended = main(shlex.split(command))

    assert capsys.readouterr().out == output
    assert ended == int(code)


def test_each_block_with_output_is_run() -> None:
    """No console block is left out by its form."""
    assert len(COMMANDS) == tree.text_of(PAGE).count("```console")
