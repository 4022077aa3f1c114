"""How near each alternative came, for a request that none permits (policy language §8, "the closest alternative").

Owns the distance: conditions that are not met, all those of an absent principal counted once. Must not: name a reason
or make a decision (`policy.evaluate` does).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Final

from authz.model.principal import User, Via, Workload
from authz.policy.compiled import CompiledGuardrail, Condition, Outcome, Scene, Subject
from authz.policy.plan import RequirePlan, RoutePlan
from authz.policy.references import workload_of

Guardrails = tuple[CompiledGuardrail, ...]

_VIA: Final = {Subject.MTLS: Via.MTLS, Subject.FORWARDED: Via.FORWARDED, Subject.JWT_SVID: Via.JWT_SVID}


@dataclass(frozen=True, slots=True)
class Weighed:
    """One alternative with those of the guardrails, and how each condition turned out."""

    conditions: tuple[Condition, ...]
    outcomes: tuple[Outcome, ...]
    distance: int

    @property
    def hangs(self) -> bool:
        """Whether it would hold if everything undecided turned out well."""
        return all(outcome.highest == Outcome.TRUE.highest for outcome in self.outcomes)

    @property
    def holds(self) -> bool:
        """Whether it permits."""
        return all(outcome is Outcome.TRUE for outcome in self.outcomes)

    def unmet(self) -> list[Condition]:
        """The conditions that can't turn out true, in written order."""
        return [
            condition
            for condition, outcome in zip(self.conditions, self.outcomes, strict=True)
            if outcome.highest < Outcome.TRUE.highest
        ]


def weigh_all(plan: RoutePlan, guardrails: Guardrails, scene: Scene) -> list[Weighed]:
    """Every choice of the route's alternatives and of each `require`'s, in written order."""
    required = [guardrail.plan.alternatives for guardrail in guardrails if isinstance(guardrail.plan, RequirePlan)]
    known: dict[int, Outcome] = {}
    return [
        _weigh(tuple(condition for alternative in choice for condition in alternative.conditions), scene, known)
        for choice in product(plan.alternatives, *required)
    ]


def _weigh(conditions: tuple[Condition, ...], scene: Scene, known: dict[int, Outcome]) -> Weighed:
    """`known` remembers, by identity, how conditions turned out: alternatives share most of theirs."""
    for condition in conditions:
        if id(condition) not in known:
            known[id(condition)] = condition.test(scene)
    outcomes = tuple(known[id(condition)] for condition in conditions)
    unmet = [
        condition
        for condition, outcome in zip(conditions, outcomes, strict=True)
        if outcome.highest < Outcome.TRUE.highest
    ]
    absent = {condition.subject for condition in unmet if _is_absent(condition.subject, scene)}
    single = sum(1 for condition in unmet if condition.subject not in absent)
    return Weighed(conditions, outcomes, single + len(absent))


def _is_absent(subject: Subject, scene: Scene) -> bool:
    """Whether no verified principal stands behind the subject: then all its fields count once."""
    if subject is Subject.NONE:
        return False
    if subject is Subject.USER:
        return not isinstance(scene.user, User)
    return not isinstance(workload_of(_VIA[subject])(scene), Workload)


def about(leaf: Condition, scene: Scene) -> tuple[object, ...]:
    """The principals that a condition is about; all of them for one that is about none."""
    if leaf.subject is Subject.USER:
        return (scene.user,)
    if leaf.subject is Subject.ANY_WORKLOAD:
        return (scene.mtls, scene.forwarded, scene.jwt_svid)
    if leaf.subject is Subject.NONE:
        return (scene.user, scene.mtls, scene.forwarded, scene.jwt_svid)
    return (workload_of(_VIA[leaf.subject])(scene),)
