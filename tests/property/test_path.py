"""Invariant: a path is either refused or has one meaning, however often it is decoded or written anew."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote, unquote

from hypothesis import given
from hypothesis import strategies as st

from authz.model.errors import Refused
from authz.model.path import RequestPath, fold, parse_path
from authz.model.reason import Reason

LIMIT = 8192
# Text that is dense in what the rules are about.
FRAGMENTS = st.sampled_from(
    [
        "/",
        ".",
        "..",
        "%2e",
        "%2F",
        "%5c",
        "%25",
        "%00",
        "%C3%BC",
        "%CC%88",
        "%ef%bc%8f",
        "%e2%80%a4",
        "%",
        ";",
        "?",
        "#",
        "\\",
        " ",
        "a",
        "Z",
        "~",
        "%20",
        "%E2%84%AA",
        "ü",
        "\n",
        "\0",
        "\udc80",
    ]
)
TARGETS = st.one_of(
    st.text(),
    st.lists(FRAGMENTS).map("".join).map("/".__add__),
    st.lists(st.one_of(FRAGMENTS, st.characters().map(lambda letter: quote(letter, errors="replace")))).map(
        lambda parts: "/" + "".join(parts)
    ),
)


def parsed(target: str) -> RequestPath | None:
    try:
        return parse_path(target, LIMIT)
    except Refused as refused:
        assert refused.reason is Reason.PATH_NOT_CANONICAL
        return None


@given(TARGETS)
def test_every_target_is_read_or_refused(target: str) -> None:
    """No other exception, and what is read has no empty, dot or slash-bearing segment."""
    path = parsed(target)
    if path is None:
        return

    assert path.text == target.partition("?")[0]
    assert path.segments and "" not in path.segments[:-1]
    for segment in path.segments:
        assert segment not in (".", "..")
        assert not set("/\\%#?;\0") & set(unicodedata.normalize("NFKC", segment))


@given(TARGETS)
def test_a_path_that_is_written_anew_means_the_same(target: str) -> None:
    """Encoding the segments again and parsing gives the same segments, whichever way a writer encodes."""
    path = parsed(target)
    if path is None:
        return

    for safe in ("", "!$&'()*+,=:@"):
        anew = "/" + "/".join(quote(segment, safe=safe) for segment in path.segments)
        assert parse_path(anew, len(anew)).segments == path.segments


@given(TARGETS)
def test_decoding_twice_never_differs_from_decoding_once(target: str) -> None:
    """A backend that decodes again sees the same segments: no percent sign survives."""
    path = parsed(target)
    if path is None:
        return

    assert tuple(unquote(segment) for segment in path.segments) == path.segments


@given(TARGETS)
def test_decoding_before_splitting_never_differs_from_splitting_first(target: str) -> None:
    """A backend that decodes the whole path and then splits it sees the same segments."""
    path = parsed(target)
    if path is None:
        return

    assert tuple(unquote(path.text)[1:].split("/")) == path.segments


@given(TARGETS, TARGETS)
def test_the_query_changes_nothing(target: str, query: str) -> None:
    """With any query a path is refused or means what it means without one."""
    path = parsed(target)
    with_query = parsed(f"{target}?{query}")

    assert with_query is None or (path is not None and path.segments == with_query.segments)


@given(st.text())
def test_folding_is_idempotent(segment: str) -> None:
    """The folded form folds to itself, so two folded texts can be compared."""
    assert fold(fold(segment)) == fold(segment)


@given(st.text())
def test_folding_sees_through_case_and_compatibility_forms(segment: str) -> None:
    """Whatever a reader makes of a segment by normalising, case-folding or trimming folds to the same."""
    for read in (
        unicodedata.normalize("NFKC", segment),
        unicodedata.normalize("NFD", segment),
        segment.casefold(),
        f" {segment} ",
    ):
        assert fold(read) == fold(segment)
