"""Requirements and the references in their values."""

from __future__ import annotations

import pytest

from authz.model.principal import PrincipalKind, Via
from authz.policy.document import (
    AllOf,
    AnyOf,
    ClaimOperator,
    NamedRequirement,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Quantifier,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.values import (
    HostVariable,
    PathVariable,
    Reference,
    RequestHeader,
    UserClaim,
    UserSubject,
    Value,
    WorkloadSegment,
)
from tests.unit.policy.reading import codes, messages, policy, with_route


def allow(text: str) -> Requirement:
    """The requirement of a sound policy; `text` is flow YAML."""
    return policy(with_route(text)).routes[0].allow


def user(fields: str) -> UserRequirement:
    """A `user` requirement out of its fields."""
    found = allow(f"{{user: {{{fields}}}}}")
    assert isinstance(found, UserRequirement)
    return found


def operand(text: str) -> Value:
    """The value of `equals` on a claim; `text` is flow YAML."""
    return user(f"claims: {{a: {{equals: {text}}}}}").claims[0].values[0]


def test_each_shape_becomes_its_value() -> None:
    """A name, or a mapping with exactly one key."""
    found = allow(
        "{any: [staff, {all: [{user: {}}, {source: {cidrs: [10.0.0.0/8, '::1']}}]}, {not: {workload: {}}},"
        " {nobody: closed}, {public: 'liveness  only'}]}"
    )

    assert isinstance(found, AnyOf)
    name, both, negation, nobody, public = found.items
    assert isinstance(name, NamedRequirement) and name.name == "staff"
    assert isinstance(both, AllOf) and isinstance(both.items[1], SourceRequirement)
    assert both.items[1].cidrs == ("10.0.0.0/8", "::1")
    assert isinstance(negation, NotRequirement) and isinstance(negation.item, WorkloadRequirement)
    assert isinstance(nobody, NobodyRequirement) and nobody.why == "closed"
    assert isinstance(public, PublicRequirement) and public.why == "liveness only"


def test_every_field_of_a_user_is_read() -> None:
    """Lists, quantifiers and durations as the language has them."""
    found = user(
        "issuer: [corp, partner], kind: client, subjects: {any: [a]}, scopes: {all: [a, b]}, groups: {any: [c]},"
        " roles: {all: [d]}, clients: {any: [e]}, acr: {any: [gold]}, amr: {all: [pwd, otp]}, auth_age: {max: 15m}"
    )

    assert [text.value for text in found.issuers] == ["corp", "partner"]
    assert (found.kind, found.auth_age, found.acr) == (PrincipalKind.CLIENT, 900.0, ("gold",))
    assert found.amr == (Quantifier.ALL, ("pwd", "otp"))
    assert found.scopes is not None and found.scopes.quantifier is Quantifier.ALL
    assert [value.literal for value in found.scopes.values] == ["a", "b"]
    assert found.subjects is not None and found.groups is not None and found.roles is not None
    assert found.clients is not None


def test_every_field_of_a_workload_is_read() -> None:
    """An ID or a list, and the way that the identity came."""
    found = allow(
        "{workload: {spiffe: 'spiffe://shop.example/**', trust_domain: [a, b], roles: {any: [r]}, via: forwarded}}"
    )

    assert isinstance(found, WorkloadRequirement)
    assert [text.value for text in found.spiffe] == ["spiffe://shop.example/**"]
    assert [text.value for text in found.trust_domains] == ["a", "b"]
    assert ([text.value for text in found.roles], found.via) == (["r"], Via.FORWARDED)


def test_claims_keep_their_operator_and_json_types() -> None:
    """`"42"` isn't `42`, and `true` is no number."""
    found = user(
        "claims: {a: {equals: '42'}, b: {any: [42, 1.5, true]}, c: {contains: x}, d.e: {exists: false}}"
    ).claims

    assert [(claim.path, claim.operator) for claim in found] == [
        ("a", ClaimOperator.EQUALS),
        ("b", ClaimOperator.ANY),
        ("c", ClaimOperator.CONTAINS),
        ("d.e", ClaimOperator.EXISTS),
    ]
    assert [[value.literal for value in claim.values] for claim in found] == [["42"], [42, 1.5, True], ["x"], [False]]
    assert [type(value.literal) for value in found[1].values] == [int, float, bool]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{}", ["requirement-shape"]),
        ("[]", ["value-type"]),
        ("~", ["value-type"]),
        ("true", ["value-type"]),
        ("'a b'", ["name-invalid"]),
        ("public", ["requirement-shape"]),
        ("when", ["requirement-shape"]),
        ("{user: {}, workload: {}}", ["requirement-shape"]),
        ("{usr: {}}", ["key-unknown"]),
        ("{all: [{user: {}}, {when: ' '}]}", ["value-invalid"]),
        ("{all: [{user: {}}, {when: 1}]}", ["value-type"]),
        ("{session: {}}", ["key-planned"]),
        ("{any: []}", ["list-empty"]),
        ("{all: {}}", ["value-type"]),
        ("{not: [a]}", ["value-type"]),
        ("{public: ''}", ["value-invalid"]),
        ("{public: '  '}", ["value-invalid"]),
        ("{public: true}", ["value-type"]),
        ("{public: }", ["value-type"]),
        ("{nobody: []}", ["value-type"]),
        ("{source: {}}", ["key-missing"]),
        ("{source: {cidrs: []}}", ["list-empty"]),
        ("{source: {cidrs: [10.0.0.1/8]}}", ["value-invalid"]),
        ("{source: {cidrs: [10.0.0.0/33]}}", ["value-invalid"]),
        ("{source: {cidrs: [10.0.0.0/255.0.0.0]}}", ["value-invalid"]),
        ("{source: {cidrs: ['fe80::1%eth0']}}", ["value-invalid"]),
        ("{source: {cidrs: [10]}}", ["value-type"]),
        ("{user: }", ["value-type"]),
        ("{user: {scope: {all: [a]}}}", ["key-unknown"]),
        ("{user: {scopes: [a]}}", ["value-type"]),
        ("{user: {scopes: {}}}", ["value-invalid"]),
        ("{user: {scopes: {all: [a], any: [b]}}}", ["value-invalid"]),
        ("{user: {scopes: {all: []}}}", ["list-empty"]),
        ("{user: {scopes: {all: [1]}}}", ["value-type"]),
        ("{user: {subjects: {all: [a]}}}", ["key-unknown"]),
        ("{user: {kind: robot}}", ["value-invalid"]),
        ("{user: {bound: tls}}", ["value-invalid"]),
        ("{user: {bound: [dpop]}}", ["value-type"]),
        ("{user: {auth_age: 15m}}", ["value-type"]),
        ("{user: {auth_age: {max: 15}}}", ["value-invalid"]),
        ("{user: {acr: {any: ['{path.x}']}}}", ["reference-invalid"]),
        ("{user: {claims: {}}}", ["list-empty"]),
        ("{user: {claims: {a: {}}}}", ["value-invalid"]),
        ("{user: {claims: {a: b}}}", ["value-type"]),
        ("{user: {claims: {a: {equal: b}}}}", ["key-unknown"]),
        ("{user: {claims: {a: {equals: b, exists: true}}}}", ["value-invalid"]),
        ("{user: {claims: {a: {equals: null}}}}", ["value-type"]),
        ("{user: {claims: {a: {equals: [b]}}}}", ["value-type"]),
        ("{user: {claims: {a: {equals: {path.x}}}}}", ["value-type"]),
        ("{user: {claims: {a: {any: []}}}}", ["list-empty"]),
        ("{user: {claims: {a: {exists: 1}}}}", ["value-type"]),
        ("{user: {claims: {a..b: {exists: true}}}}", ["claim-path"]),
        ("{user: {claims: {'{path.x}': {exists: true}}}}", ["reference-invalid"]),
        ("{not: {user: {claims: {a: {exists: false}}}}}", ["requirement-shape"]),
        ("{not: {not: {user: {claims: {a: {exists: false}}}}}}", ["requirement-shape"]),
        ("{workload: {via: jwt_svid}}", ["value-invalid"]),
        ("{workload: {via: tls}}", ["value-invalid"]),
        ("{workload: {spiffe: []}}", ["list-empty"]),
        ("{workload: {trust_domain: 'A'}}", ["value-invalid"]),
        ("{workload: {roles: [a]}}", ["value-type"]),
        ("{workload: {spiffe: ['']}}", ["value-invalid"]),
    ],
)
def test_what_a_requirement_cant_say_is_a_fault(text: str, found: list[str]) -> None:
    """Shapes, types and words outside the grammar, each with its own code and nothing beside it."""
    assert codes(with_route(text)) == found


