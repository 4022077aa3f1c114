"""Mutants: each condition that somebody wrote, left out; what tests notice it, and what to write if none does."""

from __future__ import annotations

import pytest

from authz.policy.holes import Mutated, find_holes
from tests.mint import suites

FRONTEND = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}"
CART = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/cart}}"
USER = "{user: {issuer: corp}}"
HEAD = "apiVersion: authz/v1\nkind: Guardrails\nguardrails:\n"
PEOPLE = (
    suites.PEOPLE
    + "  full: {user: {issuer: corp, sub: alice, scopes: [s], groups: [g], roles: [r], client: c, acr: a, amr: [m], "
    "auth_age: 1m, bound: [dpop], claims: {tenant: t}}}\n" + "  partner: {user: {issuer: partner, sub: alice}}\n"
)


def mutate(*cases: str, allow: str, documents: tuple[str, ...] = ()) -> Mutated:
    """The mutants of one route and the given guardrails, under tests that all pass."""
    stage, results = suites.results(
        suites.suite("".join(cases), people=PEOPLE),
        suites.policy(allow, path="/{name}", service="  audiences: [shop-api]"),
        *documents,
        platform=suites.with_partner(),
    )
    assert [result.mistakes for result in results if not result.passed] == []
    return find_holes(stage, stage.policy.routes, results)


def asking(expect: str, acting: str, *, name: str = "it", source: str = "") -> str:
    """A test of the one route; `source` is the peer's address."""
    request = (
        f"{{method: GET, host: orders.shop.example, path: /alice, from: '{source}'}}"
        if source
        else ("GET orders.shop.example/alice")
    )
    return suites.case(expect, name=name, acting=acting, request=request)


FIELDS = [
    ("user.subjects", "{user: {issuer: corp, subjects: {any: [alice]}}}"),
    ("user.scopes", "{user: {issuer: corp, scopes: {all: [s]}}}"),
    ("user.groups", "{user: {issuer: corp, groups: {any: [g]}}}"),
    ("user.roles", "{user: {issuer: corp, roles: {any: [r]}}}"),
    ("user.clients", "{user: {issuer: corp, clients: {any: [c]}}}"),
    ("user.claims", "{user: {issuer: corp, claims: {tenant: {equals: t}}}}"),
    ("user.acr", "{user: {issuer: corp, acr: {any: [a]}}}"),
    ("user.amr", "{user: {issuer: corp, amr: {any: [m]}}}"),
    ("user.auth_age", "{user: {issuer: corp, auth_age: {max: 15m}}}"),
    ("user.bound", "{user: {issuer: corp, bound: dpop}}"),
    ("user.kind", "{user: {issuer: corp, kind: person}}"),
    ("user.issuer", "{user: {issuer: corp, scopes: {all: [s]}}}"),
]


@pytest.mark.parametrize(("field", "allow"), FIELDS, ids=[field for field, _ in FIELDS])
def test_each_field_of_a_user_is_a_mutant(field: str, allow: str) -> None:
    """A test that is only allowed notices none of them."""
    found = mutate(asking("allow", "[full]"), allow=allow)

    assert any(hole.text.startswith(field) for hole in found.holes), found


def test_a_test_that_is_denied_by_the_condition_kills_its_mutant() -> None:
    """And so does one whose reason would change."""
    allow = "{user: {issuer: corp, scopes: {all: [s]}}}"

    found = mutate(asking("allow", "[full]"), asking("{deny: scope_missing}", "[stranger]", name="no"), allow=allow)

    assert [hole.text for hole in found.holes] == ["user.issuer any [corp]"]
    assert (found.killed, found.total) == (1, 2)


def test_a_hole_says_where_it_is_and_which_test_is_missing() -> None:
    """By the test that is allowed, and the reason to expect."""
    (hole,) = mutate(asking("allow", "[frontend]", name="frontend comes in"), allow=FRONTEND).holes

    assert str(hole.place).startswith("0.yaml:") and hole.routes == ("orders/orders.read",)
    assert 'copy the test "frontend comes in"' in hole.suggestion
    assert "{deny: workload_not_permitted}" in hole.suggestion


def test_without_a_test_that_is_allowed_that_one_is_missing_first() -> None:
    """Nothing can be copied."""
    (hole,) = mutate(asking("{deny: workload_missing}", "[]"), allow=FRONTEND).holes

    assert hole.suggestion.startswith("add a test that is allowed here")


def test_another_issuers_token_kills_the_mutant_of_the_issuer() -> None:
    """Without the field, any issuer of the directory would do."""
    found = mutate(
        asking("allow", "[stranger]"), asking("{deny: issuer_not_permitted}", "[partner]", name="no"), allow=USER
    )

    assert (found.holes, found.killed) == ((), 1)


def test_where_every_issuer_is_named_the_user_itself_is_the_mutant() -> None:
    """Without it anybody would come in, so the missing test shows no token at all."""
    allow = "{user: {issuer: [corp, partner]}}"

    (hole,) = mutate(asking("allow", "[stranger]"), allow=allow).holes
    assert "{deny: credential_missing}" in hole.suggestion
    assert [hole.text for hole in mutate(asking("allow", "[stranger]"), allow=allow).holes] == [
        "user.issuer any [corp, partner]"
    ]
    assert mutate(asking("{deny: credential_missing}", "[]"), allow=allow).holes == ()


