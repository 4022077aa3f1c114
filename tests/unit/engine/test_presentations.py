"""Opaque tokens, proofs of possession, certificate-bound tokens and JWT-SVIDs, from the request to the answer.

A real policy over fakes of the ports; the answers are read as Envoy gets them.
"""

from __future__ import annotations

from typing import Any

import pytest

from authz.authn.certificate import thumbprint
from authz.authn.dpop import ProofRules
from authz.authn.keys import import_key_set
from authz.authn.nonce import make_nonce
from authz.authn.svid import import_bundle
from authz.engine.check import Decided, DecisionPoint
from authz.engine.ports import Outside
from authz.engine.token_cache import TokenCache
from authz.model.decision import Denial, Permit
from authz.model.request import Limits, Transport
from authz.policy.load import load
from authz.wire.encode import encode
from authz.wire.pb import check_pb2 as pb
from tests.fakes.ports import CountedReplays, FixedBundles, FixedIntrospection, FixedKeys, FixedPolicies
from tests.mint import jwt_svids, proofs, tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, svid
from tests.mint.keys import jwk_set, signing_key
from tests.mint.requests import request
from tests.mint.tokens import NOW

PLATFORM = b"""
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {jwks_file: keys/corp.json}
    introspection: {endpoint: "https://idp.shop.example/introspect", client_id: authz, client_secret_file: /run/s}
  partner:
    issuer: https://idp.partner.example
    audiences: [shop-api]
    introspection: {endpoint: "https://idp.partner.example/i", client_id: authz, client_secret_file: /run/s}
  careful:
    issuer: https://idp.careful.example
    audiences: [shop-api]
    keys: {jwks_file: keys/careful.json}
    introspection:
      {endpoint: "https://idp.careful.example/i", client_id: authz, client_secret_file: /run/s, always: true}
  plain:
    issuer: https://idp.plain.example
    audiences: [shop-api]
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
peers:
  verified_by: envoy
  jwt_svid: {header: x-jwt-svid, audiences: [orders]}
"""
ORDERS = b"""
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: team-orders}
service: {hosts: [orders.shop.example]}
routes:
  - id: orders.read
    match: {methods: [GET], path: "/orders/{order_id}"}
    allow: {user: {issuer: corp, scopes: {all: ["orders:read"]}}}
  - id: either
    match: {methods: [GET], path: /either}
    allow: {any: [{user: {issuer: partner}}, {user: {issuer: plain}}]}
  - id: careful
    match: {methods: [GET], path: /careful}
    allow: {user: {issuer: careful}}
  - id: plain
    match: {methods: [GET], path: /plain}
    allow: {user: {issuer: plain}}
  - id: proven
    match: {methods: [GET], path: /proven}
    allow: {user: {issuer: corp, bound: dpop}}
  - id: certified
    match: {methods: [GET], path: /certified}
    allow: {user: {issuer: corp, bound: mtls}}
  - id: fresh
    match: {methods: [GET], path: /fresh}
    allow: {user: {issuer: corp, acr: {any: ["urn:shop:strong"]}, auth_age: {max: 1m}, bound: dpop}}
  - id: svid
    match: {methods: [GET], path: /svid}
    allow: {workload: {spiffe: "spiffe://shop.example/ns/shop/sa/frontend", via: jwt-svid}}
  - id: removed
    match: {methods: [GET], path: /removed}
    allow: {workload: {via: jwt-svid}}
    identity: {credential: remove}
  - id: open
    match: {methods: [GET], path: /open}
    allow: {public: "for everybody"}
"""
OPAQUE = "opaque-token"
JTI = iter(range(10**6))


class Point:
    """A decision point over fakes."""

    def __init__(self) -> None:
        loaded = load({"platform.yaml": PLATFORM, "orders.yaml": ORDERS})
        assert loaded.policy is not None, loaded.faults
        keys = import_key_set(jwk_set(signing_key("RS256")), ("RS256",))[0]
        self.introspection = FixedIntrospection({OPAQUE: tokens.claims()})
        self.replays = CountedReplays()
        self.rules = ProofRules()
        self.bundles = FixedBundles(import_bundle(jwt_svids.bundle_of(jwt_svids.svid_key()), TRUST_DOMAIN))
        outside = Outside(introspection=self.introspection, replays=self.replays, proof_rules=lambda: self.rules)
        self.point = DecisionPoint(
            FixedPolicies(loaded.policy),
            FixedKeys({"corp": keys, "careful": keys}),
            self.bundles,
            TokenCache(),
            Limits(),
            outside=outside,
        )

    def decide(self, headers: Any, *, now: float = NOW, **how: Any) -> Decided:
        return self.point.decide(request(headers, **how), now=now)

    def reason(self, headers: Any, **how: Any) -> str:
        decision = self.decide(headers, **how).decision
        return decision.reason.code if isinstance(decision, Denial) else "allowed"

    def answer(self, headers: Any, **how: Any) -> dict[str, str]:
        """The denied answer's headers, as Envoy gets them."""
        decided = self.decide(headers, **how)
        message = encode(decided.decision, decision_id="d" * 16, revision="r", transport=Transport.TLS, grpc=False)
        denied = pb.CheckResponse.FromString(message).denied_response
        return {item.header.key: item.header.value for item in denied.headers}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def bound(**members: Any) -> str:
    return tokens.mint({"cnf": {"jkt": proofs.thumbprint()}, **members})


