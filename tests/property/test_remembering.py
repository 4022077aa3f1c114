"""Invariant: a load that remembers the one before it gives exactly what it gives without, whatever was edited.

Sets are compared whole: every value, every trie, and every closure down to what it has closed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from authz.policy.link import PolicySet
from authz.policy.load import Loaded, load
from authz.policy.memory import Memory

_NAMES: Final = ("a.yaml", "b.yaml", "c_test.yaml", "d.yaml", "platform.yaml", "more.yaml")


def _policy(name: str, host: str, *routes: str, more: str = "") -> str:
    lines = "\n".join(f"  - {route}" for route in routes)
    return (
        f"apiVersion: authz/v1\nkind: RoutePolicy\nmetadata: {{name: {name}}}\n"
        f"service: {{hosts: [{host}], by_name: true}}\n{more}routes:\n{lines}\n"
    )


def _route(name: str, path: str, allow: str) -> str:
    return f'{{id: {name}, match: {{methods: [GET], path: "{path}"}}, allow: {allow}}}'


_SCOPED: Final = '{user: {scopes: {all: ["orders:read"]}, claims: {order: {equals: "{path.order}"}}}}'
_OWN: Final = 'requirements:\n  mine: {user: {scopes: {all: ["orders:write"]}}}\n'
_PUBLIC: Final = '{public: "the front page"}'

_TEXTS: Final = (
    _policy("one", "one.shop.example", _route("get", "/orders/{order}", _SCOPED)),
    _policy("one", "one.shop.example", _route("get", "/orders/{order}", _SCOPED), _route("all", "/**", _PUBLIC)),
    _policy("two", "two.shop.example", _route("get", "/orders", "mine"), more=_OWN),
    _policy("two", "one.shop.example", _route("get", "/orders", "shared")),
    _policy("two", "two.shop.example", _route("get", "/orders", _SCOPED)),  # No such variable.
    _policy("two", "two.shop.example", _route("get", "/orders", "shared"), more=_OWN),  # A requirement too many.
    _policy("two", "two.shop.example", _route("get", "/a/{x}", _PUBLIC), _route("put", "/a/{y}", _PUBLIC)),
    _policy("three", "three.shop.example", _route("get", "/orders", "shared"))
    + "---\n"
    + _policy("four", "four.shop.example", _route("get", "/orders", _PUBLIC)),
    _policy("three", "three.shop.example", _route("get", "/orders", _PUBLIC)) + "---\nkind: [\n",
    _policy("three", "three.shop.example", _route("get", "/orders", _PUBLIC)) + "surplus: 1\n",
    "apiVersion: authz/v1\nkind: RoutePolicyTest\nmetadata: {name: t}\ntests: []\n",
    "apiVersion: authz/v1\nkind: Requirements\nrequirements: {mine: {user: {}}}\n",
    "kind: [\n",
    "# nothing\n",
)


def _platform(*, audience: str, shared: str, guardrail: str) -> str:
    return f"""apiVersion: authz/v1
kind: Issuers
issuers:
  corp: {{issuer: "https://idp.shop.example", audiences: [{audience}], keys: {{jwks_file: k.json}}}}
---
apiVersion: authz/v1
kind: Requirements
requirements:
  shared: {{user: {{scopes: {{all: ["{shared}"]}}}}}}
---
apiVersion: authz/v1
kind: Guardrails
bind: destination
guardrails:
  - {guardrail}
