"""One check: the order in which a request is judged, with a real policy and fakes of the ports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from authz.authn.keys import import_key_set
from authz.engine.check import Decided, DecisionPoint
from authz.engine.token_cache import TokenCache
from authz.model.decision import Denial, Permit
from authz.model.reason import Reason
from authz.model.request import Limits
from authz.policy.link import PolicySet
from authz.policy.load import load
from tests.fakes.ports import FixedBundles, FixedKeys, FixedPolicies
from tests.mint import tokens
from tests.mint.certificates import FRONTEND
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
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
peers: {verified_by: envoy}
"""
ORDERS = b"""
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: team-orders}
service: {hosts: [orders.shop.example]}
routes:
  - id: orders.read
    match: {methods: [GET], path: "/orders/{order_id}"}
    allow:
      all:
        - user: {issuer: corp, scopes: {all: ["orders:read"]}}
        - workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}
    identity: {headers: {x-shop-user: "{user.sub}"}}
  - id: orders.livez
    match: {methods: [GET], path: /livez}
    allow: {public: "liveness only, returns no data"}
"""


def policy() -> PolicySet:
    loaded = load({"platform.yaml": PLATFORM, "orders.yaml": ORDERS})
    assert loaded.policy is not None, loaded.faults
    return loaded.policy


class Point:
    """A decision point over fakes."""

    def __init__(self) -> None:
        self.policies = FixedPolicies(policy())
        self.keys = FixedKeys({"corp": import_key_set(jwk_set(signing_key("RS256")), ("RS256",))[0]})
        self.point = DecisionPoint(self.policies, self.keys, FixedBundles(), TokenCache(), Limits())

    def decide(self, headers: Any = (), *, token: str | None = None, **how: Any) -> Decided:
        items = list(headers.items() if isinstance(headers, dict) else headers)
        if token is not None:
            items.append(("authorization", f"Bearer {token}"))
        return self.point.decide(request(items, **{"principal": FRONTEND} | how), now=NOW)

    def reason(self, *args: Any, **how: Any) -> Reason | None:
        decision = self.decide(*args, **how).decision
        return decision.reason if isinstance(decision, Denial) else None


@pytest.fixture
def point() -> Point:
    return Point()


def test_who_meets_the_route_is_permitted(point: Point) -> None:
    """The permit names the route, the user and the workload; the revision is the policy's."""
    decided = point.decide(token=tokens.mint())

    assert isinstance(decided.decision, Permit)
    assert decided.decision.route == "orders.read"
    assert decided.decision.user is not None
    assert decided.decision.user.subject == "alice"
    assert decided.revision == policy().revision != ""


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({}, Reason.CREDENTIAL_MISSING),
        ({"token": "x"}, Reason.TOKEN_MALFORMED),
        ({"token": tokens.mint({"scope": "other"})}, Reason.SCOPE_MISSING),
        ({"token": tokens.mint({"exp": 1})}, Reason.TOKEN_EXPIRED),
        ({"token": tokens.mint(), "principal": ""}, Reason.WORKLOAD_MISSING),
        ({"token": tokens.mint(), "principal": "spiffe://x.example/a"}, Reason.TRUST_DOMAIN_UNKNOWN),
        ({"token": tokens.mint(), "target": "/other"}, Reason.ROUTE_UNMATCHED),
        ({"token": tokens.mint(), "method": "DELETE"}, Reason.METHOD_UNMATCHED),
        ({"token": tokens.mint(), "authority": "other.example"}, Reason.DESTINATION_UNMATCHED),
    ],
)
def test_each_shortfall_has_its_reason(point: Point, how: dict[str, Any], reason: Reason) -> None:
    """Exactly one reason for each denial."""
    assert point.reason(**how) is reason


def test_a_request_that_matches_nothing_causes_no_key_traffic(point: Point) -> None:
    """The route is matched before any key is asked for; a public route asks for none."""
    point.decide(token=tokens.mint(), target="/other")
    point.decide(token=tokens.mint(), target="/livez")

    assert point.keys.asked == []


