"""What looks like a credential is taken out; other text is left alone."""

from __future__ import annotations

import time

import pytest

from authz.observe.redact import redact, redact_value

JWT = "eyJhbGciOiJFUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiJhbGljZSJ9.MEUCIQDs_-x"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"got {JWT} here", "eyJ"),
        (f"cut {JWT[:40]}", "eyJ"),
        ("Authorization: Bearer abcdef0123456789", "abcdef0123456789"),
        ("bearer%20abcdef0123456789", "abcdef0123456789"),
        ("DPoP abcdef0123456789==", "abcdef0123456789"),
        ("basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
        ('{"access_token": "opaque-value"}', "opaque-value"),
        ("client_secret=hunter22&x=1", "hunter22"),
        ("cookie: session=abc", "session=abc"),
        ("-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----", "MIGH"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIGH", "MIGH"),
    ],
)
def test_credentials_are_taken_out(text: str, secret: str) -> None:
    """Whole tokens, cut ones, scheme and value, members and parameters, private keys."""
    assert secret not in redact(text)
    assert "[redacted]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the issuer's keys can't be fetched",
        "token_expired",
        "the token's `exp` has passed",
        "eyes",
        "orders.read",
        "spiffe://shop.example/ns/shop/sa/frontend",
        "/orders/42",
        "0f59463c606c5b0e",
        "basic",
        "keys[0] is skipped",
    ],
)
def test_ordinary_texts_stay(text: str) -> None:
    """A net that catches everything would hide what operators need."""
    assert redact(text) == text


@pytest.mark.parametrize(
    "text", ["a" * 200_000 + " token", "token" * 40_000, "a_" * 100_000 + "secret", "key " * 50_000]
)
def test_long_texts_take_no_longer_than_their_length(text: str) -> None:
    """What an issuer or a team writes can be long; the writer's thread must not stand still over it."""
    began = time.process_time()

    assert redact(text) == text
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize(
    "text",
    [
        "bas\N{LATIN SMALL LETTER DOTLESS I}c dXNlcjpwYXNzd29yZA==",
        "\N{LATIN SMALL LETTER LONG S}ecret=hunter22",
        "to\N{KELVIN SIGN}en=hunter22",
        "PaSsWoRd=hunter22",
    ],
)
def test_letters_that_stand_for_others_hide_nothing(text: str) -> None:
    """The quick look clears no text in which an expression that ignores case would find something."""
    assert redact(text).endswith("[redacted]")


def test_values_are_walked() -> None:
    """Lists, mappings and foreign objects; numbers stay numbers."""
    value = {"a": [JWT, 1, None, True], "b": {"c": Exception(JWT)}}

    assert redact_value(value) == {"a": ["[redacted]", 1, None, True], "b": {"c": "[redacted]"}}
