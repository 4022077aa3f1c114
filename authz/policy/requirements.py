"""Requirements as trees: names resolved, shape checked, expanded into alternatives (policy language §5).

An alternative is one choice for each `any`, in the order written; it is a conjunction of leaves. Conjunction and
disjunction distribute over each other in three-valued logic, so the expansion has the same truth as the tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from authz.policy.document import (
    AllOf,
    AnyOf,
    ClaimOperator,
    NamedRequirement,
    NobodyRequirement,
    NotRequirement,
    ParsedDirectory,
    PublicRequirement,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WhenRequirement,
    WorkloadRequirement,
)
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.suggest import MAX_SUGGESTIONS, did_you_mean
from authz.policy.user_conditions import user_values
from authz.policy.values import RequestHeader

MAX_ALTERNATIVES: Final = 128
"""Alternatives of one route, those of its guardrails multiplied in: bounds the work of explaining one denial."""
MAX_LEAVES: Final = 256
"""Leaves of one alternative."""
MAX_TREE: Final = 8192
"""Leaves of one requirement, those of the names in it counted each time: names that name others twice multiply."""
MAX_POLICY_LEAVES: Final = 500_000
"""Leaves of all alternatives of one policy's routes: a load takes seconds, and no team's holds up the others'."""
MAX_NESTING: Final = 100
"""Requirements inside one another, through names too: what walks them goes as deep."""

Leaf = (
    UserRequirement
    | WorkloadRequirement
    | SourceRequirement
    | PublicRequirement
    | NobodyRequirement
    | NotRequirement
    | WhenRequirement
)
Leaves = tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class TooLarge(Exception):
    """The expansion passes its bound."""

    place: Place


@dataclass(frozen=True, slots=True)
class _Resolved:
    """A tree without names, and how much there is to walk: its leaves, and how deep they stand."""

    node: Requirement
    leaves: int
    depth: int


class Names:
    """The named requirements that one policy (or the platform) sees, resolved on demand.

    Unknown and cyclic names become faults once, at the place where they stand.
    """

    def __init__(
        self, local: Mapping[str, Requirement], shared: Mapping[str, Requirement], faults: Faults, policy: str
    ) -> None:
        self._all = {**shared, **local}
        self._faults = faults
        self._policy = policy
        self._resolved: dict[str, _Resolved | None] = {}
        self._open: list[str] = []
        self.used: set[str] = set()

    def resolve(self, node: Requirement) -> Requirement | None:
        """The tree without names, nested `any` in `any` and `all` in `all` read as one list; None after a fault."""
        resolved = self._resolve(node, 0)
        return None if resolved is None else resolved.node

    def _resolve(self, node: Requirement, depth: int) -> _Resolved | None:
        if depth > MAX_NESTING:
            self._too_large(node.place, f"requirements are nested more than {MAX_NESTING} deep")
            return None
        if isinstance(node, NamedRequirement):
            return self._named(node, depth)
        if isinstance(node, NotRequirement):
            inner = self._resolve(node.item, depth + 1)
            if inner is None:
                return None
            return self._nested(node if inner.node is node.item else NotRequirement(node.place, inner.node), (inner,))
        if isinstance(node, AnyOf | AllOf):
            return self._list(node, depth)
        return _Resolved(node, 1, 1)

    def _list(self, node: AnyOf | AllOf, depth: int) -> _Resolved | None:
        items: list[Requirement] = []
        parts: list[_Resolved] = []
        complete = True
        leaves = 0
        for item in node.items:
            resolved = self._resolve(item, depth + 1)
            if resolved is None:
                complete = False
                continue
            parts.append(resolved)
            leaves += resolved.leaves
            if leaves > MAX_TREE:
                self._too_large(node.place, f"a requirement has at most {MAX_TREE} leaves, those of names too")
                return None
            if (isinstance(node, AnyOf) and isinstance(resolved.node, AnyOf)) or (
                isinstance(node, AllOf) and isinstance(resolved.node, AllOf)
            ):
                items.extend(resolved.node.items)
            else:
                items.append(resolved.node)
        if not complete:
            return None
        if len(items) == 1:
            return parts[0]
        return self._nested(
            AnyOf(node.place, tuple(items)) if isinstance(node, AnyOf) else AllOf(node.place, tuple(items)), parts
        )

    def _nested(self, node: Requirement, parts: Sequence[_Resolved]) -> _Resolved | None:
        depth = 1 + max(part.depth for part in parts)
        if depth > MAX_NESTING:
            self._too_large(node.place, f"requirements are nested more than {MAX_NESTING} deep")
            return None
        return _Resolved(node, sum(part.leaves for part in parts), depth)

    def _named(self, node: NamedRequirement, depth: int) -> _Resolved | None:
        name = node.name
        self.used.add(name)
        if name in self._open:
            cycle = " → ".join([*self._open[self._open.index(name) :], name])
            self._fault(node.place, FaultCode.REQUIREMENT_CYCLE, f"the requirement needs itself: {cycle}")
            return None
        if name not in self._all:
            hint = did_you_mean(name, self._all) if len(self._faults) < MAX_SUGGESTIONS else ""
            self._fault(node.place, FaultCode.REQUIREMENT_UNKNOWN, f"no requirement is called {name!r}{hint}")
            return None
        if name not in self._resolved:
            self._open.append(name)
            self._resolved[name] = self._resolve(self._all[name], depth + 1)
            self._open.pop()
        return self._resolved[name]

    def _too_large(self, place: Place, message: str) -> None:
        self._fault(place, FaultCode.REQUIREMENT_TOO_LARGE, message)

    def _fault(self, place: Place, code: FaultCode, message: str) -> None:
        self._faults.add(place, code, message, policy=self._policy)


