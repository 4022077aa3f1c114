"""Files of tests: what is read, what is a fault, and that every fault has its place."""

from __future__ import annotations

import pytest

from authz.model.principal import Binding, PrincipalKind, Via
from authz.model.reason import Reason
from authz.policy.suite import DEFAULT_NOW, Rejected, UserFixture, WorkloadFixture
from tests.mint import suites

POLICY = suites.policy("{user: {issuer: corp}}", service='  preflight: {public: "browsers ask first"}')


def codes(tests: str, *, platform: str = suites.PLATFORM) -> list[str]:
    """The faults of a file of tests."""
    return [fault.code for fault in suites.read(tests, POLICY, platform=platform).faults]


def person(text: str, *, platform: str = suites.PLATFORM) -> object:
    """The fixture that a person's text becomes."""
    tests = suites.suite(suites.case("allow", acting="[somebody]"), people=f"\n  somebody: {text}\n")
    read = suites.read(tests, POLICY, platform=platform)
    assert [str(fault) for fault in read.faults] == []
    return read.suites[0].cases[0].people[0].fixture


def test_a_case_holds_what_was_written() -> None:
    """Name, people, request, expectation, time and place."""
    text = suites.suite(
        suites.case("allow", acting="[alice, frontend]", extra="route: orders.read\nheaders: {X-Authz-Subject: alice}"),
        head="policy: orders\nnow: 2026-11-21T10:00:00Z",
    )

    (suite,) = suites.read(text, POLICY).suites

    (case,) = suite.cases
    assert (suite.policy, case.name, str(case.place)) == ("orders", "it", "orders_test.yaml:11:5")
    assert [one.name for one in case.people] == ["alice", "frontend"]
    assert (case.request.method, case.request.authority, case.request.target) == (
        "GET",
        "orders.shop.example",
        "/orders/42",
    )
    assert case.expected.reason is None and case.expected.route == "orders.read"
    assert case.expected.headers == {"x-authz-subject": "alice"}
    assert case.now == 1795255200.0


def test_without_a_time_the_moment_is_fixed() -> None:
    """No result hangs on the calendar; a test may have a time of its own."""
    text = suites.suite(
        suites.case("allow") + suites.case("allow", name="later", extra="now: 2026-11-21T11:00:00+01:00")
    )

    (suite,) = suites.read(text, POLICY).suites

    assert [case.now for case in suite.cases] == [DEFAULT_NOW, 1795255200.0]


def test_a_request_may_be_a_mapping() -> None:
    """With destination, service, headers (several values too), peer address and TLS."""
    request = (
        "{method: POST, host: a.example, path: '/x?y', at: 'dns:a.example', service: orders, scheme: https, "
        "headers: {accept: text/html, x-many: [a, b]}, from: 10.1.2.3, tls: true}"
    )

    (suite,) = suites.read(suites.suite(suites.case("allow", request=request)), POLICY).suites

    line = suite.cases[0].request
    assert (line.method, line.authority, line.target, line.at) == ("POST", "a.example", "/x?y", "dns:a.example")
    assert (line.service, line.scheme, line.source, line.tls) == ("orders", "https", "10.1.2.3", True)
    assert line.headers == (("accept", "text/html"), ("x-many", "a"), ("x-many", "b"))


def test_no_destination_is_written_as_null() -> None:
    """Left out, it is the policy's own."""
    tests = suites.case("allow", request="{method: GET, host: a.example, path: /, at: null}") + suites.case(
        "allow", name="other", request="{method: GET, host: a.example, path: /}"
    )

    (suite,) = suites.read(suites.suite(tests), POLICY).suites

    assert [case.request.at for case in suite.cases] == ["", None]


