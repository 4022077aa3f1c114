"""Policies with one condition less (policy language §9): what a directory's tests have to notice.

A mutant leaves out one thing that somebody wrote and that narrows: a field of a `user` or `workload`, a claim path, a
`not`, a `source`, a `when`, a `nobody`. Owns which there are and what the routes would then ask. Must not: run tests
(`policy.holes` does), or change a set in force: a mutant is a plan of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from authz.policy.compiled import CompiledGuardrail, CompiledRoute, Condition, VariableType
from authz.policy.cover import plan_of
from authz.policy.document import (
    GuardrailDeclaration,
    ParsedDirectory,
    PublicRequirement,
    Requirement,
    RoutePolicyDocument,
    UserRequirement,
    WorkloadRequirement,
)
from authz.policy.faults import Faults, Place
from authz.policy.ground import Ground
from authz.policy.hosts import HostError, parse_host
from authz.policy.plan import Alternative, RequirePlan
from authz.policy.prepare import RequirementCompiler, Unfit
from authz.policy.requirements import Leaf, Leaves, Names, TooLarge, expand, shared_requirements
from authz.policy.values import Text

_LISTS: Final = ("subjects", "scopes", "groups", "roles", "clients")
"""Fields of a `user` that know their own place."""
_SINGLES: Final[Mapping[str, object]] = {"kind": None, "acr": (), "amr": None, "auth_age": None, "bound": None}
"""Other fields of a `user`, with what stands for "not written"."""
_WORKLOAD_FIELDS: Final = ("spiffe", "trust_domains", "roles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """One condition to leave out, at `place`: a field of the leaf that stands at `leaf`, or all of it."""

    place: Place
    leaf: Place
    field: str = ""
    claim: int = -1
    """Index among the leaf's claim paths."""

    @property
    def whole(self) -> bool:
        """Whether nothing is left of the leaf."""
        return not self.field and self.claim < 0

    def applied(self, leaf: Leaf, issuers: Iterable[str]) -> Leaf | None:
        """What is left of the leaf; None: nothing. `issuers` are the directory's."""
        if self.claim >= 0 and isinstance(leaf, UserRequirement):
            return replace(leaf, claims=leaf.claims[: self.claim] + leaf.claims[self.claim + 1 :])
        if self.field == "issuers" and isinstance(leaf, UserRequirement):
            return replace(leaf, issuers=tuple(Text(name, leaf.place) for name in issuers))
        if self.field and isinstance(leaf, UserRequirement):
            return _blank_user(leaf, self.field)
        if self.field and isinstance(leaf, WorkloadRequirement):
            return _blank_workload(leaf, self.field)
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One alternative that the mutant changes: what it loses and what is left of it. `workloads` are those that were
    written."""

    lost: tuple[Condition, ...]
    left: Alternative
    workloads: tuple[WorkloadRequirement, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MutatedRoute:
    """A route as the mutant has it."""

    route: CompiledRoute
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MutatedGuardrail:
    """A `require` guardrail as the mutant has it."""

    guardrail: CompiledGuardrail
    changes: tuple[Change, ...]


def route_mutants(
    documents: ParsedDirectory, routes: Iterable[CompiledRoute]
) -> Mapping[Drop, Mapping[tuple[str, str], MutatedRoute]]:
    """The routes that each drop changes, by policy and id. Drops that leave no valid policy are left out."""
    found: dict[Drop, dict[tuple[str, str], MutatedRoute]] = {}
    workshops = workshops_of(documents)
    for route in routes:
        for drop, mutated in workshops[route.policy].mutated(route):
            found.setdefault(drop, {})[route.policy, route.id] = mutated
    return found


def workshops_of(documents: ParsedDirectory) -> Mapping[str, PolicyWorkshop]:
    """One for each policy, by name."""
    return {policy.name: PolicyWorkshop(policy, documents) for policy in documents.policies}


def guardrail_mutants(
    documents: ParsedDirectory, guardrails: Iterable[CompiledGuardrail]
) -> Iterator[tuple[Drop, MutatedGuardrail]]:
    """The `require` guardrails without each of their conditions in turn, where more than one is written."""
    declarations = () if documents.guardrails is None else documents.guardrails.guardrails
    names = Names({}, shared_requirements(documents), Faults(), "")
    for declaration in declarations:
        guardrail = next((one for one in guardrails if one.id == declaration.id), None)
        node = None if declaration.require is None else names.resolve(declaration.require)
        if guardrail is not None and node is not None:
            yield from _GuardrailWorkshop(documents, declaration, guardrail).mutated(node)


def drops_of(leaf: Leaf, issuers: Iterable[str]) -> tuple[Drop, ...]:
    """What can be left out of a leaf: its written fields, or all of it where there are none."""
    if isinstance(leaf, PublicRequirement):
        return ()
    if isinstance(leaf, UserRequirement):
        fields = tuple(_user_drops(leaf, frozenset(issuers)))
    elif isinstance(leaf, WorkloadRequirement):
        fields = tuple(_workload_drops(leaf))
    else:
        fields = ()
    return fields or (Drop(place=leaf.place, leaf=leaf.place),)


def _user_drops(leaf: UserRequirement, issuers: frozenset[str]) -> Iterator[Drop]:
    if leaf.issuers and {issuer.value for issuer in leaf.issuers} != issuers:
        yield Drop(place=leaf.issuers[0].place, leaf=leaf.place, field="issuers")
    for name in _LISTS:
        wanted = getattr(leaf, name)
        if wanted is not None:
            yield Drop(place=wanted.place, leaf=leaf.place, field=name)
    for index, claim in enumerate(leaf.claims):
        yield Drop(place=claim.place, leaf=leaf.place, claim=index)
    for name, blank in _SINGLES.items():
        if getattr(leaf, name) != blank:
            yield Drop(place=leaf.place, leaf=leaf.place, field=name)


def _workload_drops(leaf: WorkloadRequirement) -> Iterator[Drop]:
    for name in _WORKLOAD_FIELDS:
        written: tuple[Text, ...] = getattr(leaf, name)
        if written:
            yield Drop(place=written[0].place, leaf=leaf.place, field=name)


def _blank_user(leaf: UserRequirement, name: str) -> UserRequirement:
    blank: dict[str, object] = {name: _SINGLES.get(name)}
    return replace(leaf, **blank)  # type: ignore[arg-type]  # each field's own blank, by the tables above


def _blank_workload(leaf: WorkloadRequirement, name: str) -> WorkloadRequirement:
    blank: dict[str, tuple[Text, ...]] = {name: ()}
    return replace(leaf, **blank)  # type: ignore[arg-type]  # all of these fields are tuples of texts


# --- compiling what is left ------------------------------------------------------------------------------


class Workshop:
    """Compiles what is left of alternatives, on one ground."""

    def __init__(self, ground: Ground, host_variables: frozenset[str]) -> None:
        self._compiler = RequirementCompiler(ground, host_variables)
        self._issuers = tuple(ground.issuers)

    def drops(self, alternatives: Iterable[Leaves]) -> tuple[Drop, ...]:
        found = (drop for leaves in alternatives for leaf in leaves for drop in drops_of(leaf, self._issuers))
        return tuple(dict.fromkeys(found))

    def change(
        self, drop: Drop, leaves: Leaves, alternative: Alternative, variables: Mapping[str, VariableType]
    ) -> Change | None:
        """What the drop makes of one alternative; None when it isn't about it. Raises `Unfit`."""
        kept = [drop.applied(leaf, self._issuers) if leaf.place == drop.leaf else leaf for leaf in leaves]
        left = tuple(leaf for leaf in kept if leaf is not None)
        if left == leaves:
            return None
        mutated = self._compiler.alternative(left, variables)
        texts = Counter(condition.text for condition in mutated.conditions)
        lost = []
        for condition in alternative.conditions:
            texts[condition.text] -= 1
            if texts[condition.text] < 0:
                lost.append(condition)
        workloads = tuple(leaf for leaf in leaves if isinstance(leaf, WorkloadRequirement))
        return Change(lost=tuple(lost), left=mutated, workloads=workloads) if lost else None


