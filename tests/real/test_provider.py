"""The certified OpenID provider behind a real Envoy: discovery, its tokens, rotation, outages."""

from __future__ import annotations

import base64
import json

from examples.store.processes import wait_for
from tests.e2e.load import Load
from tests.real.edge import ProviderEdge
from tests.real.idp import API_ES256, OPAQUE, Proofs


def test_keys_are_found_by_discovery(edge: ProviderEdge) -> None:
    """The configuration document, then the key set that it names, and nothing else is ever asked."""
    edge.send("GET", "/healthz")

    asked = {each["path"] for each in edge.corp.requests()}

    assert {"/.well-known/openid-configuration", "/jwks"} <= asked


def test_a_persons_token_opens_what_is_theirs(edge: ProviderEdge) -> None:
    """Authorization code with PKCE; subject and claims are what the provider wrote."""
    token = edge.corp.log_in("alice").access_token

    statuses = [edge.status(target, token) for target in ("/people/alice", "/people/bob", "/orders/42", "/orders/7")]

    assert statuses == [200, 403, 200, 403]


def test_tokens_signed_with_either_key_are_taken(edge: ProviderEdge) -> None:
    """RS256 or ES256, whatever the resource indicator asked for."""
    rsa, ec = edge.corp.client_token(), edge.corp.client_token(API_ES256)

    assert [_header(token)["alg"] for token in (rsa, ec)] == ["RS256", "ES256"]
    assert [edge.status("/anyone", token) for token in (rsa, ec)] == [200, 200]


def test_client_credentials_stand_for_a_client(edge: ProviderEdge) -> None:
    """Such a token opens the client's route and no route of a person, and the other way round."""
    client, person = edge.corp.client_token(), edge.corp.log_in("alice").access_token

    assert edge.status("/jobs", client, method="POST") == 200
    assert edge.denied("/jobs", person, method="POST") == (403, "subject_not_permitted")
    assert edge.denied("/orders/42", client) == (403, "subject_not_permitted")


def test_a_scope_that_was_not_asked_for_is_missing(edge: ProviderEdge) -> None:
    """What the client left out of its request isn't granted."""
    token = edge.corp.client_token(scope="orders:read")

    assert edge.denied("/jobs", token, method="POST") == (403, "scope_missing")


def test_an_id_token_opens_nothing(edge: ProviderEdge) -> None:
    """It was made for the client, not for the API."""
    token = edge.corp.log_in("alice").id_token

    assert edge.denied("/anyone", token) == (401, "token_type_refused")


def test_a_token_bound_to_a_key_opens_nothing_alone(edge: ProviderEdge) -> None:
    """Whoever steals a DPoP-bound token and sends it as a bearer token needs the proof."""
    token = edge.corp.log_in("alice", client="web-dpop", dpop=Proofs()).access_token

    assert edge.denied("/anyone", token) == (401, "proof_missing")


def test_an_opaque_token_is_none_of_an_issuer_that_is_not_asked(edge: ProviderEdge) -> None:
    """Without `introspection` in the policies nothing is asked about it."""
    token = edge.corp.client_token(OPAQUE)

    assert edge.denied("/anyone", token) == (401, "token_malformed")


def test_keys_rotate_without_a_restart(own_edge: ProviderEdge) -> None:
    """Old key, overlap, new key: each token is good exactly as long as its key is published."""
    edge = own_edge
    edge.corp.start()
    edge.start()
    old = edge.corp.client_token()
    assert edge.status("/anyone", old) == 200

    edge.corp.publish_key()
    overlap = edge.corp.client_token()
    assert edge.status("/anyone", overlap) == 200

    edge.corp.switch_key()
    new = edge.corp.client_token()
    assert _header(new)["kid"] != _header(old)["kid"]
    wait_for("the new key", lambda: edge.status("/anyone", new) == 200)
    assert edge.status("/anyone", old) == 200

    edge.corp.retire_key()
    wait_for("the end of the old key", lambda: _after_a_refetch(edge, old) == (401, "token_key_unknown"))
    assert edge.status("/anyone", new) == 200


def test_rotation_under_load_denies_nobody(own_edge: ProviderEdge) -> None:
    """Whoever holds a token of a published key notices nothing while keys come."""
    edge = own_edge
    edge.corp.start()
    edge.start()
    token = edge.corp.client_token()
    headers = {"Host": "shop.test", "Authorization": f"Bearer {token}"}

    with Load(edge.ports[True], "/anyone", headers, threads=2) as load:
        load.wait_for_more(50)
        edge.corp.publish_key()
        edge.corp.switch_key()
        fresh = edge.corp.client_token()
        wait_for("the new key", lambda: edge.status("/anyone", fresh) == 200)
        load.wait_for_more(50)

    assert set(load.outcomes) == {200}


