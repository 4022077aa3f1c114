"""The trie against the words of the contract: small templates over a small alphabet, every path of it.

Two oracles that know no tree. `winner` narrows a list of templates segment by segment; `crossing` compares the
sets of paths that templates match.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.model.path import fold
from authz.model.reason import Reason
from authz.policy.compiled import Literal, PathTemplate, Variable, VariableType
from authz.policy.crossing import find_crossings
from authz.policy.router import build_router
from authz.policy.templates import contains, format_template, overlaps, parse_template
from tests.mint import routing

UUID = "00000000-0000-4000-8000-000000000000"
ALPHABET = ("a", "b", "A", "1", "7", "z", UUID)
DEPTH = 4
PATHS = tuple(
    path
    for length in range(DEPTH + 1)
    for first in product(ALPHABET, repeat=length)
    for path in (first, (*first, ""))
    if path
)
Path = tuple[str, ...]

literals = st.sampled_from(["a", "b", "1"]).map(Literal)
types = st.sampled_from(list(VariableType))
variables = types.map(lambda kind: Variable("v", kind))


@st.composite
def templates(draw: st.DrawFn) -> PathTemplate:
    """Up to three segments, the variables named by their position."""
    parts = draw(st.lists(literals | variables, max_size=DEPTH - 1))
    named = tuple(
        Variable(f"v{index}", part.type) if isinstance(part, Variable) else part for index, part in enumerate(parts)
    )
    end = draw(st.sampled_from(["rest", "slash", "plain"])) if parts else draw(st.sampled_from(["rest", "slash"]))
    return PathTemplate((*named, Literal("")) if end == "slash" else named, end == "rest")


def fits(part: Literal | Variable, segment: str) -> bool:
    if isinstance(part, Literal):
        return part.text == segment
    values = {
        VariableType.TEXT: ALPHABET,
        VariableType.INT: ("1", "7"),
        VariableType.UUID: (UUID,),
        VariableType.SLUG: ("a", "b", "1", "7", "z", UUID),
    }
    return segment in values[part.type]


@cache
def language(template: PathTemplate, *, zero: bool) -> frozenset[Path]:
    """The paths that a template matches; without `zero` those that need the zero-segment case of `/**` less."""
    count = len(template.segments)
    return frozenset(
        path
        for path in PATHS
        if len(path) >= count
        and all(map(fits, template.segments, path))
        and (not path[count:] if not template.rest else zero or path[count:] not in ((), ("",)))
    )


def winner(all_templates: Sequence[PathTemplate], path: Path) -> str:
    """The contract's walk, over a list."""
    left = list(all_templates)
    for index, segment in enumerate(path):
        here = [t for t in left if len(t.segments) > index]
        exact = [t for t in here if t.segments[index] == Literal(segment)]
        if exact:
            left = exact
            continue
        siblings = {fold(part.text) for t in here if isinstance(part := t.segments[index], Literal) and part.text}
        variable = [t for t in here if isinstance(t.segments[index], Variable)]
        rest = [t for t in left if t.rest and len(t.segments) == index]
        if (variable or rest) and fold(segment) in siblings:
            return "path_not_canonical"
        if variable and segment:
            left = variable
            continue
        return typed(rest[0] if rest else None, path)
    ends = [t for t in left if len(t.segments) == len(path)]
    return typed(min(ends, key=lambda t: t.rest, default=None), path)


def typed(found: PathTemplate | None, path: Path) -> str:
    """The template, unless a segment doesn't fit its variable's type."""
    if found is None or not all(map(fits, found.segments, path)):
        return "route_unmatched"
    return format_template(found)


def crossing(one: PathTemplate, other: PathTemplate, everyone: Sequence[PathTemplate]) -> bool:
    """Whether the pair is a load error, by the sets of paths."""
    whole_one, whole_other = language(one, zero=True), language(other, zero=True)
    common = language(one, zero=False) & language(other, zero=False)
    if not common or whole_one <= whole_other or whole_other <= whole_one:
        return False
    return not any(language(t, zero=True) == whole_one & whole_other for t in everyone)


def fit_together(all_templates: Sequence[PathTemplate]) -> bool:
    _, conflicts = build_router(routing.route(format_template(t)) for t in all_templates)
    return not conflicts


sets_of_templates = st.lists(templates(), min_size=1, max_size=6, unique_by=format_template).filter(fit_together)


@settings(max_examples=150, deadline=None)
@given(sets_of_templates)
def test_the_trie_decides_as_the_contract_says(chosen: list[PathTemplate]) -> None:
    """For every path of the alphabet."""
    router, _ = build_router(routing.route(format_template(t)) for t in chosen)

    for path in PATHS:
        leaf = router.find(path)
        if isinstance(leaf, Reason):
            found = leaf.code
        else:
            found = "route_unmatched" if leaf.bind(path) is None else format_template(leaf.template)
        assert found == winner(chosen, path), path


@settings(max_examples=150, deadline=None)
@given(sets_of_templates)
def test_crossings_are_those_that_comparing_all_paths_finds(chosen: list[PathTemplate]) -> None:
    """Some pair crosses exactly when the walk over the tree reports one, and what it reports does cross."""
    router, _ = build_router(routing.route(format_template(t)) for t in chosen)

    reported = find_crossings(router)

    pairs = {frozenset(map(format_template, pair)) for pair in combinations(chosen, 2) if crossing(*pair, chosen)}
    assert bool(reported) is bool(pairs)
    for conflict in reported:
        assert frozenset({conflict.first.id, conflict.second.id}) in pairs


@settings(max_examples=150, deadline=None)
@given(templates(), templates())
def test_contains_and_overlaps_agree_with_the_sets_of_paths(one: PathTemplate, other: PathTemplate) -> None:
    """The algebra is what the sets are."""
    mine, theirs = language(one, zero=True), language(other, zero=True)

    assert contains(one, other) is (theirs <= mine)
    assert overlaps(one, other) is bool(mine & theirs)


@given(templates())
def test_a_template_survives_being_written(template: PathTemplate) -> None:
    """Formatting and parsing are inverse."""
    assert parse_template(format_template(template)) == template
