"""`WWW-Authenticate`: what a denied client should present instead.

Owns the choice of the error code; says no more about the reason than the standards ask for. Standards:
RFC 6750 §3 and §3.1 (Bearer), RFC 9449 §7.1 and §9 (DPoP), RFC 9470 §3 (step-up), RFC 9110 §11.6.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from authz.model.decision import Challenge, Denial
from authz.model.issuer import PROOF_ALGORITHMS
from authz.model.reason import Reason

REALM: Final = "authz"
"""Sent with each challenge: RFC 6750 §3 wants at least one parameter."""

INVALID_TOKEN: Final = "invalid_token"  # noqa: S105 - an error code
INVALID_PROOF: Final = "invalid_dpop_proof"
USE_NONCE: Final = "use_dpop_nonce"
NONCE_HEADER: Final = "dpop-nonce"
INSUFFICIENT_SCOPE: Final = "insufficient_scope"
INSUFFICIENT_AUTHENTICATION: Final = "insufficient_user_authentication"

_DEFAULT: Final = Challenge()
_DPOP: Final = "DPoP"
_SCHEMES: Final = frozenset({"Bearer", _DPOP})
_PROOF_REASONS: Final = frozenset({Reason.PROOF_MISSING, Reason.PROOF_INVALID, Reason.PROOF_REPLAYED})
# What may stand inside quotes without escaping (RFC 6750 §3, error-description and scope).
_QUOTABLE: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]+")


def challenge(denial: Denial) -> str:
    """The header's value; empty when the denial asks for nothing."""
    if denial.reason.status != 401 and denial.reason is not Reason.SCOPE_MISSING:
        return ""
    asked = denial.challenge or _DEFAULT
    scheme = asked.scheme if asked.scheme in _SCHEMES else _DEFAULT.scheme
    parameters = [f'{name}="{value}"' for name, value in _parameters(denial.reason, asked)]
    if scheme == _DPOP:
        parameters.append(f'algs="{" ".join(PROOF_ALGORITHMS)}"')
    return f"{scheme} {', '.join(parameters)}"


def proof_nonce(denial: Denial) -> str:
    """The `dpop-nonce` header's value; empty when the client isn't asked for one (RFC 9449 §9)."""
    asked = denial.challenge
    if denial.reason.status != 401 or asked is None or asked.scheme != _DPOP:
        return ""
    return asked.nonce


def _parameters(reason: Reason, asked: Challenge) -> Iterator[tuple[str, str]]:
    yield "realm", REALM
    wanted = (("error", _error(reason, asked)), ("scope", asked.scope), ("acr_values", asked.acr_values))
    for name, value in wanted:
        # A text that can't be quoted is left out: the client learns less, and nothing splits.
        if _QUOTABLE.fullmatch(value):
            yield name, value
    if asked.max_age is not None and asked.max_age >= 0:
        yield "max_age", str(int(asked.max_age))


def _error(reason: Reason, asked: Challenge) -> str:
    if reason is Reason.CREDENTIAL_MISSING:
        # RFC 6750 §3.1: who presented nothing is told no error code.
        return ""
    if asked.error:
        return asked.error
    if asked.scheme == _DPOP and reason in _PROOF_REASONS:
        return USE_NONCE if asked.nonce else INVALID_PROOF
    if reason is Reason.SCOPE_MISSING:
        return INSUFFICIENT_SCOPE
    return INSUFFICIENT_AUTHENTICATION if reason.is_step_up else INVALID_TOKEN
