"""One loaded directory as the comparing tools read it: what each route and guardrail asks, as trees of requirements.

Owns resolving names and expanding alternatives once more from the documents (the compiled form holds functions, which
can be run but not read), and keys under which two constructs are certainly the same. Must not: judge a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Final

from authz.model.issuer import IssuerSettings
from authz.model.principal import Via
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, Outcome, Variable
from authz.policy.document import (
    GuardrailDeclaration,
    ParsedDirectory,
    Requirement,
    RouteDeclaration,
    RoutePolicyDocument,
    UserRequirement,
)
from authz.policy.faults import Faults, Place
from authz.policy.ground import Ground
from authz.policy.guardrails import Cover, read_cover
from authz.policy.index import Binding
from authz.policy.link import PolicySet
from authz.policy.prepare import RequirementCompiler, last_via
from authz.policy.requirements import Leaves, Names, expand, leaves_under, shared_requirements
from authz.policy.user_conditions import user_values
from authz.policy.values import HostVariable


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """One alternative: its leaves, the issuers whose tokens can meet it, and how its last `workload` comes."""

    leaves: Leaves
    accepted: frozenset[str]
    via: Via | None


class Side:
    """One of the two directories of a comparison, or the only one of a report."""

    def __init__(self, policy: PolicySet, parsed: ParsedDirectory) -> None:
        self.policy = policy
        self.parsed = parsed
        self.issuers: Mapping[str, IssuerSettings] = self.policy.issuers
        self.documents: dict[str, RoutePolicyDocument] = {
            name: kept.document for name, kept in self.policy.kept.items()
        }
        self._shared = shared_requirements(self.parsed)
        self._names: dict[str, Names] = {}
        self._routes = {
            name: {route.id: route for route in document.routes} for name, document in self.documents.items()
        }
        declared = () if self.parsed.guardrails is None else self.parsed.guardrails.guardrails
        self.guardrails: dict[str, GuardrailDeclaration] = {one.id: one for one in declared}
        self.covers: dict[str, Cover] = {
            one.id: cover for one in declared if (cover := read_cover(one.scope, Faults())) is not None
        }
        self._choices: dict[tuple[str, str], tuple[Choice, ...]] = {}
        self._keys: dict[object, object] = {}
        self.outcomes: dict[tuple[object, ...], tuple[Outcome, ...]] = {}
        """How requirements of this side turn out for values of a question, kept from question to question."""
        self._compilers: dict[bool, RequirementCompiler] = {}
        self.ground_key: object = shape((self.parsed.issuers, self.parsed.trust_domains))
        """Equal where credentials are read alike: then what resolved requirements say is all that counts."""
        self.platform_key: object = (self.ground_key, shape((self.parsed.guardrails, self.parsed.requirements)))

    # --- what is asked

    def declaration(self, route: CompiledRoute) -> RouteDeclaration:
        return self._routes[route.policy][route.id]

    def route(self, route: CompiledRoute) -> tuple[Choice, ...]:
        """The alternatives of a route's `allow`, in the order written."""
        key = (route.policy, route.id)
        if key not in self._choices:
            node = self._resolver(route.policy).resolve(self.declaration(route).allow)
            self._choices[key] = self._expanded(node, any_issuer=False)
        return self._choices[key]

    def require(self, guardrail: CompiledGuardrail) -> tuple[Choice, ...]:
        """The alternatives of a `require` guardrail."""
        key = ("", guardrail.id)
        if key not in self._choices:
            self._choices[key] = self._expanded(self._resolver("").resolve(self._written(guardrail)), any_issuer=True)
        return self._choices[key]

    def deny(self, guardrail: CompiledGuardrail) -> Requirement:
        """The resolved tree of a `deny` guardrail."""
        node = self._resolver("").resolve(self._written(guardrail))
        assert node is not None
        return node

    def issuers_of(
        self, user: UserRequirement, accepted: frozenset[str], *, loose: bool, guardrail: bool
    ) -> frozenset[str]:
        """The issuers that the fields speak of (policy language §5, `issuer`)."""
        return self._compiler(any_issuer=guardrail).issuers_of(user, accepted, report=False, loose=loose)

    def reads_host(self, route: CompiledRoute) -> bool:
        """Whether the route refers to a variable of the host."""
        key = ("host", route.policy, route.id)
        if key not in self._keys:
            self._keys[key] = any(
                isinstance(value.reference, HostVariable)
                for choice in self.route(route)
                for leaf in choice.leaves
                for below in leaves_under(leaf)
                if isinstance(below, UserRequirement)
                for value in user_values(below)
            )
        return bool(self._keys[key])

    # --- keys

    def route_key(self, route: CompiledRoute) -> object:
        """Equal for routes that ask the same."""
        key = ("route", route.policy, route.id)
        if key not in self._keys:
            asked = tuple(shape(choice.leaves) for choice in self.route(route))
            variables = tuple(
                (part.name, index, part.type)
                for index, part in enumerate(route.template.segments)
                if isinstance(part, Variable)
            )
            self._keys[key] = (asked, variables, tuple(sorted(route.audiences.items(), key=lambda item: item[0])))
        return self._keys[key]

    def guardrail_key(self, guardrail: CompiledGuardrail) -> object:
        """Equal for guardrails that ask the same of a request that they cover."""
        key = ("guardrail", guardrail.id)
        if key not in self._keys:
            self._keys[key] = (guardrail.deny, guardrail.absent_denies, shape(self._written(guardrail)))
        return self._keys[key]

    def binding_key(self, binding: Binding | None) -> object:
        """Equal for what answers requests in the same way, if the platform's documents are the same."""
        if binding is None:
            return None
        policies = tuple((name, self._policy_key(name)) for name in sorted(binding.policies))
        shares = None if binding.shares is None else binding.shares.templates()
        return binding.router is None, policies, shares, tuple(binding.variables.items()), binding.unavailable

    def _policy_key(self, name: str) -> object:
        key = ("policy", name)
        if key not in self._keys:
            document = self.documents.get(name)
            granted = name in self.policy.index.preflights
            self._keys[key] = (
                None
                if document is None
                else (
                    granted,
                    shape(document.audiences),
                    shape(document.requirements),
                    tuple(
                        (route.id, route.methods, route.path.value, route.upgrade, shape(route.allow))
                        for route in document.routes
                    ),
                )
            )
        return self._keys[key]

    # --- resolving

    def _resolver(self, policy: str) -> Names:
        if policy not in self._names:
            local = self.documents[policy].requirements if policy else {}
            self._names[policy] = Names(local, self._shared, Faults(), policy)
        return self._names[policy]

    def _compiler(self, *, any_issuer: bool) -> RequirementCompiler:
        if any_issuer not in self._compilers:
            ground = Ground(platform=self.parsed, faults=Faults(), any_issuer=any_issuer)
            self._compilers[any_issuer] = RequirementCompiler(ground, frozenset())
        return self._compilers[any_issuer]

    def _expanded(self, node: Requirement | None, *, any_issuer: bool) -> tuple[Choice, ...]:
        assert node is not None
        compiler = self._compiler(any_issuer=any_issuer)
        return tuple(Choice(leaves, compiler.accepted_issuers(leaves), last_via(leaves)) for leaves in expand(node))

    def _written(self, guardrail: CompiledGuardrail) -> Requirement:
        declared = self.guardrails[guardrail.id]
        written = declared.require if declared.require is not None else declared.deny
        assert written is not None
        return written


_PLAIN: Final = (str, type(None), Enum)
_FIELDS: dict[type, tuple[str, ...]] = {}
"""The fields that count, by class of the language: everything but places."""


def shape(node: object) -> object:
    """A construct without the places where it was written: equal shapes mean the same."""
    if isinstance(node, _PLAIN):
        return node
    kind = type(node)
    names = _FIELDS.get(kind)
    if names is not None:
        return (kind, *[shape(getattr(node, name)) for name in names])
    if isinstance(node, tuple | list):
        return tuple([shape(item) for item in node])
    if isinstance(node, Mapping):
        return tuple([(name, shape(value)) for name, value in sorted(node.items(), key=lambda item: str(item[0]))])
    if isinstance(node, frozenset):
        return tuple(sorted(map(repr, node)))
    if isinstance(node, Place):
        return None
    if is_dataclass(node):
        _FIELDS[kind] = tuple(field.name for field in fields(node) if field.name != "place")
        return shape(node)
    return kind, node
