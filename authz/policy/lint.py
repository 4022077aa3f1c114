"""Advice beyond faults: what a sound policy may still get wrong (`authz lint`; the service never runs this).

Every finding is a warning with a code of the registry. Findings are about what was written, so they stand at its
place; what only a second directory, a lock file or the calendar shows is found elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from authz.policy.compile import PolicyCompiler
from authz.policy.compiled import CompiledRoute, PathTemplate
from authz.policy.contradictions import contradiction, literals
from authz.policy.document import (
    AllOf,
    AnyOf,
    NamedRequirement,
    NotRequirement,
    ParsedDirectory,
    Quantified,
    Requirement,
    RouteDeclaration,
    RoutePolicyDocument,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.hosts import read_host
from authz.policy.plan import Alternative, RoutePlan
from authz.policy.rehearse import Result
from authz.policy.requirements import Leaves, Names, TooLarge, expand, leaves_under, shared_requirements
from authz.policy.router import Node, build_router
from authz.policy.suggest import closest
from authz.policy.templates import contains, format_template, read_template, takes
from authz.policy.user_conditions import user_values
from authz.policy.values import PathVariable
from authz.policy.workload_conditions import SpiffePattern, SpiffePatternError

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE", "*"})
MIN_LITERALS = 2
"""Path segments that a SPIFFE pattern spells out before its `/**`: a namespace of one's own, not a trust domain."""


@dataclass(frozen=True, slots=True)
class Exercised:
    """What tests exist for a route: whether some expect an allow, and some a denial."""

    allow: bool = False
    deny: bool = False


Tests = Mapping[tuple[str, str], Exercised]
"""By policy and route. A policy without any test is missing in it altogether."""


@dataclass(frozen=True, slots=True)
class _Route:
    """One route, as written and as compiled."""

    declared: RouteDeclaration
    compiled: CompiledRoute
    leaves: tuple[Leaves, ...]

    @property
    def alternatives(self) -> tuple[Alternative, ...]:
        plan = self.compiled.plan
        assert isinstance(plan, RoutePlan)
        return plan.alternatives


@dataclass(slots=True)
class _Report:
    """Where findings about one policy go."""

    faults: Faults
    policy: str
    seen: set[tuple[Place, FaultCode]] = field(default_factory=set)

    def add(self, place: Place, code: FaultCode, message: str) -> None:
        """One finding per place and code: a requirement that many routes share is told once."""
        if (place, code) not in self.seen:
            self.seen.add((place, code))
            self.faults.add(place, code, message, policy=self.policy)


def exercised(results: Iterable[Result]) -> Tests:
    """What the tests of a directory expect of its routes, whether or not they pass."""
    found: dict[tuple[str, str], Exercised] = {}
    for result in results:
        # A policy that only tests what matches nothing has tests all the same.
        found.setdefault((result.suite.policy, ""), Exercised())
        if result.matched is not None and not result.matched.preflight:
            key = (result.matched.route.policy, result.matched.route.id)
            before = found.get(key, Exercised())
            allows = result.case.expected.reason is None
            found[key] = Exercised(allow=before.allow or allows, deny=before.deny or not allows)
    return found


def lint(parsed: ParsedDirectory, tests: Tests | None = None) -> Faults:
    """Every finding about the sound policies of a directory. `tests` None: nothing is said about tests."""
    faults = Faults()
    excepted = _excepted(parsed)
    for policy in parsed.policies:
        report = _Report(faults, policy.name)
        routes = _routes(policy, parsed)
        _owner(policy, report)
        for route in routes:
            if f"{policy.name}/{route.compiled.id}" not in excepted:
                _public_write(route, report)
            _workload_patterns(route, report)
            _unused_variables(route, report)
            _shadowed(route, report)
            _never(route, report)
        _dead_ends(routes, report)
        _weak_catch_alls(routes, report)
        if tests is not None:
            _untested(policy, routes, tests, report)
    _misspelt(parsed, faults)
    return faults


# --- what is looked at -----------------------------------------------------------------------------------


def _routes(policy: RoutePolicyDocument, parsed: ParsedDirectory) -> list[_Route]:
    """The routes that can be compiled: the others have faults of their own."""
    ignored = Faults()
    names = Names(policy.requirements, shared_requirements(parsed), ignored, policy.name)
    variables = frozenset(
        entry.variable for text in policy.hosts if (entry := read_host(text, ignored)) is not None and entry.variable
    )
    compiler = PolicyCompiler(policy, parsed, host_variables=variables, guardrails=(), faults=ignored)
    found = []
    for declared in policy.routes:
        template = read_template(declared.path, ignored)
        compiled = None if template is None else compiler.route(declared, template)
        node = None if compiled is None else names.resolve(declared.allow)
        if compiled is not None and node is not None:
            found.append(_Route(declared, compiled, _expanded(node)))
    return found


