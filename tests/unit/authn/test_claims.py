"""Verified claims as a `User` (policy language §2)."""

from __future__ import annotations

from typing import Any

import pytest

from authz.authn.claims import subject_hash, user_of
from authz.authn.token import VerifiedToken
from authz.model.issuer import ClientTokens, IssuerSettings
from authz.model.principal import PrincipalKind, User
from tests.mint import tokens


def user(settings: dict[str, Any] | None = None, **claims: Any) -> User:
    issuer = IssuerSettings(
        **{"name": "corp", "issuer": tokens.ISSUER, "audiences": frozenset({tokens.AUDIENCE})} | (settings or {})
    )
    members = tokens.claims(**claims)
    return user_of(
        VerifiedToken(issuer="corp", claims=members, audiences=frozenset({tokens.AUDIENCE}), expires_at=members["exp"]),
        issuer,
    )


@pytest.mark.parametrize(
    ("claim", "scopes", "text"),
    [
        ("a", {"a"}, "a"),
        ("b a", {"a", "b"}, "b a"),
        (["b", "a"], {"a", "b"}, "b a"),
        ([], set(), ""),
        ("a:b/c", {"a:b/c"}, "a:b/c"),
    ],
)
def test_scopes_are_a_string_or_an_array(claim: object, scopes: set[str], text: str) -> None:
    """Both forms are read; the order is kept for the upstream."""
    found = user(scope=claim)

    assert found.scopes == scopes
    assert found.scope_text == text


@pytest.mark.parametrize(
    "claim",
    [
        tokens.ABSENT,
        None,
        "",
        " ",
        "a  b",
        " a",
        "a ",
        'a"b',
        "a\\b",
        "a\tb",
        "a\n",
        "é",
        7,
        True,
        {},
        ["a", ""],
        ["a b"],
        ["a", 1],
        ["a\n"],
        [["a"]],
    ],
)
def test_one_malformed_scope_spoils_the_claim(claim: object) -> None:
    """An element that is empty or no scope-token (RFC 6749 §3.3) makes the whole claim count as missing."""
    found = user(scope=claim)

    assert found.scopes is None
    assert found.scope_text == ""


@pytest.mark.parametrize("claim", [tokens.ABSENT, None, "staff", 7, {}, ["staff", 1], [None]])
def test_groups_and_roles_are_arrays_of_strings(claim: object) -> None:
    """Anything else counts as missing."""
    found = user(groups=claim, roles=claim, amr=claim)

    assert (found.groups, found.roles, found.amr) == (None, None, None)


def test_an_empty_array_is_not_missing() -> None:
    """Who is in no group is known to be in none."""
    assert user(groups=[]).groups == frozenset()


def test_claims_are_found_where_the_issuer_keeps_them() -> None:
    """A path leads through objects; aliases name further ones; an absent claim has no entry."""
    found = user(
        {
            "roles": ("realm_access", "roles"),
            "aliases": {"tenant": ("https://shop.example/tenant",), "gone": ("gone",), "null": ("null",)},
        },
        realm_access={"roles": ["clerk"]},
        null=None,
        **{"https://shop.example/tenant": "acme"},
    )

    assert found.roles == {"clerk"}
    assert found.aliases == {"tenant": "acme"}


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"sub": "alice", "azp": "storefront"}, PrincipalKind.PERSON),
        ({"sub": "batch", "azp": "batch"}, PrincipalKind.CLIENT),
        ({"sub": "alice", "azp": tokens.ABSENT}, PrincipalKind.PERSON),
        ({"sub": "batch", "azp": tokens.ABSENT, "client_id": "batch"}, PrincipalKind.CLIENT),
        ({"sub": "batch", "azp": "console", "client_id": "batch"}, PrincipalKind.CLIENT),
        ({"sub": "alice", "azp": tokens.ABSENT, "client_id": "batch"}, PrincipalKind.PERSON),
        ({"sub": "7", "azp": 7}, PrincipalKind.PERSON),
    ],
)
def test_a_token_whose_subject_is_its_client_stands_for_the_client(claims: Any, kind: PrincipalKind) -> None:
    """That is the rule where the issuer's settings say nothing else."""
    assert user(**claims).kind is kind


@pytest.mark.parametrize(
    ("equals", "value", "kind"),
    [
        ("app", "app", PrincipalKind.CLIENT),
        ("app", "user", PrincipalKind.PERSON),
        ("app", None, PrincipalKind.PERSON),
        (True, 1, PrincipalKind.PERSON),
        (True, True, PrincipalKind.CLIENT),
        (1, 1.0, PrincipalKind.PERSON),
        ("app", ["app"], PrincipalKind.PERSON),
    ],
)
def test_a_claim_may_tell_clients_from_people(equals: object, value: object, kind: PrincipalKind) -> None:
    """The comparison is typed, and replaces the other rule."""
    rule = {"client_tokens": ClientTokens(claim=("idtyp",), equals=equals)}

    assert user(rule, idtyp=value, sub="x", azp="x").kind is kind


@pytest.mark.parametrize(("claim", "value"), [(1.5, 1.5), (7, 7), ("7", None), (True, None), (None, None)])
def test_auth_time_is_a_number(claim: object, value: float | None) -> None:
    """A boolean is no time."""
    assert user(auth_time=claim).auth_time == value


def test_the_subject_hash_depends_on_the_issuer() -> None:
    """A subject means nothing without its issuer; the two can't run into each other."""
    assert user().subject_hash == subject_hash(tokens.ISSUER, "alice")
    assert len({subject_hash("a", "bc"), subject_hash("ab", "c"), subject_hash("b", "bc")}) == 3


def test_users_with_the_same_scopes_and_groups_share_their_sets() -> None:
    """Users are kept by the thousand; however long the claims are, they say the same."""
    long = [f"group-{number:03d}" for number in range(100)]
    first, second = (user(sub=name, scope="b a", groups=["y", "x"], roles=long) for name in ("alice", "bob"))

    assert first.scopes is second.scopes
    assert first.groups is second.groups
    assert first.scopes == frozenset({"a", "b"})
    assert first.groups == frozenset({"x", "y"})
    assert first.roles == second.roles == frozenset(long)
    assert user(scope=" ".join(long)).scopes == user(scope=long).scopes == frozenset(long)