class PolicyWorkshop(Workshop):
    """One policy's routes."""

    def __init__(self, policy: RoutePolicyDocument, documents: ParsedDirectory) -> None:
        super().__init__(Ground(platform=documents, faults=Faults(), policy=policy.name), _host_variables(policy))
        self._names = Names(policy.requirements, shared_requirements(documents), Faults(), policy.name)
        self._allow = {route.id: route.allow for route in policy.routes}

    def leaves(self, route: CompiledRoute) -> tuple[Leaves, ...]:
        """The alternatives as they were written."""
        return _expanded(self._names.resolve(self._allow[route.id]))

    def mutated(self, route: CompiledRoute) -> Iterator[tuple[Drop, MutatedRoute]]:
        """The route without each of its conditions in turn."""
        every = self.leaves(route)
        for drop in self.drops(every):
            try:
                mutated = self._without(route, every, drop)
            except Unfit:
                continue
            if mutated.changes:
                yield drop, mutated

    def _without(self, route: CompiledRoute, every: tuple[Leaves, ...], drop: Drop) -> MutatedRoute:
        plan, usage = plan_of(route), route.usage
        pairs = [
            (self.change(drop, leaves, alternative, route.template.variables), alternative)
            for leaves, alternative in zip(every, plan.alternatives, strict=True)
        ]
        if drop.field == "issuers":
            usage |= replace(usage, issuers=frozenset(self._issuers))
        left = tuple(alternative if change is None else change.left for change, alternative in pairs)
        return MutatedRoute(
            route=replace(route, plan=replace(plan, alternatives=left), usage=usage),
            changes=tuple(change for change, _ in pairs if change is not None),
        )


