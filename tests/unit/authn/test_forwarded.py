"""`x-forwarded-client-cert`: Envoy's grammar and the choice of the element (policy language §3)."""

from __future__ import annotations

import pytest

from authz.authn.forwarded import forwarded_id, parse_elements
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId

PROXY = SpiffeId.parse("spiffe://shop.example/ns/edge/sa/gateway")
BY = f"By={PROXY}"
A = "URI=spiffe://shop.example/a"
B = "URI=spiffe://shop.example/b"


def found(value: str) -> str | Reason | None:
    try:
        spiffe_id = forwarded_id(value, PROXY, {"shop.example"})
    except Refused as refused:
        return refused.reason
    return None if spiffe_id is None else str(spiffe_id)


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("By=a;URI=b", ((("by", "a"), ("uri", "b")),)),
        ("By=a,By=b", ((("by", "a"),), (("by", "b"),))),
        ('Subject="CN=a,O=\\"b\\";c";URI=d', ((("subject", 'CN=a,O="b";c'), ("uri", "d")),)),
        ('Subject="a\\,b"', ((("subject", "a\\,b"),),)),
        ("URI=", ((("uri", ""),),)),
        ('URI=""', ((("uri", ""),),)),
        ("uRi=x;New-Key=y", ((("uri", "x"), ("new-key", "y")),)),
        ('Subject="a\\\\";URI=b', ((("subject", "a\\\\"), ("uri", "b")),)),
    ],
)
def test_elements_are_read_by_envoys_grammar(text: str, elements: object) -> None:
    """Elements by commas, pairs by semicolons, quotes around values that hold either."""
    assert parse_elements(text) == elements


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        ",",
        ";",
        "By",
        "By=a,",
        "By=a;",
        ",By=a",
        "By=a,,By=b",
        "By=a; URI=b",
        "By=a, By=b",
        " By=a",
        "By =a",
        "By= a",
        'Subject="a',
        'Subject="a"b',
        'Subject=a"b"',
        "By=a=b",
        "=a",
        'Subject="a\\"',
        "By=a\t",
        "By=é",
        "1y=a",
        "By=a\\b",
        'By="a\x00"',
        "By=a\n",
    ],
)
def test_a_value_that_breaks_the_grammar_is_absent(text: str) -> None:
    """One fault anywhere and nothing of the value counts."""
    assert parse_elements(text) is None
    assert found(f"{BY};{A},{text}") is None
    assert found(f"{text},{BY};{A}") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"{BY};{A}", "spiffe://shop.example/a"),
        (f'{BY};Hash=ab;Subject="CN=x,{B}";{A};DNS=d', "spiffe://shop.example/a"),
        (f"{BY};{A},{BY};{B}", "spiffe://shop.example/b"),
        (f"{BY};{B},By=spiffe://shop.example/x;{A}", "spiffe://shop.example/b"),
        (f"By=spiffe://shop.example/x;{A}", None),
        (A, None),
        (BY, None),
        (f"{BY};URI=", None),
        (f"{BY};{A};{B}", None),
        (f"{BY};{A};URI=", None),
        (f"{BY};{A},{BY};DNS=x", None),
        (f"{BY}/x;{A}", None),
        (f"{BY};By=spiffe://shop.example/x;{A}", Reason.WORKLOAD_INVALID),
        (f"{BY};URI=https://shop.example/", Reason.WORKLOAD_INVALID),
        (f"{BY};URI=spiffe://shop.example", Reason.WORKLOAD_INVALID),
        (f"{BY};URI=spiffe://shop.example/a/../b", Reason.WORKLOAD_INVALID),
        (f"{BY};{A},{BY};URI=x", Reason.WORKLOAD_INVALID),
        (f"{BY};URI=spiffe://elsewhere.example/a", Reason.TRUST_DOMAIN_UNKNOWN),
    ],
)
def test_the_last_element_of_the_proxy_counts(value: str, expected: object) -> None:
    """With exactly one URI, which is a SPIFFE ID; no earlier element takes over."""
    assert found(value) == expected
