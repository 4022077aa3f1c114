"""The evaluator against the words of the policy language: three values, closest alternative, one reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz.model.decision import Denial, Mark, Permit
from authz.model.principal import PrincipalKind, Principals, Refusal, Undecided, Via
from authz.model.reason import Reason
from authz.policy.compiled import Matched
from authz.policy.expressions import Expression, compile_expression
from authz.policy.faults import Severity
from authz.policy.load import load
from authz.policy.shadow import shadow
from tests.mint.principals import request, user, workload
from tests.unit.policy.judge import PLATFORM, Judge, with_partner

ALICE = Principals(user=user())
FRONTEND = Principals(mtls=workload())
REFUSED = Refusal(reason=Reason.TOKEN_EXPIRED)
NO_KEYS = Undecided(reason=Reason.KEYS_UNAVAILABLE, retry_after=3)


def reason(judge: Judge, who: Principals, **more: object) -> Reason | None:
    """The reason of the denial, or None for a permit."""
    decision = judge.judge(who, **more)
    return decision.reason if isinstance(decision, Denial) else None


def user_rule(fields: str) -> Judge:
    return Judge(f"user: {{{fields}}}")


FIELD_CASES = [
    ("scopes: {all: [a, b]}", user(scopes="a b c"), None),
    ("scopes: {all: [a, b]}", user(scopes="a"), Reason.SCOPE_MISSING),
    ("scopes: {any: [a, b]}", user(scopes="b"), None),
    ("scopes: {any: [a, b]}", user(scopes=None), Reason.SCOPE_MISSING),
    ("groups: {any: [staff]}", user(groups=("staff",)), None),
    ("groups: {any: [staff]}", user(groups=()), Reason.GROUP_MISSING),
    ("roles: {all: [admin]}", user(roles=("admin",)), None),
    ("roles: {all: [admin]}", user(roles=None), Reason.ROLE_MISSING),
    ("clients: {any: [spa]}", user(client="spa"), None),
    ("clients: {any: [spa]}", user(client=None), Reason.CLIENT_NOT_PERMITTED),
    ("kind: client", user(kind=PrincipalKind.CLIENT), None),
    ("kind: client", user(), Reason.SUBJECT_NOT_PERMITTED),
    ("subjects: {any: [alice]}", user("alice"), None),
    ("subjects: {any: [alice]}", user("bob"), Reason.SUBJECT_NOT_PERMITTED),
    ("subjects: {any: [alice]}", user("alice", kind=PrincipalKind.CLIENT), Reason.SUBJECT_NOT_PERMITTED),
    ("kind: client, subjects: {any: [batch]}", user("batch", kind=PrincipalKind.CLIENT), None),
    ("subjects: {any: ['{path.order_id}']}", user("42"), None),
    ("subjects: {any: ['user-{path.order_id}']}", user("user-42"), None),
    ("scopes: {all: ['order:{path.order_id}:read']}", user(scopes="order:42:read"), None),
    ("groups: {any: ['{host.tenant}:admin']}", user(groups=("acme:admin",)), None),
    ("claims: {department: {equals: sales}}", user(claims={"department": "sales"}), None),
    ("claims: {department: {equals: sales}}", user(claims={"department": "Sales"}), Reason.CLAIM_MISMATCH),
    ("claims: {level: {equals: 42}}", user(claims={"level": 42}), None),
    ("claims: {level: {equals: 42}}", user(claims={"level": "42"}), Reason.CLAIM_MISMATCH),
    ("claims: {level: {equals: '42'}}", user(claims={"level": 42}), Reason.CLAIM_MISMATCH),
    ("claims: {level: {equals: 1}}", user(claims={"level": True}), Reason.CLAIM_MISMATCH),
    ("claims: {level: {equals: 1}}", user(claims={"level": 1.0}), Reason.CLAIM_MISMATCH),
    ("claims: {level: {equals: true}}", user(claims={"level": True}), None),
    ("claims: {level: {equals: true}}", user(claims={"level": 1}), Reason.CLAIM_MISMATCH),
    ("claims: {address.country: {equals: DE}}", user(claims={"address": {"country": "DE"}}), None),
    ("claims: {address.country: {equals: DE}}", user(claims={"address": "DE"}), Reason.CLAIM_MISMATCH),
    ("claims: {tenant: {equals: '{host.tenant}'}}", user(aliases={"tenant": "acme"}), None),
    ("claims: {tenant: {equals: '{host.tenant}'}}", user(claims={"tenant": "acme"}), Reason.CLAIM_MISMATCH),
    ("claims: {ids: {contains: '{path.order_id}'}}", user(claims={"ids": ["41", "42"]}), None),
    ("claims: {ids: {contains: '{path.order_id}'}}", user(claims={"ids": "x42x"}), Reason.CLAIM_MISMATCH),
    ("claims: {ids: {contains: '{path.order_id}'}}", user(claims={"ids": "42"}), Reason.CLAIM_MISMATCH),
    ("claims: {ids: {any: [x, '{path.order_id}']}}", user(claims={"ids": "42"}), None),
    ("claims: {ids: {any: [x, '{path.order_id}']}}", user(claims={"ids": ["1", "x"]}), None),
    ("claims: {ids: {any: [x]}}", user(claims={"ids": ["1", "2"]}), Reason.CLAIM_MISMATCH),
    ("claims: {ids: {exists: true}}", user(claims={"ids": []}), None),
    ("claims: {ids: {exists: true}}", user(claims={"ids": None}), Reason.CLAIM_MISMATCH),
    ("claims: {ids: {exists: false}}", user(claims={"ids": None}), None),
    ("claims: {ids: {exists: false}}", user(claims={"ids": 0}), Reason.CLAIM_MISMATCH),
    ("claims: {owner: {equals: '{user.sub}'}}", user("bob", claims={"owner": "bob"}), None),
    ("claims: {owner: {equals: '{user.claims.nick}'}}", user(claims={"owner": "b", "nick": "b"}), None),
    ("claims: {owner: {equals: '{user.claims.nick}'}}", user(claims={}), Reason.CLAIM_MISMATCH),
    ("acr: {any: [gold]}", user(acr="gold"), None),
    ("acr: {any: [gold]}", user(acr="goldfish"), Reason.ACR_INSUFFICIENT),
    ("amr: {all: [otp, pwd]}", user(amr=("otp", "pwd")), None),
    ("amr: {all: [otp, pwd]}", user(amr=("pwd",)), Reason.AMR_INSUFFICIENT),
    ("auth_age: {max: 15m}", user(auth_time=999_500.0), None),
    ("auth_age: {max: 15m}", user(auth_time=1_000_000.0 - 900), None),
    ("auth_age: {max: 15m}", user(auth_time=1_000_000.0 - 901), Reason.AUTH_TOO_OLD),
    ("auth_age: {max: 15m}", user(auth_time=None), Reason.AUTH_TOO_OLD),
    ("auth_age: {max: 15m}", user(auth_time=1_000_030.0), None),
    ("auth_age: {max: 15m}", user(auth_time=1_000_031.0), Reason.AUTH_TOO_OLD),
]


@pytest.mark.parametrize(("fields", "who", "expected"), FIELD_CASES)
def test_each_field_of_user_holds_or_gives_its_own_reason(fields: str, who: object, expected: Reason | None) -> None:
    """Policy language §5 and §8, field by field."""
    assert reason(user_rule(fields), Principals(user=who)) is expected


def test_an_int_variable_is_a_number_in_equals_and_its_text_in_lists_of_strings() -> None:
    """§5, References."""
    equals = Judge("user: {claims: {order: {equals: '{path.order_id}'}}}", path="/orders/{order_id:int}")
    contains = Judge("user: {claims: {order: {contains: '{path.order_id}'}}}", path="/orders/{order_id:int}")

    assert reason(equals, Principals(user=user(claims={"order": 42}))) is None
    assert reason(equals, Principals(user=user(claims={"order": "42"}))) is Reason.CLAIM_MISMATCH
    assert reason(contains, Principals(user=user(claims={"order": ["42"]}))) is None
    assert reason(contains, Principals(user=user(claims={"order": [42]}))) is None
    assert reason(contains, Principals(user=user(claims={"order": [42.0, True]}))) is Reason.CLAIM_MISMATCH


def test_a_request_header_narrows_with_exactly_one_value() -> None:
    """`{request.header.NAME}`: once, and a comma counts as twice in both of Envoy's header forms."""
    judge = Judge("user: {claims: {tenants: {contains: '{request.header.x-tenant}'}}}")
    who = Principals(user=user(claims={"tenants": ["acme", "a,b"]}))

    assert reason(judge, who, request=request(headers=(("x-tenant", "acme"),))) is None
    for headers in ((), (("x-tenant", "acme"), ("x-tenant", "acme")), (("x-tenant", "a,b"),)):
        assert reason(judge, who, request=request(headers=headers)) is Reason.CLAIM_MISMATCH
        assert reason(judge, who, request=request(headers=headers, joined=True)) is Reason.CLAIM_MISMATCH