def test_without_keys_the_decision_is_undecided(point: Point) -> None:
    """A 503 denial with the time after which to ask again."""
    point.keys.sets.clear()

    decision = point.decide(token=tokens.mint()).decision

    assert isinstance(decision, Denial)
    assert (decision.reason, decision.retry_after) == (Reason.KEYS_UNAVAILABLE, 7)


def test_before_the_first_policy_everything_is_denied(point: Point) -> None:
    """No policy is no permission."""
    point.policies.policy = None

    decided = point.decide(token=tokens.mint(), target="/livez")

    assert isinstance(decided.decision, Denial)
    assert (decided.decision.reason, decided.revision) == (Reason.POLICY_UNAVAILABLE, "")


@pytest.mark.parametrize(
    "value",
    [
        "x-authz-subject",
        "X-Authz-Subject",
        "x_authz_subject",
        "close, x-authz-anything",
        "keep-alive,\tx-shop-user",
        "X_SHOP_USER",
        "x-original-url",
        "x-forwarded_uri",
        " x-authz-route ,close",
    ],
)
@pytest.mark.parametrize("target", ["/orders/42", "/livez", "/nothing"])
def test_connection_may_not_name_a_header_of_ours(point: Point, value: str, target: str) -> None:
    """The next hop would drop it and the upstream would see no identity: refused before anything else."""
    assert point.reason({"connection": value}, token=tokens.mint(), target=target) is Reason.REQUEST_MALFORMED
    assert point.reason([("connection", "close"), ("connection", value)], target=target) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("value", ["close", "keep-alive, te", "", "x-shop-users", "authz"])
def test_other_connection_options_pass(point: Point, value: str) -> None:
    """Only what we set is protected."""
    assert point.reason({"connection": value}, token=tokens.mint()) is None


def test_a_new_policy_judges_the_next_request(point: Point) -> None:
    """Nothing of a verdict outlives its call: the same token is judged anew under the new policy."""
    assert point.reason(token=tokens.mint()) is None
    loaded = load({"platform.yaml": PLATFORM, "orders.yaml": ORDERS.replace(b"orders:read", b"orders:admin")})

    point.policies.policy = loaded.policy

    assert point.reason(token=tokens.mint()) is Reason.SCOPE_MISSING


def test_new_issuer_settings_judge_a_remembered_token(point: Point) -> None:
    """Authentication is remembered only for the settings that it was made with."""
    assert point.reason(token=tokens.mint()) is None
    strict = PLATFORM.replace(b"keys: {", b"max_lifetime: 10m\n    keys: {")

    point.policies.policy = load({"platform.yaml": strict, "orders.yaml": ORDERS}).policy

    assert point.reason(token=tokens.mint()) is Reason.TOKEN_LIFETIME_EXCESSIVE


def test_a_bug_is_not_caught_here(point: Point) -> None:
    """The guard in the server denies; the engine hides nothing."""
    broken: Any = FixedKeys()
    broken.keys = None
    point.point = DecisionPoint(point.policies, broken, FixedBundles(), TokenCache(), Limits())

    with pytest.raises(TypeError):
        point.decide(token=tokens.mint())


def test_a_trace_is_made_on_request(point: Point) -> None:
    """And only then: it costs time."""
    asked = request({"authorization": f"Bearer {tokens.mint()}"}, principal=FRONTEND)

    assert point.point.decide(asked, now=NOW).decision.trace is None
    assert point.point.decide(asked, now=NOW, trace=True).decision.trace is not None


def test_the_limit_on_tokens_is_the_settings(point: Point) -> None:
    """A smaller limit refuses what passed before."""
    small = replace(Limits(), token=100)
    point.point = DecisionPoint(point.policies, point.keys, FixedBundles(), TokenCache(), small)

    assert point.reason(token=tokens.mint()) is Reason.TOKEN_MALFORMED