@pytest.mark.parametrize(
    ("condition", "expect", "acting", "source"),
    [
        ("{not: {user: {scopes: {any: [s]}}}}", "{deny: excluded}", "[full]", ""),
        ("{source: {cidrs: [10.0.0.0/8]}}", "{deny: source_not_permitted}", "[stranger]", "192.0.2.1"),
        ('{nobody: "closed"}', "{deny: nobody}", "[stranger]", ""),
        ("{when: \"request.method != 'GET'\"}", "{deny: expression_false}", "[stranger]", ""),
    ],
)
def test_other_leaves_are_mutants_as_a_whole(condition: str, expect: str, acting: str, source: str) -> None:
    """`not`, `source`, `nobody` and `when`: noticed by a test that they deny, by no other."""
    allow = f"{{all: [{USER}, {condition}]}}"
    issuer = asking("{deny: issuer_not_permitted}", "[partner]", name="partner", source="10.1.1.1")

    without = mutate(issuer, allow=allow)
    within = mutate(issuer, asking(expect, acting, name="no", source=source), allow=allow)

    assert [hole.text.partition(" ")[0] for hole in without.holes] in (["not"], ["source"], ["nobody"], ["when"])
    assert within.holes == ()


def test_a_condition_that_is_written_twice_is_implied() -> None:
    """No request can show that one of them is missing."""
    allow = f"{{all: [{USER}, {{user: {{issuer: corp, scopes: {{all: [s]}}}}}}]}}"

    found = mutate(
        asking("{deny: issuer_not_permitted}", "[partner]"),
        asking("{deny: scope_missing}", "[stranger]", name="no"),
        allow=allow,
    )

    assert found.holes == ()
    assert [text.partition(": ")[2] for text in found.implied] == ["user.issuer any [corp]"] * 2


def test_what_the_roles_of_the_platform_imply_is_no_hole() -> None:
    """The only workload of the pattern has the role; another pattern has more."""
    narrow = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend, roles: {any: [order-caller]}}}"
    wide = "{workload: {spiffe: spiffe://shop.example/ns/shop/**, roles: {any: [order-caller]}}}"
    case = asking("allow", "[frontend]")

    assert [hole.text for hole in mutate(case, allow=narrow).holes] == []
    assert [hole.text for hole in mutate(case, allow=wide).holes] == ["workload.roles any [order-caller]"]


def test_a_requirement_that_many_routes_name_is_one_mutant() -> None:
    """A test of any of them is enough: it is one line of the policy."""
    policy = suites.policy("from-frontend").replace(
        "routes:\n",
        f"requirements: {{from-frontend: {FRONTEND}}}\nroutes:\n"
        "  - id: other\n    match: {methods: [GET], path: /other}\n    allow: from-frontend\n",
    )
    case = suites.case("{deny: workload_missing}", request="GET orders.shop.example/other", acting="[]")
    stage, results = suites.results(suites.suite(case), policy)

    (hole,) = find_holes(stage, stage.policy.routes, results).holes

    assert hole.routes == ("orders/other", "orders/orders.read")
    wrong = suites.case("{deny: workload_not_permitted}", request="GET orders.shop.example/other", acting="[cart]")
    stage, results = suites.results(suites.suite(wrong), policy)
    assert find_holes(stage, stage.policy.routes, results).holes == ()


def test_a_drop_that_leaves_no_valid_policy_is_none() -> None:
    """A subject needs exactly one issuer, so that the issuer can't be left out."""
    allow = '{user: {issuer: corp, subjects: {any: ["{path.name}"]}}}'

    assert [hole.text for hole in mutate(asking("allow", "[full]"), allow=allow).holes] == [
        "user.subjects any [{path.name}]"
    ]


def test_a_deny_guardrail_is_a_mutant() -> None:
    """Noticed by a test that it denies."""
    guardrails = f"{HEAD}  - id: quarantined\n    deny: {CART}\n"

    assert [
        hole.text for hole in mutate(asking("allow", "[]"), allow='{public: "why"}', documents=(guardrails,)).holes
    ] == ["guardrail quarantined"]
    assert (
        mutate(asking("{deny: guardrail_denied}", "[cart]"), allow='{public: "why"}', documents=(guardrails,)).holes
        == ()
    )


def test_a_require_guardrail_is_a_mutant_and_so_are_its_conditions() -> None:
    """The whole, and each of several conditions."""
    guardrails = f"{HEAD}  - id: both\n    require: {{all: [{{user: {{scopes: {{all: [s]}}}}}}, {FRONTEND}]}}\n"
    issuer = asking("{deny: issuer_not_permitted}", "[partner, frontend]", name="partner")

    without = mutate(issuer, allow=USER, documents=(guardrails,))
    scope = asking("{deny: scope_missing}", "[stranger, frontend]", name="scope")
    workload = asking("{deny: workload_not_permitted}", "[full, cart]", name="workload")

    assert [hole.text for hole in without.holes] == [
        "guardrail both",
        "user.scopes all [s]",
        "workload.spiffe any [spiffe://shop.example/ns/shop/sa/frontend]",
    ]
    assert mutate(issuer, scope, workload, allow=USER, documents=(guardrails,)).holes == ()


def test_a_require_that_every_covered_route_asks_anyway_is_implied() -> None:
    """It guards routes that are still to come."""
    require = "require: {workload: {trust_domain: shop.example}}"
    inside = f"{HEAD}  - id: inside\n    for: {{policies: [orders]}}\n    {require}\n"
    case = asking("{deny: workload_not_permitted}", "[cart]")

    assert mutate(case, allow=FRONTEND, documents=(inside,)).holes == ()
    assert [
        hole.text for hole in mutate(asking("allow", "[cart]"), allow='{public: "why"}', documents=(inside,)).holes
    ] == ["guardrail inside"]
