"""The provider's keys while authz runs: rotation, and a provider that is down."""

from __future__ import annotations

from examples.store.processes import wait_for
from tests.e2e.edge import Edge


def test_rotated_keys_work_without_a_restart(own_edge: Edge) -> None:
    """Tokens under the new key are good as soon as it was fetched; those under the old key stay good."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy()
    provider = edge.idp.provider
    old = provider.odd_token("alice")
    assert edge.send("GET", "/both", token=old).status == 200

    provider.keys.rotate()
    new = provider.odd_token("alice")

    wait_for("the new key", lambda: edge.send("GET", "/both", token=new).status == 200)
    assert edge.send("GET", "/both", token=old).status == 200


def test_a_provider_that_is_down_leaves_known_keys_working(own_edge: Edge) -> None:
    """Known keys still verify; an unknown one is a 503 with Retry-After, until the provider is back."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy()
    provider = edge.idp.provider
    known = provider.odd_token("alice")
    assert edge.send("GET", "/both", token=known).status == 200

    edge.idp.stop()
    provider.keys.rotate()
    unknown = provider.odd_token("alice")
    wait_for("a fetch that fails", lambda: edge.send("GET", "/both", token=unknown).status == 503)
    during = [edge.send("GET", "/both", token=unknown) for _ in range(3)]

    assert [answer.status for answer in during] == [503, 503, 503]
    assert {edge.reason(answer) for answer in during} == {"keys_unavailable"}
    assert all(answer.headers.get("retry-after") for answer in during)
    assert edge.send("GET", "/both", token=known).status == 200
    edge.idp.start()
    wait_for("the provider's keys", lambda: edge.send("GET", "/both", token=unknown).status == 200, within=40)


def test_an_issuer_that_is_down_at_start_makes_only_its_own_routes_503(own_edge: Edge) -> None:
    """The service gets ready all the same; other issuers' people come in, public routes stay open."""
    edge = own_edge
    edge.partner_idp.stop()
    edge.start_authz()
    edge.start_envoy()

    statuses = [
        edge.send("GET", "/both", token=edge.partner_idp.provider.odd_token("alice")).status,
        edge.send("GET", "/both", token=edge.idp.provider.odd_token("alice")).status,
        edge.send("GET", "/healthz").status,
    ]

    assert statuses == [503, 200, 200]


def test_a_storm_of_unknown_keys_reaches_the_provider_once(own_edge: Edge) -> None:
    """Made-up key ids can't be turned into traffic to the provider: one shared fetch, then the cooldown."""
    edge = own_edge
    edge.start_authz(keys_cooldown="60s")
    edge.start_envoy()
    before = len(edge.idp.requests)

    answers = [
        edge.send("GET", "/both", token=edge.idp.provider.odd_token("alice", header={"kid": f"made-up-{number}"}))
        for number in range(30)
    ]

    assert {answer.status for answer in answers} <= {401, 503}
    assert len(edge.idp.requests) - before <= 4
