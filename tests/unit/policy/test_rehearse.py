"""Running tests of policies: who acts, what is compared, what a failure says."""

from __future__ import annotations

import pytest

from authz.policy.rehearse import challenge_parameters
from tests.mint import suites

OWNER = (
    '{all: [{user: {issuer: corp, scopes: {all: ["orders:read"]}, '
    'claims: {order_ids: {contains: "{path.order_id}"}}}}, '
    "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}]}"
)
GATEWAY = "  gateway: {workload: {spiffe: spiffe://shop.example/ns/edge/sa/gateway}}\n"
ELSEWHERE = "  behind: {workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend, via: forwarded}}\n"


def mistakes(
    case: str,
    allow: str = OWNER,
    *,
    people: str = suites.PEOPLE,
    platform: str = suites.PLATFORM,
    extra: str = "",
    guardrails: str = "",
) -> list[str]:
    """What one test finds wrong; nothing when it passes."""
    documents = [suites.policy(allow, extra=extra), *([guardrails] if guardrails else [])]
    _, (result,) = suites.results(suites.suite(case, people=people), *documents, platform=platform)
    return list(result.mistakes)


def test_people_act_together() -> None:
    """A user and the workload that calls for them."""
    assert mistakes(suites.case("allow", acting="[alice, frontend]", extra="route: orders.read")) == []
    assert mistakes(suites.case("{deny: workload_missing}", acting="[alice]")) == []
    assert mistakes(suites.case("{deny: credential_missing}", acting="[frontend]")) == []


def test_a_failure_names_both_verdicts() -> None:
    """What was expected and what came; a wrong reason is a failure like a wrong verdict."""
    assert mistakes(suites.case("allow", acting="[alice]")) == ["expected allow, got deny workload_missing"]
    assert mistakes(suites.case("{deny: scope_missing}", acting="[alice, frontend]")) == [
        "expected deny scope_missing, got allow"
    ]
    assert mistakes(suites.case("{deny: scope_missing}", acting="[alice, cart]")) == [
        "expected deny scope_missing, got deny workload_not_permitted"
    ]


def test_the_route_is_compared_for_allows_and_denies() -> None:
    """So that a test can't pass by another route's answer."""
    other = "{user: {issuer: corp}}\n  - id: other\n    match: {methods: [POST], path: /x}\n    allow: {public: why}"

    assert mistakes(suites.case("{deny: credential_missing}", extra="route: other"), other) == [
        "expected the route other, got orders.read"
    ]


def test_headers_are_those_that_the_upstream_sees() -> None:
    """Set ones, the client's own that stay, and null for what isn't there."""
    request = (
        "{method: GET, host: orders.shop.example, path: /orders/42, "
        "headers: {x-authz-subject: root, x-user: root, accept: text/html}}"
    )
    extra = '    identity: {headers: {x-user: "{user.claims.email}"}}'

    def run(headers: str) -> list[str]:
        case = suites.case("allow", acting="[alice, frontend]", request=request, extra=f"headers: {headers}")
        return mistakes(case, extra=extra)

    assert run("{x-authz-subject: alice, x-user: null, accept: text/html, x-other: null}") == []
    assert run("{x-authz-subject: bob}") == ["expected header x-authz-subject: bob, got alice"]
    assert run("{accept: null, x-user: a}") == [
        "expected header accept: none, got text/html",
        "expected header x-user: a, got none",
    ]


def test_a_test_sees_what_becomes_of_the_credential() -> None:
    """Passed on where it was used, unless the route removes it."""
    passed = suites.case("allow", acting="[alice]", extra="headers: {authorization: Bearer alice}")
    removed = suites.case("allow", acting="[alice]", extra="headers: {authorization: null}")
    user = "{user: {issuer: corp}}"

    assert mistakes(passed, user) == []
    assert mistakes(removed, user, extra="    identity: {credential: remove}") == []
    assert mistakes(removed, '{public: "why"}') == []


def test_the_challenge_is_the_clients() -> None:
    """Parameter by parameter, with the scheme."""
    acting = suites.case(
        "{deny: scope_missing}",
        acting="[stranger, frontend]",
        extra='challenge: {scheme: Bearer, error: insufficient_scope, scope: "orders:read", acr_values: null}',
    )
    wrong = suites.case("{deny: credential_missing}", acting="[frontend]", extra="challenge: {error: invalid_token}")

    assert mistakes(acting) == []
    assert mistakes(wrong) == ["expected challenge error: invalid_token, got none"]


def test_a_challenge_with_a_number_compares_its_text() -> None:
    """`max_age` of a step-up."""
    case = suites.case("{deny: auth_too_old}", acting="[alice]", extra="challenge: {max_age: 900}")
    people = "\n  alice: {user: {issuer: corp, auth_age: 16m}}\n"

    assert mistakes(case, "{user: {issuer: corp, auth_age: {max: 15m}}}", people=people) == []


def test_parameters_are_read_from_the_header() -> None:
    """As RFC 6750 §3 writes them."""
    assert challenge_parameters('Bearer realm="authz", error="invalid_token"') == {
        "scheme": "Bearer",
        "realm": "authz",
        "error": "invalid_token",
    }
    assert challenge_parameters("") == {}