WORKLOAD_CASES = [
    ("spiffe: spiffe://shop.example/ns/shop/sa/frontend", "ns/shop/sa/frontend", None),
    ("spiffe: spiffe://shop.example/ns/shop/sa/frontend", "ns/shop/sa/frontend2", Reason.WORKLOAD_NOT_PERMITTED),
    ("spiffe: 'spiffe://shop.example/ns/*/sa/frontend'", "ns/any/sa/frontend", None),
    ("spiffe: 'spiffe://shop.example/ns/*/sa/frontend'", "ns/a/b/sa/frontend", Reason.WORKLOAD_NOT_PERMITTED),
    ("spiffe: 'spiffe://shop.example/ns/shop/**'", "ns/shop/sa/x", None),
    ("spiffe: 'spiffe://shop.example/ns/shop/**'", "ns/shop", Reason.WORKLOAD_NOT_PERMITTED),
    ("trust_domain: shop.example", "ns/shop/sa/x", None),
    ("roles: {any: [order-caller]}", "ns/shop/sa/x", Reason.WORKLOAD_NOT_PERMITTED),
]


@pytest.mark.parametrize(("fields", "path", "expected"), WORKLOAD_CASES)
def test_each_field_of_workload_holds_or_is_not_permitted(fields: str, path: str, expected: Reason | None) -> None:
    """Patterns stand for whole segments, the trust domain is literal."""
    who = Principals(mtls=workload(f"spiffe://shop.example/{path}"))

    assert reason(Judge(f"workload: {{{fields}}}"), who) is expected


