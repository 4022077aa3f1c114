"""Every command's output, as files in tests/cases/cli: a command line, its exit code, what it prints.

A new case is a new file. `UPDATE_CASES=1 pytest tests/unit/cli` writes them anew; read the difference before you
commit it.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from authz.cli import main

CASES = Path(__file__).parents[2] / "cases" / "cli"
FILES = sorted(CASES.glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_the_output_is_the_golden_one(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Command line, exit code, standard output and standard error."""
    monkeypatch.chdir(CASES / "policies")
    monkeypatch.setenv("COLUMNS", "100")
    expected = file.read_text("utf-8")
    command = expected.splitlines()[0].removeprefix("$ authz ")

    actual = transcript(command, capsys)

    if os.environ.get("UPDATE_CASES"):
        file.write_text(actual, "utf-8")
    else:
        assert actual == expected


def transcript(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    try:
        code = main(shlex.split(command))
    except SystemExit as leaving:
        code = leaving.code
    output = capsys.readouterr()
    text = f"$ authz {command}\n[exit {code}]\n{output.out}"
    if output.err:
        text += f"[standard error]\n{output.err}"
    return re.sub(r'(revision"?:? +"?)[0-9a-f]{12,}', r"\1REVISION", text)