class _GuardrailWorkshop(Workshop):
    """One `require` guardrail."""

    def __init__(
        self, documents: ParsedDirectory, declaration: GuardrailDeclaration, guardrail: CompiledGuardrail
    ) -> None:
        origin = f"guardrail:{declaration.id}"
        super().__init__(Ground(platform=documents, faults=Faults(), origin=origin, any_issuer=True), frozenset())
        self._guardrail = guardrail

    def mutated(self, node: Requirement) -> Iterator[tuple[Drop, MutatedGuardrail]]:
        """The guardrail without each of its conditions in turn; a single one is the guardrail itself."""
        plan, every = self._guardrail.plan, _expanded(node)
        assert isinstance(plan, RequirePlan)
        drops = self.drops(every)
        for drop in drops if len(drops) > 1 else ():
            try:
                changes = [
                    self.change(drop, leaves, one, {}) for leaves, one in zip(every, plan.alternatives, strict=True)
                ]
            except Unfit:
                continue
            left = tuple(
                one if change is None else change.left for change, one in zip(changes, plan.alternatives, strict=True)
            )
            yield (
                drop,
                MutatedGuardrail(
                    guardrail=replace(self._guardrail, plan=replace(plan, alternatives=left)),
                    changes=tuple(change for change in changes if change is not None),
                ),
            )


def _expanded(node: Requirement | None) -> tuple[Leaves, ...]:
    try:
        return () if node is None else expand(node)
    except TooLarge:
        return ()


def _host_variables(policy: RoutePolicyDocument) -> frozenset[str]:
    """Those that some host entry has (§5, References)."""
    found = set()
    for text in policy.hosts:
        try:
            found.add(parse_host(text.value).variable)
        except HostError:
            continue
    return frozenset(found - {""})
