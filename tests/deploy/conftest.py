"""The chart as `helm` renders it, and the checker, for the tests of this folder."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy import tools

CHART: Final = "deploy/helm/authz"
POLICY: Final = "deploy/example-policy.yaml"


def run(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """A command in the root of the repository; the caller judges its exit code."""
    return subprocess.run(
        [str(word) for word in command], cwd=tools.ROOT, capture_output=True, text=True, check=False, timeout=110
    )


def render(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The chart with the example's policy and more arguments."""
    return run([tools.helm(), "template", "authz", CHART, "--namespace", "authz", "--values", POLICY, *arguments])


def documents(rendered: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """By kind and name."""
    assert rendered.returncode == 0, rendered.stderr
    return {f"{each['kind']} {each['metadata']['name']}": each for each in yaml.safe_load_all(rendered.stdout)}


@pytest.fixture
def check(tmp_path: Path) -> Callable[[str], list[str]]:
    """Faults of manifests that are given as text."""

    def faults(text: str) -> list[str]:
        file = tmp_path / "manifests.yaml"
        file.write_text(text)
        done = run([tools.checker(), tools.schemas(), file])
        assert done.returncode in {0, 1}, done.stderr
        return [line.partition(": document ")[2].partition(": ")[2] for line in done.stdout.splitlines()[:-1]]

    return faults
