"""Two trust domains that federate, each with a SPIRE of its own, and callers of both before one application."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real.mesh import TrustDomain, federate
from tests.real.sidecars import Mesh, Sidecar, mesh_prepared


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """Two federated trust domains and the application's Envoy, which trusts both."""
    with mesh_prepared(Mesh) as prepared:
        shop, partner = (
            TrustDomain(name, prepared.directory, prepared.processes) for name in ("shop.example", "partner.example")
        )
        federate(shop, partner)
        prepared.domains = (shop, partner)
        prepared.trust(shop, partner)
        prepared.start_authz()
        prepared.start_orders(shop, federated=True, federates_with=[partner.name])
        yield prepared


@pytest.fixture(scope="module")
def ours(mesh: Mesh) -> Sidecar:
    shop, partner = mesh.domains
    return mesh.start_caller(shop, "frontend", federates_with=[partner.name])


@pytest.fixture(scope="module")
def theirs(mesh: Mesh) -> Sidecar:
    shop, partner = mesh.domains
    return mesh.start_caller(partner, "frontend", federated=True, federates_with=[shop.name])


@pytest.mark.parametrize("verified_by", ["certificate", "envoy"])
def test_a_federated_workload_opens_what_is_for_its_domain(
    mesh: Mesh, ours: Sidecar, theirs: Sidecar, verified_by: str
) -> None:
    """The partner's frontend is not ours, though its path is the same."""
    mesh.trust(*mesh.domains, verified_by=verified_by)

    assert mesh.outcome(theirs, "/partners") == (200, "allowed")
    assert mesh.outcome(theirs, "/stock") == (403, "workload_not_permitted")
    assert mesh.outcome(ours, "/stock") == (200, "allowed")
    assert mesh.outcome(ours, "/partners") == (403, "workload_not_permitted")


def test_a_domain_that_the_policies_do_not_know_is_refused(mesh: Mesh, theirs: Sidecar) -> None:
    """That Envoy trusts a federated domain isn't enough: authz has to be told of it."""
    shop, _ = mesh.domains
    try:
        mesh.trust(shop)

        assert mesh.outcome(theirs, "/stock") == (403, "trust_domain_unknown")
    finally:
        mesh.trust(*mesh.domains)
