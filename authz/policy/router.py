"""Which template and route own a path and method (policy language §4, "Paths" and "Which route wins").

A trie of segments: at each position literal, else variable, else `/**`; a branch taken is never left. The
cost of a look-up depends on the segments of the path, never on the number of routes. Building reports routes
that can't stand at one place (`RouteConflict`); templates that cross are `policy.crossing`'s. Hosts, shares and
what a route requires are not looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from authz.model.path import fold
from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.policy.compiled import CompiledRoute, Literal, PathTemplate, Variable
from authz.policy.faults import FaultCode
from authz.policy.templates import format_part, format_template, type_test

ANY_METHOD: Final = "*"
WEBSOCKET: Final = "websocket"
PREFLIGHT_METHOD: Final = "OPTIONS"
REQUESTED_METHOD: Final = "access-control-request-method"

_SYMBOLS: Final = r"!#$%&'*+\-.^_`|~0-9"
_UPPER_CASE: Final = re.compile(rf"[{_SYMBOLS}]*[A-Z][{_SYMBOLS}A-Z]*")
_NEVER_ANY: Final = frozenset({"CONNECT", "TRACE"})

_NO_LITERALS: Final[dict[str, Node]] = {}
"""Stands in for the literals of every node that has none; never written to."""
_NO_FORMS: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConflict:
    """Two routes that can't both stand; `second` is the one that came later."""

    code: FaultCode
    first: CompiledRoute
    second: CompiledRoute
    message: str


class Leaf:
    """The routes of one template: by method, those for an upgrade apart."""

    __slots__ = ("bindings", "plain", "policy", "template", "upgrades")

    def __init__(self, template: PathTemplate, policy: str) -> None:
        self.template = template
        self.policy = policy
        self.plain: dict[str, CompiledRoute] = {}
        self.upgrades: dict[str, CompiledRoute] | None = None
        self.bindings: tuple[tuple[int, str, Callable[[str], object] | None], ...] = tuple(
            (index, part.name, type_test(part.type))
            for index, part in enumerate(template.segments)
            if isinstance(part, Variable)
        )

    def bind(self, segments: tuple[str, ...]) -> dict[str, str] | None:
        """The variables of a path that the trie led here; None when one doesn't fit its type."""
        values: dict[str, str] = {}
        for index, name, test in self.bindings:
            segment = segments[index]
            if test is not None and not test(segment):
                return None
            values[name] = segment
        return values

    def choose(self, request: AuthzRequest) -> CompiledRoute | Reason:
        """The route for the request's method, or why there is none. Preflights are asked for apart."""
        methods = self.plain
        if request.upgrade:
            if request.upgrade != WEBSOCKET or self.upgrades is None:
                return Reason.ROUTE_UNMATCHED
            methods = self.upgrades
        elif not methods:
            return Reason.ROUTE_UNMATCHED
        return _by_method(methods, request.method) or Reason.METHOD_UNMATCHED

    def preflight(self, request: AuthzRequest) -> CompiledRoute | None:
        """The route whose preflight this request is, if it is one that no route for OPTIONS takes itself."""
        if request.method != PREFLIGHT_METHOD or request.upgrade or PREFLIGHT_METHOD in self.plain:
            return None
        requested = request.headers.get_all(REQUESTED_METHOD)
        if len(requested) != 1 or len(request.headers.get_all("origin")) != 1:
            return None
        return _by_method(self.plain, requested[0])

    def routes(self) -> Iterable[CompiledRoute]:
        yield from self.plain.values()
        yield from (self.upgrades or {}).values()

    def first(self) -> CompiledRoute:
        return next(iter(self.routes()))

    def _methods_for(self, upgrade: str) -> dict[str, CompiledRoute]:
        if not upgrade:
            return self.plain
        if self.upgrades is None:
            self.upgrades = {}
        return self.upgrades


class Node:
    """One position: what stands there, what ends there, and the `/**` that begins there.

    `forms` are the folded sibling literals, kept only where a variable or `/**` could take a look-alike.
    """

    __slots__ = ("forms", "leaf", "literals", "rest", "variable", "variable_part")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = _NO_LITERALS
        self.forms: frozenset[str] = _NO_FORMS
        self.variable: Node | None = None
        self.variable_part: Variable | None = None
        self.leaf: Leaf | None = None
        self.rest: Leaf | None = None

    def literal_child(self, text: str) -> Node:
        if self.literals is _NO_LITERALS:
            self.literals = {}
        child = self.literals.get(text)
        if child is None:
            child = self.literals[text] = Node()
        return child

    def children(self) -> Iterable[Node]:
        yield from self.literals.values()
        if self.variable is not None:
            yield self.variable


