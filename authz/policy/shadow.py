"""Candidates: shadow rules beside the enforced ones, judged and reported, never enforced (policy language §4).

Makes a mere verdict out of the evaluator's decision, so that nothing of a candidate can become an answer.
"""

from __future__ import annotations

from authz.model.decision import Permit, Shadow
from authz.model.principal import Principals
from authz.model.reason import ALLOWED
from authz.model.request import AuthzRequest
from authz.policy.compiled import Matched
from authz.policy.evaluate import evaluate
from authz.policy.weighing import Guardrails


def shadow(
    matched: Matched, guardrails: Guardrails, request: AuthzRequest, principals: Principals, now: float
) -> Shadow:
    """What the candidate of a route says, `matched` being the candidate itself. Total: a bug in it is a verdict."""
    try:
        decision = evaluate(frozenset(), matched, guardrails, request, principals, now)
    except Exception as error:  # noqa: BLE001 - a candidate must not be able to change the answer
        return Shadow(verdict="error", detail=type(error).__name__)
    if isinstance(decision, Permit):
        return Shadow(verdict=ALLOWED)
    return Shadow(verdict=decision.reason.code, detail=decision.detail)
