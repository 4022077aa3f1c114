"""Clocks of containers that disagree: a leeway that is small, and denials beyond it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.store.processes import wait_for
from tests.containers import images
from tests.containers.cluster import Cluster, running


@pytest.fixture(scope="module")
def clocks() -> str:
    """The image whose clock can be set."""
    return images.skewed()


@pytest.fixture(scope="module")
def apart() -> Iterator[Cluster]:
    """A cluster of their own for the tests that set clocks."""
    with running(replicas=()) as started:
        yield started


@pytest.mark.parametrize(
    ("offset", "status", "reason"),
    [("-20s", 200, ""), ("+30m", 401, "token_expired"), ("-45s", 401, "token_not_yet_valid"), ("+90m", 403, "")],
)
def test_a_clock_that_is_wrong_denies(apart: Cluster, clocks: str, offset: str, status: int, reason: str) -> None:
    """Within the leeway nothing changes. Beyond it a fresh token is expired or not yet valid; so far off that Envoy's
    own certificate isn't valid either, no connection stands and Envoy denies."""
    with apart.replica("skewed", image=clocks, environment={"FAKETIME": offset}):
        if status != 403:
            wait_for("the way through Envoy", lambda: apart.ask("/healthz").status == 200, within=20)
        answer = apart.ask(token=apart.token())
        found = apart.reason(answer) if status == 401 else ""

    assert (answer.status, found) == (status, reason)
