"""Which route wins: the path whatever the method, then the method."""

from __future__ import annotations

import pytest

from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.policy.compiled import CompiledRoute
from authz.policy.faults import FaultCode
from authz.policy.router import Leaf, Router, build_router
from tests.mint import routing


def find(target: str, *templates: str) -> str:
    """The template that owns the path, or the reason's code."""
    router, conflicts = build_router(routing.route(text) for text in templates)
    assert not conflicts
    request = routing.request(target)
    leaf = router.find(request.path.segments)
    if isinstance(leaf, Reason):
        return leaf.code
    return leaf.first().id if leaf.bind(request.path.segments) is not None else "route_unmatched"


@pytest.mark.parametrize(
    ("target", "winner", "templates"),
    [
        ("/a/b", "/a/b", ("/a/b", "/a/{x}", "/a/**")),
        ("/a/c", "/a/{x}", ("/a/b", "/a/{x}", "/a/**")),
        ("/a/c/d", "route_unmatched", ("/a/{x}", "/a/**")),
        ("/a", "/a/**", ("/a/{x}", "/a/**")),
        ("/a", "/a", ("/a", "/a/**")),
        ("/a/", "/a/**", ("/a/{x}", "/a/**")),
        ("/a/", "/a/", ("/a/", "/a/**")),
        ("/public/x/y/", "/public/**", ("/public/**",)),
        ("/orders/1/", "route_unmatched", ("/orders/{id}",)),
        ("/orders/", "route_unmatched", ("/orders/{id}",)),
        ("/orders/", "route_unmatched", ("/orders",)),
        ("/", "/", ("/", "/**")),
        ("/", "/**", ("/**",)),
        ("/x", "/**", ("/", "/**")),
        ("/api/typo", "route_unmatched", ("/**", "/api/orders")),
        ("/A", "/**", ("/**", "/b")),
        ("/a/B", "path_not_canonical", ("/a/b", "/a/{x}")),
        ("/API/x", "path_not_canonical", ("/**", "/api/orders")),
        ("/API/x", "route_unmatched", ("/api/orders",)),
        ("/%20me", "path_not_canonical", ("/{x}", "/me")),
        ("/%EF%BC%AD%EF%BC%A5", "path_not_canonical", ("/{x}", "/me")),
        ("/a/b/ME", "/a/**", ("/a/**", "/x/me")),
        ("/i/7", "/i/{n:int}", ("/i/{n:int}", "/i/**")),
        ("/i/x", "route_unmatched", ("/i/{n:int}", "/i/**")),
        ("/i/x/me", "route_unmatched", ("/i/{n:int}/{y}",)),
        ("/i/x/ME", "path_not_canonical", ("/i/{n:int}/{y}", "/i/{n:int}/me")),
        ("/users/J%C3%BCrgen", "/users/Jürgen", ("/users/Jürgen", "/users/{x}")),
    ],
)
def test_the_path_decides_segment_by_segment(target: str, winner: str, templates: tuple[str, ...]) -> None:
    """Literal, else variable, else `/**`; a branch taken is never left; look-alikes of literals are refused."""
    assert find(target, *templates) == winner


def test_variables_bind_decoded_text() -> None:
    """Percent-encoding is undone once."""
    router, _ = build_router([routing.route("/users/{name}/**")])
    segments = routing.request("/users/J%C3%BCrgen/a/b").path.segments

    leaf = router.find(segments)

    assert isinstance(leaf, Leaf)
    assert leaf.bind(segments) == {"name": "Jürgen"}


def choose(request: AuthzRequest, *routes: CompiledRoute) -> str:
    router, conflicts = build_router(routes)
    assert not conflicts
    leaf = router.find(request.path.segments)
    assert isinstance(leaf, Leaf)
    chosen = leaf.choose(request)
    return chosen.code if isinstance(chosen, Reason) else chosen.id