def test_a_user_has_every_part_of_a_token() -> None:
    """And the name of the person, where no subject is written; the only issuer, where none is."""
    fixture = person(
        "{user: {scopes: [a], groups: [], roles: [r], client: spa, kind: client, acr: gold, amr: [pwd], auth_age: 5m, "
        "bound: [dpop], claims: {tenant: 7, deep.er: {a: [1, true, null]}}}}"
    )

    assert isinstance(fixture, UserFixture)
    assert (fixture.issuer, fixture.subject, fixture.scopes, fixture.groups) == ("corp", "somebody", ("a",), ())
    assert (fixture.roles, fixture.client, fixture.kind) == (("r",), "spa", PrincipalKind.CLIENT)
    assert (fixture.acr, fixture.amr, fixture.auth_age, fixture.auth_time) == ("gold", ("pwd",), 300.0, None)
    assert fixture.bound == {Binding.DPOP}
    assert fixture.claims == {"tenant": 7, "deep.er": {"a": [1, True, None]}}


def test_a_workload_arrives_by_one_of_the_ways() -> None:
    """By mTLS where nothing is written."""
    plain = person("{workload: {spiffe: spiffe://shop.example/a}}")
    forwarded = person("{workload: {spiffe: spiffe://shop.example/a, via: forwarded}}")

    assert isinstance(plain, WorkloadFixture) and plain.via is Via.MTLS
    assert isinstance(forwarded, WorkloadFixture) and forwarded.via is Via.FORWARDED


@pytest.mark.parametrize(
    ("text", "reason", "via"),
    [
        ("{user: {refused: token_expired}}", Reason.TOKEN_EXPIRED, None),
        ("{user: {refused: header_ambiguous}}", Reason.HEADER_AMBIGUOUS, None),
        ("{user: {undecided: keys_unavailable}}", Reason.KEYS_UNAVAILABLE, None),
        ("{workload: {refused: workload_invalid}}", Reason.WORKLOAD_INVALID, Via.MTLS),
        ("{workload: {refused: trust_domain_unknown, via: forwarded}}", Reason.TRUST_DOMAIN_UNKNOWN, Via.FORWARDED),
        ("{workload: {undecided: store_unavailable}}", Reason.STORE_UNAVAILABLE, Via.MTLS),
    ],
)
def test_a_credential_may_be_refused_or_undecided(text: str, reason: Reason, via: Via | None) -> None:
    """For a reason that such a credential can have."""
    fixture = person(text)

    assert isinstance(fixture, Rejected)
    assert (fixture.reason, fixture.via) == (reason, via)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{user: {issuer: crop}}", "issuer-unknown"),
        ("{user: {refused: credential_missing}}", "test-reason"),
        ("{user: {refused: acr_insufficient}}", "test-reason"),
        ("{user: {refused: keys_unavailable}}", "test-reason"),
        ("{user: {undecided: token_expired}}", "test-reason"),
        ("{user: {refused: token_expird}}", "test-reason"),
        ("{user: {refused: token_expired, sub: alice}}", "value-invalid"),
        ("{workload: {refused: token_malformed}}", "test-reason"),
        ("{user: {auth_age: 5m, auth_time: 2026-01-01T00:00:00Z}}", "value-invalid"),
        ("{user: {auth_time: yesterday}}", "value-invalid"),
        ("{user: {auth_time: 2026-01-01T00:00:00}}", "value-invalid"),
        ("{user: {kind: robot}}", "value-invalid"),
        ("{user: {bound: [tls]}}", "value-invalid"),
        ("{user: {scope: [a]}}", "key-unknown"),
        ("{user: {scopes: a}}", "value-type"),
        ("{user: {claims: {realm: 1}, groups: [staff]}}", "claim-path"),
        ("{workload: {}}", "key-missing"),
        ("{workload: {spiffe: shop.example/a}}", "spiffe-id"),
        ("{workload: {spiffe: spiffe://shop.example/a, roles: [x]}}", "key-unknown"),
        ("{person: {}}", "key-unknown"),
        ("{}", "value-invalid"),
        ("alice", "value-type"),
    ],
)
def test_a_wrong_person_is_a_fault(text: str, code: str) -> None:
    """Of its own code; whoever acts as that person isn't reported again."""
    tests = suites.suite(suites.case("allow", acting="[somebody]"), people=f"\n  somebody: {text}\n")
    platform = suites.PLATFORM.replace("groups: [realm, groups]", "groups: realm.groups")

    assert codes(tests, platform=platform) == [code]


