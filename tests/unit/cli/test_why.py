"""`authz why`: the policy of that moment is found in the directory, in git, or it is said that it is gone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from authz.cli import main
from authz.cli.policy_directory import read
from authz.model.decision import Decision, Denial, Permit
from authz.model.reason import Reason
from authz.model.record import DecisionRecord
from authz.model.request import RequestView, Transport
from authz.observe.lines import encode
from tests.mint import principals, suites

FRONTEND = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}"
CART = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/cart}}"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A policy directory below a git repository, with one commit."""
    policy = tmp_path / "repository" / "policy"
    policy.mkdir(parents=True)
    (policy / "platform.yaml").write_text(suites.PLATFORM, "utf-8")
    (policy / "orders.yaml").write_text(suites.policy(FRONTEND), "utf-8")
    _git(policy, "init", "-q")
    _commit(policy)
    return policy


def test_the_directory_as_it_is_may_be_the_one(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Then the reasoning is that of the moment."""
    audit = _audit(directory, Denial(reason=Reason.WORKLOAD_MISSING, policy="orders", route="orders.read"))

    code = main(["why", "d-1", "--audit", str(audit), "--policy", str(directory)])

    output = capsys.readouterr().out
    assert code == 1
    assert f"{directory} is the policy of that moment" in output
    assert "a call by spiffe://shop.example/ns/shop/sa/frontend" in output


def test_an_earlier_commit_may_be_the_one(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its conditions are shown, not today's; nothing is checked out."""
    audit = _audit(directory, Denial(reason=Reason.WORKLOAD_MISSING, policy="orders", route="orders.read"))
    (directory / "orders.yaml").write_text(suites.policy(CART), "utf-8")
    _commit(directory)

    main(["why", "d-1", "--audit", str(audit), "--policy", str(directory)])

    output = capsys.readouterr().out
    assert f"of {directory} is the policy of that moment" in output and "commit " in output
    assert "sa/frontend" in output and "sa/cart" not in output
    assert "sa/cart" in (directory / "orders.yaml").read_text("utf-8")


def test_a_policy_that_is_nowhere_is_said_to_differ(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And what follows is by today's."""
    audit = _audit(directory, Denial(reason=Reason.WORKLOAD_MISSING, policy="orders", route="orders.read"), "f" * 12)

    main(["why", "d-1", "--audit", str(audit), "--policy", str(directory)])

    assert "is another policy" in capsys.readouterr().out


def test_a_route_that_is_elsewhere_now_is_said(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The record's route and that of the policy at hand are two things."""
    audit = _audit(directory, Denial(reason=Reason.WORKLOAD_MISSING, policy="orders", route="orders.get"), "f" * 12)

    main(["why", "d-1", "--audit", str(audit), "--policy", str(directory)])

    assert "by this policy the request reaches the route orders.read" in capsys.readouterr().out


def test_an_allowed_decision_holds_as_far_as_it_is_recorded(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 0; JSON has the same facts."""
    permit = Permit(
        route="orders.read",
        policy="orders",
        alternative=0,
        set_headers=(),
        remove_headers=(),
        workload=principals.workload(),
    )
    audit = _audit(directory, permit)

    code = main(["why", "d-1", "--audit", str(audit), "--policy", str(directory), "--output", "json"])

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (report["same_revision"], report["commit"], report["route"]) == (True, "", "orders.read")
    assert [one["holds"] for one in report["alternatives"]] == [True]
    assert report["decision"]["id"] == "d-1"


def test_without_a_policy_the_record_alone_is_shown(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A 503 ends with 6, an id that isn't there with 1, a log that isn't there with 5."""
    audit = _audit(directory, Denial(reason=Reason.KEYS_UNAVAILABLE, policy="orders", route="orders.read"))

    assert main(["why", "d-1", "--audit", str(audit)]) == 6
    assert main(["why", "d-2", "--audit", str(audit)]) == 1
    assert main(["why", "d-1", "--audit", str(audit) + ".gone"]) == 5
    assert "keys_unavailable" in capsys.readouterr().out


def test_outside_of_git_there_is_no_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said in the same words."""
    (tmp_path / "platform.yaml").write_text(suites.PLATFORM, "utf-8")
    (tmp_path / "orders.yaml").write_text(suites.policy(FRONTEND), "utf-8")
    audit = _audit(tmp_path, Denial(reason=Reason.WORKLOAD_MISSING, policy="orders"), "f" * 12, name="audit.ndjson")

    main(["why", "d-1", "--audit", str(audit), "--policy", str(tmp_path)])

    assert "is another policy" in capsys.readouterr().out


def _audit(directory: Path, decision: Decision, revision: str = "", *, name: str = "../../audit.ndjson") -> Path:
    """A log with one decision, made by the policy that the directory holds now."""
    policy = read(str(directory), references=False).policy
    assert policy is not None
    line = encode(
        DecisionRecord(
            decision_id="d-1",
            time=1795255200.0,
            duration=0.0002,
            decision=decision,
            view=RequestView(method="GET", host="orders.shop.example", path="/orders/42"),
            transport=Transport.MTLS,
            revision=revision or policy.revision,
        )
    )
    file = directory / name
    file.write_bytes(b'{"event":"audit_dropped","count":1}\nno json\n' + line)
    return file


def _commit(directory: Path) -> None:
    _git(directory, "add", ".")
    _git(directory, "-c", "user.name=a", "-c", "user.email=a@shop.example", "commit", "-qm", "policy")


def _git(directory: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(directory), *words], check=True, capture_output=True)
