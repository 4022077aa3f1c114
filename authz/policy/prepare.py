"""Requirements made into prepared conditions, on the ground of one directory (policy language §5).

Resolves issuers, claims, references, trust domains and roles; what doesn't fit becomes faults. What a policy or a
guardrail makes of the conditions is `policy.compile`'s and `policy.guardrails`'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from authz.model.principal import Via
from authz.model.reason import Reason
from authz.policy.compiled import Condition, Test, Usage, VariableType
from authz.policy.conditions import nobody_condition, public_condition, source_condition
from authz.policy.document import (
    AllOf,
    AnyOf,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WhenRequirement,
    WorkloadRequirement,
)
from authz.policy.expressions import Expression, ExpressionError, compile_expression, when_condition
from authz.policy.faults import FaultCode, Place
from authz.policy.ground import Ground
from authz.policy.plan import Alternative
from authz.policy.references import Surroundings
from authz.policy.requirements import Leaves, is_public, leaves_under
from authz.policy.suggest import did_you_mean
from authz.policy.three_values import Mode, conjunction, disjunction, negation
from authz.policy.user_conditions import UserContext, user_conditions, user_values, uses_subject
from authz.policy.values import HostVariable, PathVariable, UserClaim, Value, WorkloadSegment
from authz.policy.workload_checks import workload_fits
from authz.policy.workload_conditions import workload_conditions


class Unfit(Exception):
    """A requirement can't be served; its faults have been added."""


