"""What the container tests share. They need a Docker daemon: without one they fail, and say what to install."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import daemon
from tests.containers.cluster import Cluster, running
from tests.containers.compose import Compose, composed

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session", autouse=True)
def tidy() -> Iterator[None]:
    """Nothing of an earlier run that was killed stays, and nothing of this one."""
    daemon.sweep(own=False)
    yield
    daemon.sweep(own=True)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two replicas, Redis, a provider and an Envoy; a test that breaks something mends it again."""
    with running() as started:
        yield started


@pytest.fixture(scope="module")
def store() -> Iterator[Compose]:
    """The whole store, by docker-compose.yml."""
    with composed() as started:
        yield started