def test_a_workload_is_met_by_mtls_unless_the_rule_says_forwarded() -> None:
    """§3: a forwarded identity meets only `via: forwarded`."""
    frontend = "spiffe: spiffe://shop.example/ns/shop/sa/frontend"
    forwarded = Principals(forwarded=workload(via=Via.FORWARDED))

    assert reason(Judge(f"workload: {{{frontend}}}"), forwarded) is Reason.WORKLOAD_MISSING
    assert reason(Judge(f"workload: {{{frontend}, via: forwarded}}"), forwarded) is None
    assert reason(Judge(f"workload: {{{frontend}, via: forwarded}}"), FRONTEND) is Reason.WORKLOAD_MISSING


def test_the_peers_address_narrows_a_principal() -> None:
    """`source` stands beside a principal; an address that can't be read is outside."""
    judge = Judge("all: [user: {}, source: {cidrs: [10.0.0.0/8, 'fd00::/8']}]")

    assert reason(judge, ALICE, request=request(source="10.9.9.9")) is None
    assert reason(judge, ALICE, request=request(source="::ffff:10.9.9.9")) is None
    assert reason(judge, ALICE, request=request(source="192.0.2.1")) is Reason.SOURCE_NOT_PERMITTED
    assert reason(judge, ALICE, request=request(source="")) is Reason.SOURCE_NOT_PERMITTED


NOT_CASES = [
    (Principals(user=user(groups=("staff",))), None),
    (Principals(user=user(groups=("contractors",))), Reason.EXCLUDED),
    (Principals(user=user(groups=None)), Reason.EXCLUDED),
    (Principals(), Reason.CREDENTIAL_MISSING),
    (Principals(user=REFUSED), Reason.TOKEN_EXPIRED),
    (Principals(user=NO_KEYS), Reason.KEYS_UNAVAILABLE),
]


@pytest.mark.parametrize(("who", "expected"), NOT_CASES)
def test_under_not_what_is_absent_is_unknown_and_denies(who: Principals, expected: Reason | None) -> None:
    """A claim left out never slips past a `not`."""
    judge = Judge("all: [user: {}, not: {user: {groups: {any: [contractors]}}}]")

    assert reason(judge, who) is expected


def test_a_claim_of_another_type_is_unknown_under_not() -> None:
    """A value that the operator can't compare is as good as absent."""
    judge = Judge("all: [user: {}, not: {user: {claims: {suspended: {equals: true}}}}]")

    assert reason(judge, Principals(user=user(claims={"suspended": False}))) is None
    assert reason(judge, Principals(user=user(claims={"suspended": "true"}))) is Reason.EXCLUDED
    assert reason(judge, Principals(user=user(claims={}))) is Reason.EXCLUDED


def test_under_not_a_workload_counts_by_whatever_way_it_came() -> None:
    """`via` unwritten means any under `not`; a forwarded one is excluded as well."""
    judge = Judge("all: [user: {}, not: {workload: {spiffe: 'spiffe://shop.example/ns/legacy/**'}}]")
    legacy = "spiffe://shop.example/ns/legacy/sa/x"

    assert reason(judge, Principals(user=user(), mtls=workload())) is None
    assert reason(judge, Principals(user=user(), mtls=workload(legacy))) is Reason.EXCLUDED
    both = Principals(user=user(), mtls=workload(), forwarded=workload(legacy, via=Via.FORWARDED))
    assert reason(judge, both) is Reason.EXCLUDED
    assert reason(judge, Principals(user=user())) is Reason.EXCLUDED


def test_the_closest_alternative_gives_the_reason_and_the_first_written_wins_a_tie() -> None:
    """§8: distance counts unmet leaves; an absent user counts once however many fields it has."""
    judge = Judge("""
any:
  - all:
    - workload: {spiffe: spiffe://shop.example/ns/shop/sa/batch}
    - user: {kind: client, scopes: {all: [x]}, groups: {any: [g]}}
  - user: {scopes: {all: [orders:write]}, groups: {any: [staff]}}
""")

    assert reason(judge, Principals(user=user(scopes="a"))) is Reason.SCOPE_MISSING
    assert (
        reason(judge, Principals(mtls=workload("spiffe://shop.example/ns/shop/sa/batch"))) is Reason.CREDENTIAL_MISSING
    )
    assert reason(judge, Principals()) is Reason.CREDENTIAL_MISSING


def test_within_an_alternative_401_precedes_403_precedes_step_up() -> None:
    """Nobody is sent to log in again for something they still may not do."""
    judge = Judge(
        "all: [workload: {spiffe: spiffe://shop.example/ns/shop/sa/batch}, "
        "user: {acr: {any: [gold]}, scopes: {all: [s]}}]"
    )

    assert reason(judge, Principals()) is Reason.CREDENTIAL_MISSING
    assert reason(judge, Principals(user=REFUSED)) is Reason.TOKEN_EXPIRED
    assert reason(judge, ALICE) is Reason.WORKLOAD_MISSING
    batch = workload("spiffe://shop.example/ns/shop/sa/batch")
    assert reason(judge, Principals(user=user(), mtls=batch)) is Reason.SCOPE_MISSING
    assert reason(judge, Principals(user=user(scopes="s"), mtls=batch)) is Reason.ACR_INSUFFICIENT