class RequirementCompiler:
    """Compiles resolved requirements on one ground; remembers the conditions of each node.

    What doesn't fit never becomes a shorter list of conditions: it raises `Unfit`, each time that it is asked for.
    """

    def __init__(self, ground: Ground, host_variables: frozenset[str]) -> None:
        self.ground = ground
        self._host_variables = host_variables
        self._aliases = ground.aliases
        self._issuers = ground.issuers
        self._conditions: dict[tuple[object, ...], tuple[Condition, ...]] = {}
        self._alternatives: dict[tuple[object, ...], Alternative | None] = {}
        self._kept: list[object] = []
        self._expressions: dict[str, Expression | ExpressionError] = {}
        """Type-checking takes milliseconds, and many alternatives hold one expression."""

    # -- alternatives

    def alternative(self, leaves: Leaves, variables: Mapping[str, VariableType]) -> Alternative:
        """The prepared alternative. Raises `Unfit` after reporting what doesn't resolve."""
        used = _variables_used(leaves, variables)
        key = (tuple(id(leaf) for leaf in leaves), used)
        if key not in self._alternatives:
            self._kept.append(leaves)
            try:
                self._alternatives[key] = self._new_alternative(leaves, variables)
            except Unfit:
                self._alternatives[key] = None
        found = self._alternatives[key]
        if found is None:
            raise Unfit
        return found

    def _new_alternative(self, leaves: Leaves, variables: Mapping[str, VariableType]) -> Alternative:
        via = last_via(leaves)
        around = self.surroundings(variables, via)
        accepted = self.accepted_issuers(leaves)
        users = [leaf for leaf in leaves if isinstance(leaf, UserRequirement)]
        conditions = self._all([(leaf, Mode.PLAIN) for leaf in leaves], accepted, around)
        self.check_expressions(leaves, user=bool(users), workload=via is not None)
        if users and not accepted:
            self.ground.fault(
                users[-1].place, FaultCode.REQUIREMENT_SHAPE, "no token can be of all these issuers: this never holds"
            )
            raise Unfit
        return Alternative(
            conditions=conditions,
            tests=tuple(condition.test for condition in conditions),
            user=bool(users),
            workload_via=via,
            vias=frozenset(leaf.via or Via.MTLS for leaf in leaves if isinstance(leaf, WorkloadRequirement)),
            public=is_public(leaves),
        )

    def _all(
        self, leaves: list[tuple[object, Mode]], accepted: frozenset[str], around: Surroundings
    ) -> tuple[Condition, ...]:
        """The conditions of every leaf; all are tried before an `Unfit` counts, so that no fault hides another."""
        conditions: list[Condition] = []
        fits = True
        for leaf, mode in leaves:
            try:
                conditions.extend(self._leaf(leaf, mode, accepted, around))
            except Unfit:
                fits = False
        if not fits:
            raise Unfit
        return tuple(conditions)

    def accepted_issuers(self, leaves: Leaves) -> frozenset[str]:
        """The issuers whose tokens can meet the alternative's `user`s; empty when it has none."""
        accepted: frozenset[str] | None = None
        for leaf in leaves:
            if isinstance(leaf, UserRequirement):
                own = self.issuers_of(leaf, frozenset(), report=False)
                accepted = own if accepted is None else accepted & own
        return accepted or frozenset()

    def usage(self, leaves: Leaves) -> Usage:
        """Which credentials the alternative can use."""
        accepted = self.accepted_issuers(leaves)
        issuers: frozenset[str] = frozenset()
        vias: frozenset[Via] = frozenset()
        for leaf in leaves:
            if isinstance(leaf, UserRequirement):
                issuers |= self.issuers_of(leaf, frozenset(), report=False)
            elif isinstance(leaf, WorkloadRequirement):
                vias |= {leaf.via or Via.MTLS}
            elif isinstance(leaf, NotRequirement):
                inner = self.loose_usage(leaf.item, accepted)
                issuers, vias = issuers | inner.issuers, vias | inner.vias
        return Usage(issuers=issuers, vias=vias)

    def loose_usage(self, node: Requirement, accepted: frozenset[str]) -> Usage:
        """What a tree under `not` or in `deny` looks at: every way, and any issuer where none is written."""
        issuers: frozenset[str] = frozenset()
        vias: frozenset[Via] = frozenset()
        for leaf in leaves_under(node):
            if isinstance(leaf, UserRequirement):
                issuers |= self.issuers_of(leaf, accepted, report=False, loose=True)
            elif isinstance(leaf, WorkloadRequirement):
                vias |= self.ground.any_via if leaf.via is None else {leaf.via}
        return Usage(issuers=issuers, vias=vias)

    # -- trees under `not` and in `deny`

    def tree(
        self, node: Requirement, mode: Mode, accepted: frozenset[str], around: Surroundings
    ) -> tuple[Test, tuple[Condition, ...]]:
        """One test for a whole tree, and its leaves in written order. Raises `Unfit`."""
        if isinstance(node, AnyOf | AllOf):
            parts = [self.tree(item, mode, accepted, around) for item in node.items]
            tests = tuple(test for test, _ in parts)
            combined = disjunction(tests) if isinstance(node, AnyOf) else conjunction(tests)
            return combined, tuple(leaf for _, leaves in parts for leaf in leaves)
        if isinstance(node, NotRequirement):
            inner = Mode.DENY if mode is Mode.DENY else Mode.UNDER_NOT
            test, leaves = self.tree(node.item, inner, accepted, around)
            return negation(test), leaves
        conditions = self._leaf(node, mode, accepted, around)
        return conjunction(tuple(condition.test for condition in conditions)), conditions

    def surroundings(self, variables: Mapping[str, VariableType], via: Via | None) -> Surroundings:
        """What references can name in an alternative whose last written workload came by `via`."""
        return Surroundings(
            variables=variables, host_variables=self._host_variables, workload_via=via, aliases=self._aliases
        )

    # -- leaves

    def _leaf(self, leaf: object, mode: Mode, accepted: frozenset[str], around: Surroundings) -> tuple[Condition, ...]:
        key = (id(leaf), mode, accepted, around.workload_via, _variables_used((leaf,), around.variables))
        if key not in self._conditions:
            self._kept.append(leaf)
            self._conditions[key] = self._new_leaf(leaf, mode, accepted, around)
        return self._conditions[key]

    def _new_leaf(
        self, leaf: object, mode: Mode, accepted: frozenset[str], around: Surroundings
    ) -> tuple[Condition, ...]:
        origin = self.ground.origin
        if isinstance(leaf, UserRequirement):
            return self._user(leaf, mode, accepted, around)
        if isinstance(leaf, WorkloadRequirement):
            return self._workload(leaf, mode)
        if isinstance(leaf, NotRequirement):
            return (self._not(leaf, accepted, around),)
        if isinstance(leaf, SourceRequirement):
            return (source_condition(leaf, mode, origin),)
        if isinstance(leaf, PublicRequirement):
            return (public_condition(leaf, origin),)
        if isinstance(leaf, WhenRequirement):
            return (when_condition(leaf, self._expression(leaf), mode, around.workload_via, origin),)
        assert isinstance(leaf, NobodyRequirement)
        return (nobody_condition(leaf, origin),)

    def _expression(self, when: WhenRequirement) -> Expression:
        found = self._expressions.get(when.expression)
        if found is None:
            found = self._expressions[when.expression] = _compiled(when.expression)
        if isinstance(found, ExpressionError):
            where = f" (at character {found.column})" if found.column else ""
            self.ground.fault(when.place, FaultCode.EXPRESSION_INVALID, f"{found}{where}")
            raise Unfit
        return found

    def check_expressions(self, leaves: Iterable[object], *, user: bool, workload: bool) -> None:
        """What an expression names is examined only for a `user` or `workload` beside it. Raises `Unfit`."""
        for leaf in leaves:
            names = self._expression(leaf).names if isinstance(leaf, WhenRequirement) else frozenset()
            lacking = [name for name, has in (("user", user), ("workload", workload)) if name in names and not has]
            if lacking:
                assert isinstance(leaf, WhenRequirement)
                self.ground.fault(
                    leaf.place,
                    FaultCode.EXPRESSION_INVALID,
                    f"the expression names `{lacking[0]}`, which nothing beside it asks for",
                )
                raise Unfit

    def _not(self, node: NotRequirement, accepted: frozenset[str], around: Surroundings) -> Condition:
        test, leaves = self.tree(node.item, Mode.UNDER_NOT, accepted, around)
        text = ", ".join(leaf.text for leaf in leaves)
        return Condition(test=negation(test), reason=Reason.EXCLUDED, text=f"not ({text})", origin=self.ground.origin)

    def _user(
        self, user: UserRequirement, mode: Mode, accepted: frozenset[str], around: Surroundings
    ) -> tuple[Condition, ...]:
        loose = mode is not Mode.PLAIN
        issuers = self.issuers_of(user, accepted, report=True, loose=loose)
        if not issuers:
            raise Unfit
        if loose and user.issuers and not accepted <= issuers:
            missing = ", ".join(sorted(accepted - issuers))
            self.ground.fault(
                user.place,
                FaultCode.REQUIREMENT_SHAPE,
                f"under `not`, `issuer` covers every issuer that the alternative accepts; it lacks {missing}",
            )
            raise Unfit
        if not self._resolves(user, issuers, around):
            raise Unfit
        skews = {name: self._issuers[name].clock_skew for name in issuers}
        return user_conditions(user, mode, UserContext(issuers=issuers, skews=skews), around, self.ground.origin)

    def _workload(self, workload: WorkloadRequirement, mode: Mode) -> tuple[Condition, ...]:
        if not workload_fits(workload, self.ground):
            raise Unfit
        via = workload.via if mode is not Mode.PLAIN else workload.via or Via.MTLS
        return workload_conditions(workload, mode, via, self.ground.origin)

    # -- checks: issuers

    def issuers_of(
        self, user: UserRequirement, accepted: frozenset[str], *, report: bool, loose: bool = False
    ) -> frozenset[str]:
        """The issuers that the fields speak of: written; else, under `not` and in guardrails, those that the
        alternative accepts or any; else the directory's only one. Empty after a fault."""
        if user.issuers:
            return self._written_issuers(user, report)
        known = frozenset(self._issuers)
        if (loose or self.ground.any_issuer) and known:
            return accepted or known
        if len(known) == 1:
            return known
        if report:
            names = ", ".join(sorted(known)) or "none is configured"
            self.ground.fault(user.place, FaultCode.ISSUER_MISSING, f"`user` doesn't say which issuer: {names}")
        return frozenset()

    def _written_issuers(self, user: UserRequirement, report: bool) -> frozenset[str]:
        known = frozenset(self._issuers)
        for item in user.issuers:
            if item.value not in known and report:
                hint = did_you_mean(item.value, known)
                self.ground.fault(item.place, FaultCode.ISSUER_UNKNOWN, f"no issuer is called {item.value!r}{hint}")
        written = frozenset(item.value for item in user.issuers)
        return written if written <= known else frozenset()

    # -- checks: references and claims

    def _resolves(self, user: UserRequirement, issuers: frozenset[str], around: Surroundings) -> bool:
        before = len(self.ground.faults)
        if uses_subject(user) and len(issuers) != 1:
            self.ground.fault(
                user.place,
                FaultCode.ISSUER_AMBIGUOUS,
                f"`subjects` and `{{user.sub}}` need exactly one issuer; here: {', '.join(sorted(issuers))}",
            )
        for claim in user.claims:
            self._check_claim(claim.path, claim.place, issuers)
        for value in user_values(user):
            self.check_reference(value, issuers, around)
        return len(self.ground.faults) == before

    def check_reference(self, value: Value, issuers: frozenset[str], around: Surroundings) -> None:
        """What the value refers to exists where it stands."""
        reference, place = value.reference, value.place
        if isinstance(reference, PathVariable) and reference.name not in around.variables:
            hint = did_you_mean(reference.name, around.variables)
            self.ground.fault(place, FaultCode.VARIABLE_MISSING, f"the path has no variable {reference.name!r}{hint}")
        elif isinstance(reference, HostVariable) and reference.name not in around.host_variables:
            hint = did_you_mean(reference.name, around.host_variables)
            self.ground.fault(
                place, FaultCode.VARIABLE_MISSING, f"no host entry has a variable {reference.name!r}{hint}"
            )
        elif isinstance(reference, WorkloadSegment) and around.workload_via is None:
            self.ground.fault(
                place, FaultCode.VARIABLE_MISSING, "`{workload.path.…}` needs a `workload` in the same alternative"
            )
        elif isinstance(reference, UserClaim):
            self._check_claim(reference.path, place, issuers)

    def _check_claim(self, path: str, place: Place, issuers: frozenset[str]) -> None:
        if "/" not in path and ":" not in path:
            return
        lacking = sorted(name for name in issuers if path not in self._aliases.get(name, frozenset()))
        if lacking:
            self.ground.fault(
                place,
                FaultCode.CLAIM_PATH,
                f"a claim whose name holds `/` or `:` needs an alias; {', '.join(lacking)} has none called {path!r}",
            )


# --- small pieces ---


def _compiled(text: str) -> Expression | ExpressionError:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        return error


def last_via(leaves: Leaves) -> Via | None:
    """How the last written `workload` of an alternative comes; None without one."""
    vias = [leaf.via or Via.MTLS for leaf in leaves if isinstance(leaf, WorkloadRequirement)]
    return vias[-1] if vias else None


def _variables_used(
    leaves: tuple[object, ...], variables: Mapping[str, VariableType]
) -> tuple[tuple[str, VariableType | None], ...]:
    """The path variables that values below the leaves refer to, with their types: what two routes must agree on to
    share a prepared condition."""
    names: set[str] = set()
    for leaf in leaves:
        below = leaves_under(leaf) if isinstance(leaf, NotRequirement) else (leaf,)
        for one in below:
            if isinstance(one, UserRequirement):
                names |= {
                    value.reference.name for value in user_values(one) if isinstance(value.reference, PathVariable)
                }
    return tuple((name, variables.get(name)) for name in sorted(names))
