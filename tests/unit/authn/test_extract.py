"""The bearer out of the authorization header (docs/verification.md, "The bearer")."""

from __future__ import annotations

import pytest

from authz.authn.extract import PresentedToken, Scheme, bearer
from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.reason import Reason


def found(*values: str, **others: str) -> PresentedToken | Reason | None:
    items = [("authorization", value) for value in values] + list(others.items())
    try:
        return bearer(Headers(items), limit=100)
    except Refused as refused:
        return refused.reason


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("Bearer a.b.c", Scheme.BEARER),
        ("bearer a.b.c", Scheme.BEARER),
        ("BEARER a.b.c", Scheme.BEARER),
        ("Bearer   a.b.c", Scheme.BEARER),
        ("DPoP a.b.c", Scheme.DPOP),
        ("dpop a.b.c", Scheme.DPOP),
    ],
)
def test_a_token_is_found_whatever_the_case_of_its_scheme(value: str, scheme: Scheme) -> None:
    """Scheme names compare without case (RFC 9110 §11.1), one or more blanks follow."""
    assert found(value) == PresentedToken(scheme=scheme, token="a.b.c")


@pytest.mark.parametrize(
    "values",
    [(), ("",), ("Basic YTpi",), ("a.b.c",), ("Bearer\ta.b.c",), (" Bearer a",), ("BearerX a",), ("ＢＥＡＲＥＲ a",)],
)
def test_no_header_or_another_scheme_is_no_credential(values: tuple[str, ...]) -> None:
    """Absence is no error here: what it means is the route's business."""
    assert found(*values) is None


@pytest.mark.parametrize(
    "value",
    [
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "bearer a b",
        "Bearer a ",
        "Bearer =",
        "Bearer a=b",
        "Bearer a\t",
        "Bearer a\n",
        'Bearer "a"',
        "Bearer a;b",
        "Bearer é",
        "Bearer a\x00",
        "DPoP",
        "Bearer Bearer a",
        "Bearer " + "a" * 101,
    ],
)
def test_anything_but_one_b64token_is_malformed(value: str) -> None:
    """The scheme alone, more than one word, other characters, and what is over the limit."""
    assert found(value) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "values",
    [
        ("Bearer a", "Bearer a"),
        ("Bearer a", "Basic b"),
        ("Bearer a,Bearer b",),
        ("Bearer a, ",),
        ("Basic a,Bearer b",),
        (",",),
    ],
)
def test_two_values_or_a_comma_are_ambiguous(values: tuple[str, ...]) -> None:
    """A comma may have joined two headers: which one counts is never guessed."""
    assert found(*values) is Reason.HEADER_AMBIGUOUS


def test_padding_belongs_to_the_token() -> None:
    """A b64token may end in `=` (RFC 6750 §2.1); that no JWT does is found out later."""
    assert found("Bearer a~+/==") == PresentedToken(scheme=Scheme.BEARER, token="a~+/==")


def test_a_proof_is_noticed() -> None:
    """Whether a `dpop` header came along decides which reason a bound token gets."""
    assert found("DPoP a", dpop="x") == PresentedToken(scheme=Scheme.DPOP, token="a", proof=True)