def test_step_up_is_answered_with_what_would_be_enough() -> None:
    """RFC 9470 §3: acr_values and max_age of the closest alternative."""
    decision = user_rule("acr: {any: [gold, phr]}, auth_age: {max: 15m}").judge(ALICE)

    assert isinstance(decision, Denial)
    assert decision.challenge is not None
    assert decision.challenge.error == "insufficient_user_authentication"
    assert (decision.challenge.acr_values, decision.challenge.max_age) == ("gold phr", 900)


def test_a_missing_scope_is_named_to_the_client() -> None:
    """RFC 6750 §3.1: insufficient_scope with the scopes that the alternative asks for."""
    decision = user_rule("scopes: {all: [a, b]}").judge(ALICE)

    assert isinstance(decision, Denial)
    assert decision.challenge is not None
    assert (decision.challenge.error, decision.challenge.scope) == ("insufficient_scope", "a b")


def test_what_hangs_on_keys_is_503_unless_something_else_is_missing() -> None:
    """§8: 503 only when the outcome hangs on what could not be found out."""
    judge = Judge("all: [user: {}, workload: {trust_domain: shop.example}]")
    undecided = judge.judge(Principals(user=NO_KEYS, mtls=workload()))

    assert isinstance(undecided, Denial)
    assert (undecided.reason, undecided.retry_after) == (Reason.KEYS_UNAVAILABLE, 3)
    assert reason(judge, Principals(user=NO_KEYS)) is Reason.WORKLOAD_MISSING


def test_optional_login_lets_everybody_in_and_shows_only_who_was_verified() -> None:
    """`public` last in `any`: a refused or undecided token doesn't help and doesn't hurt."""
    judge = Judge("any: [user: {}, public: 'browsing is free']")
    signed_in = judge.judge(ALICE)
    strangers = [judge.judge(Principals(user=token)) for token in (None, REFUSED, NO_KEYS)]

    assert isinstance(signed_in, Permit)
    assert dict(signed_in.set_headers)["x-authz-subject"] == "alice"
    assert "authorization" not in signed_in.remove_headers
    for decision in strangers:
        assert isinstance(decision, Permit)
        assert "authorization" in decision.remove_headers
        assert "x-authz-subject" in decision.remove_headers
        assert dict(decision.set_headers) == {"x-authz-route": "orders.read"}


def test_nobody_closes_a_route() -> None:
    """`nobody` never holds, whoever asks."""
    assert reason(Judge("nobody: 'retired'"), Principals(user=user(), mtls=workload())) is Reason.NOBODY


def test_identity_comes_only_from_the_alternative_that_permits() -> None:
    """§7: the user of an alternative that failed is not told to the upstream, nor is its token passed on."""
    judge = Judge(
        "any: [user: {groups: {any: [admins]}}, workload: {trust_domain: shop.example}]",
        extra="    identity: {headers: {x-user-email: '{user.claims.email}', x-account: '{workload.path.4}'}}",
    )
    decision = judge.judge(Principals(user=user(claims={"email": "a@x"}), mtls=workload()))

    assert isinstance(decision, Permit)
    headers = dict(decision.set_headers)
    assert headers["x-authz-workload"] == "spiffe://shop.example/ns/shop/sa/frontend"
    assert headers["x-account"] == "frontend"
    assert "x-authz-subject" not in headers
    assert "x-user-email" not in headers
    assert decision.user is None
    assert "authorization" in decision.remove_headers


def test_identity_values_are_encoded_and_absent_ones_removed() -> None:
    """`%`, controls, non-ASCII and outer spaces are percent-encoded; what is no scalar isn't set."""
    names = ("x-name", "x-admin", "x-list", "x-level")
    judge = Judge(
        "user: {}",
        extra="    identity: {headers: {x-name: '{user.claims.name}', x-admin: '{user.claims.admin}', "
        "x-list: '{user.claims.list}', x-level: '{user.claims.level}'}}",
    )
    who = Principals(user=user(claims={"name": " Jürgen 100%\r\n", "admin": True, "list": ["a"], "level": 1.5}))
    decision = judge.judge(who, removable=frozenset(names))

    assert isinstance(decision, Permit)
    headers = dict(decision.set_headers)
    assert headers["x-name"] == "%20J%C3%BCrgen 100%25%0D%0A"
    assert headers["x-admin"] == "true"
    assert headers["x-level"] == "1.5"
    assert "x-list" not in headers
    assert "x-list" in decision.remove_headers


def test_every_spelling_of_our_headers_is_removed_and_no_set_name_is() -> None:
    """Removal reads `_` as `-`; a header both set and removed would be removed by Envoy."""
    spoofed = tuple(
        (name, "x") for name in ("x-authz-subject", "x_authz_subject", "x-authz-made-up", "x_user-email", "accept")
    )
    decision = Judge("user: {}").judge(
        ALICE, request(headers=spoofed), removable=frozenset({"x-user-email", "x-original-url"})
    )

    assert isinstance(decision, Permit)
    assert {"x_authz_subject", "x-authz-made-up", "x_user-email", "x-user-email", "x-original-url"} <= set(
        decision.remove_headers
    )
    assert "accept" not in decision.remove_headers
    assert not {name for name, _ in decision.set_headers} & set(decision.remove_headers)