def proven(token: str, **members: Any) -> dict[str, str]:
    """A token with a new proof for it."""
    proof = proofs.mint({"jti": f"proof-{next(JTI)}", **members}, token=token)
    return {"authorization": f"DPoP {token}", "dpop": proof}


@pytest.fixture
def point() -> Point:
    return Point()


# --- opaque tokens ---


def test_an_active_opaque_token_is_a_user(point: Point) -> None:
    """What its issuer says of it decides, as a JWT's claims would."""
    decision = point.decide(bearer(OPAQUE)).decision

    assert isinstance(decision, Permit)
    assert decision.user is not None
    assert decision.user.subject == "alice"
    assert ("x-authz-scopes", "orders:read orders:write") in decision.set_headers


def test_an_answer_is_remembered_until_it_is_too_old(point: Point) -> None:
    """For as long as the answer counts nobody is asked again; its times are checked on each use."""
    point.introspection.answers[OPAQUE] = tokens.claims(exp=NOW + 10)

    assert point.reason(bearer(OPAQUE)) == "allowed"
    assert point.reason(bearer(OPAQUE), now=NOW + 9) == "allowed"
    assert len(point.introspection.asked) == 1
    assert point.reason(bearer(OPAQUE), now=NOW + 50) == "token_expired"
    assert len(point.introspection.asked) == 2


def test_authorization_is_never_remembered(point: Point) -> None:
    """The remembered token of one route meets or misses the next one's conditions by itself."""
    point.introspection.answers[OPAQUE] = tokens.claims(scope="other")

    assert point.reason(bearer(OPAQUE)) == "scope_missing"
    assert point.reason(bearer(OPAQUE), target="/proven") == "proof_missing"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "token_inactive"),
        (tokens.claims(aud="other"), "audience_mismatch"),
        (tokens.claims(exp=NOW - 60), "token_expired"),
        (tokens.claims(scope="orders:write"), "scope_missing"),
        (tokens.claims(iss="https://idp.evil.example"), "issuer_unknown"),
        (tokens.claims(sub=tokens.ABSENT), "token_claim_missing"),
    ],
)
def test_what_the_issuer_says_is_checked_again(point: Point, answer: Any, reason: str) -> None:
    """An active token of another audience, or past its end, doesn't count."""
    point.introspection.answers[OPAQUE] = answer

    assert point.reason(bearer(OPAQUE)) == reason


def test_an_issuer_that_doesnt_answer_is_a_503(point: Point) -> None:
    """Nobody knows whether the token is good: a denial that says when to come back."""
    headers = point.answer(bearer("another-token"))

    assert point.reason(bearer("another-token")) == "introspection_unavailable"
    assert headers["retry-after"] == "3"


@pytest.mark.parametrize(
    ("target", "asked"),
    [("/orders/42", [("corp", OPAQUE)]), ("/either", [("partner", OPAQUE)]), ("/plain", []), ("/open", [])],
)
def test_a_token_goes_only_to_the_one_issuer_that_the_route_can_use(
    point: Point, target: str, asked: list[tuple[str, str]]
) -> None:
    """Never to one that the route doesn't name, and to nobody where no named one is asked."""
    point.reason(bearer(OPAQUE), target=target)

    assert point.introspection.asked == asked


def test_an_issuers_answer_counts_on_its_own_routes_only(point: Point) -> None:
    """What corp said of a token says nothing where partner has to be asked."""
    assert point.reason(bearer(OPAQUE)) == "allowed"
    point.introspection.answers[OPAQUE] = None

    assert point.reason(bearer(OPAQUE), target="/either") == "token_inactive"
    assert point.introspection.asked[-1] == ("partner", OPAQUE)