@pytest.mark.parametrize(
    ("method", "upgrade", "chosen"),
    [
        ("GET", "", "read"),
        ("HEAD", "", "any"),
        ("PURGE", "", "any"),
        ("M-SEARCH", "", "any"),
        ("get", "", "method_unmatched"),
        ("*", "", "method_unmatched"),
        ("TRACE", "", "method_unmatched"),
        ("GET", "websocket", "socket"),
        ("POST", "websocket", "method_unmatched"),
        ("GET", "h2c", "route_unmatched"),
        ("7", "", "method_unmatched"),
    ],
)
def test_the_method_decides_among_routes_of_one_template(method: str, upgrade: str, chosen: str) -> None:
    """`*` is any upper-case method but CONNECT and TRACE, and loses; upgrades have routes of their own."""
    routes = (
        routing.route("/a", "GET", name="read"),
        routing.route("/a", "*", name="any"),
        routing.route("/a", "GET", name="socket", upgrade="websocket"),
    )

    assert choose(routing.request("/a", method, upgrade=upgrade), *routes) == chosen


def test_get_does_not_include_head() -> None:
    """Methods are explicit."""
    assert choose(routing.request("/a", "HEAD"), routing.route("/a", "GET")) == "method_unmatched"


def test_an_upgrade_route_matches_nothing_else() -> None:
    """A plain request to a template that has only WebSocket routes has no route."""
    assert choose(routing.request("/a"), routing.route("/a", "GET", upgrade="websocket")) == "route_unmatched"


def test_an_upgrade_that_nobody_takes_has_no_route() -> None:
    """It is `route_unmatched` whatever the method."""
    assert choose(routing.request("/a", upgrade="websocket"), routing.route("/a", "GET")) == "route_unmatched"


PREFLIGHT = (("origin", "https://spa.example"), ("access-control-request-method", "PUT"))


@pytest.mark.parametrize(
    ("routes", "headers", "owner"),
    [
        ((("PUT",),), PREFLIGHT, "PUT"),
        ((("PUT",), ("*",)), PREFLIGHT, "PUT"),
        ((("*",),), PREFLIGHT, "*"),
        ((("PUT",), ("OPTIONS",)), PREFLIGHT, None),
        ((("GET",),), PREFLIGHT, None),
        ((("PUT",),), PREFLIGHT[:1], None),
        ((("PUT",),), PREFLIGHT[1:], None),
        ((("PUT",),), (*PREFLIGHT, PREFLIGHT[1]), None),
        ((("*",),), (PREFLIGHT[0], ("access-control-request-method", "put")), None),
        ((("*",),), (PREFLIGHT[0], ("access-control-request-method", "*")), None),
    ],
)
def test_a_preflight_belongs_to_the_route_that_it_asks_for(
    routes: tuple[tuple[str, ...], ...], headers: tuple[tuple[str, str], ...], owner: str | None
) -> None:
    """An explicit OPTIONS route wins over it, `*` doesn't; both headers come exactly once."""
    router, _ = build_router(routing.route("/a", *methods, name=methods[0]) for methods in routes)
    leaf = router.find(("a",))
    assert isinstance(leaf, Leaf)

    found = leaf.preflight(routing.request("/a", "OPTIONS", headers=headers))

    assert (found.id if found else None) == owner


@pytest.mark.parametrize(
    ("code", "routes"),
    [
        (
            FaultCode.ROUTE_DUPLICATE,
            (routing.route("/a", "GET", "PUT", name="x"), routing.route("/a", "PUT", name="y")),
        ),
        (FaultCode.ROUTE_DUPLICATE, (routing.route("/a", "*", name="x"), routing.route("/a", "*", name="y"))),
        (FaultCode.PATH_POSITION, (routing.route("/a/{x}"), routing.route("/a/{y}/b"))),
        (FaultCode.PATH_POSITION, (routing.route("/a/{x}"), routing.route("/a/{x:int}/b"))),
    ],
)
def test_routes_that_cannot_share_a_place_are_reported(code: FaultCode, routes: tuple[CompiledRoute, ...]) -> None:
    """One route per template, method and upgrade; one name and type per position."""
    _, conflicts = build_router(routes)

    assert [(conflict.code, conflict.second) for conflict in conflicts] == [(code, routes[1])]


def test_one_name_may_have_two_types_below_different_literals() -> None:
    """A position is a place in the tree, not a depth."""
    router, conflicts = build_router([routing.route("/a/{x}"), routing.route("/b/{x:int}")])

    assert isinstance(router, Router)
    assert not conflicts