@pytest.mark.parametrize(
    ("allow", "credential", "who", "passed"),
    [
        ("user: {}", "", ALICE, True),
        ("user: {}", "remove", ALICE, False),
        ("public: 'open'", "", Principals(), False),
        ("public: 'open'", "untouched", Principals(user=REFUSED), True),
        ("workload: {trust_domain: shop.example}", "", Principals(user=user(), mtls=workload()), False),
    ],
)
def test_the_credential_is_passed_on_only_when_it_was_verified_for_the_permit(
    allow: str, credential: str, who: Principals, passed: bool
) -> None:
    """§7, "The credential"."""
    extra = f"    identity: {{credential: {credential}}}" if credential else ""
    decision = Judge(allow, extra=extra).judge(who)

    assert isinstance(decision, Permit)
    assert ("authorization" not in decision.remove_headers) is passed


def test_a_subject_header_of_a_client_needs_kind_client() -> None:
    """`{user.sub}` means a person unless `kind: client` is written."""
    extra = "    identity: {headers: {x-sub: '{user.sub}'}}"
    batch = Principals(user=user("batch", kind=PrincipalKind.CLIENT))

    unwritten, written = (
        Judge("user: {}", extra=extra).judge(batch),
        Judge("user: {kind: client}", extra=extra).judge(batch),
    )

    assert isinstance(unwritten, Permit)
    assert isinstance(written, Permit)
    assert "x-sub" not in dict(unwritten.set_headers)
    assert dict(written.set_headers)["x-sub"] == "batch"


DENY = """
  - id: quarantined
    deny: {workload: {spiffe: 'spiffe://shop.example/ns/legacy/**'}}
"""
LEGACY = workload("spiffe://shop.example/ns/legacy/sa/x")


def test_a_deny_guardrail_wins_over_every_allow() -> None:
    """True denies; absent doesn't match; refused denies with its own reason, undecided with 503."""
    judge = Judge("user: {}", guardrails=DENY)

    assert reason(judge, Principals(user=user(), mtls=LEGACY)) is Reason.GUARDRAIL_DENIED
    assert reason(judge, Principals(user=user(), forwarded=LEGACY)) is Reason.GUARDRAIL_DENIED
    assert reason(judge, Principals(user=user(), mtls=workload())) is None
    assert reason(judge, ALICE) is None
    refused = Refusal(reason=Reason.WORKLOAD_INVALID)
    assert reason(judge, Principals(user=user(), mtls=refused)) is Reason.WORKLOAD_INVALID
    lost = Undecided(reason=Reason.STORE_UNAVAILABLE)
    assert reason(judge, Principals(user=user(), mtls=lost)) is Reason.STORE_UNAVAILABLE


def test_a_refused_token_doesnt_hide_that_a_deny_hangs_on_the_workload() -> None:
    """The reason is that of the credential on which the condition hangs, not of another one."""
    judge = Judge("public: 'open'", guardrails=DENY)
    who = Principals(user=REFUSED, mtls=Refusal(reason=Reason.TRUST_DOMAIN_UNKNOWN))

    assert reason(judge, who) is Reason.TRUST_DOMAIN_UNKNOWN


def test_a_deny_that_certainly_holds_goes_before_one_that_may() -> None:
    """The outcome hangs on nothing then, whatever the ids are."""
    first = "  - {id: a-banned, deny: {user: {groups: {any: [banned]}}}}\n"
    judge = Judge("public: 'open'", guardrails=first + DENY)

    assert reason(judge, Principals(user=NO_KEYS, mtls=LEGACY)) is Reason.GUARDRAIL_DENIED
    assert reason(judge, Principals(user=NO_KEYS, mtls=workload())) is Reason.KEYS_UNAVAILABLE


def test_a_deny_cant_hang_on_a_header() -> None:
    """The client would choose whether it is denied."""
    deny = "  - {id: h, deny: {user: {claims: {tier: {equals: '{request.header.x-tier}'}}}}}\n"

    assert "reference-invalid" in Judge("user: {}", guardrails=deny).codes


def test_absent_denies_counts_what_is_missing_as_a_match() -> None:
    """`absent: denies`: no workload at all, or a claim left out."""
    judge = Judge("user: {}", guardrails=DENY + "    absent: denies\n")
    claims = Judge("user: {}", guardrails="  - {id: banned, deny: {user: {groups: {any: [banned]}}}, absent: denies}\n")

    assert reason(judge, ALICE) is Reason.GUARDRAIL_DENIED
    assert reason(judge, Principals(user=user(), mtls=workload())) is None
    assert reason(claims, Principals(user=user(groups=None))) is Reason.GUARDRAIL_DENIED
    assert reason(claims, ALICE) is None


