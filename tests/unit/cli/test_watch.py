"""`--watch`: a run for each change, none without, until somebody ends it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from authz.cli import main
from authz.cli.failure import CommandFailed
from authz.cli.watch import snapshot, watch
from tests.mint import suites


class Sleeper:
    """Does one thing in each interval, and then Ctrl-C."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)

    def __call__(self, seconds: float) -> None:
        if not self._steps:
            raise KeyboardInterrupt
        self._steps.pop(0)()


def nothing() -> None:
    """A change of nothing."""


def test_it_runs_once_and_after_each_change(tmp_path: Path) -> None:
    """New, changed and removed files are changes; the code is that of the last run."""
    file = tmp_path / "orders.yaml"
    codes = iter([0, 4, 0, 3])
    runs: list[int] = []

    def run() -> int:
        runs.append(next(codes))
        return runs[-1]

    code = watch(
        run,
        str(tmp_path),
        sleep=Sleeper(nothing, lambda: file.write_text("a"), nothing, lambda: file.write_text("ab"), file.unlink),
    )

    assert runs == [0, 4, 0, 3]
    assert code == 3


def test_what_ends_a_run_does_not_end_the_watch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The next change may mend it."""

    def run() -> int:
        raise CommandFailed(5, "the directory is gone")

    assert watch(run, str(tmp_path), sleep=Sleeper(nothing)) == 5
    assert capsys.readouterr().err.startswith("authz: the directory is gone\n")


def test_hidden_folders_are_not_looked_at(tmp_path: Path) -> None:
    """A version control's own files aren't policies."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "index").write_text("a")

    assert snapshot(tmp_path) == frozenset()


def test_the_command_runs_the_tests_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`authz test --watch` by itself, ended by Ctrl-C."""
    (tmp_path / "platform.yaml").write_text(suites.PLATFORM)
    (tmp_path / "orders.yaml").write_text(suites.policy('{public: "why"}'))
    test = tmp_path / "orders_test.yaml"
    test.write_text(suites.suite(suites.case("allow")))
    broken = suites.suite(suites.case("{deny: nobody}"))
    monkeypatch.setattr(watch, "__kwdefaults__", {"sleep": Sleeper(lambda: test.write_text(broken))})

    code = main(["test", str(tmp_path), "--watch"])

    output = capsys.readouterr().out
    assert code == 4
    assert "1 test, 0 failed" in output and "1 test, 1 failed" in output