def shared_requirements(platform: ParsedDirectory) -> Mapping[str, Requirement]:
    """The requirements of every `kind: Requirements` document, by name."""
    return {name: node for document in platform.requirements for name, node in document.requirements.items()}


def expand(node: Requirement) -> tuple[Leaves, ...]:
    """The alternatives of a resolved tree, in the order written. Raises `TooLarge`."""
    if isinstance(node, AnyOf):
        return _bounded(node, [leaves for item in node.items for leaves in expand(item)])
    if isinstance(node, AllOf):
        product: list[Leaves] = [()]
        for item in node.items:
            choices = expand(item)
            if len(product) * len(choices) > MAX_ALTERNATIVES:
                raise TooLarge(node.place)
            product = [left + right for left in product for right in choices]
            _bounded(node, product)
        return _bounded(node, product)
    assert not isinstance(node, NamedRequirement)
    return ((node,),)


def _bounded(node: Requirement, alternatives: list[Leaves]) -> tuple[Leaves, ...]:
    if len(alternatives) > MAX_ALTERNATIVES or any(len(leaves) > MAX_LEAVES for leaves in alternatives):
        raise TooLarge(node.place)
    return tuple(alternatives)


def leaves_under(node: Requirement) -> Iterator[Leaf]:
    """Every leaf of a resolved tree, those under `not` included."""
    if isinstance(node, AnyOf | AllOf):
        for item in node.items:
            yield from leaves_under(item)
    elif isinstance(node, NotRequirement):
        yield from leaves_under(node.item)
    else:
        assert not isinstance(node, NamedRequirement)
        yield node


def check_shape(node: Requirement, faults: Faults, policy: str) -> None:
    """Where each key may stand in a resolved tree, `public`, `not`, and what `not` may hold."""
    _check_public(node, faults, policy)
    _check_under_not(node, faults, policy)
    _check_when(node, faults, policy)


def check_grants(alternatives: tuple[Leaves, ...], place: Place, faults: Faults, policy: str) -> None:
    """Each way to an allow has a `user`, `workload` or `public` outside `not`; a closed one (`nobody`) is no way."""
    for leaves in alternatives:
        if any(isinstance(leaf, NobodyRequirement) for leaf in leaves):
            continue
        if not any(isinstance(leaf, UserRequirement | WorkloadRequirement | PublicRequirement) for leaf in leaves):
            where = leaves[0].place if leaves else place
            faults.add(
                where, FaultCode.NOTHING_REQUIRED, "nothing here says who may call: it only narrows", policy=policy
            )


