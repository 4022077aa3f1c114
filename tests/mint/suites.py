"""Makers of policy directories with tests in them, and their results, for tests of what runs them."""

from __future__ import annotations

from authz.cli.verified import verified_user
from authz.policy.load import load
from authz.policy.parse_tests import ReadSuites, read_suites
from authz.policy.rehearse import Result, Stage, run
from authz.wire.challenge import challenge

PLATFORM = """
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    claims: {groups: [realm, groups], tenant: ["https://shop.example/tenant"]}
---
apiVersion: authz/v1
kind: TrustDomains
trustDomains:
  shop.example: {bundle: {file: bundles/shop.json}}
roles:
  order-caller: [spiffe://shop.example/ns/shop/sa/frontend]
peers:
  verified_by: envoy
  forwarded: {trusted_proxies: [spiffe://shop.example/ns/edge/sa/gateway]}
"""
PARTNER = "  partner: {issuer: https://partner.example, audiences: [shop-api, other]}\n"
PEOPLE = """
  alice: {user: {issuer: corp, scopes: ["orders:read"], claims: {order_ids: ["42"]}}}
  stranger: {user: {issuer: corp}}
  frontend: {workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}
  cart: {workload: {spiffe: spiffe://shop.example/ns/shop/sa/cart}}
"""


def with_partner() -> str:
    """The platform with a second issuer."""
    return PLATFORM.replace("---\n", PARTNER + "---\n", 1)


def policy(allow: str, *, extra: str = "", service: str = "", path: str = "/orders/{order_id}") -> str:
    """A policy `orders` with one route; `allow` is written on one line, `extra` are further lines of the route."""
    return f"""
apiVersion: authz/v1
kind: RoutePolicy
metadata: {{name: orders}}
service:
  hosts: [orders.shop.example]
{service}
routes:
  - id: orders.read
    match: {{methods: [GET], path: "{path}"}}
    allow: {allow}
{extra}
"""


def suite(tests: str, *, people: str = PEOPLE, head: str = "policy: orders") -> str:
    """A document of tests; `tests` are the items of its list."""
    return (
        f"apiVersion: authz/v1\nkind: RoutePolicyTest\n{head}\n"
        + (f"people:{people}" if people else "")
        + f"tests:\n{tests}"
    )


def case(
    expect: str,
    *,
    name: str = "it",
    acting: str = "[]",
    request: str = "GET orders.shop.example/orders/42",
    extra: str = "",
) -> str:
    """One item of a list of tests; `extra` are further keys as `key: value` lines."""
    lines = [f"name: {name}", f"as: {acting}", f"request: {request}", f"expect: {expect}", *extra.splitlines()]
    return "  - " + "\n    ".join(lines) + "\n"


def stage(*documents: str, platform: str = PLATFORM) -> Stage:
    """The directory that holds the documents; it has to be sound."""
    files = _files(platform, documents)
    loaded = load(files)
    assert loaded.policy is not None, [str(fault) for fault in loaded.faults]
    return Stage(policy=loaded.policy, documents=loaded.parsed, make_user=verified_user, challenge=challenge)


def read(tests: str, *documents: str, platform: str = PLATFORM) -> ReadSuites:
    """What reading a file of tests beside the documents gives."""
    files = _files(platform, documents)
    return read_suites({**files, "orders_test.yaml": tests.encode()}, load(files).parsed)


def results(tests: str, *documents: str, platform: str = PLATFORM) -> tuple[Stage, tuple[Result, ...]]:
    """The tests, run."""
    made, found = stage(*documents, platform=platform), read(tests, *documents, platform=platform)
    assert not found.faults, [str(fault) for fault in found.faults]
    return made, tuple(run(made, suite, case) for suite in found.suites for case in suite.cases)


def _files(platform: str, documents: tuple[str, ...]) -> dict[str, bytes]:
    named = {f"{number}.yaml": text.encode() for number, text in enumerate(documents)}
    return {"platform.yaml": platform.encode(), **named}
