"""`diff` of directories that differ in hosts, templates, methods, upgrades, preflights and guardrails' reach.

Invariant: no concrete request that the two sides judge differently (for a caller who shows nothing) goes unreported.
"""

from __future__ import annotations

from itertools import product

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from authz.cli.witness import read_user
from authz.model.decision import Permit
from authz.model.host import Authority
from authz.policy.load import load
from authz.policy.meaning import Side
from authz.policy.presented import Presented, decide
from authz.policy.regions import Site, request_at
from authz.policy.universe import Part
from tests.mint.policies import NOW, PLATFORM, diff, directions

TEMPLATES = ("/a", "/a/", "/a/b", "/a/{x}", "/{v}", "/{v}/b", "/a/{x:int}", "/a/{x:slug}", "/a/**", "/**", "/A/{y}")
METHODS = ("[GET]", "[GET, POST]", '["*"]', "[OPTIONS]")
HOSTS = ("a.example", "'*.a.example'", "'{t}.a.example'", "a.example:8443", "b.a.example")
ALLOWS = ("{public: all}", "{nobody: none}", "{all: [{public: near}, {source: {cidrs: [10.0.0.0/8]}}]}")
GUARDRAILS = (
    "",
    "guardrails: [{id: g, for: {path: /a/**}, require: {source: {cidrs: [10.0.0.0/8]}}}]",
    "guardrails: [{id: g, for: {path: /A, methods: [POST]}, deny: {not: {source: {cidrs: [10.0.0.0/8]}}}}]",
    "guardrails: [{id: g, for: {hosts: ['*.a.example']}, require: {user: {}}}]",
)
TARGETS = (
    ("a",),
    ("a", ""),
    ("A",),
    ("a", "b"),
    ("a", "B"),
    ("a", "7"),
    ("a", "x-y"),
    ("a", "b", "c"),
    ("",),
    ("z",),
    ("z", "b"),
    ("A", "7"),
    ("a", "7", "c"),
    ("z", "9", "b"),
)
AUTHORITIES = (
    ("a.example", None),
    ("b.a.example", None),
    ("c.a.example", 443),
    ("c.b.a.example", 80),
    ("a.example", 8443),
    ("d.example", None),
)
SHOWN: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("GET", ()),
    ("POST", ()),
    ("PUT", ()),
    ("OPTIONS", ()),
    ("OPTIONS", (("origin", "https://w"), ("access-control-request-method", "POST"))),
    ("GET", (("connection", "upgrade"), ("upgrade", "websocket"))),
)

routes = st.lists(
    st.tuples(
        st.sampled_from(TEMPLATES), st.sampled_from(METHODS), st.sampled_from(ALLOWS), st.sampled_from(["", "ws"])
    ),
    min_size=1,
    max_size=4,
)
directories = st.tuples(
    routes,
    st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True),
    st.booleans(),
    st.sampled_from(GUARDRAILS),
)
Directory = tuple[list[tuple[str, str, str, str]], list[str], bool, str]


def side(directory: Directory) -> Side | None:
    written, hosts, preflight, guardrails = directory
    lines = [
        "apiVersion: authz/v1",
        "kind: RoutePolicy",
        "metadata: {name: p}",
        "service:",
        f"  hosts: [{', '.join(hosts)}]",
        *(['  preflight: {public: "browsers ask"}'] if preflight else []),
        "routes:",
    ]
    for number, (path, methods, allow, upgrade) in enumerate(written):
        kind = ", upgrade: websocket" if upgrade else ""
        lines += [f"- id: r{number}", f"  match: {{methods: {methods}, path: '{path}'{kind}}}", f"  allow: {allow}"]
    platform = PLATFORM + f"---\napiVersion: authz/v1\nkind: Guardrails\nbind: host\n{guardrails}\n"
    loaded = load({"platform.yaml": platform.encode(), "p.yaml": "\n".join(lines).encode()})
    if loaded.policy is None or any(fault.severity.value == "error" for fault in loaded.faults):
        return None
    return Side(loaded.policy, loaded.parsed)


def outcomes(one: Side) -> list[bool]:
    found = []
    for target, (host, port), (method, headers), address in product(
        TARGETS, AUTHORITIES, SHOWN, ("10.1.2.3", "192.0.2.1")
    ):
        site = Site("", "", Authority(host, port), Part(host))
        request = request_at(site, method, tuple(map(Part, target)), headers, address=address)
        found.append(isinstance(decide(one.policy, request, Presented(), read_user, NOW), Permit))
    return found


@settings(max_examples=50, deadline=None)
@given(directories, directories)
def test_no_request_that_is_judged_differently_goes_unreported(one: Directory, other: Directory) -> None:
    """A thousand requests for each pair of directories."""
    old, new = side(one), side(other)
    assume(old is not None and new is not None)
    assert old is not None and new is not None

    difference = diff(old, new)

    expected = {
        "gained" if after else "lost"
        for before, after in zip(outcomes(old), outcomes(new), strict=True)
        if before is not after
    }
    assert difference.unproven == ()
    assert expected <= directions(difference)


@settings(max_examples=30, deadline=None)
@given(directories)
def test_a_directory_does_not_differ_from_itself(one: Directory) -> None:
    """However its routes overlap, and with nothing passed over."""
    old, new = side(one), side(one)
    assume(old is not None and new is not None)
    assert old is not None and new is not None
    new.ground_key = new.platform_key = "never equal"

    assert not diff(old, new)
