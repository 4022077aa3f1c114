"""`authz new route`: a route and its first test, written only when the directory stays sound."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from authz.cli import main
from authz.cli.fmt import format_text

STORE = Path(__file__).parents[3] / "examples" / "store" / "policy"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A copy of the store's policies."""
    shutil.copytree(STORE, tmp_path / "policy")
    return tmp_path / "policy"


def new(policy: Path, **flags: str) -> int:
    flags = {"policy": "orders", "id": "orders.lines", "method": "GET", "path": "/orders/{order_id}/lines", **flags}
    words = [word for name, value in flags.items() for word in (f"--{name}", value)]
    return main(["new", "route", str(policy), *words])


def test_a_route_and_its_test_are_written_in_the_stable_form(policy: Path) -> None:
    """All the directory's tests pass afterwards, the new one among them; comments are kept."""
    before = (policy / "orders" / "orders.yaml").read_text()

    assert new(policy, allow='user: {issuer: corp, scopes: {all: ["orders:read"]}}') == 0
    after = (policy / "orders" / "orders.yaml").read_text()
    assert after.startswith(before.rstrip("\n"))
    assert format_text(after) == after
    tests = (policy / "orders" / "orders_test.yaml").read_text()
    assert "orders.lines: what a caller without credentials gets" in tests
    assert "orders.lines: who meets the requirement gets in" in tests
    assert main(["test", str(policy)]) == 0


def test_the_test_expects_what_the_policy_really_says(policy: Path) -> None:
    """A public route lets everybody in."""
    assert new(policy, allow="public: the menu is no secret") == 0
    assert (policy / "orders" / "orders_test.yaml").read_text().rstrip().endswith("expect: allow")
    assert main(["test", str(policy)]) == 0


def test_a_route_that_would_be_a_fault_is_not_written(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault is told with its code."""
    before = (policy / "orders" / "orders.yaml").read_text()

    assert new(policy, allow="no-such-requirement") == 3
    assert "requirement-unknown" in capsys.readouterr().err
    assert (policy / "orders" / "orders.yaml").read_text() == before


def test_without_a_terminal_nothing_is_asked(policy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script gets a usage error that names the flags."""
    assert main(["new", "route", str(policy), "--policy", "orders"]) == 2
    assert "--id, --method, --path, --allow" in capsys.readouterr().err