def test_a_deny_acts_on_preflights_and_a_require_doesnt() -> None:
    """§4, preflight."""
    guardrails = DENY + "  - {id: fresh, require: {user: {auth_age: {max: 15m}}}}\n"
    judge = Judge("user: {}", guardrails=guardrails)

    allowed = judge.judge(Principals(), preflight=True)
    assert isinstance(allowed, Permit)
    assert allowed.route == "orders.preflight"
    assert "authorization" in allowed.remove_headers
    assert reason(judge, Principals(mtls=LEGACY), preflight=True) is Reason.GUARDRAIL_DENIED


REQUIRE = """
  - id: admin-needs-fresh-login
    for: {path: "/admin/**"}
    require: {user: {auth_age: {max: 15m}}}
"""


@pytest.mark.parametrize("path", ["/admin/x", "/admin", "/admin/", "/Admin/x", "/%EF%BC%A1dmin/x"])
def test_a_require_guardrail_covers_generously_and_adds_with_and(path: str) -> None:
    """Literals after NFKC, case-folding and trimming, with and without a trailing slash."""
    judge = Judge("user: {}", guardrails=REQUIRE)

    assert reason(judge, ALICE, request=request(path=path)) is Reason.AUTH_TOO_OLD
    assert reason(judge, Principals(user=user(auth_time=999_999.0)), request=request(path=path)) is None
    assert reason(judge, ALICE, request=request(path="/administration")) is None


def test_a_require_guardrail_adds_no_identity_and_passes_no_credential_on() -> None:
    """Only the route's own alternative does."""
    decision = Judge("public: 'open'", guardrails=REQUIRE).judge(
        Principals(user=user(auth_time=999_999.0)), request(path="/admin/x")
    )

    assert isinstance(decision, Permit)
    assert "authorization" in decision.remove_headers
    assert "x-authz-subject" not in dict(decision.set_headers)


def test_a_require_of_one_issuer_denies_the_users_of_another() -> None:
    """The same subject from two issuers is two people."""
    judge = Judge("user: {issuer: corp, subjects: {any: [alice]}}", platform=with_partner())

    assert reason(judge, ALICE) is None
    assert reason(judge, Principals(user=user(issuer="partner"))) is Reason.ISSUER_NOT_PERMITTED


def test_the_trace_shows_every_alternative_and_marks_the_closest() -> None:
    """What `authz explain` prints comes from the evaluator itself."""
    judge = Judge("any: [user: {scopes: {all: [x]}}, workload: {trust_domain: shop.example}]")
    decision = judge.judge(Principals(user=user(scopes="y")), trace=True)

    assert isinstance(decision, Denial)
    assert decision.trace is not None
    first, second = decision.trace.alternatives
    assert [one.mark for one in first.conditions] == [Mark.HIT, Mark.MISS]
    assert first.conditions[1].text == "user.scopes all [x]"
    assert (first.closest, second.closest) == (True, False)


FAULTS = [
    ("user: {issuer: crop}", "issuer-unknown"),
    ("order-ownr", "requirement-unknown"),
    ("source: {cidrs: [10.0.0.0/8]}", "nothing-required"),
    ("not: {user: {}}", "nothing-required"),
    ("any: [{public: a}, {user: {}}]", "requirement-shape"),
    ("all: [{public: a}, {user: {}}]", "requirement-shape"),
    ("all: [{user: {}}, {not: {public: a}}]", "requirement-shape"),
    ("user: {claims: {x: {equals: '{path.nope}'}}}", "variable-missing"),
    ("user: {claims: {x: {equals: '{host.nope}'}}}", "variable-missing"),
    ("user: {claims: {x: {equals: '{workload.path.1}'}}}", "variable-missing"),
    ("user: {claims: {'https://x.example/y': {equals: a}}}", "claim-path"),
    ("workload: {spiffe: spiffe://other.example/x}", "trust-domain-unknown"),
    ("workload: {spiffe: 'spiffe://*/x'}", "workload-pattern"),
    ("workload: {roles: {any: [order-callr]}}", "role-unknown"),
]


@pytest.mark.parametrize(("allow", "code"), FAULTS)
def test_a_requirement_that_doesnt_fit_is_a_fault_and_no_route(allow: str, code: str) -> None:
    """A condition that can't be prepared never makes a shorter list of conditions."""
    judge = Judge(allow)

    assert code in judge.codes
    assert judge.route is None


def test_a_subject_needs_one_issuer() -> None:
    """§5: `subjects` and `{user.sub}` need exactly one issuer."""
    judge = Judge("user: {issuer: [corp, partner], subjects: {any: [alice]}}", platform=with_partner())

    assert "issuer-ambiguous" in judge.codes


def test_under_not_the_issuer_covers_what_the_alternative_accepts() -> None:
    """Else the users of the other issuer would pass a `not` that was meant for them."""
    inner = "not: {user: {issuer: corp, groups: {any: [banned]}}}"
    two = Judge(f"all: [user: {{issuer: [corp, partner]}}, {inner}]", platform=with_partner())
    one = Judge(f"all: [user: {{issuer: corp}}, {inner}]", platform=with_partner())

    assert "requirement-shape" in two.codes
    assert not one.errors


def test_requirements_may_not_need_themselves() -> None:
    """Cycles are named with their way round."""
    judge = Judge("a", policy_extra="requirements: {a: {all: [b, {user: {}}]}, b: {any: [a, {user: {}}]}}")

    assert "requirement-cycle" in judge.codes


