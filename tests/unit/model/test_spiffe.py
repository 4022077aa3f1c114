"""SPIFFE IDs as they are read, and which of them are remembered."""

from __future__ import annotations

import pytest

from authz.model import spiffe
from authz.model.spiffe import SpiffeId, SpiffeIdError


def test_an_id_is_the_same_however_long_and_however_often_it_is_read() -> None:
    """Short ones are remembered, long ones read anew; both are equal values."""
    for path in ("a", "/".join(["ab"] * 600)):
        text = f"spiffe://shop.example/{path}"

        assert SpiffeId.parse(text) == SpiffeId.parse(text)
        assert str(SpiffeId.parse(text)) == text


def test_long_ids_are_not_kept() -> None:
    """They are read before anybody vouches for them, and each segment is an object of its own."""
    before = spiffe._parse.cache_info().currsize
    for number in range(3):
        SpiffeId.parse(f"spiffe://shop.example/{number}/" + "/".join(["ab"] * 600))

    assert spiffe._parse.cache_info().currsize == before


@pytest.mark.parametrize("length", [10, 3000])
def test_an_id_that_breaks_the_grammar_is_refused_each_time(length: int) -> None:
    """Whether or not it would be remembered."""
    for _ in range(2):
        with pytest.raises(SpiffeIdError):
            SpiffeId.parse("spiffe://shop.example/" + "a" * length + "/../b")
