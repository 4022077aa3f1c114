"""What `diff` says of two policies is so.

Invariants: a policy doesn't differ from itself; what one gains by a change is lost by the change back; nobody whom
trying out finds, and nobody whom an SMT solver finds, is missed; each witness is judged as claimed.
"""

from __future__ import annotations

from functools import cache

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from authz.cli.witness import read_user
from authz.model.decision import Permit
from authz.model.host import Authority
from authz.policy.difference import Difference
from authz.policy.meaning import Side
from authz.policy.presented import Presented, decide
from authz.policy.regions import Site, request_at
from authz.policy.universe import Part
from tests.mint.policies import NOW, callers, diff, directions, requirements, side

GUARDRAILS = (
    "",
    "guardrails: [{id: g, require: {user: {auth_age: {max: 15m}}}}]",
    'guardrails: [{id: g, deny: {workload: {spiffe: "spiffe://shop.example/*"}}}]',
    "guardrails: [{id: g, deny: {workload: {spiffe: spiffe://shop.example/b}}, absent: denies}]",
    "guardrails: [{id: g, deny: {user: {groups: {any: [a]}}}}]",
    "guardrails: [{id: g, deny: {not: {user: {groups: {any: [a]}}}}}]",
    "guardrails: [{id: g, for: {path: /things/42}, require: {workload: {roles: {any: [caller]}}}}]",
)
guarded = st.tuples(requirements(), st.sampled_from(GUARDRAILS))


@cache
def people() -> list[tuple[Presented, str]]:
    return callers()


def permitted(one: Side, text: str) -> list[bool]:
    """Who of everybody is let through to the path."""
    site = Site("", "", Authority("a.example", None), Part("a"))
    requests = {
        address: request_at(site, "GET", (Part("things"), Part(text)), address=address) for _, address in people()
    }
    return [
        isinstance(decide(one.policy, requests[address], presented, read_user, NOW), Permit)
        for presented, address in people()
    ]


@settings(max_examples=40, deadline=None)
@given(guarded, guarded)
def test_nobody_whom_trying_out_finds_is_missed(one: tuple[str, str], other: tuple[str, str]) -> None:
    """Two small policies and some thousand callers: who gains or loses shows in the difference."""
    old, new = side(*one), side(*other)
    assume(old is not None and new is not None)
    assert old is not None and new is not None

    difference = diff(old, new)

    found = directions(difference)
    assert difference.unproven == ()
    for text in ("42", "7"):
        for before, after in zip(permitted(old, text), permitted(new, text), strict=True):
            if before is not after:
                assert ("gained" if after else "lost") in found, (one, other)


@settings(max_examples=40, deadline=None)
@given(guarded)
def test_a_policy_does_not_differ_from_itself(one: tuple[str, str]) -> None:
    """Also when written in another place, and compared by solving rather than by text."""
    old = side(*one)
    new = side(*one, extra="  # a comment\n")
    assume(old is not None and new is not None)
    assert old is not None and new is not None
    new.ground_key = new.platform_key = "never equal, so that nothing is passed over"

    difference = diff(old, new)

    assert not difference
    assert difference.unproven == ()


@settings(max_examples=40, deadline=None)
@given(guarded, guarded)
def test_what_a_change_gives_its_reversal_takes(one: tuple[str, str], other: tuple[str, str]) -> None:
    """The routes gained one way are those lost the other way."""
    old, new = side(*one), side(*other)
    assume(old is not None and new is not None)
    assert old is not None and new is not None

    there, back = diff(old, new), diff(new, old)

    mirror = {"gained": "lost", "lost": "gained"}
    assert {(mirror[name], route) for name, route in named(there)} == named(back)


def named(difference: Difference) -> set[tuple[str, str]]:
    return {(finding.direction.value, finding.route) for finding in difference.findings}