"""


_REQUIRE: Final = '{id: staff, for: {path: "/orders/**"}, require: {user: {groups: {any: [staff]}}}}'
_FORBID: Final = "{id: closed, for: {hosts: [one.shop.example]}, forbid: {public: true}}"
_PLATFORMS: Final = (
    _platform(audience="shop", shared="orders:read", guardrail=_REQUIRE),
    _platform(audience="shop", shared="orders:read", guardrail=_FORBID),
    _platform(audience="other", shared="orders:read", guardrail=_REQUIRE),
    _platform(audience="shop", shared="orders:write", guardrail=_REQUIRE),
    _platform(audience="shop", shared="orders:read", guardrail=_REQUIRE)
    + "---\n"
    + _policy("five", "five.shop.example", _route("get", "/", "shared")),
    _platform(audience="shop", shared="orders:read", guardrail="{id: staff}"),
)

_FIRST: Final = {
    "a.yaml": _TEXTS[0].encode(),
    "b.yaml": _TEXTS[2].encode(),
    "c.yaml": _policy("six", "six.shop.example", _route("get", "/", "shared"), more=_OWN).encode(),  # A warning.
    "d.yaml": _TEXTS[7].encode(),
    "platform.yaml": _PLATFORMS[0].encode(),
}
_EDITS: Final = st.one_of(
    st.tuples(st.sampled_from(_NAMES), st.sampled_from((*_TEXTS, None))),
    st.tuples(st.just("platform.yaml"), st.sampled_from(_PLATFORMS)),
)


@given(st.lists(st.lists(_EDITS, min_size=1, max_size=3), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_remembering_changes_nothing(history: list[list[tuple[str, str | None]]]) -> None:
    """Through any history of edits: the same faults, and the same set or none."""
    files = dict(_FIRST)
    current = _in_force(load(files), None)

    for edits in history:
        _edit(files, edits)
        remembering, anew = load(files, current), load(files, _forgetful(current))

        assert remembering.faults == anew.faults
        assert _difference(remembering, anew) is None
        current = _in_force(remembering, current)


def test_only_what_was_edited_is_read_and_compiled_again() -> None:
    """Of the others the very same objects are in force, and stay in memory once."""
    first = _in_force(load(_FIRST), None)

    second = _in_force(load({**_FIRST, "a.yaml": _TEXTS[1].encode()}, first), first)

    before = {(route.policy, route.id): route for route in first.routes}
    again = {(route.policy, route.id) for route in second.routes if before.get((route.policy, route.id)) is route}
    assert again == {(name, "get") for name in ("two", "three", "four", "six")}


def test_an_edit_of_the_platform_compiles_everything_again() -> None:
    """What it says reaches into every route."""
    first = _in_force(load(_FIRST), None)

    second = _in_force(load({**_FIRST, "platform.yaml": _PLATFORMS[3].encode()}, first), first)

    assert not {id(route) for route in first.routes} & {id(route) for route in second.routes}


def test_nothing_is_remembered_of_what_is_gone() -> None:
    """Memory doesn't grow with the history of a directory."""
    first = _in_force(load(_FIRST), None)
    files = {name: data for name, data in _FIRST.items() if name != "d.yaml"}

    memory = _in_force(load(files, first), first).memory

    assert memory.sound.keys() == {"a.yaml", "b.yaml", "c.yaml"}
    assert sorted(known.document.name for known in memory.compiled.values()) == ["one", "six", "two"]


def _edit(files: dict[str, bytes], edits: list[tuple[str, str | None]]) -> None:
    for name, text in edits:
        if text is None:
            files.pop(name, None)
        else:
            files[name] = text.encode()


def _in_force(loaded: Loaded, before: PolicySet | None) -> PolicySet:
    policy = before if loaded.policy is None else loaded.policy
    assert policy is not None
    return policy


def _forgetful(policy: PolicySet) -> PolicySet:
    return replace(policy, memory=Memory())


# --- whole values compared ---------------------------------------------------------------------------------


def _difference(one: Loaded, other: Loaded) -> str | None:
    """Where two loads differ, or None. What they remember for later is not compared."""
    left, right = one.policy, other.policy
    if left is None or right is None:
        return None if left is right else "only one of them gave a set"
    pending: list[tuple[str, object, object]] = [
        ("", _forgetful(left), _forgetful(right)),
        ("parsed", one.parsed, other.parsed),
    ]
    seen: set[tuple[int, int]] = set()
    while pending:
        where, mine, its = pending.pop()
        if mine is its or (id(mine), id(its)) in seen:
            continue
        seen.add((id(mine), id(its)))
        if type(mine) is not type(its):
            return where
        parts = list(_parts(mine, its))
        if not parts and not _alike(mine, its):
            return f"{where}: {mine!r} {its!r}"
        pending += [(f"{where}.{name}", a, b) for name, a, b in parts]
    return None


_MISSING: Final = object()


def _parts(mine: object, its: object) -> Iterator[tuple[str, object, object]]:
    """What two values of one type consist of, side by side."""
    left, right = _named(mine), _named(its)
    for name in left.keys() | right.keys():
        yield str(name), left.get(name, _MISSING), right.get(name, _MISSING)


def _named(value: object) -> Mapping[object, object]:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str | bytes | AbstractSet):
        return {}
    if isinstance(value, Sequence):
        return dict(enumerate(value))
    if isinstance(value, FunctionType):
        cells = (cell.cell_contents for cell in value.__closure__ or ())
        return {"code": value.__code__, "keywords": value.__kwdefaults__, **dict(enumerate(cells))}
    if isinstance(value, MethodType):
        return {"function": value.__func__, "self": value.__self__}
    if isinstance(value, partial):
        return {"function": value.func, "args": value.args, "keywords": value.keywords}
    slots = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())]
    fields = {name: getattr(value, name, _MISSING) for name in slots if not name.startswith("__")}
    return {**fields, **getattr(value, "__dict__", {})}


def _alike(mine: object, its: object) -> bool:
    """For values without parts: equal, or of a kind whose instances don't differ."""
    return mine == its or (not isinstance(mine, str | int | float | CodeType | BuiltinFunctionType) and _is_bare(mine))


def _is_bare(value: object) -> bool:
    return type(value).__eq__ is object.__eq__ and type(value).__module__.startswith("authz.")