def _expanded(node: Requirement) -> tuple[Leaves, ...]:
    try:
        return expand(node)
    except TooLarge:
        return ()


def _excepted(parsed: ParsedDirectory) -> frozenset[str]:
    """`POLICY/ROUTE` of public routes for which a guardrail's exception says why already."""
    guardrails = () if parsed.guardrails is None else parsed.guardrails.guardrails
    return frozenset(one.route for each in guardrails if each.forbid is not None for one in each.exemptions)


# --- one route -------------------------------------------------------------------------------------------


def _owner(policy: RoutePolicyDocument, report: _Report) -> None:
    if not policy.owner:
        report.add(policy.place, FaultCode.OWNER_MISSING, f"nobody is named as the owner of policy {policy.name!r}")


def _public_write(route: _Route, report: _Report) -> None:
    methods = sorted(WRITING.intersection(route.compiled.methods))
    if methods and any(alternative.public for alternative in route.alternatives):
        message = f"{', '.join(methods)} can pass without a verified principal"
        report.add(route.declared.place, FaultCode.PUBLIC_WRITE, message)


def _workload_patterns(route: _Route, report: _Report) -> None:
    for leaf in (leaf for leaves in route.leaves for leaf in leaves):
        if isinstance(leaf, WorkloadRequirement):
            for text in leaf.spiffe:
                if _is_wide(text.value):
                    report.add(text.place, FaultCode.WORKLOAD_WILDCARD, f"{text.value} covers workloads of many owners")


def _is_wide(text: str) -> bool:
    """A `*` before the last segment, or a `/**` close to the trust domain."""
    try:
        pattern = SpiffePattern.parse(text)
    except SpiffePatternError:
        return False
    if pattern.rest:
        return len(pattern.segments) < MIN_LITERALS or None in pattern.segments
    return None in pattern.segments[:-1]


def _unused_variables(route: _Route, report: _Report) -> None:
    """The classic broken object-level authorization: whoever may read one object may read them all."""
    excused = {name.value for name, _ in route.declared.objects}
    for leaves in route.leaves:
        users = [leaf for leaf in leaves if isinstance(leaf, UserRequirement)]
        if not users:
            continue
        used = {
            value.reference.name
            for leaf in leaves
            for below in leaves_under(leaf)
            if isinstance(below, UserRequirement)
            for value in user_values(below)
            if isinstance(value.reference, PathVariable)
        }
        unused = sorted(route.compiled.template.variables.keys() - used - excused)
        if unused:
            message = f"an alternative lets a user in whatever {', '.join(unused)} is"
            report.add(route.declared.path.place, FaultCode.VARIABLE_UNUSED, message)


def _shadowed(route: _Route, report: _Report) -> None:
    """An alternative that asks for all that an earlier one asks for, and more, never decides anything."""
    texts = [frozenset(condition.text for condition in alternative.conditions) for alternative in route.alternatives]
    for (first, earlier), (second, later) in combinations(enumerate(texts), 2):
        if earlier <= later and not route.alternatives[second].public:
            message = f"alternative {second + 1} asks for all that alternative {first + 1} asks for: it never decides"
            report.add(route.declared.place, FaultCode.ALTERNATIVE_SHADOWED, message)


def _never(route: _Route, report: _Report) -> None:
    """An `all` whose parts exclude each other."""
    for leaves in route.leaves:
        why = contradiction(leaves)
        if why:
            report.add(leaves[-1].place, FaultCode.NEVER_HOLDS, f"nobody can meet all of this: {why}")


# --- routes beside each other ----------------------------------------------------------------------------


def _dead_ends(routes: list[_Route], report: _Report) -> None:
    """A literal takes a path for itself and leads nowhere, although a sibling template would fit (§4)."""
    by_id = {route.compiled.id: route for route in routes}
    router, conflicts = build_router(route.compiled for route in routes)
    if conflicts:
        return
    for prefix, text, node, fits in _lost_literals(router.root):
        first = next(_routes_below(node), None)
        if first is not None and first.id in by_id:
            path = "/" + "/".join([*prefix, text])
            message = f"{path} matches no route: the literal here takes it away from {format_template(fits)}"
            report.add(by_id[first.id].declared.path.place, FaultCode.PATH_DEAD_END, message)


def _lost_literals(root: Node) -> Iterator[tuple[tuple[str, ...], str, Node, PathTemplate]]:
    """Each literal that ends nowhere beside a variable that ends; with the variable's template."""
    pending: list[tuple[tuple[str, ...], Node]] = [((), root)]
    while pending:
        prefix, node = pending.pop()
        variable, part = node.variable, node.variable_part
        for text, child in node.literals.items():
            pending.append(((*prefix, text), child))
            taken = variable is not None and part is not None and takes(part, text)
            if taken and variable is not None and variable.leaf is not None and child.leaf is child.rest is None:
                yield prefix, text, child, variable.leaf.template
        if variable is not None and part is not None:
            pending.append(((*prefix, f"{{{part.name}}}"), variable))


