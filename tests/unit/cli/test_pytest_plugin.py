"""`pytest --authz DIR`: a policy's tests as items of a run of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[2] / "cases" / "cli" / "policies"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, away from this repository's configuration."""
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_each_test_of_a_policy_is_an_item(tmp_path: Path) -> None:
    """Beside the ordinary ones, by the name of the test."""
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n", "utf-8")

    done = run(tmp_path, "-v", "--authz", str(CASES / "tested"))

    assert "orders_test.yaml::alice reads her own order PASSED" in done.stdout
    assert "test_own.py::test_own PASSED" in done.stdout
    assert "5 passed" in done.stdout and done.returncode == 0


def test_a_failure_shows_what_was_expected_and_why_it_came_otherwise(tmp_path: Path) -> None:
    """No traceback: the reasoning of the policy."""
    done = run(tmp_path, "--authz", str(CASES / "holes"))

    assert "expected allow, got deny claim_mismatch" in done.stdout
    assert "MISS    user.claims.order_ids contains {path.order_id}  [claim_mismatch]" in done.stdout
    assert "Traceback" not in done.stdout
    assert "2 failed, 1 passed" in done.stdout and done.returncode == 1


def test_items_can_be_chosen_by_name(tmp_path: Path) -> None:
    """With pytest's own option."""
    assert "1 passed, 3 deselected" in run(tmp_path, "--authz", str(CASES / "tested"), "-k", "cart").stdout


def test_a_directory_with_faults_is_an_error_of_collection(tmp_path: Path) -> None:
    """With the faults themselves."""
    done = run(tmp_path, "--authz", str(CASES / "tests-broken"))

    assert "orders_test.yaml:3:9: error[test-unknown-name]" in done.stdout
    assert done.returncode == 2


def test_a_directory_that_is_not_there_is_wrong_usage(tmp_path: Path) -> None:
    """Nothing is collected in silence."""
    assert run(tmp_path, "--authz", "nowhere").returncode == 4


@pytest.mark.parametrize("folder", ["tested", "holes"])
def test_without_the_option_nothing_is_collected(folder: str, tmp_path: Path) -> None:
    """Even where pytest is pointed at the directory."""
    assert "no tests ran" in run(tmp_path, str(CASES / folder)).stdout
