"""What a policy can say of bindings, JWT-SVIDs and introspection, and what is a fault (policy language §2, §3, §5)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz.model.decision import Denial, Permit
from authz.model.principal import Binding, Principals, Via
from authz.policy.compiled import Usage
from tests.mint import principals
from tests.unit.policy.judge import PLATFORM, Judge, with_partner

SVIDS = PLATFORM.replace("peers:\n", "peers:\n  jwt_svid: {header: x-jwt-svid, audiences: [orders]}\n")
ASKED = "    introspection: {endpoint: 'https://idp.example/i', client_id: authz, client_secret_file: /run/s}\n"
LEGACY = "  - {id: quarantined, deny: {workload: {spiffe: 'spiffe://shop.example/ns/legacy/**'}}}\n"


def verdict(judge: Judge, who: Principals) -> str:
    decision = judge.judge(who)
    return decision.reason.code if isinstance(decision, Denial) else "allowed"


@pytest.mark.parametrize(
    ("allow", "bound", "reason"),
    [
        ("user: {bound: dpop}", (), "proof_missing"),
        ("user: {bound: dpop}", (Binding.MTLS,), "proof_missing"),
        ("user: {bound: dpop}", (Binding.DPOP,), "allowed"),
        ("user: {bound: dpop}", (Binding.DPOP, Binding.MTLS), "allowed"),
        ("user: {bound: mtls}", (Binding.DPOP,), "proof_missing"),
        ("user: {bound: mtls}", (Binding.MTLS,), "allowed"),
        ("any: [{user: {bound: mtls}}, {user: {bound: dpop}}]", (Binding.DPOP,), "allowed"),
        ("all: [{user: {}}, {not: {user: {bound: dpop}}}]", (Binding.DPOP,), "excluded"),
        ("all: [{user: {}}, {not: {user: {bound: dpop}}}]", (), "excluded"),
    ],
)
def test_bound_asks_how_the_token_is_bound(allow: str, bound: tuple[Binding, ...], reason: str) -> None:
    """Under `not` the absence of a binding is unknown, like every absence, and denies."""
    user = replace(principals.user(), bound=frozenset(bound))

    assert verdict(Judge(allow), Principals(user=user)) == reason


def test_what_somebody_may_not_do_comes_before_a_missing_binding() -> None:
    """Nobody is sent for a proof for something that they still may not do (§8)."""
    judge = Judge("user: {bound: dpop, scopes: {all: [other]}}")

    assert verdict(judge, Principals(user=principals.user())) == "scope_missing"


def test_a_guardrail_can_ask_for_bound_tokens() -> None:
    """`require` adds it to what the route asks."""
    judge = Judge("user: {}", guardrails="  - {id: bound-only, require: {user: {bound: mtls}}}\n")

    decision = judge.judge(Principals(user=principals.user()))

    assert isinstance(decision, Denial)
    assert (decision.reason.code, decision.guardrail) == ("proof_missing", "bound-only")


def test_a_jwt_svid_meets_only_what_asks_for_it() -> None:
    """A `workload` without `via` means mTLS, and the other way round."""
    by_token = Principals(jwt_svid=principals.workload(via=Via.JWT_SVID))
    by_mtls = Principals(mtls=principals.workload())

    for allow, who, reason in [
        ("workload: {via: jwt-svid}", by_token, "allowed"),
        ("workload: {via: jwt-svid}", by_mtls, "workload_missing"),
        ("workload: {}", by_token, "workload_missing"),
        ("workload: {}", by_mtls, "allowed"),
    ]:
        assert verdict(Judge(allow, platform=SVIDS), who) == reason


def test_a_deny_looks_at_jwt_svids_too() -> None:
    """Where they are read at all: any way of showing the identity counts."""
    legacy = principals.workload("spiffe://shop.example/ns/legacy/sa/x", via=Via.JWT_SVID)
    judge = Judge("user: {}", guardrails=LEGACY, platform=SVIDS)

    assert verdict(judge, Principals(user=principals.user(), jwt_svid=legacy)) == "guardrail_denied"


@pytest.mark.parametrize(
    ("platform", "vias"), [(PLATFORM, {Via.MTLS, Via.FORWARDED}), (SVIDS, {Via.MTLS, Via.FORWARDED, Via.JWT_SVID})]
)
def test_under_not_any_way_is_examined(platform: str, vias: set[Via]) -> None:
    """JWT-SVIDs only where the platform says in which header they come."""
    judge = Judge("all: [{user: {}}, {not: {workload: {trust_domain: shop.example}}}]", platform=platform)

    assert judge.route is not None
    assert judge.route.usage == Usage(issuers=frozenset({"corp"}), vias=frozenset(vias))


def test_via_jwt_svid_needs_a_header_to_come_in() -> None:
    """A requirement that can never hold is a fault."""
    assert Judge("workload: {via: jwt-svid}").codes == ["requirement-shape"]


def test_no_route_sets_the_header_of_jwt_svids() -> None:
    """What we set there would pass for a workload's credential."""
    extra = "    identity: {headers: {x-jwt-svid: '{user.claims.email}'}}"

    assert Judge("user: {}", extra=extra, platform=SVIDS).codes == ["identity-header"]
    assert Judge("user: {}", extra=extra).codes == []


