"""`authz test` beside the decision point: same verdicts, and reports that other programs can read."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from authz.cli import main
from authz.cli.asserted import decision_point
from authz.cli.junit import as_junit
from authz.cli.offline_keys import OfflineKeys
from authz.cli.policy_directory import ReadDirectory, read
from authz.cli.rehearsal import Rehearsal, rehearse, stage_of
from authz.cli.verified import verified_user
from authz.model.decision import Denial, Permit
from authz.model.principal import Via
from authz.policy.rehearse import Result
from authz.policy.suite import Rejected, UserFixture, WorkloadFixture
from authz.wire.pb import check_pb2 as pb

ROOT = Path(__file__).parents[3]
STORE = ROOT / "examples" / "store" / "policy"
HOLES = ROOT / "tests" / "cases" / "cli" / "policies" / "holes"


@pytest.fixture(scope="module")
def store() -> ReadDirectory:
    """The example's policies and tests."""
    return read(str(STORE), tests=True, references=False)


@pytest.fixture(scope="module")
def rehearsed(store: ReadDirectory) -> Rehearsal:
    """All of its tests, run."""
    return rehearse(store)


def test_every_test_of_the_store_is_decided_as_the_services_decision_point_does(
    store: ReadDirectory, rehearsed: Rehearsal
) -> None:
    """The runner casts people itself; the engine, told of the same people, comes to the same decision."""
    compared = [result for result in rehearsed.results if _can_be_asserted(result)]

    for result in compared:
        assert _told(store, result) == _told_of(result), result.case.name
    assert len(compared) >= 40


def _can_be_asserted(result: Result) -> bool:
    """Only verified people reach the engine by their word; and the request has to have reached it."""
    fixtures = [person.fixture for person in result.case.people]
    return result.request is not None and not any(
        isinstance(one, Rejected) or (isinstance(one, WorkloadFixture) and one.via is not Via.MTLS) for one in fixtures
    )


def _told(store: ReadDirectory, result: Result) -> tuple[object, ...]:
    policy, request, now = store.policy, result.request, result.case.now
    assert policy is not None and request is not None
    users = [person.fixture for person in result.case.people if isinstance(person.fixture, UserFixture)]
    user = verified_user(users[0], policy.issuers[users[0].issuer], now) if users else None
    point = decision_point(policy, OfflineKeys(STORE, policy.issuers.values()), user)
    decision = point.decide(request, now=now).decision
    return _facts(decision)


def _told_of(result: Result) -> tuple[object, ...]:
    return _facts(result.decision)


def _facts(decision: Permit | Denial) -> tuple[object, ...]:
    if isinstance(decision, Permit):
        return decision.route, decision.alternative, decision.set_headers, decision.remove_headers
    return decision.route, decision.reason, decision.detail, decision.guardrail, decision.challenge


def test_junit_is_xml_with_a_case_for_each_test() -> None:
    """Failures have a message; what XML can't hold is replaced."""
    done = rehearse(read(str(HOLES), tests=True, references=False))

    root = ElementTree.fromstring(as_junit(done))

    assert (root.get("tests"), root.get("failures")) == ("3", "2")
    assert [case.get("name") for case in root.iter("testcase")] == [result.case.name for result in done.results]
    assert [failure.get("message") for failure in root.iter("failure")] == [
        result.mistakes[0] for result in done.results if not result.passed
    ]


def test_the_stage_is_what_the_directory_holds(store: ReadDirectory) -> None:
    """One loaded policy set for all tests."""
    assert stage_of(store).policy is store.policy


def test_a_saved_message_is_explained_as_its_json_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The binary form, from a file; what can't be read is a malformed request."""
    request = pb.CheckRequest()
    request.attributes.request.http.method = "GET"
    request.attributes.request.http.host = "orders.shop.example"
    request.attributes.request.http.path = "/orders/42"
    file = tmp_path / "check.bin"
    file.write_bytes(request.SerializeToString())

    assert main(["explain", str(HOLES), "--check-request", str(file)]) == 1
    assert "credential_missing" in capsys.readouterr().out
    file.write_bytes(b"\xff\xff")
    assert main(["explain", str(HOLES), "--check-request", str(file)]) == 1
    assert "request_malformed" in capsys.readouterr().out
    assert main(["explain", str(HOLES), "--check-request", str(tmp_path / "gone")]) == 5