@pytest.mark.parametrize(
    "step",
    ["{{all: [r{0}, r{0}]}}", "{{any: [r{0}, r{0}]}}", "{{not: {{all: [r{0}, {{not: r{0}}}]}}}}", "{{not: r{0}}}"],
)
def test_names_that_multiply_are_bounded(step: str) -> None:
    """A few lines of one team's policy, written out, would fill the memory, or be too deep to walk."""
    names = "".join(f", r{number}: {step.format(number - 1)}" for number in range(1, 200))
    written = "requirements: {r0: {user: {groups: {any: [g]}}}" + names + "}"
    judge = Judge("{all: [user: {}, r199]}", policy_extra=written)

    assert "requirement-too-large" in judge.codes
    assert judge.route is None


def test_long_conjunctions_are_bounded_while_they_are_written_out() -> None:
    """Not only at the end, when the work has been done."""
    long = ", ".join("{user: {groups: {any: [g]}}}" for _ in range(900))
    judge = Judge("{all: [" + long + "]}")

    assert judge.codes == ["requirement-too-large"]


def test_what_all_routes_of_a_policy_come_to_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large requirement that every route names again would keep a load going for an hour."""
    routes = "".join(
        f"  - {{id: r{number}, match: {{methods: [GET], path: /r{number}}}, allow: {{all: [big, {{user: {{}}}}]}}}}\n"
        for number in range(20)
    )
    text = (
        "apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {name: orders}\nservice: {hosts: [orders.shop.example]}\n"
        f"requirements: {{big: {{any: [{', '.join('{user: {}}' for _ in range(20))}]}}}}\nroutes:\n{routes}"
    )
    files = {"platform.yaml": PLATFORM.encode(), "orders.yaml": text.encode()}

    assert [str(fault) for fault in load(files).faults if fault.severity is Severity.ERROR] == []
    monkeypatch.setattr("authz.policy.compile.MAX_POLICY_LEAVES", 500)
    assert [fault.code for fault in load(files).faults] == ["requirement-too-large"]


def test_an_unused_requirement_is_a_warning_and_a_clash_an_error() -> None:
    """A clash with a platform name is the policy's fault."""
    unused = Judge("user: {}", policy_extra="requirements: {spare: {user: {}}}")
    clash = Judge("mine", policy_extra="requirements: {mine: {user: {}}}", requirements="  mine: {user: {}}\n")

    assert unused.codes == ["requirement-unused"]
    assert clash.codes == ["requirement-clash"]


def test_alternatives_are_bounded() -> None:
    """The work of explaining one denial is bounded at load."""
    choice = "{any: [" + ", ".join(f"{{user: {{scopes: {{all: [s{number}]}}}}}}" for number in range(12)) + "]}"
    judge = Judge(f"all: [{choice}, {choice}, {choice}]")

    assert "requirement-too-large" in judge.codes


def test_a_forbid_hits_what_can_hold_without_a_principal_unless_excepted() -> None:
    """§6: a load-time check, with exceptions that name the route."""
    forbid = "  - {id: no-public-writes, forbid: {public: true, methods: [POST]}%s}\n"
    excepted = forbid % ", except: [{route: orders/orders.read, why: signed}]"

    assert "guardrail-forbids" in Judge("public: open", methods="[POST]", guardrails=forbid % "").codes
    assert "guardrail-forbids" in Judge("public: open", methods='["*"]', guardrails=forbid % "").codes
    assert not Judge("public: open", methods="[POST]", guardrails=excepted).errors
    assert not Judge("public: open", methods="[GET]", guardrails=forbid % "").errors
    assert not Judge("user: {}", methods="[POST]", guardrails=forbid % "").errors


def test_a_deny_that_can_be_evaded_is_warned_about_with_a_witness() -> None:
    """Who is denied by what they show may show less."""
    judge = Judge("user: {}", guardrails=DENY)
    shown = Judge("all: [user: {}, workload: {trust_domain: shop.example}]", guardrails=DENY)

    assert judge.codes == ["deny-evadable"]
    assert "GET /orders/{order_id}" in judge.faults[0].message
    assert shown.codes == []


def test_platform_documents_are_what_the_judge_says() -> None:
    """The platform of these tests has no faults of its own."""
    assert Judge("user: {}").faults == ()
    assert "verified_by" in PLATFORM


def test_an_expression_narrows_a_principal() -> None:
    """`when` inside `all`: true, false, and an error at run time, which is absence."""
    judge = Judge(
        "all: [user: {}, when: \"user.claims.level > 3 && request.method == 'GET' && path.order_id == '42'\"]"
    )

    assert reason(judge, Principals(user=user(claims={"level": 4}))) is None
    assert reason(judge, Principals(user=user(claims={"level": 3}))) is Reason.EXPRESSION_FALSE
    assert reason(judge, Principals(user=user(claims={"level": "high"}))) is Reason.EXPRESSION_FALSE
    assert reason(judge, ALICE) is Reason.EXPRESSION_FALSE
    assert reason(judge, Principals()) is Reason.CREDENTIAL_MISSING
    assert reason(judge, Principals(user=NO_KEYS)) is Reason.KEYS_UNAVAILABLE


