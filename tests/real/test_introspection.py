"""Opaque tokens of the certified provider, asked about at its introspection endpoint (RFC 7662)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from examples.store.processes import wait_for
from tests.real.edge import ProviderEdge, edge_with_provider
from tests.real.idp import INTROSPECTION_CLIENTS, INTROSPECTION_SECRET, OPAQUE

ENDPOINT = "/token/introspection"


@pytest.fixture
def edge() -> Iterator[ProviderEdge]:
    """The provider runs; nothing else is started."""
    with edge_with_provider(ProviderEdge) as prepared:
        prepared.corp.start()
        yield prepared


@pytest.mark.parametrize("method", INTROSPECTION_CLIENTS)
def test_an_active_token_is_taken_by_what_the_provider_says(edge: ProviderEdge, method: str) -> None:
    """However authz authenticates to the provider: subject, claims and audience come from the answer."""
    edge.introspect(method)
    edge.start()
    token = edge.corp.log_in("alice", OPAQUE).access_token

    outcomes = [edge.denied(target, token) for target in ("/people/alice", "/people/bob", "/orders/42", "/orders/7")]

    assert outcomes == [(200, "allowed"), (403, "subject_not_permitted"), (200, "allowed"), (403, "claim_mismatch")]


def test_one_answer_serves_many_checks(edge: ProviderEdge) -> None:
    """A good answer is remembered; so is a bad one."""
    edge.introspect(cache_ttl="30s")
    edge.start()
    good, bad = edge.corp.log_in("alice", OPAQUE).access_token, "no-such-token"

    statuses = [edge.status("/anyone", token) for token in (good, bad) for _ in range(5)]

    assert statuses == [200] * 5 + [401] * 5
    assert len(edge.corp.requests(ENDPOINT)) == 2


def test_many_checks_at_once_ask_once(edge: ProviderEdge) -> None:
    """Checks that wait for the same token share one request to the provider."""
    edge.introspect()
    edge.start()
    token = edge.corp.log_in("alice", OPAQUE).access_token
    edge.corp.behave(delay=0.2)

    with ThreadPoolExecutor(6) as clients:
        statuses = list(clients.map(lambda _: edge.status("/anyone", token), range(6)))

    assert statuses == [200] * 6
    assert len(edge.corp.requests(ENDPOINT)) == 1


def test_a_token_that_the_provider_revoked_ends_with_the_cache(edge: ProviderEdge) -> None:
    """After `cache_ttl` the provider's word counts."""
    edge.introspect(cache_ttl="1s")
    edge.start()
    token = edge.corp.log_in("alice", OPAQUE).access_token
    assert edge.status("/anyone", token) == 200

    edge.corp.revoke(token)

    wait_for("the end of the token", lambda: edge.denied("/anyone", token) == (401, "token_inactive"))


def test_a_provider_that_is_down_makes_opaque_tokens_undecided(edge: ProviderEdge) -> None:
    """503 with Retry-After, never a 401; JWTs of the same issuer and public routes go on; it recovers by itself."""
    edge.introspect(cache_ttl="1s")
    edge.start()
    token, signed = edge.corp.log_in("alice", OPAQUE).access_token, edge.corp.client_token()
    assert [edge.status("/anyone", each) for each in (token, signed)] == [200, 200]

    edge.corp.pause()
    try:
        wait_for("the cache's end", lambda: edge.denied("/anyone", token) == (503, "introspection_unavailable"))
        answer = edge.send("GET", "/anyone", token=token)
        assert (answer.status, "retry-after" in answer.headers) == (503, True)
        assert edge.status("/anyone", signed) == 200
        assert edge.send("GET", "/healthz").status == 200
    finally:
        edge.corp.resume()

    wait_for("the provider", lambda: edge.status("/anyone", token) == 200, within=40)


def test_a_new_secret_is_taken_up(edge: ProviderEdge) -> None:
    """The secret file is read again when it changes; until it is right nothing is allowed."""
    secret = edge.introspect()
    secret.write_text("not the secret of the tests")
    edge.start()
    token = edge.corp.log_in("alice", OPAQUE).access_token
    assert edge.denied("/anyone", token) == (503, "introspection_unavailable")

    secret.write_text(INTROSPECTION_SECRET)

    wait_for("the new secret", lambda: edge.status("/anyone", token) == 200, within=40)