@pytest.mark.parametrize(
    ("person", "reason"),
    [
        ("{user: {refused: token_expired}}", "token_expired"),
        ("{user: {undecided: keys_unavailable}}", "keys_unavailable"),
        ("{user: {issuer: partner}}", "issuer_not_permitted"),
    ],
)
def test_refused_and_undecided_credentials_are_denied_with_their_own_reason(person: str, reason: str) -> None:
    """As in the service."""
    case = suites.case(f"{{deny: {reason}}}", acting="[somebody]")

    people = f"\n  somebody: {person}\n"
    assert mistakes(case, "{user: {issuer: corp}}", people=people, platform=suites.with_partner()) == []


def test_a_credential_that_the_route_does_not_ask_for_is_not_looked_at() -> None:
    """An expired token doesn't close a public route (policy language §5)."""
    case = suites.case("allow", acting="[somebody]")

    assert mistakes(case, '{public: "why"}', people="\n  somebody: {user: {refused: token_expired}}\n") == []


def test_the_policys_audiences_narrow_the_issuers() -> None:
    """A token of the issuer holds its audiences; a policy that takes none of them is never met."""
    service = "  audiences: [other]"
    documents = suites.policy("{user: {issuer: partner}}", service=service)
    tests = suites.suite(suites.case("allow", acting="[p]"), people="\n  p: {user: {issuer: partner}}\n")

    _, (result,) = suites.results(tests, documents, platform=suites.with_partner())

    assert result.passed


def test_a_forwarded_workload_needs_a_trusted_proxy() -> None:
    """Nobody else's word about whom they act for counts (§3)."""
    allow = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend, via: forwarded}}"
    people = suites.PEOPLE + GATEWAY + ELSEWHERE

    assert mistakes(suites.case("allow", acting="[behind, gateway]"), allow, people=people) == []
    assert mistakes(suites.case("{deny: workload_missing}", acting="[behind, cart]"), allow, people=people) == []
    assert mistakes(suites.case("{deny: workload_missing}", acting="[behind]"), allow, people=people) == []


def test_workloads_have_the_roles_of_the_platform() -> None:
    """And those of unknown trust domains are refused."""
    allow = "{workload: {roles: {any: [order-caller]}}}"
    people = suites.PEOPLE + "  foreign: {workload: {spiffe: spiffe://other.example/a}}\n"

    assert mistakes(suites.case("allow", acting="[frontend]"), allow) == []
    assert mistakes(suites.case("{deny: workload_not_permitted}", acting="[cart]"), allow) == []
    assert mistakes(suites.case("{deny: trust_domain_unknown}", acting="[foreign]"), allow, people=people) == []


def test_a_request_that_breaks_the_grammar_is_denied_before_any_policy() -> None:
    """The reasons of the request itself can be expected too."""
    for request, reason in (
        ("GET orders.shop.example/a/../b", "path_not_canonical"),
        ("GET orders_shop.example/a", "host_invalid"),
        (
            "{method: GET, host: orders.shop.example, path: /, headers: {connection: x-authz-subject}}",
            "request_malformed",
        ),
        ("CONNECT orders.shop.example/", "request_malformed"),
        ("GET orders.shop.example/nothing", "route_unmatched"),
        ("PUT orders.shop.example/orders/42", "method_unmatched"),
        ("GET other.shop.example/", "destination_unmatched"),
    ):
        assert mistakes(suites.case(f"{{deny: {reason}}}", request=request)) == [], reason


def test_where_nothing_is_written_the_request_goes_to_the_policys_own_point() -> None:
    """Its first entry of `at`, or itself by name; another one only where a test says so."""
    guardrails = "apiVersion: authz/v1\nkind: Guardrails\nbind: destination\n"
    at = suites.policy('{public: "why"}', service="  at: [spiffe://shop.example/o, spiffe://shop.example/p]")
    by_name = suites.policy('{public: "why"}', service="  by_name: true")
    elsewhere = "{method: GET, host: orders.shop.example, path: /orders/42, at: spiffe://shop.example/q}"
    tests = (
        suites.suite(suites.case("allow")),
        suites.suite(suites.case("{deny: destination_unmatched}", request=elsewhere)),
    )

    for text in tests:
        for document in (at, by_name):
            _, (result,) = suites.results(text, document, guardrails)
            assert result.passed, result.mistakes


def test_guardrails_apply() -> None:
    """What the platform denies, a test of the team can expect, with the guardrail in a failure's text."""
    guardrails = (
        "apiVersion: authz/v1\nkind: Guardrails\nguardrails:\n"
        "  - id: quarantined\n    deny: {workload: {spiffe: spiffe://shop.example/ns/shop/sa/cart}}\n"
    )

    assert mistakes(suites.case("{deny: guardrail_denied}", acting="[cart]"), guardrails=guardrails) == []
    assert mistakes(suites.case("allow", acting="[cart]"), guardrails=guardrails) == [
        "expected allow, got deny guardrail_denied (guardrail quarantined)"
    ]


def test_the_time_is_the_tests() -> None:
    """A login of an hour ago is too old at one time and fresh at another."""
    people = '\n  alice: {user: {issuer: corp, auth_time: "2026-11-21T10:00:00Z"}}\n'
    allow = "{user: {issuer: corp, auth_age: {max: 15m}}}"

    def at(expect: str, now: str) -> list[str]:
        return mistakes(suites.case(expect, acting="[alice]", extra=f"now: {now}"), allow, people=people)

    assert at("allow", "2026-11-21T10:14:00Z") == []
    assert at("{deny: auth_too_old}", "2026-11-21T11:00:00Z") == []
