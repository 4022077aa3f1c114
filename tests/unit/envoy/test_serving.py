"""Envoy's matching beside the policies': domains and hosts, path matches and templates, and what is shadowed."""

from __future__ import annotations

import pytest

from authz.envoy.serving import How, PathMatch, domain_meets, reached
from authz.policy.hosts import parse_host
from authz.policy.templates import parse_template


@pytest.mark.parametrize(
    ("domain", "host", "meets"),
    [
        ("*", "a.shop.example", True),
        ("a.shop.example", "a.shop.example", True),
        ("A.shop.example", "a.shop.example", True),
        ("b.shop.example", "a.shop.example", False),
        ("*.shop.example", "a.shop.example", True),
        ("*.shop.example", "shop.example", False),
        ("*-a.shop.example", "x-a.shop.example", True),
        ("a.*", "a.shop.example", True),
        ("b.*", "a.shop.example", False),
        ("a.shop.example", "*.shop.example", True),
        ("a.b.shop.example", "*.shop.example", True),
        ("a.b.shop.example", "{tenant}.shop.example", False),
        ("a.shop.example", "{tenant}.shop.example", True),
        ("shop.example", "*.shop.example", False),
        ("*.b.shop.example", "*.shop.example", True),
        ("*.b.shop.example", "{tenant}.shop.example", False),
        ("*.example", "*.shop.example", True),
        ("*.other.example", "*.shop.example", False),
        ("a.shop.example:443", "a.shop.example", True),
        ("a.shop.example:8443", "a.shop.example", False),
        ("a.shop.example:8443", "a.shop.example:8443", True),
        ("a.shop.example", "a.shop.example:8443", False),
        ("a.shop.example:8443", "a.shop.example:*", True),
        ("a.shop.example:*", "a.shop.example:8443", True),
    ],
)
def test_a_domain_meets_a_host_when_some_request_has_both(domain: str, host: str, meets: bool) -> None:
    """Wildcards of either side, and ports."""
    assert domain_meets(domain, parse_host(host).pattern, any_port=False) is meets


def test_ports_dont_matter_where_envoy_ignores_them() -> None:
    """`ignore_port_in_host_matching`."""
    assert domain_meets("a.shop.example", parse_host("a.shop.example:8443").pattern, any_port=True)


@pytest.mark.parametrize(
    ("domains", "best"),
    [
        (["*", "*.example", "*.shop.example", "a.*", "a.shop.example"], "a.shop.example"),
        (["*", "*.example", "*.shop.example", "a.*"], "*.shop.example"),
        (["*", "a.*", "a.shop.*"], "a.shop.*"),
        (["*", "b.*"], "*"),
    ],
)
def test_the_most_specific_domain_takes_a_host(domains: list[str], best: str) -> None:
    """Exact, longest suffix, longest prefix, any."""
    assert reached(parse_host("a.shop.example").pattern, domains, any_port=False) == {best}


def test_a_hosts_wildcard_reaches_every_domain_within_it() -> None:
    """Which of them takes a request depends on the request."""
    domains = ["*", "a.shop.example", "b.other.example"]

    assert reached(parse_host("*.shop.example").pattern, domains, any_port=False) == {"*", "a.shop.example"}


@pytest.mark.parametrize(
    ("how", "text", "template", "meets"),
    [
        (How.PREFIX, "/", "/orders/{id}", True),
        (How.PREFIX, "/ord", "/orders/{id}", True),
        (How.PREFIX, "/orders", "/orders/{id}", True),
        (How.PREFIX, "/orders/", "/orders/{id}", True),
        (How.PREFIX, "/orders/", "/orders", False),
        (How.PREFIX, "/orders/12", "/orders/{id:int}", True),
        (How.PREFIX, "/orders/ab", "/orders/{id:int}", False),
        (How.PREFIX, "/orders/ab-", "/orders/{id:uuid}", True),
        (How.PREFIX, "/orders/Ab", "/orders/{id:slug}", False),
        (How.PREFIX, "/orders/7/items", "/orders/{id}", False),
        (How.PREFIX, "/orders/7/items", "/orders/**", True),
        (How.PREFIX, "/ORDERS", "/orders/{id}", False),
        (How.PREFIX, "/J%C3%BCrgen/", "/Jürgen/{id}", True),
        (How.PREFIX, "orders", "/orders", False),
        (How.PREFIX, "", "/orders", True),
        (How.PATH, "/orders/7", "/orders/{id}", True),
        (How.PATH, "/orders/", "/orders/{id}", False),
        (How.PATH, "/orders/", "/orders/", True),
        (How.PATH, "/orders", "/orders/**", True),
        (How.PATH, "/", "/", True),
        (How.SEPARATED, "/orders", "/orders", True),
        (How.SEPARATED, "/orders", "/orders/{id}", True),
        (How.SEPARATED, "/ord", "/orders/{id}", False),
        (How.CONNECT, "", "/**", False),
        (How.UNDECIDABLE, "/v.*", "/v1/**", None),
    ],
)
def test_a_match_meets_a_template_when_some_path_fits_both(
    how: How, text: str, template: str, meets: bool | None
) -> None:
    """Prefixes may end within a segment; expressions aren't decided."""
    assert PathMatch(how=how, text=text).meets(parse_template(template)) is meets


def test_letters_dont_matter_where_envoy_ignores_them() -> None:
    """`case_sensitive: false`."""
    assert PathMatch(how=How.PREFIX, text="/ORD", folded=True).meets(parse_template("/orders/{id}"))


@pytest.mark.parametrize(
    ("first", "second", "shadowed"),
    [
        ((How.PREFIX, "/a"), (How.PATH, "/ab"), True),
        ((How.PREFIX, "/a/"), (How.PREFIX, "/a/b"), True),
        ((How.PREFIX, "/a"), (How.UNDECIDABLE, "/a.*"), False),
        ((How.PREFIX, "/b"), (How.PATH, "/ab"), False),
        ((How.SEPARATED, "/a"), (How.PATH, "/a"), True),
        ((How.SEPARATED, "/a"), (How.PATH, "/ab"), False),
        ((How.SEPARATED, "/a"), (How.PREFIX, "/a"), False),
        ((How.SEPARATED, "/a"), (How.PREFIX, "/a/b"), True),
        ((How.PATH, "/a"), (How.PATH, "/a"), True),
        ((How.PATH, "/a"), (How.PREFIX, "/a"), False),
    ],
)
def test_a_route_behind_a_wider_one_isnt_served(
    first: tuple[How, str], second: tuple[How, str], shadowed: bool
) -> None:
    """The first match wins."""
    one, other = (PathMatch(how=how, text=text) for how, text in (first, second))

    assert one.shadows(other) is shadowed


def test_a_route_with_conditions_shadows_nothing() -> None:
    """Requests without the header go on to the next one."""
    one = PathMatch(how=How.PREFIX, text="/", conditional=True)

    assert not one.shadows(PathMatch(how=How.PATH, text="/a"))
