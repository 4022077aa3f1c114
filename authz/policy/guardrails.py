"""Platform guardrails: what covers a request, and what is settled at load (policy language §6).

`for` covers generously: literals after NFKC, case-folding and trimming, with and without a trailing slash; a host
without a port covers every port. A guardrail therefore may cover a request that its text doesn't seem to name,
never the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from authz.model.host import Authority
from authz.model.path import fold
from authz.model.request import AuthzRequest
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, Literal, PathTemplate, RequestPredicate, Usage
from authz.policy.document import (
    GuardrailDeclaration,
    ParsedDirectory,
    Requirement,
    RoutePolicyDocument,
    Scope,
    UserRequirement,
)
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.ground import Ground
from authz.policy.hosts import DEFAULT_PORTS, AnyPort, HostEntry, HostError, HostKind, HostPattern, parse_host
from authz.policy.plan import DenyPlan, RequirePlan, RoutePlan
from authz.policy.prepare import RequirementCompiler, Unfit
from authz.policy.requirements import (
    MAX_ALTERNATIVES,
    Names,
    TooLarge,
    check_shape,
    expand,
    leaves_under,
    shared_requirements,
)
from authz.policy.templates import TemplateError, format_template, parse_template
from authz.policy.three_values import Mode
from authz.policy.user_conditions import user_values
from authz.policy.values import RequestHeader, Text

PREFLIGHT = "preflight"
"""What an exception names as the route of a policy's preflights: `POLICY/preflight`."""


@dataclass(frozen=True, slots=True)
class Cover:
    """A guardrail's `for`, prepared. Paths are folded literals and whether `/**` follows."""

    hosts: tuple[HostPattern, ...]
    paths: tuple[tuple[tuple[str, ...], bool], ...]
    methods: frozenset[str]
    policies: frozenset[str]

    def request(self, request: AuthzRequest) -> bool:
        """Whether hosts, path and method of the request are covered."""
        if self.methods and request.method not in self.methods:
            return False
        if self.hosts and not any(covers_host(pattern, request.authority) for pattern in self.hosts):
            return False
        return not self.paths or self._path(request)

    def _path(self, request: AuthzRequest) -> bool:
        segments = request.path.segments
        folded = tuple(fold(segment) for segment in (segments[:-1] if segments[-1] == "" else segments))
        return any(folded[: len(literals)] == literals if rest else folded == literals for literals, rest in self.paths)

    def route(self, policy: RoutePolicyDocument, methods: tuple[str, ...], template: PathTemplate) -> bool:
        """Whether some request of the route can be covered."""
        if self.policies and policy.name not in self.policies:
            return False
        if self.methods and "*" not in methods and self.methods.isdisjoint(methods):
            return False
        if self.paths and not any(_meets_path(literals, rest, template) for literals, rest in self.paths):
            return False
        return not self.hosts or any(
            _meets_host(pattern, own) for pattern in self.hosts for own in _host_patterns(policy)
        )


def compile_guardrails(platform: ParsedDirectory, faults: Faults) -> tuple[CompiledGuardrail, ...]:
    """The `require` and `deny` guardrails in the order of their ids; faults are the platform's own."""
    if platform.guardrails is None:
        return ()
    names = Names({}, shared_requirements(platform), faults, "")
    compiled = []
    for guardrail in sorted(platform.guardrails.guardrails, key=lambda one: one.id):
        cover = read_cover(guardrail.scope, faults)
        if guardrail.forbid is None and cover is not None:
            one = _compile(guardrail, cover, names, platform, faults)
            if one is not None:
                compiled.append(one)
    return tuple(compiled)


def read_cover(scope: Scope, faults: Faults) -> Cover | None:
    """The prepared `for`; None when a fault was added."""
    before = len(faults)
    hosts = tuple(entry.pattern for text in scope.hosts if (entry := _scope_host(text, faults)) is not None)
    paths = tuple(path for text in scope.paths if (path := _scope_path(text, faults)) is not None)
    if len(faults) != before:
        return None
    methods = frozenset() if "*" in scope.methods else scope.methods
    return Cover(hosts=hosts, paths=paths, methods=methods, policies=scope.policies)


