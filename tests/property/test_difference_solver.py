"""What `diff` says of two requirements is what an SMT solver says of the same trees.

The solver's reading is written here anew from the words of policy language §5, over unbounded numbers and all IPv4
addresses: nothing of the comparison's own encoding takes part. Invariant: `diff` finds somebody who gains exactly
when the solver finds values for which the new tree permits and the old one doesn't, and likewise for who loses.
"""

from __future__ import annotations

import ipaddress

import z3
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.mint.policies import NOW, diff, directions, side

Tree = tuple[str, object]
Pair = tuple[z3.BoolRef, z3.BoolRef]
"""When a tree is true and when it is false; unknown otherwise."""

GROUPS = ("a", "b", "c")
TEXTS = ("3", "x")

signed_in = z3.Bool("signed_in")
has_groups = z3.Bool("has_groups")
member = {name: z3.Bool(f"member_{name}") for name in GROUPS}
level_type = z3.Int("level_type")
"""0 missing, 1 integer, 2 text, 3 an array, 4 something else."""
element = {value: z3.Bool(f"element_{value!r}") for value in (3, 4, "3", "x")}
other_element = {kind: z3.Bool(f"other_{kind.__name__}") for kind in (int, str, dict)}
"""What an array holds: the values that policies name, and others of each type."""
level_number = z3.Int("level_number")
level_text = z3.Int("level_text")
"""An index into TEXTS, or beyond for any other."""
has_time, age = z3.Bool("has_time"), z3.Real("age")
has_peer, depth, first, second = z3.Bool("has_peer"), z3.Int("depth"), z3.Int("first"), z3.Int("second")
"""The peer's path: how many segments, and two of them as numbers (0 is "a", 1 is "b")."""
address, has_address, is_v4 = z3.BitVec("address", 32), z3.Bool("has_address"), z3.Bool("is_v4")
SEGMENTS = ("a", "b")

leaves = st.one_of(
    st.tuples(
        st.just("groups"), st.tuples(st.sampled_from(["any", "all"]), st.sets(st.sampled_from(GROUPS), min_size=1))
    ),
    st.tuples(st.just("level"), st.sampled_from([3, 4, "3", "x"])),
    st.tuples(st.just("level-any"), st.lists(st.sampled_from([3, 4, "3", "x"]), min_size=1, max_size=3, unique=True)),
    st.tuples(st.just("level-there"), st.booleans()),
    st.tuples(st.just("age"), st.sampled_from([60, 900])),
    st.tuples(st.just("peer"), st.sampled_from(["a", "b", "*", "a/*", "*/b", "a/b", "a/**", "*/**"])),
    st.tuples(
        st.just("source"), st.sampled_from(["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "128.0.0.0/1"])
    ),
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["any", "all"]), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("not"), inner),
    ),
    max_leaves=6,
)
whole = trees.map(lambda tree: ("all", [("signed-in", None), tree]))


def yaml(tree: Tree) -> str:
    kind, rest = tree
    if kind in ("any", "all"):
        return f"{{{kind}: [{', '.join(map(yaml, rest))}]}}"  # type: ignore[call-overload]  # what a tree holds follows from its kind
    if kind == "not":
        return f"{{not: {yaml(rest)}}}"  # type: ignore[arg-type]  # what a tree holds follows from its kind
    if kind == "source":
        return f"{{source: {{cidrs: [{rest}]}}}}"
    if kind == "peer":
        return f"{{workload: {{spiffe: 'spiffe://shop.example/{rest}', via: mtls}}}}"
    return f"{{user: {{issuer: corp{_field(kind, rest)}}}}}"


def _field(kind: str, rest: object) -> str:
    if kind == "groups":
        quantifier, names = rest  # type: ignore[misc]  # what a tree holds follows from its kind
        return f", groups: {{{quantifier}: [{', '.join(sorted(names))}]}}"
    if kind == "level":
        return f", claims: {{level: {{equals: {rest!r}}}}}"
    if kind == "level-any":
        return f", claims: {{level: {{any: {rest!r}}}}}"
    if kind == "level-there":
        return f", claims: {{level: {{exists: {str(rest).lower()}}}}}"
    return f", auth_age: {{max: {rest}s}}" if kind == "age" else ""