def test_a_malformed_jwt_is_not_sent_to_its_issuer(point: Point) -> None:
    """What has the form of a JWT is judged as one."""
    for token in (tokens.mint(head={"crit": ["x"]}), tokens.mint()[:-8], tokens.mint({"iss": "https://x.example"})):
        assert point.reason(bearer(token)) in {"token_malformed", "token_signature_invalid", "issuer_unknown"}
    assert point.introspection.asked == []


def test_a_jwt_of_a_careful_issuer_is_asked_about_too(point: Point) -> None:
    """With `always: true` both the signature and the issuer's word count, on each request."""
    token = tokens.mint({"iss": "https://idp.careful.example"})
    point.introspection.answers[token] = {"active": True}

    assert point.reason(bearer(token), target="/careful") == "allowed"
    point.introspection.answers[token] = None
    assert point.reason(bearer(token), target="/careful") == "token_inactive"
    del point.introspection.answers[token]
    assert point.reason(bearer(token), target="/careful") == "introspection_unavailable"
    assert point.reason(bearer(token[:-6] + "AAAAAA"), target="/careful") == "token_signature_invalid"


def test_two_possible_issuers_are_a_load_error() -> None:
    """A token would have to be shown to an issuer that isn't its own."""
    text = ORDERS.replace(b"{user: {issuer: plain}}]", b"{user: {issuer: corp}}]")

    faults = load({"platform.yaml": PLATFORM, "orders.yaml": text}).faults

    assert [fault.code for fault in faults] == ["issuer-ambiguous"]


def test_a_guardrail_for_any_issuer_makes_nothing_ambiguous() -> None:
    """The route's own issuers say whom its opaque tokens can be of."""
    guardrails = b"""
apiVersion: authz/v1
kind: Guardrails
bind: host
guardrails:
  - {id: no-clients, deny: {user: {kind: client}}}
"""

    loaded = load({"platform.yaml": PLATFORM, "orders.yaml": ORDERS, "guardrails.yaml": guardrails})

    assert [fault for fault in loaded.faults if fault.code == "issuer-ambiguous"] == []


# --- proofs of possession ---


def test_a_bound_token_with_its_proof_is_verified(point: Point) -> None:
    """And it meets `bound: dpop`."""
    token = bound()

    assert point.reason(proven(token)) == "allowed"
    assert point.reason(proven(token, htu="https://orders.shop.example/proven"), target="/proven") == "allowed"


def test_an_opaque_token_can_be_bound_too(point: Point) -> None:
    """The issuer's answer says to which key (RFC 9449 §6.2)."""
    point.introspection.answers[OPAQUE] = tokens.claims(cnf={"jkt": proofs.thumbprint()})

    assert point.reason(proven(OPAQUE)) == "allowed"
    assert point.reason(bearer(OPAQUE)) == "proof_missing"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (bearer, "proof_missing"),
        (lambda token: {**proven(token), "authorization": f"Bearer {token}"}, "proof_invalid"),
        (lambda token: {"authorization": f"DPoP {token}"}, "proof_missing"),
        (lambda token: {"authorization": f"DPoP {token}", "dpop": "x"}, "proof_invalid"),
        (
            lambda token: {
                "authorization": f"DPoP {token}",
                "dpop": proofs.mint(key=proofs.proof_key("RS256"), token=token),
            },
            "proof_invalid",
        ),
        (lambda token: proven(token, htm="POST"), "proof_invalid"),
        (lambda token: {**proven("other"), "authorization": f"DPoP {token}"}, "proof_invalid"),
        (lambda token: [*proven(token).items(), ("dpop", proofs.mint(token=token))], "header_ambiguous"),
        (lambda token: {"authorization": f"DPoP {token}", "dpop": "a,b"}, "header_ambiguous"),
    ],
)
def test_a_bound_token_without_its_proof_is_refused(point: Point, headers: Any, reason: str) -> None:
    """Under Bearer always; under DPoP with none, a bad one, somebody else's, or several."""
    assert point.reason(headers(bound())) == reason


def test_a_token_that_is_not_bound_is_none_for_dpop(point: Point) -> None:
    """RFC 9449 §7.1: the scheme is for tokens that are bound to the proof's key."""
    assert point.reason(proven(tokens.mint())) == "proof_invalid"


def test_the_same_proof_counts_once(point: Point) -> None:
    """A remembered token needs a new proof each time; another enforcement point judges the request for itself."""
    headers = proven(bound())

    assert point.reason(headers) == "allowed"
    assert point.reason(headers) == "proof_replayed"
    assert len(point.replays.used) == 1