class Router:
    """The templates of the policies that share a host. Immutable once built."""

    __slots__ = ("root",)

    def __init__(self, root: Node) -> None:
        self.root = root

    def find(self, segments: tuple[str, ...]) -> Leaf | Reason:
        """The template that owns the path, or PATH_NOT_CANONICAL or ROUTE_UNMATCHED. Types aren't tested yet:
        `Leaf.bind` does, so that a look-alike anywhere on the way is reported first (§8, order)."""
        node = self.root
        for segment in segments:
            child = node.literals.get(segment)
            if child is None:
                if node.forms and fold(segment) in node.forms:
                    return Reason.PATH_NOT_CANONICAL
                child = node.variable
                if child is None or not segment:
                    return node.rest or Reason.ROUTE_UNMATCHED
            node = child
        return node.leaf or node.rest or Reason.ROUTE_UNMATCHED


def build_router(routes: Iterable[CompiledRoute]) -> tuple[Router, tuple[RouteConflict, ...]]:
    """Make the trie. With conflicts it is not to be served from: the later route of each isn't in it."""
    root = Node()
    conflicts: list[RouteConflict] = []
    owners: dict[int, CompiledRoute] = {}
    for route in routes:
        node = _place(root, route, owners, conflicts)
        _enter(node, route, conflicts)
    _fold_siblings(root)
    return Router(root), tuple(conflicts)


def _by_method(methods: Mapping[str, CompiledRoute], method: str) -> CompiledRoute | None:
    """The explicit route, else the one for `"*"`. A client's own method `*` is no upper-case method."""
    if method != ANY_METHOD and (route := methods.get(method)) is not None:
        return route
    route = methods.get(ANY_METHOD)
    if route is None or method in _NEVER_ANY or not _UPPER_CASE.fullmatch(method):
        return None
    return route


def _place(root: Node, route: CompiledRoute, owners: dict[int, CompiledRoute], conflicts: list[RouteConflict]) -> Node:
    """Walk to the node where the template ends; `owners` remembers which route brought each variable."""
    node = root
    for part in route.template.segments:
        if isinstance(part, Literal):
            node = node.literal_child(part.text)
            continue
        if node.variable is None or node.variable_part is None:
            node.variable, node.variable_part = Node(), part
            owners[id(node)] = route
        elif node.variable_part != part:
            conflicts.append(_position_conflict(owners[id(node)], route, node.variable_part, part))
        node = node.variable
    return node


def _enter(node: Node, route: CompiledRoute, conflicts: list[RouteConflict]) -> None:
    leaf = node.rest if route.template.rest else node.leaf
    if leaf is None:
        leaf = Leaf(route.template, route.policy)
        if route.template.rest:
            node.rest = leaf
        else:
            node.leaf = leaf
    methods = leaf._methods_for(route.upgrade)
    for method in route.methods:
        other = methods.setdefault(method, route)
        if other is not route:
            conflicts.append(_duplicate(other, route, method))


def _fold_siblings(root: Node) -> None:
    pending = [root]
    while pending:
        node = pending.pop()
        if node.literals and (node.variable is not None or node.rest is not None):
            node.forms = frozenset(_form(text) for text in node.literals if text)
        pending.extend(node.children())


def _form(text: str) -> str:
    """The folded literal; the literal's own text where they are equal, so that it is kept once."""
    form = fold(text)
    return text if form == text else form


def _position_conflict(first: CompiledRoute, second: CompiledRoute, one: Variable, other: Variable) -> RouteConflict:
    return RouteConflict(
        code=FaultCode.PATH_POSITION,
        first=first,
        second=second,
        message=(
            f"route `{second.id}` has `{format_part(other)}` where `{name_of(first)}` has `{format_part(one)}` at the "
            "same position"
        ),
    )


def _duplicate(first: CompiledRoute, second: CompiledRoute, method: str) -> RouteConflict:
    kind = f" with upgrade {second.upgrade}" if second.upgrade else ""
    template = format_template(second.template)
    return RouteConflict(
        code=FaultCode.ROUTE_DUPLICATE,
        first=first,
        second=second,
        message=f"route `{second.id}` and `{name_of(first)}` both take {method} {template}{kind}",
    )


def name_of(route: CompiledRoute) -> str:
    """How messages name a route: `POLICY/ROUTE`."""
    return f"{route.policy}/{route.id}"
