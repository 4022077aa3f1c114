"""Whole decisions about what is revoked: routes and guardrails alike, and what a strict issuer does to a route."""

from __future__ import annotations

from typing import Final

import pytest

from authz.authn.keys import import_key_set
from authz.engine.check import DecisionPoint
from authz.engine.revocations import RevocationPlane
from authz.engine.token_cache import TokenCache
from authz.model.decision import Denial
from authz.model.request import Limits
from authz.model.revocation import RevocationKind
from authz.policy.load import load
from tests.fakes.ports import FixedBundles, FixedKeys, FixedPolicies
from tests.mint import tokens
from tests.mint.certificates import FRONTEND
from tests.mint.keys import jwk_set, signing_key
from tests.mint.requests import request
from tests.mint.revocations import revocation
from tests.mint.tokens import NOW

PLATFORM: Final = b"""
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {jwks_file: keys/corp.json}
    revocation: strict
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
peers: {verified_by: envoy}
---
apiVersion: authz/v1
kind: Guardrails
guardrails:
  - id: known-user
    for: {path: /guarded}
    require: {user: {issuer: corp}}
  - id: quarantined
    for: {path: /quarantine}
    deny: {workload: {spiffe: spiffe://shop.example/ns/legacy/**}}
"""
EVE: Final = "{user: {issuer: corp, subjects: {any: [eve]}}}"
ROUTES: Final = {
    "/user": "{user: {issuer: corp}}",
    "/workload": f"{{workload: {{spiffe: {FRONTEND}}}}}",
    "/optional": "{any: [{user: {issuer: corp}}, {public: shown to everybody}]}",
    "/excluded": f"{{all: [{{workload: {{spiffe: {FRONTEND}}}}}, {{not: {EVE}}}]}}",
    "/guarded": f"{{workload: {{spiffe: {FRONTEND}}}}}",
    "/quarantine": "{public: shown to everybody}",
}


def policy() -> bytes:
    routes = "".join(
        f"  - id: {path[1:]}\n    match: {{methods: [GET], path: {path}}}\n    allow: {allow}\n"
        for path, allow in ROUTES.items()
    )
    head = "apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {name: orders, owner: team-orders}\n"
    return f"{head}service: {{hosts: [orders.shop.example]}}\nroutes:\n{routes}".encode()


class Plane(RevocationPlane):
    """A list whose age a test sets."""

    old = False

    def stale(self) -> bool:
        return self.old


class Point:
    """A decision point; alice asks through the frontend."""

    def __init__(self) -> None:
        loaded = load({"platform.yaml": PLATFORM, "orders.yaml": policy()})
        assert loaded.policy is not None, loaded.faults
        self.plane = Plane()
        keys = FixedKeys({"corp": import_key_set(jwk_set(signing_key("RS256")), ("RS256",))[0]})
        self.point = DecisionPoint(
            FixedPolicies(loaded.policy), keys, FixedBundles(), TokenCache(), Limits(), revocations=self.plane
        )

    def ask(self, path: str) -> str:
        """`allowed` with the number of the alternative, or the reason."""
        asked = request({"authorization": f"Bearer {tokens.mint()}"}, target=path, principal=FRONTEND)
        decision = self.point.decide(asked, now=NOW).decision
        return decision.reason.code if isinstance(decision, Denial) else f"allowed by {decision.alternative}"


@pytest.fixture
def point() -> Point:
    return Point()


@pytest.mark.parametrize("path", list(ROUTES))
def test_without_entries_everything_passes(point: Point, path: str) -> None:
    """The list changes nothing that it doesn't name."""
    assert point.ask(path) == "allowed by 0"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/user", "token_revoked"),
        ("/workload", "allowed by 0"),
        ("/optional", "allowed by 1"),
        ("/excluded", "excluded"),
        ("/guarded", "token_revoked"),
        ("/quarantine", "allowed by 0"),
    ],
)
def test_a_revoked_user(point: Point, path: str, expected: str) -> None:
    """As any refused credential: it opens nothing, satisfies no guardrail, and under `not` it denies."""
    point.plane.apply(revocation(RevocationKind.SUBJECT, "alice"))

    assert point.ask(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/user", "allowed by 0"),
        ("/workload", "workload_revoked"),
        ("/guarded", "workload_revoked"),
        ("/quarantine", "workload_revoked"),
    ],
)
def test_a_revoked_workload(point: Point, path: str, expected: str) -> None:
    """Also where only a guardrail looks at it: what was presented and refused isn't taken for absent."""
    point.plane.apply(revocation(RevocationKind.WORKLOAD, FRONTEND))

    assert point.ask(path) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/user", "store_unavailable"),
        ("/workload", "allowed by 0"),
        ("/excluded", "store_unavailable"),
        ("/guarded", "store_unavailable"),
        ("/quarantine", "allowed by 0"),
    ],
)
def test_a_strict_issuer_and_an_old_list(point: Point, path: str, expected: str) -> None:
    """503 exactly where the outcome hangs on the token."""
    point.plane.old = True

    assert point.ask(path) == expected
