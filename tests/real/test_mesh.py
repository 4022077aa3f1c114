"""SPIRE behind real Envoys: X.509-SVIDs by SDS, checked again here, rotating, below an upstream authority."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from examples.store.processes import wait_for
from tests.e2e.load import Load
from tests.real.mesh import TrustDomain
from tests.real.sidecars import HOST, Mesh, Sidecar, mesh_prepared

SHORT: int = 20
"""Seconds that the SVIDs of the rotation tests last; SPIRE's agent renews them at half of it."""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """A trust domain, the application's Envoy and a running provider; callers are each test's own."""
    with mesh_prepared(Mesh) as prepared:
        shop = TrustDomain("shop.example", prepared.directory, prepared.processes).start()
        prepared.corp.start()
        prepared.trust(shop)
        prepared.start_authz()
        prepared.start_orders(shop)
        prepared.domains = (shop,)
        yield prepared


@pytest.fixture(scope="module")
def frontend(mesh: Mesh) -> Sidecar:
    return mesh.start_caller(mesh.domains[0], "frontend")


@pytest.fixture
def own_mesh() -> Iterator[Mesh]:
    """Nothing but the application runs."""
    with mesh_prepared(Mesh) as prepared:
        yield prepared


def test_a_caller_is_who_its_svid_says(mesh: Mesh, frontend: Sidecar) -> None:
    """The frontend's SVID opens its route; another workload of the same trust domain is told apart."""
    batch = mesh.start_caller(mesh.domains[0], "batch")

    assert mesh.outcome(frontend, "/stock") == (200, "allowed")
    assert mesh.outcome(batch, "/stock") == (403, "workload_not_permitted")


def test_the_application_learns_who_called(mesh: Mesh, frontend: Sidecar) -> None:
    """Below the permit stands the SPIFFE ID that SPIRE gave out, and what the client claimed is gone."""
    answer = mesh.call(frontend, "/stock", headers={"x-authz-workload": "spiffe://shop.example/admin"})

    assert _seen(answer.document)["x-authz-workload"] == "spiffe://shop.example/frontend"


def test_a_person_and_a_workload_act_together(mesh: Mesh, frontend: Sidecar) -> None:
    """A token of the real provider and an SVID of real SPIRE in one requirement; each alone isn't enough."""
    alice, bob = (mesh.corp.log_in(name).access_token for name in ("alice", "bob"))
    batch = mesh.start_caller(mesh.domains[0], "batch2")

    assert mesh.outcome(frontend, "/orders/42", token=alice) == (200, "allowed")
    assert mesh.outcome(frontend, "/orders/42", token=bob) == (403, "claim_mismatch")
    assert mesh.outcome(frontend, "/orders/42") == (401, "credential_missing")
    assert mesh.outcome(batch, "/orders/42", token=alice) == (403, "workload_not_permitted")


def test_a_jwt_svid_says_who_is_behind_the_connection(mesh: Mesh, frontend: Sidecar) -> None:
    """Out of the Workload API, for our audience, beside the connection's own SVID; and not for another audience."""
    shop = mesh.domains[0]
    job, other = shop.add("job"), shop.add("other-job")
    presented = [
        shop.jwt_svid(job, mesh.orders.spiffe_id),
        shop.jwt_svid(other, mesh.orders.spiffe_id),
        shop.jwt_svid(job, "spiffe://shop.example/payments"),
    ]

    answers = [mesh.call(frontend, "/tickets", headers={"x-jwt-svid": svid}) for svid in presented]

    assert [answer.status for answer in answers] == [200, 403, 403]
    assert [mesh.reason(answer) for answer in answers][:2] == ["allowed", "workload_not_permitted"]
    assert mesh.outcome(frontend, "/tickets")[0] == 403


