"""docs/testing-policies.md runs as it stands: its files, then each command, print what the page shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.architecture import console, tree

PAGE = "docs/testing-policies.md"


def test_the_page_runs_from_top_to_bottom(tmp_path: Path) -> None:
    """A block that names a file is that file from there on; a console block is what its command prints."""
    run = 0
    for block in tree.blocks(PAGE):
        named = console.file_of(block.text)
        if named is not None:
            console.put(tmp_path, *named)
        elif block.language == "console":
            for command, expected in console.commands(block.text):
                done = console.run(command, tmp_path, PYTEST_ADDOPTS="-p no:cacheprovider")
                assert console.fits(expected, done.stdout), done.stdout + done.stderr
                run += 1

    assert run >= 8


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
