"""JWT-SVIDs that real SPIRE signed, judged by a policy with the bundle that its server shows, through a new key too."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from authz.authn.svid import import_bundle
from authz.engine.check import DecisionPoint
from authz.engine.token_cache import TokenCache
from authz.model.decision import Denial
from authz.model.request import Limits
from authz.policy.load import load
from examples.store.processes import Processes
from tests.fakes.ports import FixedBundles, FixedKeys, FixedPolicies
from tests.mint.requests import request
from tests.real.edge import short_directory
from tests.real.mesh import TrustDomain

DOMAIN = "shop.example"
POLICY = b"""
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
peers:
  verified_by: envoy
  jwt_svid: {header: x-jwt-svid, audiences: [orders, rotated]}
---
apiVersion: authz/v1
kind: RoutePolicy
metadata: {name: orders, owner: tests}
service: {hosts: [orders.shop.example]}
routes:
  - id: orders.read
    match: {methods: [GET], path: "/orders/{order_id}"}
    allow: {workload: {spiffe: "spiffe://shop.example/frontend", via: jwt-svid}}
"""


@dataclass
class Spire:
    """A running trust domain, and a decision point that has the bundle which was last shown to it."""

    domain: TrustDomain
    bundles: FixedBundles
    point: DecisionPoint

    def learn(self) -> None:
        self.bundles.bundles = {DOMAIN: import_bundle(self.domain.bundle(), DOMAIN)}

    def verdict(self, token: str, *, now: float | None = None) -> str:
        moment = time.time() if now is None else now
        decision = self.point.decide(request({"x-jwt-svid": token}), now=moment).decision
        return decision.reason.code if isinstance(decision, Denial) else "allowed"


@pytest.fixture(scope="module")
def spire() -> Iterator[Spire]:
    """Server and agent, two workloads."""
    policy = load({"policy.yaml": POLICY}).policy
    assert policy is not None
    with short_directory() as directory, Processes(directory) as processes:
        domain = TrustDomain(DOMAIN, directory, processes).start()
        for path in ("frontend", "batch"):
            domain.add(path)
        bundles = FixedBundles()
        point = DecisionPoint(FixedPolicies(policy), FixedKeys(), bundles, TokenCache(), Limits())
        prepared = Spire(domain, bundles, point)
        prepared.learn()
        yield prepared


def test_a_workload_is_who_its_jwt_svid_says(spire: Spire) -> None:
    """The frontend's opens its route; another workload's, and one for somebody else, don't."""
    frontend, batch = f"spiffe://{DOMAIN}/frontend", f"spiffe://{DOMAIN}/batch"

    assert spire.verdict(spire.domain.jwt_svid(frontend, "orders")) == "allowed"
    assert spire.verdict(spire.domain.jwt_svid(batch, "orders")) == "workload_not_permitted"
    assert spire.verdict(spire.domain.jwt_svid(frontend, "profiles")) == "workload_invalid"


def test_it_ends_when_spire_says(spire: Spire) -> None:
    """SPIRE's JWT-SVIDs last five minutes."""
    token = spire.domain.jwt_svid(f"spiffe://{DOMAIN}/frontend", "orders")

    assert spire.verdict(token) == "allowed"
    assert spire.verdict(token, now=time.time() + 600) == "workload_invalid"


def test_a_new_key_is_taken_with_the_bundle_that_has_it(spire: Spire) -> None:
    """SPIRE shows a key before it signs with it; what the old one signed goes on counting while it is shown."""
    frontend = f"spiffe://{DOMAIN}/frontend"
    before = spire.domain.jwt_svid(frontend, "orders")
    prepared = json.loads(spire.domain.server_says("localauthority", "jwt", "prepare", "-output", "json"))
    authority = prepared["prepared_authority"]["authority_id"]
    old = import_bundle(spire.domain.bundle(), DOMAIN)
    spire.domain.server_says("localauthority", "jwt", "activate", "-authorityID", authority)

    after = spire.domain.jwt_svid(frontend, "rotated")  # For an audience that the agent has no token for yet.

    assert len(old.jwt_keys) == 2
    assert kid(before) != kid(after) == authority
    assert (spire.verdict(before), spire.verdict(after)) == ("allowed", "workload_invalid")
    spire.learn()
    assert (spire.verdict(before), spire.verdict(after)) == ("allowed", "allowed")


def kid(token: str) -> object:
    head = token.partition(".")[0]
    return json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