def test_exists_true_may_stand_under_not() -> None:
    """Only `exists: false` may not."""
    assert codes(with_route("{all: [{user: {}}, {not: {user: {claims: {a: {exists: true}}}}}]}")) == []


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("{path.order_id}", PathVariable("order_id")),
        ("{host.tenant}", HostVariable("tenant")),
        ("{user.sub}", UserSubject()),
        ("{user.claims.a.b}", UserClaim("a.b")),
        ("{user.claims.https://shop.example/x}", UserClaim("https://shop.example/x")),
        ("{workload.path.2}", WorkloadSegment(2)),
        ("{request.header.X-Tenant}", RequestHeader("x-tenant")),
    ],
)
def test_each_reference_is_read(text: str, reference: Reference) -> None:
    """With and without literal text around it."""
    assert operand(f"'{text}'").reference == reference
    around = operand(f"'a{text}b'")
    assert (around.prefix, around.reference, around.suffix) == ("a", reference, "b")


@pytest.mark.parametrize(
    ("text", "literal"),
    [("{{path.x}}", "{path.x}"), ("a{{b", "a{b"), ("a}}b", "a}b"), ("{{{{", "{{"), ("plain", "plain"), ("{{}}", "{}")],
)
def test_doubled_braces_stand_for_themselves(text: str, literal: str) -> None:
    """An escaped brace is text."""
    assert operand(f"'{text}'").literal == literal