def check_forbids(
    policy: RoutePolicyDocument, compiled: CompiledRoute, platform: ParsedDirectory, faults: Faults
) -> bool:
    """Report each `forbid` that the compiled route meets; True when there was one."""
    plan = compiled.plan
    assert isinstance(plan, RoutePlan)
    if not any(alternative.public for alternative in plan.alternatives):
        return False
    hit = False
    for guardrail in _forbids(platform, policy.name, compiled.id):
        if _forbids_methods(guardrail, compiled.methods) and _covers_route(
            guardrail, policy, compiled.methods, compiled.template
        ):
            hit = True
            faults.add(
                _place_of(policy, compiled.id),
                FaultCode.GUARDRAIL_FORBIDS,
                policy=policy.name,
                message=f"guardrail {guardrail.id!r} forbids it: the route can allow without a verified principal",
            )
    return hit


def check_preflight(
    policy: RoutePolicyDocument, templates: tuple[PathTemplate, ...], platform: ParsedDirectory, faults: Faults
) -> frozenset[PathTemplate]:
    """The same for the policy's public preflights, which are requests of method OPTIONS; the templates that a
    `forbid` hits."""
    hit: set[PathTemplate] = set()
    for guardrail in _forbids(platform, policy.name, PREFLIGHT) if policy.preflight is not None else ():
        if not _forbids_methods(guardrail, ("OPTIONS",)):
            continue
        covered = {template for template in templates if _covers_route(guardrail, policy, ("OPTIONS",), template)}
        if covered:
            hit |= covered
            faults.add(
                policy.place,
                FaultCode.GUARDRAIL_FORBIDS,
                policy=policy.name,
                message=f"guardrail {guardrail.id!r} forbids public preflights",
                help=f"Drop `preflight`, or ask the platform for an exception for {policy.name}/{PREFLIGHT}.",
            )
    return frozenset(hit)


def check_denies(
    policy: RoutePolicyDocument, compiled: CompiledRoute, platform: ParsedDirectory, faults: Faults
) -> None:
    """Warn where a `deny` hangs on a credential that an alternative doesn't use: who is denied may show less."""
    plan = compiled.plan
    assert isinstance(plan, RoutePlan)
    for guardrail in plan.guardrails:
        if not guardrail.deny or guardrail.absent_denies:
            continue
        declaration = _declaration(platform, guardrail.id)
        if not _covers_route(declaration, policy, compiled.methods, compiled.template):
            continue
        for alternative in plan.alternatives:
            lacking = _unused(guardrail.usage, user=alternative.user, workload=alternative.workload_via is not None)
            if lacking:
                faults.add(
                    _place_of(policy, compiled.id),
                    FaultCode.DENY_EVADABLE,
                    policy=policy.name,
                    message=f"{guardrail.id!r} denies by the {lacking}, which {_witness(compiled)} needn't show",
                )
                break


def check_exemptions(platform: ParsedDirectory, faults: Faults, today: date | None) -> None:
    """Warn of exceptions for routes that don't exist and, when `today` is given, of those whose date has passed."""
    if platform.guardrails is None:
        return
    known = {f"{policy.name}/{route.id}" for policy in platform.policies for route in policy.routes}
    known |= {f"{policy.name}/{PREFLIGHT}" for policy in platform.policies}
    for guardrail in platform.guardrails.guardrails:
        for exemption in guardrail.exemptions:
            if exemption.route not in known:
                faults.add(
                    exemption.place, FaultCode.GUARDRAIL_UNKNOWN_ROUTE, f"no route is called {exemption.route!r}"
                )
            if today is not None and exemption.until is not None and exemption.until < today:
                faults.add(
                    exemption.place,
                    FaultCode.GUARDRAIL_EXPIRED,
                    f"the exception for {exemption.route!r} ended on {exemption.until.isoformat()}",
                )


# --- compiling one ---------------------------------------------------------------------------------------


