"""docs/testing-policies.md runs as it stands: its files, then each command, print what the page shows."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture import tree

PAGE = "docs/testing-policies.md"
_FILE = re.compile(r"# (\S+\.\w+)\n")


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """A block that names a file is that file from there on; a console block is what its command prints."""
    commands = 0
    for block in tree.blocks(PAGE):
        named = _FILE.match(block.text)
        if named is not None:
            file = tmp_path / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block.text[named.end() :], encoding="utf-8")
        elif block.language == "console":
            _check(block.text, tmp_path)
            commands += 1

    assert commands >= 8


@pytest.mark.parametrize("number", range(2))
def test_the_json_of_the_page_is_json(number: int) -> None:
    """Below the line that names its file."""
    blocks = [block for block in tree.blocks(PAGE) if block.language == "json"]

    assert json.loads(blocks[number].text.partition("\n")[2])


def test_what_the_page_shows_for_ci_is_what_make_check_runs() -> None:
    """The line on the store stands in the Makefile."""
    (block,) = [block for block in tree.blocks(PAGE) if block.language == "sh"]
    line = next(line for line in block.text.splitlines() if line.startswith("authz test"))

    assert f"$(BIN)/{line}" in tree.text_of("Makefile")


def _check(text: str, folder: Path) -> None:
    command, _, expected = text.removeprefix("$ ").partition("\n")
    words = shlex.split(command)
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name(words[0])),
            *words[1:],
            *(["-p", "no:cacheprovider"] * (words[0] == "pytest")),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )

    # A line of its own stands for lines that are left out, one inside a line for the rest of a word.
    lines = [
        "(?:.*\n)*" if line == "…" else ".*".join(map(re.escape, line.split("(…)"))) + "\n"
        for line in expected.splitlines()
    ]
    assert re.fullmatch("".join(lines), done.stdout), done.stdout + done.stderr