def test_escapes_may_stand_around_a_reference() -> None:
    """`{{{path.x}}}` is the variable in braces."""
    found = operand("'{{{path.x}}}'")

    assert (found.prefix, found.reference, found.suffix) == ("{", PathVariable("x"), "}")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "}",
        "{path.x",
        "path.x}",
        "{}",
        "{path.}",
        "{path.a b}",
        "{path.1}",
        "{path.a.b}",
        "{user}",
        "{user.name}",
        "{user.claims.}",
        "{user.claims.a..b}",
        "{workload.path.0}",
        "{workload.path.01}",
        "{workload.path.x}",
        "{workload.path.1000}",
        "{request.header.}",
        "{request.header.a b}",
        "{path.a}{path.b}",
        "{{path.x}",
        "{order_id}",
        "{PATH.x}",
        "{ path.x }",
        "{path.x:int}",
        "{env.HOME}",
        "{user.claims.a\u202eb}",
    ],
)
def test_what_is_no_reference_is_a_fault(text: str) -> None:
    """One to a value, of a known kind, and no lone brace."""
    assert codes(with_route(f'{{user: {{claims: {{a: {{equals: "{text}"}}}}}}}}')) == ["reference-invalid"]


@pytest.mark.parametrize(
    ("text", "suggested"),
    [
        ("{paths.id}", "{path.id}"),
        ("{user.claim.email}", "{user.claims.email}"),
        ("{order_id}", "{path.order_id}"),
        ("{user.subject}", "{user.sub}"),
        ("{request.headers.x}", "{request.header.x}"),
        ("{workload.paths.1}", "{workload.path.1}"),
    ],
)
def test_a_misspelt_reference_is_suggested(text: str, suggested: str) -> None:
    """What was most likely meant."""
    assert f"did you mean `{suggested}`" in messages(with_route(f"{{user: {{claims: {{a: {{equals: '{text}'}}}}}}}}"))


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("{user: {claims: {a: {equals: '{request.header.x}'}}}}", True),
        ("{user: {claims: {a: {contains: '{request.header.x}'}}}}", True),
        ("{user: {claims: {a: {any: ['{request.header.x}']}}}}", False),
        ("{user: {scopes: {all: ['{request.header.x}']}}}", False),
        ("{not: {user: {claims: {a: {equals: '{request.header.x}'}}}}}", False),
    ],
)
def test_the_client_may_narrow_but_not_choose_the_question(text: str, sound: bool) -> None:
    """A request header stands only in claims with `equals` or `contains`, outside `not`."""
    assert codes(with_route(text)) == ([] if sound else ["reference-invalid"])
