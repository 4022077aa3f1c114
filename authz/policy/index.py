"""Where requests are looked up: enforcement point, host, share, path, method (policy language §4, §8).

Owns the order of those steps and the reason for each miss. Immutable, made by `policy.link`, which has settled
beforehand who owns what. A look-up's cost depends on the labels of the host and the segments of the path only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from authz.model.decision import Denial
from authz.model.headers import fold_name
from authz.model.path import fold
from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.policy.compiled import CompiledRoute, Literal, Matched, PathTemplate, Variable, VariableType
from authz.policy.hosts import HostTable
from authz.policy.router import Leaf, Router
from authz.policy.templates import takes

SPIFFE: Final = "spiffe://"
DNS: Final = "dns:"

_NO_VARIABLES: Final[Mapping[str, str]] = {}


class Shares:
    """The parts of one divided host: which policy the narrowest share that holds a path belongs to (§6)."""

    __slots__ = ("_root", "_templates")

    def __init__(self, shares: Mapping[str, PathTemplate]) -> None:
        self._templates = tuple(shares.values())
        self._root = _ShareNode()
        for policy, template in shares.items():
            self._root.add(policy, template)

    def templates(self) -> tuple[PathTemplate, ...]:
        """Every share, for tools."""
        return self._templates

    def owner(self, segments: tuple[str, ...]) -> str | Reason:
        """The policy, "" for nobody's part, or PATH_NOT_CANONICAL where a look-alike of a share's literal would
        fall into a wider share."""
        return self._root.owner(segments, 0)


class _ShareNode:
    """Shares never cross, so of those that hold a path the one found first (literal, variable, `/**`) is the
    narrowest; unlike routes, a way that ends is left again."""

    __slots__ = ("ends", "forms", "literals", "rest", "variables")

    def __init__(self) -> None:
        self.literals: dict[str, _ShareNode] = {}
        self.forms: set[str] = set()
        self.variables: list[tuple[Variable, _ShareNode]] = []
        self.ends = ""
        self.rest = ""

    def add(self, policy: str, template: PathTemplate) -> None:
        node = self
        for part in template.segments:
            node = node._literal(part.text) if isinstance(part, Literal) else node._variable(part)
        if template.rest:
            node.rest = policy
        else:
            node.ends = policy

    def owner(self, segments: tuple[str, ...], index: int) -> str | Reason:
        if index == len(segments):
            return self.ends or self.rest
        segment = segments[index]
        child = self.literals.get(segment)
        if child is not None and (found := child.owner(segments, index + 1)):
            return found
        if child is None and (self.variables or self.rest) and segment and fold(segment) in self.forms:
            return Reason.PATH_NOT_CANONICAL
        for variable, node in self.variables:
            if takes(variable, segment) and (found := node.owner(segments, index + 1)):
                return found
        return self.rest

    def _literal(self, text: str) -> _ShareNode:
        self.forms.add(fold(text))
        return self.literals.setdefault(text, _ShareNode())

    def _variable(self, part: Variable) -> _ShareNode:
        for known, node in self.variables:
            if known.type is part.type:
                return node
        node = _ShareNode()
        self.variables.append((part, node))
        self.variables.sort(key=lambda item: _TYPE_ORDER[item[0].type])
        return node


_TYPE_ORDER: Final = {VariableType.INT: 0, VariableType.UUID: 0, VariableType.SLUG: 1, VariableType.TEXT: 2}
"""Narrower types first."""


class Binding:
    """What one host entry means at one enforcement point.

    `policies` are those that serve it there; more than one only with `shares`. `closed` names the policy whose
    fault or absence closes the whole entry. `unavailable` are policies whose share answers 503. `variables` are the
    names that policies have for the label of a `{name}.` entry: each has its own.
    """

    __slots__ = ("closed", "policies", "router", "shares", "unavailable", "variables")

    def __init__(
        self,
        *,
        policies: frozenset[str],
        router: Router | None,
        variables: Mapping[str, str] = _NO_VARIABLES,
        closed: str = "",
        shares: Shares | None = None,
        unavailable: frozenset[str] = frozenset(),
    ) -> None:
        self.policies = policies
        self.router = router
        self.variables = variables
        self.closed = closed
        self.shares = shares
        self.unavailable = unavailable

    @property
    def policy(self) -> str:
        """The one policy behind it, for reports; "" when several share it."""
        return next(iter(self.policies)) if len(self.policies) == 1 else ""


class Zone:
    """One enforcement point: its hosts, and the policies that `authz.service` may name there."""

    __slots__ = ("hosts", "policies")

    def __init__(self, hosts: HostTable[Binding], policies: frozenset[str]) -> None:
        self.hosts = hosts
        self.policies = policies


class Index:
    """Every enforcement point. `zones` by destination, `elsewhere` for any other; `named` by policy; `by_name`
    are the policies that `authz.service` reaches from anywhere; `preflights` those that grant preflights."""

    __slots__ = ("_by_name", "_elsewhere", "_named", "_preflights", "_zones")

    def __init__(
        self,
        *,
        zones: Mapping[str, Zone],
        elsewhere: Zone,
        named: Mapping[str, Zone],
        by_name: frozenset[str],
        preflights: frozenset[str],
    ) -> None:
        self._zones = zones
        self._elsewhere = elsewhere
        self._named = named
        self._by_name = by_name
        self._preflights = preflights

    def match(self, request: AuthzRequest) -> Matched | Denial:
        """The route that owns the request, or why none does: destination and host, then path, then route."""
        destination = destination_of(request.destination.principal) if self._zones else ""
        zone = self.zone(destination, request.service)
        binding = None if zone is None else zone.hosts.find(request.authority)
        if binding is None:
            return Denial(reason=Reason.DESTINATION_UNMATCHED)
        if binding.router is None:
            return Denial(reason=Reason.POLICY_UNAVAILABLE, policy=binding.closed)
        if binding.shares is None:
            return self._match_path(request, binding, binding.router, "")
        return self._match_share(request, binding, binding.router, binding.shares)

    def zone(self, destination: str, service: str) -> Zone | None:
        """The enforcement point that a destination entry and `authz.service` lead to."""
        zone = self._zones.get(destination, self._elsewhere)
        if not service:
            return zone
        if service in zone.policies or service in self._by_name:
            return self._named.get(service)
        return None

    def points(self) -> frozenset[str]:
        """The destinations that have an enforcement point of their own."""
        return frozenset(self._zones)

    def services(self, destination: str) -> frozenset[str]:
        """What `authz.service` may name at a destination."""
        return self._zones.get(destination, self._elsewhere).policies | self._by_name

    @property
    def preflights(self) -> frozenset[str]:
        """The policies that grant preflights."""
        return self._preflights

    def _match_share(self, request: AuthzRequest, binding: Binding, router: Router, shares: Shares) -> Matched | Denial:
        owner = shares.owner(request.path.segments)
        if isinstance(owner, Reason):
            return Denial(reason=owner)
        if owner in binding.unavailable:
            return Denial(reason=Reason.POLICY_UNAVAILABLE, policy=owner)
        if not binding.policies or (owner and owner not in binding.policies):
            # The host was given, but is none of the hosts of a policy that stands here (§4).
            return Denial(reason=Reason.DESTINATION_UNMATCHED)
        found = self._match_path(request, binding, router, owner)
        if isinstance(found, Matched) and found.route.policy != owner:
            # A wider share's route that reaches into a narrower one's part, or beyond every share.
            return Denial(reason=Reason.ROUTE_UNMATCHED, policy=owner)
        return found

    def _match_path(self, request: AuthzRequest, binding: Binding, router: Router, owner: str) -> Matched | Denial:
        segments = request.path.segments
        leaf = router.find(segments)
        if isinstance(leaf, Reason):
            return Denial(reason=leaf, policy=owner or binding.policy)
        variables = leaf.bind(segments)
        if variables is None:
            return Denial(reason=Reason.ROUTE_UNMATCHED, policy=leaf.policy)
        preflight = self._preflight(leaf, request)
        route = preflight or leaf.choose(request)
        if isinstance(route, Reason):
            return Denial(reason=route, policy=leaf.policy)
        if route.unavailable or (preflight is not None and route.preflight_unavailable):
            return Denial(reason=Reason.POLICY_UNAVAILABLE, policy=route.policy, route=route.id)
        hosts = _NO_VARIABLES
        if binding.variables:
            hosts = {binding.variables[route.policy]: request.authority.host.partition(".")[0]}
        return Matched(route, variables, hosts, preflight is not None)

    def _preflight(self, leaf: Leaf, request: AuthzRequest) -> CompiledRoute | None:
        return leaf.preflight(request) if leaf.policy in self._preflights else None


def destination_of(principal: str) -> str:
    """The entry that stands for a connection's own end, as Envoy names it: a SPIFFE ID, else the DNS name of its
    certificate. DNS names are compared in lower case."""
    return principal if principal.startswith(SPIFFE) else DNS + fold_name(principal)
