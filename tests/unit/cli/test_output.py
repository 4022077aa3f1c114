"""What stands on a terminal and what doesn't: colours, the progress line, the names of `--output`."""

from __future__ import annotations

import io
import threading

import pytest

from authz.cli import parser
from authz.cli.grammar import commands
from authz.cli.output import FORMS, paint, show
from authz.cli.progress import progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        done = super().write(text)
        self.written.set()
        return done


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def test_a_verdict_is_in_colour_on_a_terminal(terminal: Terminal) -> None:
    """The word alone is painted; what follows stays as it is."""
    show(["DENY  claim_mismatch: no"], terminal)

    assert terminal.getvalue() == "\x1b[31mDENY\x1b[0m  claim_mismatch: no\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_whoever_wants_no_colours_gets_none(
    name: str, value: str, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_COLOR, and terminals that show none."""
    monkeypatch.setenv(name, value)

    show(["ALLOW"], terminal)

    assert terminal.getvalue() == "ALLOW\n"


def test_a_file_gets_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()

    show(["ALLOW", "a.yaml:1:2: error[value-type]: no"], file)

    assert file.getvalue() == "ALLOW\na.yaml:1:2: error[value-type]: no\n"


@pytest.mark.parametrize(
    ("line", "painted"),
    [
        ("a.yaml:1:2: warning[owner-missing]: x", "a.yaml:1:2\x1b[33m: warning[owner-missing]\x1b[0m: x"),
        ("  MISS    user.scopes", "\x1b[31m  MISS\x1b[0m    user.scopes"),
        ("  ok    alice reads her order", "\x1b[32m  ok\x1b[0m    alice reads her order"),
        ("GAINED  orders/read", "\x1b[32mGAINED\x1b[0m  orders/read"),
        ("  okra", "  okra"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_a_line_is_painted_by_its_mark(line: str, painted: str) -> None:
    """Once, and without any other change."""
    assert paint(line) == painted


def test_long_work_is_said_on_the_terminal_and_the_line_goes(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done and for how long; at the end the line is empty again."""
    monkeypatch.setattr("sys.stderr", terminal)

    with progress("linting policy", quiet=0.0):
        assert terminal.written.wait(5)

    assert "linting policy: 0 s" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_short_work_says_nothing(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a second nobody waits."""
    monkeypatch.setattr("sys.stderr", terminal)

    with progress("linting policy"):
        pass

    assert terminal.getvalue() == ""


def test_a_log_gets_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard error that is no terminal stays as it was."""
    file = io.StringIO()
    monkeypatch.setattr("sys.stderr", file)

    with progress("linting policy", quiet=0.0):
        pass

    assert file.getvalue() == ""


def test_output_means_the_same_everywhere() -> None:
    """Each command that has `--output` offers text first, and only forms that have a name for all commands."""
    offered = {
        command.name: option.choices
        for command in commands(parser())
        for option in command.options
        if "--output" in option.names
    }

    assert {"lint", "test", "explain", "diff", "routes", "can", "who-can", "why"} <= offered.keys()
    assert {name for name, forms in offered.items() if forms[0] != "text" or not set(forms) <= set(FORMS)} == set()
