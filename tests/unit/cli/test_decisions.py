"""`authz decisions`: the audit trail summed up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from authz.cli import main


def line(**fields: object) -> str:
    """One audit line."""
    return json.dumps({"event": "decision", "policy": "orders", "route": "read", "reason": "allowed", **fields})


@pytest.fixture
def trail(tmp_path: Path) -> str:
    """Three decisions, one of which the candidate sees otherwise, and a line that is cut off."""
    file = tmp_path / "audit.ndjson"
    file.write_text(
        "\n".join(
            (
                line(id="a", candidate={"verdict": "allowed", "agrees": True}),
                line(id="b", candidate={"verdict": "scope_missing", "agrees": False}),
                line(id="c", policy="payments", reason="workload_missing"),
                json.dumps({"event": "started"}),
                '{"event": "decis',
            )
        )
    )
    return str(file)


def test_decisions_are_counted_by_route(trail: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Other events don't count; a line that can't be read is told."""
    assert main(["decisions", trail]) == 0

    out = capsys.readouterr().out
    assert "3 decisions, 1 lines unreadable" in out
    assert "workload_missing" in out


def test_diverging_candidates_are_singled_out(trail: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the id of one that `authz why` can explain."""
    assert main(["decisions", trail, "--diverging", "--output", "json"]) == 1

    (found,) = json.loads(capsys.readouterr().out)["decisions"]
    assert found == {
        "policy": "orders",
        "route": "read",
        "enforced": "allowed",
        "candidate": "scope_missing",
        "count": 1,
        "last_id": "b",
    }


def test_one_policy_can_be_asked_for(trail: str, capsys: pytest.CaptureFixture[str]) -> None:
    """`--policy`; nothing diverges there."""
    assert main(["decisions", trail, "--policy", "payments", "--diverging"]) == 0
    assert "0 decisions" in capsys.readouterr().out


def test_a_missing_file_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 5 and a sentence."""
    assert main(["decisions", "/nonexistent/audit"]) == 5
    assert "no such file" in capsys.readouterr().err.lower()
