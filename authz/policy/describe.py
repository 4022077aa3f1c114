"""Effective access in words: for each route who may call it, and which guardrails narrow that.

Sentences are made from what is written, names resolved and alternatives spread out, so that the same access reads the
same however it was composed. They are for people and for `git diff`; nothing decides by them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from authz.model.principal import PrincipalKind, Via
from authz.policy.compiled import CompiledRoute
from authz.policy.document import (
    AllOf,
    AnyOf,
    ClaimCondition,
    ClaimOperator,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Quantified,
    Quantifier,
    Requirement,
    RoutePolicyDocument,
    SourceRequirement,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.meaning import Choice, Side
from authz.policy.plan import RoutePlan
from authz.policy.references import describe
from authz.policy.regions import routes_of
from authz.policy.user_conditions import uses_subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One route: `who` has a sentence per alternative, `guardrails` one per guardrail that can cover the route."""

    policy: str
    route: str
    methods: tuple[str, ...]
    path: str
    upgrade: str
    hosts: tuple[str, ...]
    at: tuple[str, ...]
    by_name: bool
    who: tuple[str, ...]
    guardrails: tuple[str, ...]


def access_of(side: Side) -> Iterator[Access]:
    """Every route of the directory, by policy, path and method."""
    compiled = routes_of(side)
    for name, document in sorted(side.documents.items()):
        found = [
            _access(side, document, compiled[name, route.id])
            for route in document.routes
            if (name, route.id) in compiled
        ]
        yield from sorted(found, key=lambda one: (one.path, one.upgrade, one.methods))
        if document.preflight is not None:
            yield _preflight(document)


def _access(side: Side, document: RoutePolicyDocument, route: CompiledRoute) -> Access:
    return Access(
        policy=document.name,
        route=route.id,
        methods=tuple(sorted(route.methods)),
        path=side.declaration(route).path.value,
        upgrade=route.upgrade,
        hosts=tuple(sorted(text.value for text in document.hosts)),
        at=tuple(sorted(text.value for text in document.at)),
        by_name=document.by_name,
        who=who(side, route),
        guardrails=guardrails(side, document, route),
    )


def _preflight(document: RoutePolicyDocument) -> Access:
    return Access(
        policy=document.name,
        route="preflight",
        methods=("OPTIONS",),
        path="any path of the policy",
        upgrade="",
        hosts=tuple(sorted(text.value for text in document.hosts)),
        at=tuple(sorted(text.value for text in document.at)),
        by_name=document.by_name,
        who=(f'anybody, to ask for CORS ("{document.preflight}")',),
        guardrails=(),
    )


def who(side: Side, route: CompiledRoute) -> tuple[str, ...]:
    """A sentence for each alternative, in the order written."""
    return tuple(sentence(side, choice) for choice in side.route(route))


def guardrails(side: Side, document: RoutePolicyDocument, route: CompiledRoute) -> tuple[str, ...]:
    """What narrows the route besides its own requirement, by id."""
    plan = route.plan
    assert isinstance(plan, RoutePlan)
    found = []
    for one in plan.guardrails:
        cover = side.covers[one.id]
        if not cover.route(document, route.methods, route.template):
            continue
        parts = "" if not (cover.paths or cover.hosts or cover.methods) else " (where it applies)"
        if one.deny:
            absent = ", or whoever shows none" if one.absent_denies else ""
            found.append(f"{one.id}{parts}: never {_tree(side, side.deny(one), guardrail=True)}{absent}")
        else:
            choices = " or ".join(sentence(side, choice, guardrail=True) for choice in side.require(one))
            found.append(f"{one.id}{parts}: only {choices}")
    return tuple(found)


