"""What a denied client is asked for instead (policy language §8).

Owns: the terms of the challenge for a reason: RFC 9470 §3 for step-up, RFC 6750 §3.1 for scopes, RFC 9449 §7.1 and §9
for proofs of possession. Must not: write a header (`wire.challenge` does), or tell more than what would help.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from authz.model.decision import Challenge
from authz.model.principal import Binding, Refusal, User, UserOutcome
from authz.model.reason import Reason
from authz.policy.compiled import Condition

DPOP: Final = "DPoP"
_BEARER: Final = Challenge().scheme
_BOUND: Final = ("bound", Binding.DPOP.value)


def challenge_of(
    reason: Reason, unmet: Sequence[Condition], conditions: Sequence[Condition], user: UserOutcome
) -> Challenge | None:
    """The challenge for the reported reason of the closest alternative; None: the wire's standard one does.

    `conditions` are all of that alternative's, `unmet` those that can't turn out true.
    """
    scheme = _scheme(conditions, user)
    if reason.is_step_up:
        ages = [float(age) for age in _wanted(unmet, "max_age")]
        return Challenge(
            scheme=scheme,
            error="insufficient_user_authentication",
            acr_values=(_wanted(unmet, "acr_values") or [""])[-1],
            max_age=int(min(ages)) if ages else None,
        )
    if reason is Reason.SCOPE_MISSING:
        scopes = " ".join(_wanted(conditions, "scope")).split()
        return Challenge(scheme=scheme, error="insufficient_scope", scope=" ".join(dict.fromkeys(scopes)))
    if scheme == _BEARER:
        return None
    return Challenge(scheme=scheme, nonce=user.nonce if isinstance(user, Refusal) else "")


def refused_challenge(refusal: Refusal) -> Challenge:
    """The challenge for a credential that was refused, whatever else was asked."""
    return Challenge(scheme=refusal.scheme, nonce=refusal.nonce)


def _wanted(conditions: Sequence[Condition], name: str) -> list[str]:
    return [one.challenge[1] for one in conditions if one.challenge is not None and one.challenge[0] == name]


def _scheme(conditions: Sequence[Condition], user: UserOutcome) -> str:
    """The scheme that the client used, or has to use for what the alternative asks (RFC 9449 §7.1)."""
    bound = any(one.challenge == _BOUND for one in conditions)
    if bound or (isinstance(user, User) and Binding.DPOP in user.bound):
        return DPOP
    return user.scheme if isinstance(user, Refusal) else _BEARER