def test_two_keys_may_use_one_id(point: Point) -> None:
    """A `jti` counts for the key that made it: nobody can use up another's."""
    other = proofs.proof_key("RS256")
    theirs = tokens.mint({"cnf": {"jkt": proofs.thumbprint(other)}})
    mine = bound()

    assert point.reason({"authorization": f"DPoP {mine}", "dpop": proofs.mint(token=mine)}) == "allowed"
    proof = proofs.mint(token=theirs, key=other)
    assert point.reason({"authorization": f"DPoP {theirs}", "dpop": proof}) == "allowed"


def test_only_proofs_wait_for_the_store(point: Point) -> None:
    """Without it a proof can't be told from a replay: 503; everybody else doesn't notice."""
    point.replays.down = True

    assert point.reason(proven(bound())) == "store_unavailable"
    assert point.reason(bearer(tokens.mint())) == "allowed"


def test_a_refused_token_spends_nothing(point: Point) -> None:
    """The store is asked when everything else held: who has no good token can't fill it."""
    for token in (bound(exp=1), bound(aud="x"), tokens.mint(), bound()[:-6] + "AAAAAA"):
        assert point.reason(proven(token)) != "allowed"

    assert point.replays.used == {}


def test_a_proof_is_remembered_for_as_long_as_it_would_count(point: Point) -> None:
    """Until its age alone refuses it."""
    point.reason(proven(bound(), iat=NOW - 20))

    assert list(point.replays.used.values()) == [NOW - 20 + 60]


def test_a_client_is_given_a_nonce_and_may_try_again(point: Point) -> None:
    """RFC 9449 §9: 401 with `use_dpop_nonce`, the nonce in its own header; the next proof holds it."""
    point.rules = ProofRules(nonce_keys=(b"k" * 32,))
    token = bound()

    answer = point.answer(proven(token))

    assert 'error="use_dpop_nonce"' in answer["www-authenticate"]
    assert answer["dpop-nonce"] == make_nonce(b"k" * 32, now=NOW)
    assert point.reason(proven(token, nonce=answer["dpop-nonce"]), now=NOW + 1) == "allowed"


@pytest.mark.parametrize(
    ("headers", "target", "challenge"),
    [
        (dict, "/orders/42", 'Bearer realm="authz"'),
        (dict, "/proven", 'DPoP realm="authz", algs="ES256 Ed25519 EdDSA PS256 RS256"'),
        (lambda: bearer(tokens.mint()), "/proven", 'DPoP realm="authz", error="invalid_dpop_proof", algs="'),
        (lambda: bearer(tokens.mint()), "/certified", 'Bearer realm="authz", error="invalid_token"'),
        (
            lambda: {"authorization": f"DPoP {bound()}"},
            "/orders/42",
            'DPoP realm="authz", error="invalid_dpop_proof", algs="',
        ),
        (lambda: proven(bound(exp=1)), "/orders/42", 'DPoP realm="authz", error="invalid_token", algs="'),
        (
            lambda: proven(bound(scope="x")),
            "/orders/42",
            'DPoP realm="authz", error="insufficient_scope", scope="orders:read", algs="',
        ),
    ],
)
def test_the_challenge_names_the_scheme_that_would_help(
    point: Point, headers: Any, target: str, challenge: str
) -> None:
    """RFC 9449 §7.1: DPoP with its algorithms for who used it or has to, Bearer for others."""
    assert point.answer(headers(), target=target)["www-authenticate"].startswith(challenge)


def test_step_up_is_a_challenge(point: Point) -> None:
    """RFC 9470 §3, in the scheme that the route takes: what a login has to be, and how fresh."""
    answer = point.answer(proven(bound(), htu="https://orders.shop.example/fresh"), target="/fresh")

    assert answer["www-authenticate"] == (
        'DPoP realm="authz", error="insufficient_user_authentication", acr_values="urn:shop:strong", max_age="60", '
        'algs="ES256 Ed25519 EdDSA PS256 RS256"'
    )


def test_step_up_comes_before_a_proof(point: Point) -> None:
    """In the order acr, amr, auth_age, bound (policy language §8)."""
    fresh = {"acr": "urn:shop:strong", "auth_time": NOW - 5}

    assert point.reason(bearer(tokens.mint()), target="/fresh") == "acr_insufficient"
    assert point.reason(bearer(tokens.mint({**fresh, "auth_time": 1})), target="/fresh") == "auth_too_old"
    assert point.reason(bearer(tokens.mint(fresh)), target="/fresh") == "proof_missing"


# --- certificate-bound tokens ---