def _routes_below(node: Node) -> Iterator[CompiledRoute]:
    for leaf in (node.leaf, node.rest):
        if leaf is not None:
            yield from leaf.routes()
    for child in node.children():
        yield from _routes_below(child)


def _weak_catch_alls(routes: list[_Route], report: _Report) -> None:
    """A `/**` that asks for less than a route inside it: a misspelt path falls into the weaker rule."""
    for wide in routes:
        if not wide.compiled.template.rest:
            continue
        for narrow in routes:
            if narrow is not wide and _inside(narrow.compiled, wide.compiled) and _weaker(wide, narrow):
                inside = format_template(narrow.compiled.template)
                message = f"asks for less than {narrow.compiled.id!r} ({inside}) inside it"
                report.add(wide.declared.place, FaultCode.CATCH_ALL_WEAK, message)
                break


def _inside(narrow: CompiledRoute, wide: CompiledRoute) -> bool:
    shared = "*" in (*narrow.methods, *wide.methods) or not set(narrow.methods).isdisjoint(wide.methods)
    return shared and narrow.upgrade == wide.upgrade and contains(wide.template, narrow.template)


def _weaker(wide: _Route, narrow: _Route) -> bool:
    """Whether some alternative of the wide one asks for a part only of what each of the narrow one's asks for."""
    narrow_texts = [_asked(alternative) for alternative in narrow.alternatives]
    return any(all(_asked(loose) < strict for strict in narrow_texts) for loose in wide.alternatives)


def _asked(alternative: Alternative) -> frozenset[str]:
    """What is asked of the caller; `public` asks for nothing."""
    return frozenset(one.text for one in alternative.conditions if not one.text.startswith("public "))


# --- tests, spelling -------------------------------------------------------------------------------------


def _untested(policy: RoutePolicyDocument, routes: list[_Route], tests: Tests, report: _Report) -> None:
    if not any(name == policy.name for name, _ in tests):
        report.add(policy.place, FaultCode.TEST_MISSING, f"policy {policy.name!r} has no tests")
        return
    for route in routes:
        exercised = tests.get((policy.name, route.compiled.id), Exercised())
        open_to_all = any(not _asked(alternative) for alternative in route.alternatives)
        closed = all(condition.text.startswith("nobody ") for one in route.alternatives for condition in one.conditions)
        missing = [
            kind
            for kind, there in (("allow", exercised.allow or closed), ("deny", exercised.deny or open_to_all))
            if not there
        ]
        if missing:
            message = f"no test expects route {route.compiled.id!r} to {' or to '.join(missing)}"
            report.add(route.declared.place, FaultCode.TEST_MISSING, message)


def _misspelt(parsed: ParsedDirectory, faults: Faults) -> None:
    """A scope or group that is named once, one slip away from one that is named more often."""
    for kind in ("scopes", "groups"):
        places: dict[str, tuple[Place, str]] = {}
        counts: Counter[str] = Counter()
        for policy, node in _all_requirements(parsed):
            for leaf in _written_leaves(node):
                quantified: Quantified | None = getattr(leaf, kind) if isinstance(leaf, UserRequirement) else None
                if quantified is None:
                    continue
                for text in literals(quantified):
                    counts[str(text)] += 1
                    places.setdefault(str(text), (quantified.place, policy))
        common = [text for text, count in counts.items() if count > 1]
        for text, count in sorted(counts.items()):
            near = closest(text, common) if count == 1 else None
            if near is not None and near != text:
                place, policy = places[text]
                message = f"{text!r} is asked for nowhere else in {kind}; did you mean {near!r}?"
                faults.add(place, FaultCode.VALUE_SUSPICIOUS, message, policy=policy)


def _all_requirements(parsed: ParsedDirectory) -> Iterator[tuple[str, Requirement]]:
    for document in parsed.requirements:
        yield from (("", node) for node in document.requirements.values())
    for policy in parsed.policies:
        yield from ((policy.name, node) for node in policy.requirements.values())
        yield from ((policy.name, route.allow) for route in policy.routes)


def _written_leaves(node: Requirement) -> Iterator[object]:
    """The leaves that are written here; names lead elsewhere."""
    if isinstance(node, AllOf | AnyOf):
        for item in node.items:
            yield from _written_leaves(item)
    elif isinstance(node, NotRequirement):
        yield from _written_leaves(node.item)
    elif not isinstance(node, NamedRequirement):
        yield node