def test_an_expression_sees_the_workload_and_the_moment() -> None:
    """`workload` is the alternative's own, `now` a timestamp."""
    judge = Judge(
        "all: [workload: {trust_domain: shop.example}, "
        "when: \"workload.path[3] == 'frontend' && now.getFullYear() == 1970\"]"
    )

    assert reason(judge, FRONTEND) is None
    other = Principals(mtls=workload("spiffe://shop.example/ns/shop/sa/batch"))
    assert reason(judge, other) is Reason.EXPRESSION_FALSE


def test_an_expression_is_checked_once_however_many_alternatives_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checking takes milliseconds: a team could make everybody wait for a load."""
    checked = []

    def counted(text: str) -> Expression:
        checked.append(text)
        return compile_expression(text)

    monkeypatch.setattr("authz.policy.prepare.compile_expression", counted)
    choices = ", ".join(f"{{user: {{groups: {{any: [g{number}]}}}}}}" for number in range(30))
    Judge(f"all: [{{any: [{choices}]}}, when: \"user.sub == 'alice'\"]")

    assert checked == ["user.sub == 'alice'"]


@pytest.mark.parametrize("odd", [10**30, -(10**30), [1, {"n": 2**63}], {"deep": [2**64]}])
def test_a_claim_that_an_expression_cannot_hold_hides_no_other(odd: object) -> None:
    """Else whoever has such a claim would escape each `deny` that looks at claims."""
    banned = '  - {id: banned, deny: {all: [user: {}, when: "user.claims.banned == true"]}}\n'
    judge = Judge("user: {}", guardrails=banned)

    for value, kind in ((True, Denial), (False, Permit)):
        who = Principals(user=user(claims={"banned": value, "odd": odd}))
        assert type(judge.judge(who)) is kind


def test_an_expression_never_sees_the_credential() -> None:
    """`request.headers` lack `authorization`, and repeated headers."""
    judge = Judge("all: [public: open, when: \"'authorization' in request.headers || 'x-a' in request.headers\"]")
    headers = (("authorization", "Bearer abc"), ("x-a", "1"), ("x-a", "2"))

    assert reason(judge, Principals(), request=request(headers=headers)) is Reason.EXPRESSION_FALSE


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("1 + 1", "another type"),
        ("request.method ==", "Syntax error"),
        ("nobody == 1", "undeclared reference"),
        ("workload.via == 'mtls'", "names `workload`"),
        ("[1].all(a, [1].all(b, [1].all(c, true)))", "at most 2 macros"),
    ],
)
def test_an_expression_that_cant_be_used_is_a_fault(expression: str, words: str) -> None:
    """Type-checked at load; the message is CEL's own first complaint."""
    judge = Judge(f'all: [user: {{}}, when: "{expression}"]')

    assert judge.codes == ["expression-invalid"]
    assert words in judge.faults[0].message
    assert judge.route is None


@pytest.mark.parametrize(
    "allow", ["when: 'true'", "any: [{user: {}}, {when: 'true'}]", "all: [{user: {}}, {not: {when: 'true'}}]"]
)
def test_an_expression_stands_only_inside_all(allow: str) -> None:
    """So that it always narrows something that other tools can read."""
    assert "requirement-shape" in Judge(allow).codes


CANDIDATE = """    candidate:
      allow: {user: {scopes: {all: [orders:admin]}}}
      until: "2099-01-31"
"""


def test_a_candidate_never_changes_what_is_enforced() -> None:
    """§4: the enforced decision is the same with and without it; the candidate's is a mere verdict."""
    plain, shadowed = Judge("user: {}"), Judge("user: {}", extra=CANDIDATE)

    assert shadowed.judge(ALICE) == plain.judge(ALICE)
    assert shadowed.judge(Principals()) == plain.judge(Principals())
    assert shadowed.route is not None
    candidate = shadowed.route.candidate
    assert candidate is not None
    matched = Matched(route=candidate, path_variables={"order_id": "42"}, host_variables={})
    assert shadow(matched, (), request(), ALICE, 0.0).verdict == "scope_missing"
    assert shadow(matched, (), request(), Principals(user=user(scopes="orders:admin")), 0.0).verdict == "allowed"


def test_a_bug_inside_a_candidate_is_a_verdict() -> None:
    """Nothing that a candidate does reaches the answer."""
    judge = Judge("user: {}", extra=CANDIDATE)
    assert judge.route is not None
    assert judge.route.candidate is not None
    broken = Matched(route=replace(judge.route.candidate, plan=None), path_variables={}, host_variables={})

    assert shadow(broken, (), request(), ALICE, 0.0).verdict == "error"


def test_unknown_names_get_a_bounded_number_of_suggestions() -> None:
    """Each is compared with every known name, which takes milliseconds: a file full of them would stop a load."""
    known = ", ".join(f"name_{number:03}: {{user: {{}}}}" for number in range(20))
    unknown = ", ".join(f"name_x{number:03}" for number in range(150))
    judge = Judge(f"any: [{unknown}]", policy_extra=f"requirements: {{{known}}}")
    messages = [fault.message for fault in judge.faults if fault.code == "requirement-unknown"]

    assert len(messages) == 150
    assert sum("did you mean" in message for message in messages) == 100
