"""Invariant: what claims are compared with quickly is what they are compared with one by one (policy language §5)."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from authz.model.principal import Principals
from authz.policy.claim_conditions import claim_test, compare_element
from authz.policy.compiled import Outcome, Scene
from authz.policy.document import ClaimCondition, ClaimOperator
from authz.policy.faults import Place
from authz.policy.references import Surroundings
from authz.policy.three_values import FALSE, Mode, truth
from authz.policy.values import Value
from tests.mint import principals
from tests.unit.policy.judge import Judge

AROUND = Surroundings(variables={}, host_variables=frozenset(), workload_via=None, aliases={})
SCENE = Scene(principals.request(), {}, {}, None, None, None, None, 0.0)

literals = st.sampled_from(["1", "a", 0, 1, 2, 0.0, 1.0, 1.5, True, False])
elements = literals | st.none() | st.sampled_from([[], [1], {}, {"a": 1}])
claims = elements | st.lists(elements, max_size=4)


def one_by_one(actual: object, wanted: list[object], absent: Outcome) -> Outcome:
    pairs = [(element, value) for element in (actual if isinstance(actual, list) else [actual]) for value in wanted]
    return max((compare_element(*pair, False, absent) for pair in pairs), key=truth, default=FALSE)


def condition(operator: ClaimOperator, wanted: list[object]) -> ClaimCondition:
    place = Place("policy.yaml")
    values = tuple(Value(place=place, literal=value) for value in wanted)
    return ClaimCondition(path="tags", operator=operator, values=values, place=place)


@given(actual=claims, wanted=st.lists(literals, min_size=1, max_size=4), mode=st.sampled_from(Mode))
def test_any_is_equality_with_each(actual: object, wanted: list[object], mode: Mode) -> None:
    """Types count: true is no 1, 1 no 1.0, text no number; what can't be compared is absent."""
    test = claim_test(condition(ClaimOperator.ANY, wanted), AROUND, mode.absent)

    assert test(principals.user(claims={"tags": actual}), SCENE) is one_by_one(actual, wanted, mode.absent)


@given(actual=st.lists(elements, max_size=4), wanted=literals, mode=st.sampled_from(Mode))
def test_contains_is_equality_with_one(actual: list[object], wanted: object, mode: Mode) -> None:
    """The same for one value in an array."""
    test = claim_test(condition(ClaimOperator.CONTAINS, [wanted]), AROUND, mode.absent)

    assert test(principals.user(claims={"tags": actual}), SCENE) is one_by_one(actual, [wanted], mode.absent)


def test_long_lists_on_both_sides_do_not_multiply() -> None:
    """One team's policy and a long token must not hold up everybody's checks; nor does the same condition in many
    alternatives."""
    tags = ", ".join(map(str, range(1000)))
    names = ", ".join(f"{{all: [r2, {{user: {{groups: {{any: [g{number}]}}}}}}]}}" for number in range(60))
    eight = "{{all: [{0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}]}}"
    first = f"{{user: {{claims: {{tags: {{any: [{tags}]}}}}}}}}"
    written = f"r0: {first}, r1: {eight.format('r0')}, r2: {eight.format('r1')}, every: {{any: [{names}]}}"
    judge = Judge("every", policy_extra=f"requirements: {{{written}}}")
    user = principals.user(claims={"tags": list(range(1_000_000, 1_003_000))})
    began = time.process_time()

    judge.judge(Principals(user=user))

    assert time.process_time() - began < 2.0
