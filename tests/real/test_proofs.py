"""DPoP (RFC 9449) with tokens that the certified provider bound, through real Envoys, replays kept in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from examples.store.client import Answer
from examples.store.processes import wait_for
from tests.real.edge import PairEdge, edge_with_provider
from tests.real.idp import Proofs
from tests.real.redis_server import RedisServer

TARGET = "/anyone"
URL = f"http://shop.test{TARGET}"


class Pair(PairEdge):
    """With a client's key and a token that is bound to it."""

    proofs: Proofs
    token: str

    def ask(self, proof: str = "", *, first: bool = True, scheme: str = "DPoP", token: str = "") -> Answer:
        headers = {"Authorization": f"{scheme} {token or self.token}", **({"DPoP": proof} if proof else {})}
        return self.send("GET", TARGET, headers=headers, raw=first)

    def fresh(self, **changed: str) -> str:
        return self.proofs.proof("GET", URL, token=self.token, **changed)


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Provider, Redis, two authz, two Envoys, and alice's bound token."""
    with edge_with_provider(Pair) as edge:
        edge.corp.start()
        edge.redis = RedisServer(edge.directory, edge.processes).start()
        edge.proofs = Proofs()
        edge.token = edge.corp.log_in("alice", client="web-dpop", dpop=edge.proofs).access_token
        yield edge


def test_a_proof_opens_the_route_once(pair: Pair) -> None:
    """With its proof a bound token is good; the same proof again is a replay, at either instance."""
    pair.start_pair(dpop_http="true")
    proof = pair.fresh()

    assert pair.ask(proof).status == 200
    assert pair.why(pair.ask(proof)) == (401, "proof_replayed")
    assert pair.why(pair.ask(proof, first=False)) == (401, "proof_replayed")
    assert pair.ask(pair.fresh(), first=False).status == 200


def test_what_does_not_fit_is_no_proof(pair: Pair) -> None:
    """None at all, another key's, for another method, another URL or another token, an old one."""
    pair.start_pair(dpop_http="true")
    stranger = Proofs().proof("GET", URL, token=pair.token)
    wrong = [
        stranger,
        pair.proofs.proof("POST", URL, token=pair.token),
        pair.proofs.proof("GET", f"{URL}/else", token=pair.token),
        pair.proofs.proof("GET", URL, token="another"),
        pair.proofs.proof("GET", URL, token=pair.token, iat=1_700_000_000),
        "no.proof.atall",
    ]

    assert pair.why(pair.ask()) == (401, "proof_missing")
    assert pair.why(pair.ask(scheme="Bearer")) == (401, "proof_missing")
    assert [pair.why(pair.ask(proof)) for proof in wrong] == [(401, "proof_invalid")] * len(wrong)


def test_a_nonce_is_given_and_wanted_back(pair: Pair) -> None:
    """A client without one is told which; with it the next proof is taken."""
    pair.start_pair(dpop_http="true", dpop_nonces="true")

    refused = pair.ask(pair.fresh())
    nonce = refused.headers.get("dpop-nonce", "")

    assert (refused.status, bool(nonce)) == (401, True)
    assert "use_dpop_nonce" in refused.headers["www-authenticate"]
    assert pair.ask(pair.fresh(nonce=nonce)).status == 200


@pytest.mark.parametrize("how", ["kill", "pause"])
def test_without_redis_only_proofs_are_undecided(pair: Pair, how: str) -> None:
    """503 `store_unavailable`, in time; bearer tokens and public routes go on; it recovers without a restart."""
    pair.start_pair(dpop_http="true")
    bearer = pair.corp.client_token()
    assert pair.ask(pair.fresh()).status == 200
    getattr(pair.redis, how)()
    try:
        assert pair.why(pair.ask(pair.fresh())) == (503, "store_unavailable")
        assert pair.ask(scheme="Bearer", token=bearer).status == 200
        assert pair.send("GET", "/healthz").status == 200
    finally:
        pair.redis.start() if how == "kill" else pair.redis.resume()

    wait_for("redis in use again", lambda: pair.ask(pair.fresh()).status == 200)
