"""The demo as people run it: its exit code, what it prints, and that nothing of it stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from examples.store import scenarios, store
from examples.store.processes import Processes, StartFailed, wait_for

_ROOT = Path(__file__).parents[2]
_COMMAND = [sys.executable, "-m", "examples.store.demo"]


def test_the_demo_passes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Exit code 0, a line for each scenario, the reload shown, every process and file gone."""
    result = subprocess.run(
        _COMMAND, cwd=_ROOT, env=_environment(tmp_path), capture_output=True, text=True, timeout=90, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert all(scenario.title in result.stdout for scenario in scenarios.SCENARIOS)
    assert "nothing is restarted" in result.stdout
    assert list(tmp_path.iterdir()) == []
    assert _processes_under(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopping_the_demo_stops_all_of_it(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM clean up; even after SIGKILL no process stays."""
    output = tmp_path / "output"
    files = tmp_path / "files"
    files.mkdir()
    with output.open("w") as stream:
        demo = subprocess.Popen(
            [*_COMMAND, "--keep-running"], cwd=_ROOT, env=_environment(files), stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        wait_for("the demo", lambda: "Ctrl-C" in output.read_text() or demo.poll() is not None, within=40)
        running = _processes_under(files)

        demo.send_signal(number)
        demo.wait(20)
    finally:
        demo.kill()

    assert len(running) >= 7, output.read_text()
    assert output.read_text().count("curl") >= 5
    wait_for("every process to end", lambda: not _processes_under(files))
    if number != signal.SIGKILL:
        assert list(files.iterdir()) == []


def test_a_failed_start_shows_the_end_of_the_log(tmp_path: Path) -> None:
    """Whoever sees it fail needs no second look into some file."""
    script = "import sys; print('the disk is on fire'); sys.exit(3)"
    with Processes(tmp_path) as processes:
        process = processes.start("broken", [sys.executable, "-c", script])

        with pytest.raises(StartFailed, match="exit code 3") as failed:
            process.wait_ready(lambda: False)

    assert "the disk is on fire" in str(failed.value)


def test_the_demo_reports_what_did_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken platform file: the store refuses to start, says why, and takes away what had started."""
    broken = tmp_path / "policy"
    store.copy_policy(broken, {})
    (broken / "platform" / "issuers.yaml").write_text("apiVersion: authz/v1\nkind: Issuers\nissuers: [corp]\n")
    monkeypatch.setattr(store, "POLICY", broken)
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    with pytest.raises(StartFailed, match=r"issuers\.yaml:3"), store.running():
        pass

    assert _processes_under(tmp_path) == []


def _environment(files: Path) -> dict[str, str]:
    return {**os.environ, "TMPDIR": str(files), "PYTHONUNBUFFERED": "1"}


def _processes_under(directory: Path) -> list[int]:
    """Processes that were given a file of the directory on their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if str(directory).encode() + b"/" in command:
            found.append(int(entry.name))
    return found