def sentence(side: Side, choice: Choice, *, guardrail: bool = False) -> str:
    """One alternative: who, then by which workload, then from where, then the exceptions."""
    order = (UserRequirement, WorkloadRequirement, PublicRequirement, NobodyRequirement, SourceRequirement)
    known = [leaf for kind in order for leaf in choice.leaves if isinstance(leaf, kind)]
    others = [leaf for leaf in choice.leaves if not isinstance(leaf, order)]
    return ", ".join(_tree(side, leaf, guardrail=guardrail) for leaf in (*known, *others))


def _tree(side: Side, node: Requirement, *, guardrail: bool = False) -> str:
    if isinstance(node, UserRequirement):
        return _user(side, node, guardrail=guardrail)
    if isinstance(node, WorkloadRequirement):
        return _workload(node)
    if isinstance(node, SourceRequirement):
        return f"from {_listed(node.cidrs, 'or')}"
    if isinstance(node, PublicRequirement):
        return f'anybody ("{node.why}")'
    if isinstance(node, NobodyRequirement):
        return f'nobody ("{node.why}")'
    if isinstance(node, NotRequirement):
        return f"but not {_tree(side, node.item, guardrail=guardrail)}"
    if isinstance(node, AllOf | AnyOf):
        word = " and " if isinstance(node, AllOf) else " or "
        return f"({word.join(_tree(side, item, guardrail=guardrail) for item in node.items)})"
    return f"when {getattr(node, 'expression', node)}"


def _user(side: Side, user: UserRequirement, *, guardrail: bool) -> str:
    kind = user.kind or (PrincipalKind.PERSON if uses_subject(user) else None)
    issuers = tuple(sorted(text.value for text in user.issuers))
    if not issuers:
        issuers = ("any issuer",) if guardrail and len(side.issuers) != 1 else tuple(sorted(side.issuers))
    words = [f"a {'user' if kind is None else kind.value} of {_listed(issuers, 'or')}", *_fields(user)]
    return " ".join(words)


def _fields(user: UserRequirement) -> Iterator[str]:
    for quantified, noun in (
        (user.subjects, "named"),
        (user.scopes, "with scope"),
        (user.groups, "in group"),
        (user.roles, "in role"),
        (user.clients, "by client"),
    ):
        if quantified is not None:
            yield f"{noun} {_quantified(quantified)}"
    yield from map(_claim, user.claims)
    if user.acr:
        yield f"logged in at level {_listed(user.acr, 'or')}"
    if user.amr is not None:
        quantifier, methods = user.amr
        yield f"logged in by {_listed(methods, 'and' if quantifier is Quantifier.ALL else 'or')}"
    if user.auth_age is not None:
        yield f"logged in at most {user.auth_age:g} s ago"
    if user.bound is not None:
        yield f"with a token bound by {user.bound.value}"


def _quantified(quantified: Quantified) -> str:
    word = "and" if quantified.quantifier is Quantifier.ALL else "or"
    return _listed(tuple(sorted(map(describe, quantified.values))), word)


def _claim(claim: ClaimCondition) -> str:
    if claim.operator is ClaimOperator.EXISTS:
        return f"with {'a' if claim.values[0].literal else 'no'} claim {claim.path}"
    values = _listed(
        tuple(sorted(repr(value.literal) if value.reference is None else describe(value) for value in claim.values)),
        "or",
    )
    return f"whose claim {claim.path} {'contains' if claim.operator is ClaimOperator.CONTAINS else 'is'} {values}"


def _workload(workload: WorkloadRequirement) -> str:
    words = ["by a workload"]
    if workload.spiffe:
        words = [f"by workload {_listed(tuple(sorted(text.value for text in workload.spiffe)), 'or')}"]
    if workload.trust_domains:
        words.append(f"of {_listed(tuple(sorted(text.value for text in workload.trust_domains)), 'or')}")
    if workload.roles:
        words.append(f"with role {_listed(tuple(sorted(text.value for text in workload.roles)), 'or')}")
    if workload.via not in (None, Via.MTLS):
        words.append(f"via {workload.via.value}")
    return " ".join(words)


def _listed(names: tuple[str, ...], word: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
