"""What the end-to-end tests share: the store, one edge for those that only ask, and a fresh edge for the others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.store.provider_web import log_in
from examples.store.scenarios import Walk
from examples.store.store import Store, running
from tests.e2e.edge import Edge, edge_prepared, edge_running

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.e2e)


_MODES = {
    "raw headers, certificates checked by authz": (True, {}),
    "joined headers, certificates checked by Envoy": (False, {"verified_by: certificate": "verified_by: envoy"}),
}


@pytest.fixture(scope="session", params=list(_MODES))
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    """The worked example, started once for each mode: the decisions are the same in both."""
    raw_headers, replacements = _MODES[request.param]
    with running(raw_headers=raw_headers, replacements=replacements) as started:
        yield started


@pytest.fixture(scope="session")
def walk(store: Store) -> Walk:
    return Walk(store)


@pytest.fixture(scope="session")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """For tests that leave it as it was."""
    with edge_running(tmp_path_factory.mktemp("edge")) as started:
        yield started


@pytest.fixture(scope="session")
def alice(edge: Edge) -> str:
    """A token of the shared edge's provider."""
    return log_in(edge.idp.provider.issuer, "alice")


@pytest.fixture
def own_edge(tmp_path: Path) -> Iterator[Edge]:
    """For tests that break something: everything but authz and Envoy is up."""
    with edge_prepared(tmp_path) as prepared:
        yield prepared
