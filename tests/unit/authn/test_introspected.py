"""What an issuer's answer about a token is worth: the vectors of tests/vectors/introspection (RFC 7662 §2.2)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from authz.authn.claims import user_of
from authz.authn.extract import PresentedToken, Scheme
from authz.authn.token import VerifiedToken, check_still_active, verify_introspected
from authz.model.errors import Refused
from authz.model.issuer import ClientTokens, IssuerSettings
from authz.model.principal import PrincipalKind
from tests.mint import tokens
from tests.mint.tokens import NOW

VECTORS = Path(__file__).parents[2] / "vectors" / "introspection" / "answers.json"
ROWS = json.loads(VECTORS.read_text(encoding="utf-8"))
_KINDS: dict[str, Any] = {
    "client_tokens": lambda pair: ClientTokens(claim=(pair[0],), equals=pair[1]),
    "audience_claim": tuple,
}


def settings(**fields: Any) -> IssuerSettings:
    fields = {name: _KINDS.get(name, lambda value: value)(value) for name, value in fields.items()}
    return IssuerSettings(name="corp", issuer=tokens.ISSUER, audiences=frozenset({tokens.AUDIENCE}), **fields)


def check(answer: dict[str, Any], own: IssuerSettings | None = None) -> VerifiedToken:
    presented = PresentedToken(scheme=Scheme.BEARER, token="opaque")
    return verify_introspected(answer, own or settings(), presented, now=NOW)


def answer(**members: Any) -> dict[str, Any]:
    return {"active": True, **tokens.claims(**members)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["what"])
def test_vector(row: dict[str, Any]) -> None:
    """Each active answer is verified, or refused with its reason: nothing that a JWT needs is waived."""
    said = answer(**dict.fromkeys(row.get("drop", ()), tokens.ABSENT), **row.get("claims", {}))

    try:
        check(said, settings(**row.get("settings", {})))
        reason = "verified"
    except Refused as refused:
        reason = refused.reason.code

    assert reason == row["reason"]


def test_its_user_is_like_a_jwts() -> None:
    """Scopes, groups and the rest are read the same way."""
    user = user_of(check(answer(groups=["staff"])), settings())

    assert (user.subject, user.kind) == ("alice", PrincipalKind.PERSON)
    assert user.scopes == {"orders:read", "orders:write"}
    assert user.groups == {"staff"}


def test_a_client_without_sub_is_a_client() -> None:
    """Its name can't pass for a person's."""
    token = check(answer(sub=tokens.ABSENT, azp=tokens.ABSENT, client_id="batch"))

    user = user_of(token, settings())

    assert (user.subject, user.client, user.kind) == ("batch", "batch", PrincipalKind.CLIENT)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "active"),
        ({"sub": "alice", "exp": NOW + 5}, "active"),
        ({"sub": "bob"}, "token_inactive"),
        ({"jti": "another"}, "token_inactive"),
        ({"iss": "https://idp.evil.example"}, "issuer_unknown"),
        ({"exp": NOW - 31}, "token_expired"),
        ({"exp": "soon"}, "token_malformed"),
    ],
)
def test_an_answer_about_a_jwt_is_about_that_jwt(members: dict[str, Any], reason: str) -> None:
    """Where the issuer is asked about JWTs too, its answer may leave members out, but not contradict the token."""
    token = check(answer())

    try:
        check_still_active({"active": True, **members}, token.claims, settings(), now=NOW)
        found = "active"
    except Refused as refused:
        found = refused.reason.code

    assert found == reason