def test_an_issuer_that_was_down_at_the_start_recovers(own_edge: ProviderEdge) -> None:
    """Its routes answer 503 until it comes; then they work, and authz was never restarted."""
    edge = own_edge
    edge.corp.start()
    token = edge.corp.client_token()
    edge.corp.kill()
    edge.start()
    assert edge.denied("/anyone", token) == (503, "keys_unavailable")
    assert edge.send("GET", "/healthz").status == 200

    edge.corp.start()

    wait_for("the issuer", lambda: edge.status("/anyone", token) == 200, within=40)
    assert edge.authz.process.exit_code is None


def test_an_issuer_that_hangs_at_the_start_delays_only_its_own_routes(own_edge: ProviderEdge) -> None:
    """It takes connections and says nothing: authz gets ready once that attempt has timed out."""
    edge = own_edge
    edge.corp.start()
    token = edge.corp.client_token()
    edge.corp.pause()
    try:
        edge.start(keys_timeout="1s")
        assert edge.denied("/anyone", token) == (503, "keys_unavailable")
        assert edge.send("GET", "/healthz").status == 200
    finally:
        edge.corp.resume()

    wait_for("the issuer", lambda: edge.status("/anyone", token) == 200, within=40)


def test_a_slow_issuer_slows_no_check(own_edge: ProviderEdge) -> None:
    """A fetch that takes longer than any check may: checks answer at once, with what is known or 503."""
    edge = own_edge
    edge.corp.start()
    edge.start(keys_timeout="1s")
    known = edge.corp.client_token()
    assert edge.status("/anyone", known) == 200
    edge.corp.rotate()
    unknown = edge.corp.client_token()
    edge.corp.behave(delay=3)

    # Envoy gives up on a check after half a second with a 403; whatever comes back here was decided in time.
    wait_for("the fetch", lambda: edge.denied("/anyone", unknown) == (503, "keys_unavailable"))
    answers = [edge.denied("/anyone", token) for token in (unknown, known, unknown)]

    assert answers == [(503, "keys_unavailable"), (200, "allowed"), (503, "keys_unavailable")]
    edge.corp.behave()
    wait_for("the new key", lambda: edge.status("/anyone", unknown) == 200, within=40)


def test_an_issuer_that_fails_keeps_its_last_good_keys(own_edge: ProviderEdge) -> None:
    """Answers of 500 throw nothing away; an unknown key is undecided until the issuer is well again."""
    edge = own_edge
    edge.corp.start()
    edge.start()
    known = edge.corp.client_token()
    assert edge.status("/anyone", known) == 200
    edge.corp.rotate()
    unknown = edge.corp.client_token()
    edge.corp.behave(status=500)

    wait_for("the fetch", lambda: edge.denied("/anyone", unknown) == (503, "keys_unavailable"))

    assert edge.denied("/anyone", known) == (200, "allowed")
    edge.corp.behave()
    wait_for("the new key", lambda: edge.status("/anyone", unknown) == 200, within=40)


def test_a_configuration_under_another_name_is_not_taken(own_edge: ProviderEdge) -> None:
    """The document has to say the very issuer that the policies say, octet for octet."""
    edge = own_edge
    edge.corp.start()
    platform = edge.policy / "issuers.yaml"
    platform.write_text(platform.read_text().replace("//localhost:", "//127.0.0.1:"))
    edge.start()
    claimed = edge.corp.client_token()

    assert edge.denied("/anyone", claimed) == (401, "issuer_unknown")
    assert "127.0.0.1" in platform.read_text()
    assert "issuer" in edge.authz.process.log.read_text()


def _header(token: str) -> dict[str, str]:
    part = token.partition(".")[0]
    header: dict[str, str] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return header


def _after_a_refetch(edge: ProviderEdge, token: str) -> tuple[int, str]:
    """What a token gets after somebody else's unknown key made authz fetch the keys again."""
    header = json.dumps({**_header(token), "kid": "made-up"}).encode()
    renamed = base64.urlsafe_b64encode(header).rstrip(b"=").decode()
    edge.send("GET", "/anyone", token=".".join([renamed, *token.split(".")[1:]]))
    return edge.denied("/anyone", token)
