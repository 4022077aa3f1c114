"""Logout tokens, step by step: the vectors of tests/vectors/logout_tokens (BCL §2.6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.authn.keys import import_key_set
from authz.authn.logout_token import Logout, verify_logout
from authz.model.errors import Refused
from authz.model.issuer import ALGORITHMS, IssuerSettings
from tests.mint import logout_tokens, tokens
from tests.mint.keys import jwk_set, other_key, signing_key
from tests.mint.tokens import ISSUER, NOW, sign

VECTORS = Path(__file__).parents[2] / "vectors" / "logout_tokens" / "steps.json"
ROWS = json.loads(VECTORS.read_text(encoding="utf-8"))
CORP = IssuerSettings(name="corp", issuer=ISSUER, audiences=frozenset({"shop-api"}))
KEYS = import_key_set(jwk_set(signing_key("RS256")), ALGORITHMS)[0]
VALID = logout_tokens.mint()


def check(token: str) -> Logout:
    return verify_logout(token, CORP, KEYS.find, frozenset({"authz"}), limit=16_384, now=NOW)


def reason_of(token: str) -> str:
    try:
        check(token)
    except Refused as refused:
        return refused.reason.code
    return "verified"


def token_of(row: dict[str, Any]) -> str:
    if "raw" in row:
        return str(row["raw"])
    absent = tokens.ABSENT
    key = other_key("RS256") if row.get("key") == "other" else signing_key("RS256")
    head = dict.fromkeys(row.get("drop_header", ()), absent) | row.get("header", {})
    if "payload" in row:
        text = json.dumps(tokens.header(key, typ="logout+jwt"))
        return sign(text.encode(), row["payload"].encode(), key)
    return logout_tokens.mint(dict.fromkeys(row.get("drop", ()), absent) | row.get("claims", {}), key=key, head=head)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['step']}: {row['what']}")
def test_vector(row: dict[str, Any]) -> None:
    """Each logout token is verified, or refused with its reason."""
    assert reason_of(token_of(row)) == row["reason"]


def test_every_step_has_a_vector_that_it_refuses() -> None:
    """A step that nothing tests could be left out."""
    assert {row["step"] for row in ROWS if row["reason"] != "verified"} == set(range(1, 13))


def test_who_was_logged_out_is_what_the_token_says() -> None:
    """Subject, session and the issuer's own time."""
    assert check(VALID) == Logout(
        issuer="corp", subject="alice", session="s-1", issued_at=NOW, expires_at=NOW + 120, jti="logout-1"
    )


def test_an_access_token_logs_nobody_out() -> None:
    """Nor does an ID token: both have another typ."""
    assert reason_of(tokens.mint({"aud": "authz"})) == "token_type_refused"
    assert reason_of(tokens.mint({"aud": "authz"}, head={"typ": "JWT"})) == "token_type_refused"


@given(position=st.integers(0, len(VALID) - 1), octet=st.characters(codec="ascii"))
def test_a_token_changed_anywhere_is_refused(position: int, octet: str) -> None:
    """One character replaced in any position, whatever it is."""
    changed = VALID[:position] + octet + VALID[position + 1 :]

    assert changed == VALID or reason_of(changed) != "verified"