def is_public(leaves: Leaves) -> bool:
    """Whether the alternative can hold without a verified principal."""
    return not any(isinstance(leaf, UserRequirement | WorkloadRequirement | NobodyRequirement) for leaf in leaves)


_PUBLIC_LAST: Final = "`public` stands last in `any`: what follows it would never be asked"
_WHEN_INSIDE_ALL: Final = "`when` stands only inside `all`, beside what it narrows"
_NO_EXISTS_FALSE: Final = "`exists: false` doesn't stand under `not`: write `exists: true` outside it"
_NO_HEADER: Final = "`{request.header.…}` doesn't stand under `not`: the client could choose it away"

# --- shape -----------------------------------------------------------------------------------------------


def _check_public(node: Requirement, faults: Faults, policy: str) -> None:
    if isinstance(node, AnyOf):
        for item in node.items[:-1]:
            for public in _own_publics(item):
                faults.add(public.place, FaultCode.REQUIREMENT_SHAPE, _PUBLIC_LAST, policy=policy)
            if not any(True for _ in _own_publics(item)):
                _check_public(item, faults, policy)
        _check_public(node.items[-1], faults, policy)
    elif isinstance(node, AllOf):
        publics = [item for item in node.items if isinstance(item, PublicRequirement)]
        for public in publics:
            beside = [
                item
                for item in node.items
                if item is not public and not isinstance(item, SourceRequirement | NotRequirement | WhenRequirement)
            ]
            if beside:
                faults.add(
                    public.place,
                    FaultCode.REQUIREMENT_SHAPE,
                    "`public` in `all` stands beside only `source`, `when` and `not`: it asks for nobody",
                    policy=policy,
                )
        for item in node.items:
            _check_public(item, faults, policy)


def _own_publics(node: Requirement) -> Iterator[PublicRequirement]:
    """The `public`s that make this item of an `any` hold for everybody."""
    if isinstance(node, PublicRequirement):
        yield node
    elif isinstance(node, AllOf):
        for item in node.items:
            if isinstance(item, PublicRequirement):
                yield item


def _check_when(node: Requirement, faults: Faults, policy: str, *, inside_all: bool = False) -> None:
    """`when` stands only as an item of `all`, so that it always narrows something that other tools can read."""
    if isinstance(node, WhenRequirement):
        if not inside_all:
            faults.add(node.place, FaultCode.REQUIREMENT_SHAPE, _WHEN_INSIDE_ALL, policy=policy)
    elif isinstance(node, AnyOf | AllOf):
        for item in node.items:
            _check_when(item, faults, policy, inside_all=isinstance(node, AllOf))
    elif isinstance(node, NotRequirement):
        _check_when(node.item, faults, policy)


def _check_under_not(node: Requirement, faults: Faults, policy: str, *, inside: bool = False) -> None:
    if isinstance(node, NotRequirement):
        _check_under_not(node.item, faults, policy, inside=True)
    elif isinstance(node, AnyOf | AllOf):
        for item in node.items:
            _check_under_not(item, faults, policy, inside=inside)
    elif inside and isinstance(node, PublicRequirement | NobodyRequirement):
        faults.add(
            node.place, FaultCode.REQUIREMENT_SHAPE, "`public` and `nobody` don't stand under `not`", policy=policy
        )
    elif inside and isinstance(node, UserRequirement):
        _check_user_under_not(node, faults, policy)


def _check_user_under_not(user: UserRequirement, faults: Faults, policy: str) -> None:
    for claim in user.claims:
        if claim.operator is ClaimOperator.EXISTS and claim.values[0].literal is False:
            faults.add(claim.place, FaultCode.REQUIREMENT_SHAPE, _NO_EXISTS_FALSE, policy=policy)
    for value in user_values(user):
        if isinstance(value.reference, RequestHeader):
            faults.add(value.place, FaultCode.REFERENCE_INVALID, _NO_HEADER, policy=policy)
