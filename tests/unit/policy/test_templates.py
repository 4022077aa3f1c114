"""Path templates: the grammar of what people write."""

from __future__ import annotations

import pytest

from authz.policy.compiled import Literal, Variable, VariableType
from authz.policy.templates import TemplateError, contains, format_template, overlaps, parse_template, takes


def test_a_template_is_read_into_its_parts() -> None:
    """Literals, variables with and without a type, and a trailing `/**`."""
    template = parse_template("/a/{b}/{c:int}/{d:uuid}/{e_1:slug}/**")

    assert template.rest
    assert template.segments == (
        Literal("a"),
        Variable("b", VariableType.TEXT),
        Variable("c", VariableType.INT),
        Variable("d", VariableType.UUID),
        Variable("e_1", VariableType.SLUG),
    )


@pytest.mark.parametrize(
    "text",
    ["/", "/**", "/a", "/a/", "/a/**", "/{x}", "/{x:int}/b/", "/Jürgen", "/a b", "/.well-known/x", "/x.v1.S/Get"],
)
def test_a_template_is_written_back_as_it_was(text: str) -> None:
    """Formatting undoes parsing."""
    assert format_template(parse_template(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a/b",
        "//",
        "/a//b",
        "/a//",
        "/**/a",
        "/a/***",
        "/a/*",
        "/a*",
        "/{x}{y}",
        "/{x}.json",
        "/v{x}",
        "/{X}",
        "/{1x}",
        "/{x:float}",
        "/{}",
        "/{x",
        "/x}",
        "/{x}/{x}",
        "/a/{x }",
        "/.",
        "/..",
        "/a/../b",
        "/a%20b",
        "/%",
        "/a;b",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/a\nb",
        "/a\x00",
        "/Ju\u0308rgen",
        "/\uff0e\uff0e",
        "/a\uff0fb",
        "/a\u200bb",
        "/\ud800",
        "/" + "a" * 3000,
    ],
)
def test_a_template_that_no_request_could_meet_is_refused(text: str) -> None:
    """Literals are held to the rules of request segments; everything else is not in the grammar."""
    with pytest.raises(TemplateError):
        parse_template(text)


@pytest.mark.parametrize(
    ("kind", "segment", "fits"),
    [
        ("int", "0", True),
        ("int", "10", True),
        ("int", "9" * 18, True),
        ("int", "9" * 19, False),
        ("int", "01", False),
        ("int", "-1", False),
        ("int", "1\n", False),
        ("int", "\u0663", False),
        ("int", "", False),
        ("uuid", "0123abcd-0123-0123-0123-0123456789ab", True),
        ("uuid", "0123ABCD-0123-0123-0123-0123456789ab", False),
        ("uuid", "0123abcd012301230123-0123456789ab", False),
        ("slug", "a-1", True),
        ("slug", "a--1", False),
        ("slug", "-a", False),
        ("slug", "A", False),
        ("slug", "a\n", False),
        ("text", "A b", True),
        ("text", "", False),
    ],
)
def test_a_variable_takes_what_its_type_says(kind: str, segment: str, fits: bool) -> None:
    """Whole segments; nothing takes the empty one behind a trailing slash."""
    assert takes(Variable("x", VariableType(kind)), segment) is fits


@pytest.mark.parametrize(
    ("wide", "narrow", "contained", "overlapping"),
    [
        ("/a/**", "/a", True, True),
        ("/a/**", "/a/b/**", True, True),
        ("/a", "/a/**", False, True),
        ("/a/{x}", "/a/b", True, True),
        ("/a/{x:int}", "/a/b", False, False),
        ("/a/{x:slug}", "/a/{y:int}", True, True),
        ("/a/{x:uuid}", "/a/{y:int}", False, False),
        ("/a/{x}/b", "/a/c/{y}", False, True),
        ("/a", "/b", False, False),
        ("/a/{x}", "/a/", False, False),
        ("/a/**", "/a/", True, True),
        ("/a/b", "/a", False, False),
    ],
)
def test_templates_contain_and_overlap(wide: str, narrow: str, contained: bool, overlapping: bool) -> None:
    """The algebra that shares need."""
    one, other = parse_template(wide), parse_template(narrow)

    assert contains(one, other) is contained
    assert overlaps(one, other) is overlaps(other, one) is overlapping
