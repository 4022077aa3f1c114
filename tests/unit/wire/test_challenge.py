"""`WWW-Authenticate` for each reason: RFC 6750 §3, RFC 9470 §3."""

from __future__ import annotations

import pytest

from authz.model.decision import Challenge, Denial
from authz.model.reason import Reason
from authz.wire.challenge import challenge

STEP_UP = {Reason.ACR_INSUFFICIENT, Reason.AMR_INSUFFICIENT, Reason.AUTH_TOO_OLD}


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)
def test_the_default_challenge_of_each_reason(reason: Reason) -> None:
    """401 always asks; who presented nothing is told no code; 403 asks only where a scope is missing."""
    value = challenge(Denial(reason=reason))

    if reason is Reason.CREDENTIAL_MISSING:
        assert value == 'Bearer realm="authz"'
    elif reason in STEP_UP:
        assert value == 'Bearer realm="authz", error="insufficient_user_authentication"'
    elif reason is Reason.SCOPE_MISSING:
        assert value == 'Bearer realm="authz", error="insufficient_scope"'
    elif reason.status == 401:
        assert value == 'Bearer realm="authz", error="invalid_token"'
    else:
        assert value == ""


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.code != "internal_error"])
def test_the_reason_itself_is_not_told(reason: Reason) -> None:
    """Which rule refused is for operators."""
    assert reason.code not in challenge(Denial(reason=reason))


@pytest.mark.parametrize(
    ("reason", "asked", "value"),
    [
        (
            Reason.ACR_INSUFFICIENT,
            Challenge(acr_values="urn:a urn:b"),
            'Bearer realm="authz", error="insufficient_user_authentication", acr_values="urn:a urn:b"',
        ),
        (
            Reason.AUTH_TOO_OLD,
            Challenge(max_age=900),
            'Bearer realm="authz", error="insufficient_user_authentication", max_age="900"',
        ),
        (
            Reason.AUTH_TOO_OLD,
            Challenge(max_age=0, acr_values="urn:a"),
            'Bearer realm="authz", error="insufficient_user_authentication", acr_values="urn:a", max_age="0"',
        ),
        (
            Reason.SCOPE_MISSING,
            Challenge(scope="orders:read orders:write"),
            'Bearer realm="authz", error="insufficient_scope", scope="orders:read orders:write"',
        ),
        (
            Reason.PROOF_MISSING,
            Challenge(scheme="DPoP", error="invalid_dpop_proof"),
            'DPoP realm="authz", error="invalid_dpop_proof", algs="ES256 Ed25519 EdDSA PS256 RS256"',
        ),
        (
            Reason.PROOF_INVALID,
            Challenge(scheme="DPoP", nonce="n0nce"),
            'DPoP realm="authz", error="use_dpop_nonce", algs="ES256 Ed25519 EdDSA PS256 RS256"',
        ),
        (
            Reason.PROOF_REPLAYED,
            Challenge(scheme="DPoP"),
            'DPoP realm="authz", error="invalid_dpop_proof", algs="ES256 Ed25519 EdDSA PS256 RS256"',
        ),
        (
            Reason.TOKEN_EXPIRED,
            Challenge(scheme="DPoP"),
            'DPoP realm="authz", error="invalid_token", algs="ES256 Ed25519 EdDSA PS256 RS256"',
        ),
        (
            Reason.CREDENTIAL_MISSING,
            Challenge(scheme="DPoP"),
            'DPoP realm="authz", algs="ES256 Ed25519 EdDSA PS256 RS256"',
        ),
        (Reason.CREDENTIAL_MISSING, Challenge(error="invalid_token", scope="a"), 'Bearer realm="authz", scope="a"'),
        (Reason.TOKEN_EXPIRED, Challenge(scheme="Basic"), 'Bearer realm="authz", error="invalid_token"'),
    ],
)
def test_what_a_denial_asks_for_is_sent(reason: Reason, asked: Challenge, value: str) -> None:
    """The challenge of the denial fills in the parameters; the scheme is one that we take."""
    assert challenge(Denial(reason=reason, challenge=asked)) == value


@pytest.mark.parametrize("text", ['a"b', "a\\b", "a\r\nb", "ü", "a\0"])
def test_a_text_that_cannot_be_quoted_is_left_out(text: str) -> None:
    """Nothing can end the quotes or split the header."""
    asked = Challenge(error=text, scope=text, acr_values=text)

    assert challenge(Denial(reason=Reason.ACR_INSUFFICIENT, challenge=asked)) == 'Bearer realm="authz"'


def test_a_negative_age_is_left_out() -> None:
    """It would ask for the impossible."""
    value = challenge(Denial(reason=Reason.AUTH_TOO_OLD, challenge=Challenge(max_age=-1)))

    assert "max_age" not in value


def test_a_denial_that_asks_for_nothing_has_no_challenge() -> None:
    """A challenge on another 403 or on a 503 isn't sent."""
    for reason in (Reason.ROLE_MISSING, Reason.KEYS_UNAVAILABLE, Reason.REQUEST_MALFORMED):
        assert challenge(Denial(reason=reason, challenge=Challenge(scope="a"))) == ""
