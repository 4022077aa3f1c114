"""Headers: how names fold, how duplicates are kept, and what can't be changed."""

from __future__ import annotations

import pytest

from authz.model.headers import Headers, fold_name


def test_a_header_is_found_whatever_the_case_it_was_sent_in() -> None:
    """Names are stored in lower case."""
    headers = Headers([("X-Request-ID", "1"), ("ACCEPT", "*/*")])

    assert headers.get_all("x-request-id") == ("1",)
    assert list(headers.names()) == ["x-request-id", "accept"]
    assert "accept" in headers and "ACCEPT" not in headers


def test_duplicates_are_kept_in_the_order_they_came() -> None:
    """No value of a repeated header is lost or joined, also when the names differ in case."""
    headers = Headers([("a", "1"), ("b", "2"), ("A", "3")])

    assert headers.get_all("a") == ("1", "3")
    assert list(headers.items()) == [("a", "1"), ("a", "3"), ("b", "2")]
    assert headers.values() == ["1", "3", "2"]
    assert len(headers) == 3


def test_an_absent_header_has_no_values() -> None:
    """Absence is an empty tuple."""
    assert Headers().get_all("accept") == ()
    assert len(Headers()) == 0


def test_only_ascii_letters_are_folded() -> None:
    """The Kelvin sign doesn't become a `k`, so it can't pose as another header."""
    assert fold_name("\u212aEY") == "\u212aey"
    assert "key" not in Headers([("\u212aey", "1")])


def test_headers_have_no_room_for_other_attributes() -> None:
    """That theirs aren't assigned is the type checker's part: they are made for every check."""
    headers = Headers([("a", "1")])

    with pytest.raises(AttributeError):
        headers.extra = 1  # type: ignore[attr-defined]  # what it is about


def test_equal_headers_are_equal_and_hash_alike() -> None:
    """Values and the joined mark count; another type never equals."""
    one, two = Headers([("A", "1")]), Headers([("a", "1")])

    assert one == two and hash(one) == hash(two)
    assert one != Headers([("a", "1")], joined=True)
    assert one != Headers([("a", "2")])
    assert one != {"a": ("1",)}


def test_the_repr_shows_no_value() -> None:
    """A header's value may be a credential, and a repr ends in logs."""
    assert repr(Headers([("authorization", "Bearer secret")])) == "Headers(authorization)"