def _compile(
    guardrail: GuardrailDeclaration, cover: Cover, names: Names, platform: ParsedDirectory, faults: Faults
) -> CompiledGuardrail | None:
    written = guardrail.require if guardrail.require is not None else guardrail.deny
    # Without a requirement the guardrail is faulty, and the reader has said so.
    node = None if written is None else names.resolve(written)
    if node is None:
        return None
    ground = Ground(platform=platform, faults=faults, origin=f"guardrail:{guardrail.id}", any_issuer=True)
    compiler = RequirementCompiler(ground, frozenset())
    before = len(faults)
    check_shape(node, faults, "")
    try:
        prepared = _deny(compiler, node) if guardrail.require is None else _require(compiler, node, ground)
    except Unfit:
        return None
    if len(faults) != before:
        return None
    plan, usage = prepared
    return CompiledGuardrail(
        id=guardrail.id,
        covers=_predicate(cover),
        deny=guardrail.require is None,
        absent_denies=guardrail.absent_denies,
        exempt=frozenset(
            (policy, route) for policy, _, route in (one.route.partition("/") for one in guardrail.exemptions)
        ),
        policies=cover.policies,
        usage=usage,
        plan=plan,
    )


def _deny(compiler: RequirementCompiler, node: Requirement) -> tuple[DenyPlan, Usage]:
    test, leaves = compiler.tree(node, Mode.DENY, frozenset(), compiler.surroundings({}, None))
    below = tuple(leaves_under(node))
    _refuse_headers(below, compiler.ground)
    compiler.check_expressions(below, user=any(isinstance(leaf, UserRequirement) for leaf in below), workload=False)
    text = ", ".join(leaf.text for leaf in leaves)
    return DenyPlan(test=test, leaves=leaves, text=text), compiler.loose_usage(node, frozenset())


def _refuse_headers(leaves: tuple[object, ...], ground: Ground) -> None:
    """A header is the client's to choose, so a `deny` can't hang on one (§5, References)."""
    for value in (value for leaf in leaves if isinstance(leaf, UserRequirement) for value in user_values(leaf)):
        if isinstance(value.reference, RequestHeader):
            message = "`{request.header.…}` doesn't stand in `deny`: the client could choose it away"
            ground.fault(value.place, FaultCode.REFERENCE_INVALID, message)


def _require(compiler: RequirementCompiler, node: Requirement, ground: Ground) -> tuple[RequirePlan, Usage]:
    try:
        alternatives = expand(node)
    except TooLarge as error:
        ground.fault(error.place, FaultCode.REQUIREMENT_TOO_LARGE, f"more than {MAX_ALTERNATIVES} alternatives")
        raise Unfit from None
    usage = Usage()
    for leaves in alternatives:
        usage |= compiler.usage(leaves)
    return RequirePlan(alternatives=tuple(compiler.alternative(leaves, {}) for leaves in alternatives)), usage


def _predicate(cover: Cover) -> RequestPredicate:
    """`policies` is settled per route at load, so that a guardrail without other limits costs nothing per check."""
    if not cover.hosts and not cover.paths and not cover.methods:
        return lambda request, policy: True
    return lambda request, policy: cover.request(request)


# --- `for` -----------------------------------------------------------------------------------------------


def _scope_host(text: Text, faults: Faults) -> HostEntry | None:
    try:
        entry = parse_host(text.value)
    except HostError as error:
        faults.add(text.place, FaultCode.HOST_PATTERN, str(error))
        return None
    if entry.variable:
        faults.add(text.place, FaultCode.HOST_PATTERN, "`for` has no variables: write `*.` before the suffix")
        return None
    return entry


def _scope_path(text: Text, faults: Faults) -> tuple[tuple[str, ...], bool] | None:
    try:
        template = parse_template(text.value)
    except TemplateError as error:
        faults.add(text.place, FaultCode.PATH_TEMPLATE, error.rule, help=error.hint)
        return None
    if template.variables:
        faults.add(text.place, FaultCode.PATH_TEMPLATE, "`for` has no variables: end the path before them with `/**`")
        return None
    return _folded(template), template.rest


