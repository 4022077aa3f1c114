"""One policy's requirements made ready for requests: `CompiledRoute`s, or faults that name what doesn't fit.

A policy is compiled by one `PolicyCompiler`, which shares what its routes have in common: a requirement that
many routes name is prepared once. Hosts, templates and ownership are `policy.link`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from authz.model.principal import PrincipalKind, User
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, PathTemplate, Scene, Usage, VariableType
from authz.policy.document import Credential, ParsedDirectory, RouteDeclaration, RoutePolicyDocument, UserRequirement
from authz.policy.faults import FaultCode, Faults
from authz.policy.ground import Ground
from authz.policy.plan import Alternative, IdentityHeaders, RequirePlan, RoutePlan
from authz.policy.prepare import RequirementCompiler, Unfit
from authz.policy.references import Getter, Surroundings, typed_getter
from authz.policy.requirements import (
    MAX_ALTERNATIVES,
    MAX_POLICY_LEAVES,
    Leaves,
    Names,
    TooLarge,
    check_grants,
    check_shape,
    expand,
    is_public,
    shared_requirements,
)
from authz.policy.suggest import did_you_mean
from authz.policy.values import UserClaim, UserSubject, Value, WorkloadSegment


class PolicyCompiler:
    """Compiles the routes of one policy. Make one per policy, call `route` for each, then `finish`."""

    def __init__(
        self,
        policy: RoutePolicyDocument,
        platform: ParsedDirectory,
        *,
        host_variables: frozenset[str],
        guardrails: tuple[CompiledGuardrail, ...],
        faults: Faults,
    ) -> None:
        self._policy = policy
        self._faults = faults
        shared = shared_requirements(platform)
        self._ground = Ground(platform=platform, faults=faults, policy=policy.name)
        self._compiler = RequirementCompiler(self._ground, host_variables)
        self._names = Names(policy.requirements, shared, faults, policy.name)
        self._guardrails = guardrails
        self._audiences = _Audiences(policy, self._ground)
        self._leaves = 0
        for name, node in policy.requirements.items():
            if name in shared:
                self._ground.fault(
                    node.place, FaultCode.REQUIREMENT_CLASH, f"the platform has a requirement called {name!r}"
                )

    def route(self, route: RouteDeclaration, template: PathTemplate) -> CompiledRoute | None:
        """The compiled route with its candidate; None when faults were added that forbid to serve it."""
        compiled = self._route(route, template)
        if route.candidate is None:
            return compiled
        # A route of its own, so that nothing of it can reach what is enforced.
        candidate = self._route(replace(route, allow=route.candidate.allow, identity_headers=()), template)
        return None if compiled is None or candidate is None else replace(compiled, candidate=candidate)

    def _route(self, route: RouteDeclaration, template: PathTemplate) -> CompiledRoute | None:
        before = len(self._faults)
        alternatives = self._alternatives(route)
        prepared = self._prepared(alternatives, template.variables)
        if not prepared:
            return None
        plan = self._plan(route, alternatives, prepared, template.variables)
        usage = Usage()
        for leaves in alternatives:
            usage |= self._compiler.usage(leaves)
        audiences = self._audiences.accepted(usage, plan.guardrails)
        introspector = self._introspector(route, usage, plan.guardrails)
        if len(self._faults) != before:
            return None
        return CompiledRoute(
            id=route.id,
            policy=self._policy.name,
            methods=route.methods,
            upgrade=route.upgrade,
            template=template,
            plan=plan,
            usage=usage,
            audiences=audiences,
            introspector=introspector,
        )

    def _introspector(self, route: RouteDeclaration, usage: Usage, guardrails: tuple[CompiledGuardrail, ...]) -> str:
        """Who is asked about an opaque token: the one issuer that the route itself can use; where it uses none, the
        one that its guardrails can. A token never goes to an issuer that may not be its own (§5)."""
        own = self._introspecting(usage.issuers)
        if len(own) > 1:
            self._faults.add(
                route.place,
                FaultCode.ISSUER_AMBIGUOUS,
                f"an opaque token could be of {' or '.join(map(repr, own))}, and it goes to one issuer only",
                policy=self._policy.name,
                help="Divide the route, so that each takes opaque tokens of one issuer.",
            )
        others = self._introspecting(frozenset().union(*(guardrail.usage.issuers for guardrail in guardrails)))
        candidates = own or others
        return candidates[0] if len(candidates) == 1 else ""

    def _introspecting(self, names: frozenset[str]) -> list[str]:
        return sorted(name for name in names if self._ground.issuers[name].introspection is not None)

    def _prepared(
        self, alternatives: tuple[Leaves, ...], variables: Mapping[str, VariableType]
    ) -> tuple[Alternative, ...]:
        """Every alternative prepared, or none at all."""
        prepared = []
        for leaves in alternatives:
            try:
                prepared.append(self._compiler.alternative(leaves, variables))
            except Unfit:
                continue
        return tuple(prepared) if len(prepared) == len(alternatives) else ()

    def finish(self) -> None:
        """Report what no route used, and what is wrong in requirements that no route names."""
        for name, node in self._policy.requirements.items():
            if name not in self._names.used:
                self._names.resolve(node)
                self._faults.add(
                    node.place,
                    FaultCode.REQUIREMENT_UNUSED,
                    f"no route uses the requirement {name!r}",
                    policy=self._policy.name,
                )

    def _alternatives(self, route: RouteDeclaration) -> tuple[Leaves, ...]:
        if self._leaves > MAX_POLICY_LEAVES:
            return ()  # Reported by the route that passed the bound.
        before = len(self._faults)
        node = self._names.resolve(route.allow)
        if node is None:
            return ()
        check_shape(node, self._faults, self._policy.name)
        try:
            alternatives = expand(node)
        except TooLarge as error:
            self._ground.fault(
                error.place, FaultCode.REQUIREMENT_TOO_LARGE, f"more than {MAX_ALTERNATIVES} alternatives"
            )
            return ()
        self._leaves += sum(map(len, alternatives))
        if self._leaves > MAX_POLICY_LEAVES:
            self._ground.fault(
                route.place,
                FaultCode.REQUIREMENT_TOO_LARGE,
                f"the alternatives of the policy's routes have more than {MAX_POLICY_LEAVES} leaves together",
            )
            return ()
        check_grants(alternatives, route.place, self._faults, self._policy.name)
        return alternatives if len(self._faults) == before else ()

    def _plan(
        self,
        route: RouteDeclaration,
        alternatives: tuple[Leaves, ...],
        prepared: tuple[Alternative, ...],
        variables: Mapping[str, VariableType],
    ) -> RoutePlan:
        if route.credential is Credential.UNTOUCHED and not any(is_public(leaves) for leaves in alternatives):
            self._ground.fault(
                route.credential_place or route.place,
                FaultCode.IDENTITY_HEADER,
                "`credential: untouched` is for public routes",
            )
        own = tuple(guardrail for guardrail in self._guardrails if self._may_cover(guardrail, route))
        _check_product(prepared, own, route, self._ground)
        identity = tuple(
            self._identity(route, leaves, alternative, variables)
            for leaves, alternative in zip(alternatives, prepared, strict=True)
        )
        return RoutePlan(
            alternatives=prepared,
            identity=identity if route.identity_headers else ((),) * len(prepared),
            identity_names=tuple(name.value for name, _ in route.identity_headers),
            credential=route.credential,
            guardrails=own,
            jwt_svid_header=self._ground.jwt_svid_header,
        )

    def _may_cover(self, guardrail: CompiledGuardrail, route: RouteDeclaration) -> bool:
        return (self._policy.name, route.id) not in guardrail.exempt and (
            not guardrail.policies or self._policy.name in guardrail.policies
        )

    def _identity(
        self, route: RouteDeclaration, leaves: Leaves, alternative: Alternative, variables: Mapping[str, VariableType]
    ) -> IdentityHeaders:
        if not route.identity_headers:
            return ()
        for name, _ in route.identity_headers:
            if name.value == self._ground.jwt_svid_header:
                self._ground.fault(
                    name.place, FaultCode.IDENTITY_HEADER, f"JWT-SVIDs come in {name.value!r}: a route can't set it"
                )
        issuers = self._compiler.accepted_issuers(leaves)
        around = self._compiler.surroundings(variables, alternative.workload_via)
        return tuple(
            (name.value, self._identity_value(value, leaves, issuers, around)) for name, value in route.identity_headers
        )

    def _identity_value(self, value: Value, leaves: Leaves, issuers: frozenset[str], around: Surroundings) -> Getter:
        of_user = isinstance(value.reference, UserSubject | UserClaim)
        if of_user and not any(isinstance(leaf, UserRequirement) for leaf in leaves):
            return _nothing
        if isinstance(value.reference, WorkloadSegment) and around.workload_via is None:
            return _nothing
        before = len(self._faults)
        self._compiler.check_reference(value, issuers, around)
        if isinstance(value.reference, UserSubject) and len(issuers) != 1:
            self._ground.fault(value.place, FaultCode.ISSUER_AMBIGUOUS, "`{user.sub}` needs exactly one issuer")
        if len(self._faults) != before:
            return _nothing
        get = typed_getter(value, around)
        return _subject(get, clients=_clients_written(leaves)) if isinstance(value.reference, UserSubject) else get


class _Audiences:
    """By issuer: the audiences that the policy accepts (policy language §4, `service.audiences`)."""

    def __init__(self, policy: RoutePolicyDocument, ground: Ground) -> None:
        self._ground = ground
        self._written = frozenset(item.value for item in policy.audiences)
        self._place = policy.place
        known = frozenset(audience for issuer in ground.issuers.values() for audience in issuer.audiences)
        for item in policy.audiences:
            if item.value not in known:
                hint = did_you_mean(item.value, known)
                ground.fault(item.place, FaultCode.AUDIENCE_UNKNOWN, f"no issuer has the audience {item.value!r}{hint}")

    def accepted(self, usage: Usage, guardrails: tuple[CompiledGuardrail, ...]) -> Mapping[str, frozenset[str]]:
        """For each issuer that the route or a guardrail can use. What only a guardrail uses is narrowed silently:
        without a match its tokens are refused as `audience_mismatch`."""
        accepted = {name: self._for(name, report=True) for name in usage.issuers}
        for guardrail in guardrails:
            for name in guardrail.usage.issuers:
                if name not in accepted:
                    accepted[name] = self._for(name, report=False)
        return accepted

    def _for(self, name: str, *, report: bool) -> frozenset[str]:
        audiences = self._ground.issuers[name].audiences
        if not self._written:
            if len(audiences) > 1 and report:
                self._ground.fault(
                    self._place,
                    FaultCode.AUDIENCE_MISSING,
                    f"issuer {name!r} has several audiences: {', '.join(sorted(audiences))}",
                )
            return audiences if len(audiences) == 1 or not report else frozenset()
        common = audiences & self._written
        if not common and report:
            self._ground.fault(
                self._place, FaultCode.AUDIENCE_UNKNOWN, f"`service.audiences` holds none of issuer {name!r}'s"
            )
        return common


# --- small pieces ----------------------------------------------------------------------------------------


def _check_product(
    prepared: tuple[Alternative, ...],
    guardrails: tuple[CompiledGuardrail, ...],
    route: RouteDeclaration,
    ground: Ground,
) -> None:
    """The alternatives of the route times those of every `require` that can cover it stay within the bound."""
    product = len(prepared)
    for guardrail in guardrails:
        if isinstance(guardrail.plan, RequirePlan):
            product *= len(guardrail.plan.alternatives)
    if product > MAX_ALTERNATIVES:
        ground.fault(
            route.place,
            FaultCode.REQUIREMENT_TOO_LARGE,
            f"more than {MAX_ALTERNATIVES} alternatives with its guardrails",
        )


def _clients_written(leaves: Leaves) -> bool:
    return any(isinstance(leaf, UserRequirement) and leaf.kind is PrincipalKind.CLIENT for leaf in leaves)


def _nothing(scene: Scene) -> object:
    return None


def _subject(get: Getter, *, clients: bool) -> Getter:
    """`{user.sub}` is a person's unless the alternative writes `kind: client`."""

    def subject(scene: Scene) -> object:
        user = scene.user
        if isinstance(user, User) and user.kind is PrincipalKind.CLIENT and not clients:
            return None
        return get(scene)

    return subject
