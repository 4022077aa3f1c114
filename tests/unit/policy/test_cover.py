"""Coverage: which alternatives tests are allowed through, and which are the reason of a denial."""

from __future__ import annotations

from authz.policy.cover import Coverage, coverage
from tests.mint import suites

STAFF = "{user: {issuer: corp, groups: {any: [staff]}}}"
FRONTEND = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/frontend}}"
CART = "{workload: {spiffe: spiffe://shop.example/ns/shop/sa/cart}}"
PEOPLE = suites.PEOPLE + "  clerk: {user: {issuer: corp, groups: [staff]}}\n"


def cover(allow: str, *cases: str, guardrails: str = "") -> Coverage:
    """What the tests exercise of one route."""
    documents = [suites.policy(allow), *([guardrails] if guardrails else [])]
    stage, results = suites.results(suites.suite("".join(cases), people=PEOPLE), *documents)
    places = {(policy.name, route.id): route.place for policy in stage.documents.policies for route in policy.routes}
    return coverage(stage.policy.routes, places, results)


def cells(found: Coverage) -> list[tuple[int | None, int | None]]:
    """How many tests fill each cell; None for one that can't be filled."""
    return [
        (None if row.allow is None else len(row.allow), None if row.deny is None else len(row.deny))
        for row in found.rows
    ]


def test_each_alternative_has_a_cell_for_either_verdict() -> None:
    """A test fills the cell of the alternative that permitted, or of the closest one."""
    clerk = "{user: {issuer: corp, groups: {any: [staff]}, roles: {any: [clerk]}}}"
    found = cover(
        f"{{any: [{clerk}, {FRONTEND}]}}",
        suites.case("allow", name="frontend", acting="[frontend]"),
        suites.case("{deny: role_missing}", name="no role", acting="[clerk]"),
        suites.case("{deny: workload_not_permitted}", name="cart", acting="[stranger, cart]"),
    )

    assert [(row.number, row.allow, row.deny) for row in found.rows] == [
        (1, (), ("no role",)),
        (2, ("frontend",), ("no role", "cart")),
    ]
    assert (found.filled, found.total, found.percent) == (3, 4, 75.0)


def test_alternatives_that_are_equally_close_are_denied_together() -> None:
    """The first written wins the tie: the others could never be the reported one."""
    denied = suites.case("{deny: credential_missing}", acting="[cart]")

    assert cells(cover(f"{{any: [{STAFF}, {FRONTEND}]}}", denied)) == [(0, 1), (0, 1)]


def test_a_test_that_fails_counts_for_nothing() -> None:
    """What it was meant to show isn't so."""
    assert cells(cover(FRONTEND, suites.case("allow", acting="[cart]"))) == [(0, 0)]


def test_what_is_open_to_everybody_can_not_be_denied() -> None:
    """Nor anything written before it; and what is closed can't be allowed."""
    assert cells(cover('{public: "why"}', suites.case("allow"))) == [(1, None)]
    assert cells(cover(f'{{any: [{STAFF}, {{public: "why"}}]}}', suites.case("allow"))) == [(0, None), (1, None)]
    assert cells(cover('{nobody: "closed"}', suites.case("{deny: nobody}"))) == [(None, 1)]


def test_a_public_route_that_is_narrowed_can_be_denied() -> None:
    """By its `source`."""
    narrowed = '{all: [{public: "why"}, {source: {cidrs: [10.0.0.0/8]}}]}'
    request = "{method: GET, host: orders.shop.example, path: /orders/42, from: 10.1.2.3}"

    assert cells(
        cover(
            narrowed, suites.case("allow", request=request), suites.case("{deny: source_not_permitted}", name="outside")
        )
    ) == [(1, 1)]


def test_a_denial_by_a_deny_guardrail_is_about_no_alternative() -> None:
    """And the choices of a `require` are those of the guardrail, not of the route."""
    head = "apiVersion: authz/v1\nkind: Guardrails\nguardrails:\n"
    deny = f"{head}  - id: quarantined\n    deny: {CART}\n"
    require = f"{head}  - id: inside\n    require: {{any: [{FRONTEND}, {CART}]}}\n"

    assert cells(cover(STAFF, suites.case("{deny: guardrail_denied}", acting="[clerk, cart]"), guardrails=deny)) == [
        (0, 0)
    ]
    assert cells(
        cover(
            f"{{any: [{CART}, {STAFF}]}}",
            suites.case("allow", acting="[clerk, frontend]"),
            suites.case("{deny: workload_not_permitted}", name="other", acting="[stranger, frontend]"),
            guardrails=require,
        )
    ) == [(0, 1), (1, 1)]


def test_a_directory_without_routes_is_covered() -> None:
    """There is nothing to ask for."""
    assert Coverage(rows=()).percent == 100.0
