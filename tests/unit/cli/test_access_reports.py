"""`authz routes`, `can`, `who-can` and `lock`: effective access, listed and asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from authz.cli import main
from tests.unit.cli.test_diff import NOW, run, write

ALICE = ("--as", "corp:alice", "--scope", "orders:read", "--now", NOW)
AT = ("--at", "spiffe://shop.example/orders")


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return write(tmp_path / "policy")


def test_routes_lists_each_route_with_a_sentence(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Who may call it, where, by which methods."""
    code, out = run(capsys, "routes", policy, "--output", "json")

    read = next(one for one in json.loads(out) if one["route"] == "read")
    assert code == 0
    assert read["who"] == ["a user of corp with scope orders:read whose claim ids contains {path.id}"]
    assert (read["methods"], read["path"]) == (["GET"], "/orders/{id}")
    assert read["at"] == ["spiffe://shop.example/orders"]


def test_can_leaves_open_what_is_not_known(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A claim that no flag names may have any value: the route hangs on it."""
    code, out = run(capsys, "can", policy, *ALICE, "--output", "json")

    answers = {one["route"]: one["answer"] for one in json.loads(out)}
    assert (code, answers) == (0, {"health": "always", "read": "on conditions"})


@pytest.mark.parametrize(("claim", "code"), [('ids=["42"]', 0), ('ids=["43"]', 1), ("other=1", 6)])
def test_can_answers_for_one_request(claim: str, code: int, policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Yes, no, or on conditions, by exit code."""
    words = ("can", policy, "GET", "orders.example/orders/42", *AT, *ALICE, "--claim", claim)

    assert run(capsys, *words)[0] == code


def test_can_without_a_user_means_without_a_token(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Only what is public is left."""
    _, out = run(capsys, "can", policy, "--workload", "spiffe://shop.example/a", "--output", "json")

    assert [one["route"] for one in json.loads(out)] == ["health"]


def test_who_can_says_the_alternatives_and_guardrails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In words, with what the platform adds."""
    policy = write(tmp_path / "p", guardrails="[{id: fresh, require: {user: {auth_age: {max: 15m}}}}]")

    code, out = run(capsys, "who-can", policy, "GET", "https://orders.example/orders/42")

    assert code == 0
    assert out.splitlines() == [
        "orders/read",
        "  a user of corp with scope orders:read whose claim ids contains {path.id}",
        "  guardrail fresh: only a user of corp logged in at most 900 s ago",
    ]


def test_nobody_can_make_a_request_without_a_route(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason says why."""
    code, out = run(capsys, "who-can", policy, "POST", "https://orders.example/orders/42")

    assert code == 1
    assert out.startswith("nobody: ")


def test_a_lock_is_current_until_access_changes(policy: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Written, checked, stale after a change, and lint says so."""
    assert main(["lock", policy, "--check"]) == 1
    assert main(["lock", policy]) == 0
    assert main(["lock", policy, "--check"]) == 0
    file = Path(policy) / "orders.yaml"
    file.write_text(file.read_text().replace("orders:read", "orders:look"))
    capsys.readouterr()

    code, out = run(capsys, "lock", policy, "--check")
    _, lint = run(capsys, "lint", policy)

    assert code == 1
    assert "-    allow a user of corp with scope orders:read whose claim ids contains {path.id}\n" in out
    assert "warning[lock-stale]" in lint


def test_a_lock_does_not_change_with_how_access_is_written(tmp_path: Path) -> None:
    """Names, order of alternatives and comments take no part."""
    one = write(
        tmp_path / "one",
        '{public: "liveness only"}',
        "{any: [{user: {groups: {any: [a]}}}, {user: {roles: {any: [b]}}}]}",
    )
    two = write(
        tmp_path / "two", '{public: "liveness only"}', "{any: [{user: {roles: {any: [b]}}}, named]}  # a comment"
    )
    file = Path(two) / "orders.yaml"
    file.write_text(file.read_text().replace("routes:", "requirements: {named: {user: {groups: {any: [a]}}}}\nroutes:"))

    main(["lock", one])
    main(["lock", two])

    assert (Path(one) / "access.lock").read_text() == (Path(two) / "access.lock").read_text()