@pytest.mark.parametrize(
    ("extra", "used", "removed"),
    [("", True, False), ("", False, True), ("    identity: {credential: remove}", True, True)],
)
def test_a_jwt_svid_is_passed_on_when_the_alternative_used_it(extra: str, used: bool, removed: bool) -> None:
    """And only then, as a token would be (§7); the last written `workload` needn't be the one."""
    allow = "all: [{workload: {via: jwt-svid}}, {workload: {}}]" if used else "workload: {}"
    who = Principals(mtls=principals.workload(), jwt_svid=principals.workload(via=Via.JWT_SVID))

    decision = Judge(allow, extra=extra, platform=SVIDS).judge(who)

    assert isinstance(decision, Permit)
    assert ("x-jwt-svid" in decision.remove_headers) is removed


# --- who is asked about opaque tokens ---


def introspecting(*names: str) -> str:
    """The platform with two issuers, of which those introspect."""
    text = with_partner()
    for name in names:
        line = f"keys: {{jwks_file: keys/{name}.json}}\n"
        text = text.replace(line, line + ASKED, 1)
    return text


@pytest.mark.parametrize(
    ("allow", "names", "asked"),
    [
        ("user: {issuer: corp}", ("corp", "partner"), "corp"),
        ("user: {issuer: partner}", ("corp",), ""),
        ("user: {issuer: [corp, partner]}", ("partner",), "partner"),
        ("any: [{user: {issuer: corp}}, {public: x}]", ("corp",), "corp"),
        ("{public: x}", ("corp", "partner"), ""),
    ],
)
def test_the_one_issuer_that_the_route_can_use_is_asked(allow: str, names: tuple[str, ...], asked: str) -> None:
    """Found when the policy is loaded, not when a token comes."""
    judge = Judge(allow, platform=introspecting(*names))

    assert judge.codes == []
    assert judge.route is not None
    assert judge.route.introspector == asked


@pytest.mark.parametrize(
    "allow",
    [
        "user: {issuer: [corp, partner]}",
        "any: [{user: {issuer: corp}}, {user: {issuer: partner}}]",
        "all: [{user: {issuer: corp}}, {not: {user: {issuer: [corp, partner], groups: {any: [x]}}}}]",
    ],
)
def test_two_possible_ones_are_a_fault(allow: str) -> None:
    """One of them would get to see a token that isn't its own."""
    assert Judge(allow, platform=introspecting("corp", "partner")).codes == ["issuer-ambiguous"]


@pytest.mark.parametrize(("names", "asked"), [(("corp",), "corp"), (("corp", "partner"), "")])
def test_where_only_a_guardrail_asks_it_says_who(names: tuple[str, ...], asked: str) -> None:
    """A guardrail for any issuer makes no route faulty: with two possible ones nobody is asked."""
    rule = "  - {id: no-clients, deny: {user: {kind: client}}, absent: ignores}\n"
    judge = Judge("{public: x}", guardrails=rule, platform=introspecting(*names))

    assert judge.errors == []
    assert judge.route is not None
    assert judge.route.introspector == asked
