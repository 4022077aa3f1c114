"""Conditions over variables that take one of finitely many values: formulas, and the search for values that meet one.

Owns nothing of the policy language: `policy.encode` says what the variables mean. A formula is a tree of `All` and
`Any` over `OneOf` ("the variable is one of these values", as a bit mask), closed under negation, so that no clause
form is needed. The search is complete: it finds values, or there are none, or it says that it gave up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

MAX_STEPS: Final = 200_000
"""Formulas looked at in one search, some tenths of a second."""


@dataclass(frozen=True, slots=True, eq=False)
class OneOf:
    """The variable's value is among those whose bit is set."""

    variable: int
    mask: int


@dataclass(frozen=True, slots=True, eq=False)
class All:
    """Each item holds; without items it is true."""

    items: tuple[Formula, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Any:
    """Some item holds; without items it is false."""

    items: tuple[Formula, ...]


Formula = OneOf | All | Any

TRUE: Final = All(())
FALSE: Final = Any(())


class GaveUp(Exception):
    """The search passed its bound: neither values nor their absence are proven."""


class Space:
    """The variables of one question: for each a name and its values, the preferred one first."""

    def __init__(self) -> None:
        self.values: list[tuple[object, ...]] = []
        self._full: list[int] = []
        self._numbers: dict[object, int] = {}

    def declare(self, name: object, values: Iterable[object]) -> int:
        """A new variable; its values are compared by type and value, the first of equal ones stays."""
        number = self._numbers[name] = len(self.values)
        known = tuple({(type(value), value): value for value in values}.values())
        self.values.append(known)
        self._full.append((1 << len(known)) - 1)
        return number

    def number(self, name: object) -> int | None:
        return self._numbers.get(name)

    def full(self) -> list[int]:
        return list(self._full)

    def one_of(self, variable: int, chosen: Iterable[bool]) -> Formula:
        """That the variable has one of the values for which `chosen` (in their order) is true."""
        mask = sum(1 << position for position, yes in enumerate(chosen) if yes)
        if not mask:
            return FALSE
        return TRUE if mask == self._full[variable] else OneOf(variable, mask)

    def negation(self, formula: Formula) -> Formula:
        if isinstance(formula, OneOf):
            return OneOf(formula.variable, self._full[formula.variable] & ~formula.mask)
        items = tuple(self.negation(item) for item in formula.items)
        return Any(items) if isinstance(formula, All) else All(items)


def conjunction(items: Iterable[Formula]) -> Formula:
    """All of the items, read as one list where they are nested."""
    kept: list[Formula] = []
    for item in items:
        if isinstance(item, All):
            kept.extend(item.items)
        elif isinstance(item, Any) and not item.items:
            return FALSE
        else:
            kept.append(item)
    return kept[0] if len(kept) == 1 else All(tuple(kept))


def disjunction(items: Iterable[Formula]) -> Formula:
    """Any of the items, read as one list where they are nested."""
    kept: list[Formula] = []
    for item in items:
        if isinstance(item, Any):
            kept.extend(item.items)
        elif isinstance(item, All) and not item.items:
            return TRUE
        else:
            kept.append(item)
    return kept[0] if len(kept) == 1 else Any(tuple(kept))


def solve(space: Space, formula: Formula, *, steps: int = MAX_STEPS) -> tuple[object, ...] | None:
    """A value for each variable that meets the formula, None when there is none. Raises `GaveUp`."""
    found = _Search(steps).run([formula], space.full())
    if found is None:
        return None
    return tuple(values[(mask & -mask).bit_length() - 1] for values, mask in zip(space.values, found, strict=True))


class _Search:
    """Depth first: what is forced is taken, then the shortest choice is tried in order."""

    def __init__(self, steps: int) -> None:
        self._steps = steps

    def run(self, pending: list[Formula], masks: list[int]) -> list[int] | None:
        choices = self._settle(pending, masks)
        if choices is None:
            return None
        if not choices:
            return masks
        shortest = min(choices, key=lambda choice: len(choice.items))
        others = [choice for choice in choices if choice is not shortest]
        for item in shortest.items:
            found = self.run([item, *others], list(masks))
            if found is not None:
                return found
            if isinstance(item, OneOf):
                # What was tried in vain needn't be tried again by the items after it.
                masks[item.variable] &= ~item.mask
                if not masks[item.variable]:
                    return None
        return None

    def _settle(self, pending: Sequence[Formula], masks: list[int]) -> list[Any] | None:
        """Take what must hold until nothing more follows; the choices that stay open, None for a contradiction."""
        stack = list(pending)
        choices: list[Any] = []
        while True:
            changed = False
            while stack:
                item = stack.pop()
                self._count()
                if isinstance(item, OneOf):
                    mask = masks[item.variable] & item.mask
                    if not mask:
                        return None
                    changed = changed or mask != masks[item.variable]
                    masks[item.variable] = mask
                elif isinstance(item, All):
                    stack.extend(item.items)
                else:
                    choices.append(item)
            open_choices: list[Any] = []
            for choice in choices:
                left = self._left(choice, masks)
                if left is None:
                    continue
                if not left:
                    return None
                if len(left) == 1:
                    stack.append(left[0])
                else:
                    open_choices.append(choice if len(left) == len(choice.items) else Any(tuple(left)))
            choices = open_choices
            if not stack and not changed:
                return choices

    def _left(self, choice: Any, masks: list[int]) -> list[Formula] | None:
        """The items that can still hold; None when one holds already."""
        left: list[Formula] = []
        for item in choice.items:
            known = self._known(item, masks)
            if known is True:
                return None
            if known is None:
                left.append(item)
        return left

    def _known(self, formula: Formula, masks: list[int]) -> bool | None:
        self._count()
        if isinstance(formula, OneOf):
            mask = masks[formula.variable]
            if not mask & formula.mask:
                return False
            return None if mask & ~formula.mask else True
        decided = isinstance(formula, Any)
        unknown = False
        for item in formula.items:
            known = self._known(item, masks)
            if known is decided:
                return decided
            unknown = unknown or known is None
        return None if unknown else not decided

    def _count(self) -> None:
        self._steps -= 1
        if self._steps < 0:
            raise GaveUp
