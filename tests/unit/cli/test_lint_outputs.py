"""`authz lint` for machines, and `authz explain-code`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from authz.cli import main
from authz.policy.faults import FaultCode

BROKEN = """\
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: x}
service: {hosts: [a.example]}
routes: []
"""


@pytest.fixture
def policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A directory with one fault, seen from its parent."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "orders.yaml").write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    return "policy"


def test_sarif_names_file_place_and_rule(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What code scanning needs to mark the line."""
    assert main(["lint", policy, "--output", "sarif"]) == 3

    (run,) = json.loads(capsys.readouterr().out)["runs"]
    (result,) = run["results"]
    location = result["locations"][0]["physicalLocation"]
    assert (result["ruleId"], result["level"]) == ("list-empty", "error")
    assert location == {"artifactLocation": {"uri": "policy/orders.yaml"}, "region": {"startLine": 5, "startColumn": 9}}
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "list-empty"


def test_annotations_are_workflow_commands(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line each, with separators escaped."""
    assert main(["lint", policy, "--output", "github"]) == 3

    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("::error file=policy/orders.yaml,line=5,col=9,title=authz list-empty::")


@pytest.mark.parametrize("code", [code.code for code in FaultCode])
def test_every_code_is_explained(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its page, examples included."""
    assert main(["explain-code", code]) == 0
    assert capsys.readouterr().out.startswith(f"# `{code}`")


def test_a_reason_is_explained_and_a_misspelt_one_corrected(capsys: pytest.CaptureFixture[str]) -> None:
    """Operators meet reasons in the audit trail."""
    assert main(["explain-code", "scope_missing"]) == 0
    assert "403" in capsys.readouterr().out

    assert main(["explain-code", "scope_mising"]) == 2
    assert "scope_missing" in capsys.readouterr().err
