"""Records of revocations: one form, read strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.model.revocation import Revocation, RevocationKind
from authz.sources.revocation_records import RecordError, decode, encode
from tests.mint.revocations import revocation
from tests.mint.tokens import NOW


@given(
    kind=st.sampled_from(RevocationKind),
    value=st.text(max_size=50),
    until=st.integers(0, 2**32 - 1),
    before=st.integers(0, 2**32 - 1),
    lifted=st.booleans(),
    why=st.text(max_size=50),
)
def test_what_is_written_is_read(
    kind: RevocationKind, value: str, until: int, before: int, lifted: bool, why: str
) -> None:
    """Every entry comes back as it was, in one line."""
    one = revocation(kind, value, until=until, before=before, lifted=lifted, why=why)

    assert decode(encode(one)) == one
    assert b"\n" not in encode(one)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "user"},
        {"kind": None},
        {"key": "00"},
        {"key": "zz" * 15},
        {"until": 1.5},
        {"until": -1},
        {"until": 2**40},
        {"until": None},
        {"before": "x"},
        {"lifted": 1},
        {"at": float("inf")},
    ],
)
def test_a_record_that_breaks_the_form_is_an_error(change: dict[str, Any]) -> None:
    """It is never read as something near it."""
    fields = json.loads(encode(revocation(RevocationKind.TOKEN, "x")))

    with pytest.raises(RecordError):
        decode(json.dumps(fields | change).encode())


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 9000, b" " * 20_000])
def test_what_is_no_record_is_an_error(record: bytes) -> None:
    """Whatever stands there."""
    with pytest.raises(RecordError):
        decode(record)


def test_members_of_later_versions_are_left_alone() -> None:
    """A process of the version before reads what the new one writes."""
    one: Revocation = revocation(RevocationKind.SUBJECT, "alice", before=int(NOW))
    fields = json.loads(encode(one)) | {"later": {"a": 1}}

    assert decode(json.dumps(fields).encode()) == one