def test_with_several_issuers_one_has_to_be_named() -> None:
    """A subject means nothing without its issuer."""
    tests = suites.suite(suites.case("allow"), people="\n  somebody: {user: {sub: alice}}\n")

    assert codes(tests, platform=suites.with_partner()) == ["issuer-missing"]


@pytest.mark.parametrize(
    ("test", "code"),
    [
        (suites.case("deny"), "test-reason"),
        (suites.case("{deny: null}"), "test-reason"),
        (suites.case("{deny: true}"), "test-reason"),
        (suites.case("{deny: scope_mising}"), "test-reason"),
        (suites.case("permit"), "value-type"),
        (suites.case("{}"), "key-missing"),
        (suites.case("{deny: scope_missing, allow: true}"), "key-unknown"),
        (suites.case("allow", acting="[alcie]"), "test-unknown-name"),
        (suites.case("allow", acting="alice"), "value-type"),
        (suites.case("allow", acting="[alice, stranger]"), "test-principals"),
        (suites.case("allow", acting="[frontend, cart]"), "test-principals"),
        (suites.case("allow", acting="[alice, alice]"), "name-duplicate"),
        (suites.case("allow", extra="route: orders.raed"), "test-unknown-name"),
        (suites.case("allow", extra="challenge: {scope: a}"), "value-invalid"),
        (suites.case("{deny: scope_missing}", extra="headers: {a: b}"), "value-invalid"),
        (suites.case("{deny: scope_missing}", extra="challenge: {scopes: a}"), "key-unknown"),
        (suites.case("allow", extra="headers: {a: 1}"), "value-type"),
        (suites.case("allow", extra="now: noon"), "value-invalid"),
        (suites.case("allow", request="GET"), "value-invalid"),
        (suites.case("allow", request="[GET]"), "value-type"),
        (suites.case("allow", request="{method: GET, host: a}"), "key-missing"),
        (suites.case("allow", request="{method: GET, host: a, path: /, at: nowhere}"), "destination-invalid"),
        (suites.case("allow", request="{method: GET, host: a, path: /, headers: {a: 1}}"), "value-type"),
        (suites.case("allow", request="{method: GET, host: a, path: /, tls: maybe}"), "value-type"),
        (suites.case("allow") + suites.case("allow"), "name-duplicate"),
        ("  - {name: a, request: GET a/}\n", "key-missing"),
        ("  - {name: a, request: GET a/, expect: allow, expects: allow}\n", "key-unknown"),
    ],
)
def test_a_wrong_test_is_a_fault(test: str, code: str) -> None:
    """Of its own code, and the document is left out."""
    read = suites.read(suites.suite(test), POLICY)

    assert [fault.code for fault in read.faults] == [code]
    assert read.suites == ()


def test_misspelt_names_come_with_the_one_that_was_meant() -> None:
    """Policy, person, route, reason and key."""
    text = suites.suite(
        suites.case("{deny: scope_mising}", acting="[alcie]", extra="route: orders.raed"), head="policy: order"
    ) + suites.case("allow", name="other", extra="rout: orders.read")

    messages = [fault.message for fault in suites.read(text, POLICY).faults]

    assert [message.partition("; ")[2] for message in messages] == [
        f"did you mean `{name}`?" for name in ("orders", "alice", "scope_missing", "route")
    ]


def test_a_route_may_be_the_policys_preflight() -> None:
    """Where the policy grants them."""
    tests = suites.suite(suites.case("allow", extra="route: orders.preflight"))

    assert codes(tests) == []


def test_a_policy_that_is_faulty_itself_is_no_unknown_one() -> None:
    """Its own fault is reported, not that of its tests."""
    broken = "apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {name: orders}\nservice: {hosts: [a.example]}\n"

    assert suites.read(suites.suite(suites.case("allow")), broken).faults == ()


def test_a_document_needs_tests_of_a_policy() -> None:
    """And says both."""
    assert codes("apiVersion: authz/v1\nkind: RoutePolicyTest\n") == ["key-missing", "key-missing"]
    assert codes(suites.suite("", people="").replace("tests:\n", "tests: []\n")) == ["list-empty"]
