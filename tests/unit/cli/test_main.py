"""How a command line ends: codes for scripts, sentences for people, never a traceback."""

from __future__ import annotations

import argparse

import pytest

from authz.cli import exit_codes, main, parser, version
from authz.cli.failure import CommandFailed


def failing(error: BaseException) -> object:
    def run(_arguments: argparse.Namespace) -> int:
        raise error

    return run


def test_a_bug_is_one_line_and_exit_code_70(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without its text, which may hold anything; the traceback only where it was asked for."""
    monkeypatch.setattr(version, "run", failing(ValueError("secret")))

    assert main(["version"]) == exit_codes.BUG
    said = capsys.readouterr().err
    assert "this is a bug in authz: ValueError at test_main.py" in said
    assert "secret" not in said
    assert "Traceback" not in said

    monkeypatch.setenv("AUTHZ_DEBUG", "1")
    assert main(["version"]) == exit_codes.BUG
    assert "Traceback" in capsys.readouterr().err


def test_a_failure_says_each_of_its_lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """And ends with its own code."""
    monkeypatch.setattr(version, "run", failing(CommandFailed(exit_codes.ENVIRONMENT, "one", "two")))

    assert main(["version"]) == 5
    assert capsys.readouterr().err == "authz: one\nauthz: two\n"


def test_an_interrupt_ends_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C in an offline command."""
    monkeypatch.setattr(version, "run", failing(KeyboardInterrupt()))

    assert main(["version"]) == 5
    assert capsys.readouterr().err == "authz: interrupted\n"


def test_version_names_what_decides(capsys: pytest.CaptureFixture[str]) -> None:
    """authz, python and the libraries that matter."""
    assert main(["version"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][:3] == ["authz", "python", "grpcio"]


def test_the_whole_grammar_can_be_built() -> None:
    """For documentation: every command with all its arguments."""
    text = parser().format_help()

    assert all(f"    {name}" in text for name in ("serve", "lint", "explain", "config", "health", "version"))


def test_config_show_says_where_values_come_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flag, variable and default."""
    monkeypatch.setenv("AUTHZ_DRAIN_GRACE", "7s")
    monkeypatch.setenv("AUTHZ_DEBUG", "0")

    assert main(["config", "show", "--policy", "/etc/authz"]) == 0
    rows = {row[0]: row[1:] for row in (line.split() for line in capsys.readouterr().out.splitlines())}
    assert rows["policy_dir"] == ["/etc/authz", "--policy-dir"]
    assert rows["drain_grace"] == ["7s", "AUTHZ_DRAIN_GRACE"]
    assert rows["front"] == ["auto", "default"]


def test_a_broken_setting_is_a_usage_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fault is said, with its origin."""
    monkeypatch.setenv("AUTHZ_DRAIN_GRACE", "7")
    monkeypatch.setenv("AUTHZ_NONSENSE", "7")

    assert main(["config", "show"]) == exit_codes.USAGE
    said = capsys.readouterr().err
    assert "AUTHZ_DRAIN_GRACE" in said
    assert "AUTHZ_NONSENSE" in said
