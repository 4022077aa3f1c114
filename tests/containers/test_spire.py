"""Profile `spire`: the same store with identities from a SPIRE server and two agents instead of files."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers.compose import Compose, composed


@pytest.fixture(scope="module")
def store_with_spire() -> Iterator[Compose]:
    """As STORE_IDENTITIES=spire docker compose --profile spire up."""
    with composed(profiles=["spire"], environment={"STORE_IDENTITIES": "spire"}) as started:
        yield started


def test_the_table_at_the_public_door(store_with_spire: Compose) -> None:
    """Chains of services decide as they do with identities from files; what the visitor has no SVID for is left out."""
    table = store_with_spire.say("run", "--rm", "walk")

    assert " as expected, 0 different, 7 left out" in table


def test_no_file_holds_a_key_that_anybody_uses(store_with_spire: Compose) -> None:
    """The Envoys' configuration names the agent's socket, no file with an SVID; authz gets its own from the agent."""
    for service in ("orders", "gateway"):
        text = store_with_spire.containers[f"{service}-envoy"].exec_run(["cat", f"/store/{service}/envoy.yaml"]).output

        assert b"/spire/agent.sock" in text
        assert b"identity.yaml" not in text
    log = store_with_spire.containers["authz-1"].logs().decode()
    assert "svid_updated" in log