def reading(tree: Tree, *, inside: bool = False) -> Pair:
    """When the tree is true and when it is false; `inside` a `not` absence is unknown."""
    kind, rest = tree
    if kind in ("any", "all"):
        parts = [reading(item, inside=inside) for item in rest]  # type: ignore[attr-defined]  # what a tree holds follows from its kind
        true, false = [one for one, _ in parts], [one for _, one in parts]
        return (z3.Or(true), z3.And(false)) if kind == "any" else (z3.And(true), z3.Or(false))
    if kind == "not":
        true, false = reading(rest, inside=True)  # type: ignore[arg-type]  # what a tree holds follows from its kind
        return false, true
    there, holds = _leaf(kind, rest)
    absent = z3.BoolVal(False) if inside else z3.Not(there)
    return z3.And(there, holds), z3.Or(z3.And(there, z3.Not(holds)), absent)


def _leaf(kind: str, rest: object) -> Pair:
    """When there is something to compare with, and whether it is as asked."""
    if kind == "source":
        network = ipaddress.ip_network(str(rest))
        mask = z3.BitVecVal(int(network.netmask), 32)
        return has_address, z3.And(is_v4, address & mask == z3.BitVecVal(int(network.network_address), 32))
    if kind == "peer":
        return has_peer, _matches(str(rest))
    if kind == "groups":
        quantifier, names = rest  # type: ignore[misc]  # what a tree holds follows from its kind
        held = [member[name] for name in sorted(names)]
        return z3.And(signed_in, has_groups), z3.Or(held) if quantifier == "any" else z3.And(held)
    if kind == "age":
        return z3.And(signed_in, has_time, age >= -30), age <= rest
    if kind == "level-there":
        # `exists: false` holds of a verified token that lacks the claim.
        if rest is False:
            return signed_in, level_type == 0
        return z3.And(signed_in, level_type != 0), z3.BoolVal(True)
    if kind == "level-any":
        return _level_any(list(rest))  # type: ignore[call-overload]  # what a tree holds follows from its kind
    if kind == "level":
        if isinstance(rest, int):
            return z3.And(signed_in, level_type == 1), level_number == rest
        return z3.And(signed_in, level_type == 2), level_text == TEXTS.index(str(rest))
    return signed_in, z3.BoolVal(True)


def _level_any(values: list[object]) -> Pair:
    """A scalar equals one of the values, or an array has one as element; all values are of one type."""
    pairs = [_leaf("level", value) for value in values]
    scalar = z3.Or([there for there, _ in pairs]), z3.Or([z3.And(there, holds) for there, holds in pairs])
    array = z3.And(signed_in, level_type == 3)
    found = z3.Or([element[value] for value in values])
    strange = z3.Or(
        [one for value, one in element.items() if type(value) is not type(values[0])]
        + [one for kind, one in other_element.items() if kind is not type(values[0])]
    )
    return z3.Or(scalar[0], z3.And(array, z3.Or(found, z3.Not(strange)))), z3.Or(scalar[1], z3.And(array, found))


def _matches(pattern: str) -> z3.BoolRef:
    rest = pattern.endswith("/**")
    segments = pattern.removesuffix("/**").split("/")
    rules = [depth > len(segments) if rest else depth == len(segments)]
    for variable, segment in zip((first, second), segments, strict=False):
        if segment != "*":
            rules.append(variable == SEGMENTS.index(segment))
    return z3.And(rules)


def any_of_unknown(tree: Tree) -> bool:
    """`any` over a claim under `not` is unknown when some values can't be compared with: left to the other tests."""
    kind, rest = tree
    if kind in ("any", "all"):
        return any(map(any_of_unknown, rest))  # type: ignore[call-overload]  # what a tree holds follows from its kind
    return any_of_unknown(rest) if kind == "not" else kind == "level-any" and len({type(one) for one in rest}) > 1  # type: ignore[arg-type,attr-defined]  # what a tree holds follows from its kind


def is_satisfiable(*formulas: z3.BoolRef) -> bool:
    solver = z3.Solver()
    solver.add(*formulas, level_type >= 0, level_type <= 4, level_text >= 0, depth >= 1, first >= 0, second >= 0)
    return solver.check() == z3.sat


@settings(max_examples=100, deadline=None)
@given(whole, whole)
def test_diff_finds_exactly_what_the_solver_finds(one: Tree, other: Tree) -> None:
    """Gained and lost, for two trees of users, workloads, addresses, `any`, `all` and `not`."""
    assume(not any_of_unknown(one) and not any_of_unknown(other))
    old, new = side(yaml(one)), side(yaml(other))
    assume(old is not None and new is not None)
    assert old is not None and new is not None
    before, after = reading(one)[0], reading(other)[0]

    difference = diff(old, new)

    expected = {
        name
        for name, formulas in (("gained", (after, z3.Not(before))), ("lost", (before, z3.Not(after))))
        if is_satisfiable(*formulas)
    }
    assert difference.unproven == ()
    assert directions(difference) == expected, (NOW, yaml(one), yaml(other))
