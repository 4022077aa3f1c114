"""What the tests against real programs share. A program that can't be had makes its tests fail, and is named last."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.store.processes import Processes
from tests.real.edge import ProviderEdge, edge_with_provider, short_directory
from tests.real.redis_server import RedisServer
from tests.real.tools import MissingTool

_HERE = Path(__file__).parent
_missing: dict[str, int] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.real)


def pytest_exception_interact(call: pytest.CallInfo[object]) -> None:
    """Count the tests that a missing program stopped."""
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, MissingTool):
        _missing[str(error)] = _missing.get(str(error), 0) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for why, count in _missing.items():
        terminalreporter.write_line(f"NOT RUN: {count} tests. {why}", red=True)


@pytest.fixture(scope="module")
def edge() -> Iterator[ProviderEdge]:
    """Everything up; for tests that leave it as it was."""
    with edge_with_provider(ProviderEdge) as prepared:
        prepared.corp.start()
        yield prepared.start()


@pytest.fixture
def own_edge() -> Iterator[ProviderEdge]:
    """For tests that break something: neither provider nor authz nor Envoy is started."""
    with edge_with_provider(ProviderEdge) as prepared:
        yield prepared


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A running Redis, empty."""
    with short_directory() as directory, Processes(directory) as processes:
        yield RedisServer(directory, processes).start()