def test_a_token_bound_to_the_callers_certificate_meets_bound_mtls(point: Point) -> None:
    """RFC 8705 §3; another certificate, or a token that isn't bound, doesn't."""
    own, other = svid(), svid()
    token = tokens.mint({"cnf": {"x5t#S256": thumbprint(own.certificate)}})

    assert point.reason(bearer(token), target="/certified", certificate=own.encoded) == "allowed"
    assert point.reason(bearer(token), target="/certified", certificate=other.encoded) == "binding_mismatch"
    assert point.reason(bearer(token), target="/certified") == "binding_mismatch"
    assert point.reason(bearer(tokens.mint()), target="/certified", certificate=own.encoded) == "proof_missing"


# --- JWT-SVIDs ---


def test_a_jwt_svid_is_a_workload(point: Point) -> None:
    """The upstream learns who, and gets the credential, in exactly one spelling."""
    decision = point.decide({"x-jwt-svid": jwt_svids.mint(), "x_jwt_svid": "y"}, target="/svid").decision

    assert isinstance(decision, Permit)
    assert ("x-authz-workload", FRONTEND) in decision.set_headers
    assert "x-jwt-svid" not in decision.remove_headers
    assert "x_jwt_svid" in decision.remove_headers


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "workload_missing"),
        ({"x-jwt-svid": "x"}, "workload_invalid"),
        ({"x-jwt-svid": jwt_svids.mint({"exp": NOW - 60})}, "workload_invalid"),
        ({"x-jwt-svid": jwt_svids.mint({"aud": "profiles"})}, "workload_invalid"),
        ({"x-jwt-svid": jwt_svids.mint({"sub": "spiffe://shop.example/other"})}, "workload_not_permitted"),
        ({"x-jwt-svid": jwt_svids.mint({"sub": "spiffe://other.example/a"})}, "trust_domain_unknown"),
        ({"authorization": f"Bearer {jwt_svids.mint()}"}, "workload_missing"),
        ([("x-jwt-svid", jwt_svids.mint()), ("x-jwt-svid", jwt_svids.mint())], "header_ambiguous"),
    ],
)
def test_anything_else_is_none(point: Point, headers: Any, reason: str) -> None:
    """Absent, broken, expired, for somebody else, by somebody else, in another place, or twice."""
    assert point.reason(headers, target="/svid", principal=FRONTEND) == reason


def test_a_remembered_jwt_svid_expires_and_hangs_on_its_bundle(point: Point) -> None:
    """Its end and the bundle that it was verified with are looked at each time."""
    headers = {"x-jwt-svid": jwt_svids.mint()}

    assert point.reason(headers, target="/svid") == "allowed"
    assert point.reason(headers, target="/svid", now=NOW + 331) == "workload_invalid"
    point.bundles.bundles = {
        TRUST_DOMAIN: import_bundle(jwt_svids.bundle_of(jwt_svids.svid_key("RS256")), TRUST_DOMAIN)
    }
    assert point.reason(headers, target="/svid") == "workload_invalid"
    point.bundles.bundles = {}
    assert point.reason(headers, target="/svid") == "keys_unavailable"


@pytest.mark.parametrize("target", ["/removed", "/open"])
def test_a_jwt_svid_that_isnt_passed_on_is_removed(point: Point, target: str) -> None:
    """Where the route says so, and where nobody examined it."""
    decision = point.decide({"x-jwt-svid": jwt_svids.mint()}, target=target).decision

    assert isinstance(decision, Permit)
    assert "x-jwt-svid" in decision.remove_headers


def test_the_proof_goes_where_its_token_goes(point: Point) -> None:
    """Passed on together, removed together."""
    passed = point.decide(proven(bound())).decision
    removed = point.decide(proven(bound()), target="/open").decision

    assert isinstance(passed, Permit)
    assert isinstance(removed, Permit)
    assert {"authorization", "dpop"} & set(passed.remove_headers) == set()
    assert {"authorization", "dpop"} <= set(removed.remove_headers)


# --- answers without waiting ---


def test_what_needs_no_asking_is_answered_at_once(point: Point) -> None:
    """A front's receiving thread gets an answer, or nothing and no trace of the attempt."""
    point.introspection.known, point.replays.remote = False, True
    headers = proven(bound())

    def at_once(headers: Any) -> Any:
        return point.point.decide_at_once(request(headers), now=NOW)

    assert isinstance(at_once(bearer(tokens.mint())).decision, Permit)
    assert at_once(bearer(OPAQUE)) is None
    assert at_once(headers) is None
    assert point.reason(headers) == "allowed"
    assert point.reason(bearer(OPAQUE)) == "allowed"
    assert isinstance(at_once(bearer(OPAQUE)).decision, Permit)
