"""docs/chaos.md, cell by cell: with one thing down, what each kind of request gets; then that all is well again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.chaos import KINDS, OUTAGES, PAGE, Scene, Table, Town, read_table, scene_of
from tests.real.mesh import TrustDomain
from tests.real.redis_server import RedisServer
from tests.real.sidecars import mesh_prepared


@pytest.fixture(scope="module")
def mesh() -> Iterator[Town]:
    """SPIRE, the provider and the application; each row has authz and Envoys of its own."""
    with mesh_prepared(Town) as prepared:
        prepared.corp.start()
        prepared.redis = RedisServer(prepared.directory, prepared.processes).start()
        prepared.introspect(cache_ttl="10m")
        prepared.domains = (TrustDomain("shop.example", prepared.directory, prepared.processes).start(),)
        yield prepared


@pytest.fixture(scope="module")
def table() -> Table:
    return read_table(PAGE.read_text())


@pytest.fixture(scope="module", params=OUTAGES)
def row(request: pytest.FixtureRequest, mesh: Town) -> Iterator[tuple[str, Scene]]:
    """One thing is down."""
    with scene_of(mesh, mesh.domains[0], OUTAGES[request.param]) as scene:
        yield request.param, scene


@pytest.mark.parametrize("kind", KINDS)
def test_each_cell_is_as_the_page_says(row: tuple[str, Scene], table: Table, kind: str) -> None:
    """Status and reason are those of the page; where it says denied, nothing was ever allowed."""
    down, scene = row
    expected = table[down][kind]

    seen = scene.settle(kind, expected)

    assert expected == "allowed" or "allowed" not in seen


def test_all_is_well_again_afterwards(row: tuple[str, Scene], table: Table) -> None:
    """The thing comes back, and everything is as in the row `nothing`, without a restart of anything else."""
    down, scene = row

    OUTAGES[down].end(scene)

    after = table[down if down == "audit-disk-full" else "nothing"]
    for kind in KINDS:
        scene.settle(kind, after[kind], within=60)
