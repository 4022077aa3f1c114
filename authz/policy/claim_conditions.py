"""The operators of `claims` as functions of the scene: typed comparison, never a substring (policy language §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from authz.model.principal import User
from authz.policy.compiled import Outcome, Scene, VariableType
from authz.policy.document import ClaimCondition, ClaimOperator
from authz.policy.references import Surroundings, claim_getter, typed_getter
from authz.policy.three_values import FALSE, TRUE, truth
from authz.policy.values import PathVariable, Value

UserTest = Callable[[User, Scene], Outcome]
ClaimGetter = Callable[[User], object]


def claim_test(claim: ClaimCondition, around: Surroundings, absent: Outcome) -> UserTest:
    """Whether a verified user's claim is as asked; `absent` is what absence means here."""
    get = claim_getter(claim.path, around.aliases)
    if claim.operator is ClaimOperator.EXISTS:
        return _exists(get, claim.values[0].literal is True, absent)
    if claim.operator is ClaimOperator.ANY and all(value.reference is None for value in claim.values):
        return _any_literal(get, tuple(value.literal for value in claim.values), absent)
    wanted = tuple(_Wanted.of(value, around) for value in claim.values)
    return _CLAIM_TESTS[claim.operator](get, wanted, absent)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One value to compare with: typed for a scalar claim; inside an array a variable of type `int` also stands
    for its text (§5: a number in `equals`, its text in lists of strings)."""

    get: Callable[[Scene], object]
    number_or_text: bool

    @classmethod
    def of(cls, value: Value, around: Surroundings) -> _Wanted:
        alone = not value.prefix and not value.suffix
        is_int = (
            alone
            and isinstance(value.reference, PathVariable)
            and around.variables[value.reference.name] is VariableType.INT
        )
        return cls(typed_getter(value, around), is_int)


def compare(actual: object, wanted: object, absent: Outcome) -> Outcome:
    """Typed equality of two JSON scalars: `"42"` is not 42, integers equal only integers, booleans are no numbers.
    Values of different JSON types can't be compared, which counts as absent."""
    if wanted is None or actual is None:
        return absent
    if type(actual) is type(wanted):
        return TRUE if actual == wanted else FALSE if isinstance(actual, str | bool | int | float) else absent
    both_numbers = {type(actual), type(wanted)} == {int, float}
    return FALSE if both_numbers else absent


def compare_element(element: object, wanted: object, number_or_text: bool, absent: Outcome) -> Outcome:
    """One element of a claim against one wanted value; `number_or_text` lets text stand for a number."""
    if number_or_text and isinstance(element, str):
        wanted = None if wanted is None else str(wanted)
    return compare(element, wanted, absent)


def _equals(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    (only,) = wanted

    def test(user: User, scene: Scene) -> Outcome:
        return compare(get(user), only.get(scene), absent)

    return test


def _any_of(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    """A scalar claim equals one of the values; of an array claim, one element does."""

    def test(user: User, scene: Scene) -> Outcome:
        actual = get(user)
        elements = actual if isinstance(actual, list) else None
        best = FALSE
        for item in wanted:
            value = item.get(scene)
            if elements is None:
                outcome = compare(actual, value, absent)
            else:
                outcome = _search(elements, value, item.number_or_text, absent)
            if outcome is TRUE:
                return TRUE
            best = max(best, outcome, key=truth)
        return best

    return test


def _any_literal(get: ClaimGetter, wanted: tuple[object, ...], absent: Outcome) -> UserTest:
    """As `_any_of`, in one pass over the claim: a long list and a long claim would multiply."""
    kinds = frozenset(map(type, wanted))
    equal = frozenset((type(value), value) for value in wanted)
    numbers = kinds <= {int, float}
    comparable = frozenset((int, float)) if numbers else kinds if len(kinds) == 1 else frozenset()

    def test(user: User, scene: Scene) -> Outcome:
        actual = get(user)
        elements = actual if isinstance(actual, list) else (actual,)
        best = FALSE
        for element in elements:
            kind = type(element)
            if kind in kinds and (kind, element) in equal:
                return TRUE
            if kind not in comparable:
                best = absent
        return best

    return test


def _contains(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    (only,) = wanted

    def test(user: User, scene: Scene) -> Outcome:
        actual = get(user)
        if not isinstance(actual, list):
            return absent
        return _search(actual, only.get(scene), only.number_or_text, absent)

    return test


def _search(elements: list[object], wanted: object, number_or_text: bool, absent: Outcome) -> Outcome:
    """True when one element equals; an element that can't be compared leaves a miss unknown under `not`."""
    if wanted is None:
        return absent
    if type(wanted) is str:  # Nothing but the same text equals it, so it is looked for at C's speed.
        if wanted in elements:
            return TRUE
        return FALSE if absent is FALSE or set(map(type, elements)) <= _TEXTS else absent
    if absent is FALSE and wanted not in elements and not (number_or_text and str(wanted) in elements):
        return FALSE  # Most misses, ten times as fast: `in` takes more for equal than `compare` does, never less.
    best = FALSE
    for element in elements:
        outcome = compare_element(element, wanted, number_or_text, absent)
        if outcome is TRUE:
            return TRUE
        best = max(best, outcome, key=truth)
    return best


def _exists(get: ClaimGetter, wanted: bool, absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        present = get(user) is not None
        if wanted:
            return TRUE if present else absent
        return FALSE if present else TRUE

    return test


_TEXTS = {str}
_CLAIM_TESTS = {ClaimOperator.EQUALS: _equals, ClaimOperator.ANY: _any_of, ClaimOperator.CONTAINS: _contains}