def _folded(template: PathTemplate) -> tuple[str, ...]:
    literals = tuple(fold(part.text) for part in template.segments if isinstance(part, Literal))
    return literals[:-1] if literals and literals[-1] == "" else literals


def covers_host(pattern: HostPattern, authority: Authority) -> bool:
    """Whether a request for this authority is one of the pattern's: without a port the pattern takes any, and an
    authority without one may be for either default port (the scheme is the client's word)."""
    unsaid = authority.port is None and pattern.port in DEFAULT_PORTS
    if pattern.port not in (None, AnyPort.ANY, authority.port) and not unsaid:
        return False
    if pattern.kind is HostKind.EXACT:
        return authority.host == pattern.name
    return authority.host.endswith("." + pattern.name)


def _host_patterns(policy: RoutePolicyDocument) -> list[HostPattern]:
    """Those that can be read: the others are the policy's own faults."""
    patterns = []
    for text in policy.hosts:
        try:
            patterns.append(parse_host(text.value).pattern)
        except HostError:
            continue
    return patterns


def _meets_host(pattern: HostPattern, own: HostPattern) -> bool:
    """Whether one authority can be under both."""
    numbered = isinstance(pattern.port, int) and isinstance(own.port, int)
    if numbered and pattern.port != own.port:
        return False
    one, other = "." + pattern.name, "." + own.name
    if pattern.kind is HostKind.EXACT and own.kind is HostKind.EXACT:
        return one == other
    if pattern.kind is HostKind.EXACT:
        return one.endswith(other) and one != other
    if own.kind is HostKind.EXACT:
        return other.endswith(one) and one != other
    return one.endswith(other) or other.endswith(one)


def _meets_path(literals: tuple[str, ...], rest: bool, template: PathTemplate) -> bool:
    """Whether one path can be under both, folded as requests are."""
    segments = [fold(part.text) if isinstance(part, Literal) else None for part in template.segments]
    if segments and segments[-1] == "":
        segments.pop()
    if any(own is not None and own != literal for own, literal in zip(segments, literals, strict=False)):
        return False
    if len(segments) == len(literals):
        return True
    return template.rest if len(segments) < len(literals) else rest


# --- forbid and deny -------------------------------------------------------------------------------------


def _forbids(platform: ParsedDirectory, policy: str, route: str) -> list[GuardrailDeclaration]:
    """The `forbid` guardrails without an exception for the route."""
    if platform.guardrails is None:
        return []
    return [
        guardrail
        for guardrail in platform.guardrails.guardrails
        if guardrail.forbid is not None and f"{policy}/{route}" not in {one.route for one in guardrail.exemptions}
    ]


def _place_of(policy: RoutePolicyDocument, route: str) -> Place:
    return next(one.place for one in policy.routes if one.id == route)


def _forbids_methods(guardrail: GuardrailDeclaration, methods: tuple[str, ...]) -> bool:
    assert guardrail.forbid is not None
    forbidden = guardrail.forbid.methods
    return not forbidden or "*" in forbidden or "*" in methods or not forbidden.isdisjoint(methods)


def _covers_route(
    guardrail: GuardrailDeclaration, policy: RoutePolicyDocument, methods: tuple[str, ...], template: PathTemplate
) -> bool:
    cover = read_cover(guardrail.scope, Faults())
    return cover is None or cover.route(policy, methods, template)


def _declaration(platform: ParsedDirectory, id_: str) -> GuardrailDeclaration:
    assert platform.guardrails is not None
    return next(one for one in platform.guardrails.guardrails if one.id == id_)


def _unused(usage: Usage, *, user: bool, workload: bool) -> str:
    """The kind of credential that the guardrail looks at and the alternative doesn't; empty when there is none."""
    if usage.issuers and not user:
        return "user"
    return "workload" if usage.vias and not workload else ""


def _witness(route: CompiledRoute) -> str:
    method = "GET" if route.methods[0] == "*" else route.methods[0]
    return f"{method} {format_template(route.template)}"