def test_nobody_without_an_svid_gets_in(mesh: Mesh) -> None:
    """The validator that SPIRE hands to Envoy demands a certificate of everybody, public routes or not."""
    context = ssl._create_unverified_context()

    # The alert, or the closed connection when that is seen first.
    with pytest.raises((ssl.SSLError, ConnectionError), match=r"CERTIFICATE_REQUIRED|EOF|[Rr]eset|closed"):
        mesh.send_tls(mesh.orders.inbound, "/healthz", context)


def test_a_new_authority_of_the_trust_domain_is_taken_up(mesh: Mesh, frontend: Sidecar) -> None:
    """Prepared, in the bundle file, active: at no step is a workload refused."""
    shop = mesh.domains[0]
    before = _serial(mesh.orders)

    shop.prepare_authority()
    mesh.renew_bundles(shop)
    wait_for("both authorities", lambda: mesh.bundle_size(shop) == 2)
    shop.activate_authority()
    fresh = mesh.start_caller(shop, "late")

    assert _serial(mesh.orders) == before
    assert mesh.outcome(frontend, "/stock") == (200, "allowed")
    assert mesh.outcome(fresh, "/stock") == (200, "allowed")


def test_svids_rotate_under_load_and_nobody_notices(own_mesh: Mesh) -> None:
    """SVIDs of seconds, renewed several times while traffic runs: every request is answered and allowed."""
    mesh = own_mesh
    shop = TrustDomain("shop.example", mesh.directory, mesh.processes, lifetime=SHORT).start()
    mesh.trust(shop)
    mesh.start_authz()
    # A connection ends before the certificate that it was opened with does.
    mesh.start_orders(shop, lifetime=SHORT, connection_limit="4s")
    caller = mesh.start_caller(shop, "frontend", lifetime=SHORT)

    seen: set[str] = set()

    def rotations() -> int:
        seen.add(_serial(mesh.orders))
        return len(seen) - 1

    with Load(caller.outbound, "/stock", {"Host": HOST}, threads=2) as load:
        wait_for("two rotations", lambda: rotations() >= 2, within=60)
        load.wait_for_more(50)

    assert set(load.outcomes) == {200}


def test_an_expired_certificate_counts_no_more_on_a_connection_that_lives(own_mesh: Mesh) -> None:
    """Without a limit on connections the first certificate outlives itself, and authz says so."""
    mesh = own_mesh
    shop = TrustDomain("shop.example", mesh.directory, mesh.processes, lifetime=SHORT).start()
    mesh.trust(shop)
    mesh.start_authz()
    mesh.start_orders(shop, lifetime=SHORT)
    caller = mesh.start_caller(shop, "frontend", lifetime=SHORT)
    assert mesh.outcome(caller, "/stock") == (200, "allowed")

    with Load(caller.outbound, "/stock", {"Host": HOST}, threads=1) as load:
        wait_for("the end of the first certificate", lambda: load.outcomes[403], within=2 * SHORT + 10)

    assert mesh.outcome(caller, "/stock") == (403, "workload_invalid")


@pytest.mark.parametrize(
    ("verified_by", "expected"), [("certificate", (403, "workload_invalid")), ("envoy", (200, "allowed"))]
)
def test_an_intermediate_that_the_bundle_lacks(own_mesh: Mesh, verified_by: str, expected: tuple[int, str]) -> None:
    """Under an upstream authority the bundle holds the root alone. Envoy sees the chain, authz only the leaf."""
    mesh = own_mesh
    shop = TrustDomain("shop.example", mesh.directory, mesh.processes, upstream=True).start()
    mesh.trust(shop, verified_by=verified_by)
    mesh.start_authz()
    mesh.start_orders(shop)
    caller = mesh.start_caller(shop, "frontend")

    assert mesh.outcome(caller, "/stock") == expected
    assert mesh.outcome(caller, "/healthz") == (200, "allowed")


def _seen(document: dict[str, object]) -> dict[str, str]:
    headers = document["headers"]
    assert isinstance(headers, dict)
    return headers


def _serial(sidecar: Sidecar) -> str:
    """The certificate that an Envoy shows now."""
    return ssl.get_server_certificate(("127.0.0.1", sidecar.inbound))
