"""Whole small directories for tests that compare policies, and callers to try on them."""

from __future__ import annotations

from itertools import product

from hypothesis import strategies as st

from authz.cli.witness import read_user
from authz.model.spiffe import SpiffeId
from authz.policy.difference import Difference, compare
from authz.policy.load import load
from authz.policy.meaning import Side
from authz.policy.presented import UNUSABLE, Peers, Presented, Shown, Token, Unusable

NOW = 1_800_000_000.0
CORP, PARTNER = "https://idp.shop.example", "https://partner.example"
PLATFORM = f"""
apiVersion: authz/v1
kind: Issuers
issuers:
  corp: {{issuer: {CORP}, audiences: [shop-api], keys: {{jwks_uri: {CORP}/keys}}, claims: {{tenant: ["https://x/tenant"]}}}}
  partner: {{issuer: {PARTNER}, audiences: [shop-api], keys: {{jwks_uri: {PARTNER}/keys}}}}
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {{bundle: {{file: bundles/shop.json}}}}
roles:
  caller: [spiffe://shop.example/a, spiffe://shop.example/b]
peers:
  verified_by: envoy
  forwarded: {{trusted_proxies: [spiffe://shop.example/edge]}}
"""

LEAVES = (
    "{user: {issuer: corp}}",
    "{user: {issuer: [corp, partner]}}",
    "{user: {issuer: corp, groups: {any: [a, b]}}}",
    "{user: {issuer: corp, groups: {any: [a]}}}",
    "{user: {issuer: corp, scopes: {all: [r, w]}}}",
    "{user: {issuer: corp, scopes: {any: [r]}}}",
    "{user: {issuer: corp, subjects: {any: [alice]}}}",
    "{user: {issuer: corp, kind: client}}",
    "{user: {issuer: corp, claims: {level: {equals: 3}}}}",
    '{user: {issuer: corp, claims: {level: {any: [3, "3"]}}}}',
    "{user: {issuer: corp, claims: {level: {exists: true}}}}",
    "{user: {issuer: corp, claims: {groups: {contains: a}}}}",
    '{user: {issuer: corp, claims: {owner: {equals: "{path.id}"}}}}',
    '{user: {issuer: corp, claims: {owner: {equals: "{user.sub}"}}}}',
    "{user: {issuer: corp, auth_age: {max: 15m}}}",
    "{workload: {spiffe: spiffe://shop.example/a}}",
    "{workload: {spiffe: 'spiffe://shop.example/*'}}",
    "{workload: {roles: {any: [caller]}}}",
    "{workload: {spiffe: spiffe://shop.example/b, via: forwarded}}",
)
NARROWING = ("{source: {cidrs: [10.0.0.0/8]}}", "{source: {cidrs: [10.1.0.0/16]}}")


@st.composite
def requirements(draw: st.DrawFn) -> str:
    """A requirement in YAML. What doesn't load (an `issuer` under `not`, say) is for the test to pass over."""
    leaf = st.sampled_from(LEAVES)
    tree = st.recursive(
        st.one_of(leaf, leaf.map(lambda inner: f"{{not: {inner}}}"), st.sampled_from(NARROWING)),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda items: f"{{any: [{', '.join(items)}]}}"),
            st.lists(inner, min_size=1, max_size=3).map(lambda items: f"{{all: [{', '.join(items)}]}}"),
            inner.map(lambda item: f"{{not: {item}}}"),
        ),
        max_leaves=4,
    )
    return f"{{all: [{draw(leaf)}, {draw(tree)}]}}" if draw(st.booleans()) else draw(tree)


def side(
    allow: str,
    guardrails: str = "",
    *,
    path: str = "/things/{id}",
    methods: str = "[GET]",
    extra: str = "",
    hosts: str = "a.example",
    platform: str = PLATFORM,
) -> Side | None:
    """The loaded directory; None when it has errors."""
    text = f"""apiVersion: authz/v1
kind: RoutePolicy
metadata: {{name: things}}
service: {{hosts: [{hosts}]}}
routes:
  - id: read
    match: {{methods: {methods}, path: "{path}"}}
    allow: {allow}
{extra}"""
    rules = f"apiVersion: authz/v1\nkind: Guardrails\nbind: host\n{guardrails}"
    loaded = load({"platform.yaml": platform.encode(), "things.yaml": text.encode(), "guard.yaml": rules.encode()})
    if loaded.policy is None or any(fault.severity.value == "error" for fault in loaded.faults):
        return None
    return Side(loaded.policy, loaded.parsed)


def diff(old: Side, new: Side) -> Difference:
    return compare(old, new, read_user, NOW)


def directions(difference: Difference) -> set[str]:
    return {finding.direction.value for finding in difference.findings}


def callers() -> list[tuple[Presented, str]]:
    """Callers with their address: every combination of what the leaves could tell apart, thinned."""
    tokens: list[Token | Unusable | None] = [None, UNUSABLE]
    subjects = ("alice", "bob", "42")
    for number, (subject, groups, scope, level, owner, age, client, url) in enumerate(
        product(
            subjects,
            (None, [], ["a"], ["b"], ["a", 5]),
            (None, "r", "r w"),
            (None, 3, "3", {}),
            (None, "42", "bob"),
            (None, 60, 5000),
            (None, "bob"),
            (CORP, PARTNER),
        )
    ):
        if number % 83:
            continue
        claims = {
            "iss": url,
            "sub": subject,
            "groups": groups,
            "scope": scope,
            "level": level,
            "owner": owner,
            "auth_time": None if age is None else NOW - age,
            "azp": client,
        }
        kept = {name: value for name, value in claims.items() if value is not None}
        tokens.append(Token(issuer_url=url, claims=kept, audiences=frozenset({"shop-api"})))
    a, b, edge, other = (SpiffeId("shop.example", (name,)) for name in ("a", "b", "edge", "other"))
    shown: list[Shown] = [None, UNUSABLE, a, b, edge, other]
    peers = [Peers(mtls=one) for one in shown] + [Peers(mtls=edge, forwarded=one) for one in (a, b, UNUSABLE)]
    found = []
    for number, token in enumerate(tokens):
        for peer in peers if number < 2 else (peers[number % len(peers)], peers[(number * 5) % len(peers)]):
            for address in ("10.1.2.3", "10.2.2.3", "192.0.2.1", "")[: 4 if number < 2 else 1 + number % 4]:
                found.append((Presented(token=token, peers=peer), address))
    return found
