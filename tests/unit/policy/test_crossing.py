"""Templates that cross are found, with a witness."""

from __future__ import annotations

import pytest

from authz.policy import crossing
from authz.policy.crossing import MAX_CONFLICTS, find_crossings
from authz.policy.router import build_router
from tests.mint import routing


def witnesses(*templates: str) -> list[str]:
    router, conflicts = build_router(routing.route(text) for text in templates)
    assert not conflicts
    return [conflict.message.split("`")[9] for conflict in find_crossings(router)]


@pytest.mark.parametrize(
    ("witness", "templates"),
    [
        ("/t/me/admin", ("/t/{x}/admin", "/t/me/{page}")),
        ("/t/me/admin", ("/t/{x}/admin", "/t/me/**")),
        ("/t/me/x/x", ("/t/{x}/{y}/**", "/t/me/**")),
        ("/a/b/x", ("/{x}/b/**", "/a/{y}/**")),
        ("/a/1", ("/{x}/{n:int}", "/a/{y}")),
        ("/J%C3%BCrgen/b", ("/{x}/b", "/Jürgen/{y}")),
    ],
)
def test_a_crossing_is_reported_with_a_path_that_both_match(witness: str, templates: tuple[str, ...]) -> None:
    """Neither contains the other, and nobody says which of them is meant."""
    assert witnesses(*templates) == [witness]


@pytest.mark.parametrize(
    "templates",
    [
        ("/t/{x}/admin", "/t/me/{page}", "/t/me/admin"),
        ("/t/{x}/admin", "/t/me/**", "/t/me/admin"),
        ("/{x}/b/**", "/a/{y}/**", "/a/b/**"),
        ("/t/{x}", "/t/me"),
        ("/t/{x}", "/t/me/**"),
        ("/t/{x}/", "/t/me/**"),
        ("/t/**", "/t/{x}/a"),
        ("/t/{x}/a", "/t/b/c"),
        ("/{n:int}/b", "/a/{y}"),
        ("/{n:int}/b", "/1/b"),
        ("/a/{n:int}", "/{x}/{y}"),
        ("/a/{n:int}", "/{x}/{y:uuid}"),
        ("/{x}/b", "/a/{y}/c"),
    ],
)
def test_what_does_not_cross_is_not_reported(templates: tuple[str, ...]) -> None:
    """Contained, disjoint, with a template of their own, or alike only in the zero-segment case of `/**`."""
    assert witnesses(*templates) == []


def test_the_number_of_reports_is_bounded() -> None:
    """A policy with very many crossings is reported in part, at once."""
    many = [text for number in range(150) for text in (f"/{number}/{{x}}", f"/{{y}}/v{number}")]

    assert len(witnesses(*many)) == MAX_CONFLICTS


def test_what_is_too_intertwined_to_be_checked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work is bounded, and what was not checked is not served."""
    monkeypatch.setattr(crossing, "MAX_PAIRS", 50)
    many = [text for number in range(20) for text in (f"/a{number}/{{x}}/foo", f"/{{y}}/b{number}/bar")]
    router, _ = build_router(routing.route(text) for text in many)

    found = find_crossings(router)

    assert len(found) == 1
    assert "more ways than are checked" in found[0].message
