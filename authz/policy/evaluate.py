"""From a matched route and its principals to a `Permit` or a `Denial` (policy language §5, §6, §8).

The only place that makes a `Permit`. A permit is found by asking each alternative's conditions in order; only a
request that isn't permitted is looked at closely: what it hangs on, or the closest alternative and its reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import UnionType
from typing import Final

from authz.model.decision import AlternativeTrace, Challenge, ConditionTrace, Decision, Denial, Mark, Permit, Trace
from authz.model.principal import Principals, Refusal, Undecided, User, Workload
from authz.model.reason import Reason
from authz.model.request import AuthzRequest
from authz.policy.challenges import challenge_of, refused_challenge
from authz.policy.compiled import CompiledGuardrail, Condition, Matched, Outcome, Scene, Subject, Test, Usage
from authz.policy.identity import bare_mutations, mutations
from authz.policy.plan import Alternative, DenyPlan, RequirePlan, RoutePlan
from authz.policy.weighing import Guardrails, Weighed, about, weigh_all

_STEP_UP_ORDER: Final = (Reason.ACR_INSUFFICIENT, Reason.AMR_INSUFFICIENT, Reason.AUTH_TOO_OLD, Reason.PROOF_MISSING)
"""The last is `bound`'s: a verified token that isn't sender-constrained."""


def usage_of(matched: Matched, request: AuthzRequest) -> tuple[Usage, Guardrails]:
    """Which credentials to examine, and the guardrails that cover the request; a preflight knows only `deny`."""
    plan = _plan(matched)
    usage = Usage() if matched.preflight else matched.route.usage
    if not plan.guardrails:
        return usage, ()
    covering = tuple(
        guardrail
        for guardrail in plan.guardrails
        if (guardrail.deny or not matched.preflight) and guardrail.covers(request, matched.route.policy)
    )
    for guardrail in covering:
        usage |= guardrail.usage
    return usage, covering


def evaluate(
    removable: frozenset[str],
    matched: Matched,
    guardrails: Guardrails,
    request: AuthzRequest,
    principals: Principals,
    now: float,
    *,
    trace: bool = False,
) -> Decision:
    """Decide. `removable` is the policy set's, `guardrails` are those of `usage_of` for the same request; `now` is in
    seconds since the epoch."""
    scene = Scene(
        request,
        matched.path_variables,
        matched.host_variables,
        principals.user,
        principals.mtls,
        principals.forwarded,
        principals.jwt_svid,
        now,
    )
    if guardrails:
        denial = _denial_of_guardrails(matched, guardrails, scene)
        if denial is not None:
            return denial
    if matched.preflight:
        return _preflight(removable, matched, scene)
    plan = _plan(matched)
    index = _permitting(plan.alternatives, guardrails, scene)
    if index is None:
        return _explain(plan, matched, guardrails, scene, trace=trace)
    headers, removed, user, workload = mutations(removable, plan, index, scene, matched.route.id)
    return Permit(
        matched.route.id,
        matched.route.policy,
        index,
        headers,
        removed,
        user,
        workload,
        _trace(weigh_all(plan, guardrails, scene), None, matched, guardrails, scene) if trace else None,
    )


# --- permits ---------------------------------------------------------------------------------------------


def _permitting(alternatives: Sequence[Alternative], guardrails: Guardrails, scene: Scene) -> int | None:
    """The first written alternative that holds, if every `require` does."""
    for index, alternative in enumerate(alternatives):
        if _holds(alternative.tests, scene):
            if not guardrails:
                return index
            return index if all(_required(guardrail, scene) for guardrail in guardrails) else None
    return None


def _holds(tests: Iterable[Test], scene: Scene) -> bool:
    true = Outcome.TRUE
    for test in tests:  # noqa: SIM110 - a generator would double the cost of the hot path
        if test(scene) is not true:
            return False
    return True


def _required(guardrail: CompiledGuardrail, scene: Scene) -> bool:
    plan = guardrail.plan
    if isinstance(plan, DenyPlan):
        return True
    assert isinstance(plan, RequirePlan)
    return any(_holds(alternative.tests, scene) for alternative in plan.alternatives)


def _preflight(removable: frozenset[str], matched: Matched, scene: Scene) -> Permit:
    route = f"{matched.route.policy}.preflight"
    headers, removed = bare_mutations(removable, _plan(matched), scene, route)
    return Permit(
        route=route,
        policy=matched.route.policy,
        alternative=0,
        set_headers=headers,
        remove_headers=removed,
        trace=Trace(steps=(f"policy {matched.route.policy}", f"preflight of route {matched.route.id}")),
    )


# --- deny guardrails -------------------------------------------------------------------------------------


def _denial_of_guardrails(matched: Matched, guardrails: Guardrails, scene: Scene) -> Denial | None:
    """The first `deny` that certainly holds, by id; else the first that may: nothing hangs on it before that."""
    hanging: Denial | None = None
    for guardrail in guardrails:
        denial = _denied(guardrail, matched, guardrails, scene) if guardrail.deny else None
        if denial is not None and denial.reason is Reason.GUARDRAIL_DENIED:
            return denial
        hanging = hanging or denial
    return hanging


def _denied(guardrail: CompiledGuardrail, matched: Matched, covering: Guardrails, scene: Scene) -> Denial | None:
    """What a `deny` says: true denies; a refused or undecided credential that it hangs on denies with its own
    reason; what is absent counts as a match only with `absent: denies`."""
    plan = guardrail.plan
    assert isinstance(plan, DenyPlan)
    outcome = plan.test(scene)
    threshold = Outcome.UNKNOWN.lowest if guardrail.absent_denies else Outcome.TRUE.lowest
    if outcome.highest < threshold:
        return None
    if outcome.lowest >= threshold:
        trace = _trace([], None, matched, covering, scene)
        return _denial(Reason.GUARDRAIL_DENIED, matched, scene, guardrail=guardrail.id, detail=plan.text, trace=trace)
    culprit = _hanging(plan.leaves, scene, Refusal | Undecided)
    return _denial(
        culprit.reason,
        matched,
        scene,
        guardrail=guardrail.id,
        detail=culprit.detail,
        challenge=refused_challenge(culprit) if isinstance(culprit, Refusal) else None,
        retry_after=culprit.retry_after if isinstance(culprit, Undecided) else None,
        trace=_trace([], None, matched, covering, scene),
    )


def _hanging(
    leaves: Iterable[Condition], scene: Scene, kinds: UnionType | type[Undecided] | type[Refusal]
) -> Refusal | Undecided:
    """The credential that an outcome hangs on: that of the first written leaf which is not settled. A refused one
    counts only for `deny`: elsewhere refusal is an answer."""
    for leaf in leaves:
        outcome = leaf.test(scene)
        if outcome.lowest != outcome.highest:
            for candidate in about(leaf, scene):
                if isinstance(candidate, kinds):
                    assert isinstance(candidate, Refusal | Undecided)
                    return candidate
    return Undecided(reason=Reason.INTERNAL_ERROR, detail="an undecided condition without a cause")


# --- denials ---------------------------------------------------------------------------------------------


def _explain(plan: RoutePlan, matched: Matched, guardrails: Guardrails, scene: Scene, *, trace: bool) -> Denial:
    """The denial of a request that no alternative permits: 503 if it hangs on something, else the closest's reason."""
    weighed = weigh_all(plan, guardrails, scene)
    hanging = next((one for one in weighed if one.hangs), None)
    closest = hanging or min(weighed, key=lambda one: one.distance)
    shown = _trace(weighed, closest, matched, guardrails, scene) if trace else None
    if hanging is not None:
        culprit = _hanging(hanging.conditions, scene, Undecided)
        return _denial(
            culprit.reason,
            matched,
            scene,
            detail=culprit.detail,
            trace=shown,
            retry_after=culprit.retry_after if isinstance(culprit, Undecided) else 1,
        )
    condition, reason, detail = _reported(closest, scene)
    return _denial(
        reason,
        matched,
        scene,
        detail=detail or condition.text,
        guardrail=condition.origin.removeprefix("guardrail:"),
        challenge=challenge_of(reason, closest.unmet(), closest.conditions, scene.user),
        trace=shown,
    )


def _reported(closest: Weighed, scene: Scene) -> tuple[Condition, Reason, str]:
    """The user's 401 first, then 403 in written order, then step-up (§8)."""
    found = [(condition, *_reason(condition, scene)) for condition in closest.unmet()]
    return min(found, key=lambda item: _rank(item[0], item[1]))


def _rank(condition: Condition, reason: Reason) -> tuple[int, int]:
    if reason in _STEP_UP_ORDER and reason is condition.reason:
        return 2, _STEP_UP_ORDER.index(reason)
    return (0, 0) if condition.subject is Subject.USER and reason.status in (400, 401) else (1, 0)


def _reason(condition: Condition, scene: Scene) -> tuple[Reason, str]:
    """The condition's own reason, or that of the absent or refused credential behind it."""
    if condition.subject is Subject.NONE:
        return condition.reason, ""
    (principal,) = about(condition, scene)
    if isinstance(principal, Refusal):
        return principal.reason, principal.detail
    if principal is None:
        missing = Reason.CREDENTIAL_MISSING if condition.subject is Subject.USER else Reason.WORKLOAD_MISSING
        return missing, ""
    return condition.reason, ""


def _denial(
    reason: Reason,
    matched: Matched,
    scene: Scene,
    *,
    detail: str = "",
    guardrail: str = "",
    challenge: Challenge | None = None,
    retry_after: int | None = None,
    trace: Trace | None = None,
) -> Denial:
    user = scene.user if isinstance(scene.user, User) else None
    workloads = [one for one in (scene.mtls, scene.forwarded, scene.jwt_svid) if isinstance(one, Workload)]
    return Denial(
        reason=reason,
        route=_route_name(matched),
        policy=matched.route.policy,
        detail=detail,
        guardrail=guardrail,
        challenge=challenge,
        retry_after=retry_after,
        user=user,
        workload=workloads[0] if workloads else None,
        trace=trace,
    )


def _route_name(matched: Matched) -> str:
    return f"{matched.route.policy}.preflight" if matched.preflight else matched.route.id


def _plan(matched: Matched) -> RoutePlan:
    plan = matched.route.plan
    assert isinstance(plan, RoutePlan)
    return plan


# --- trace -----------------------------------------------------------------------------------------------


def _trace(
    weighed: list[Weighed], closest: Weighed | None, matched: Matched, guardrails: Guardrails, scene: Scene
) -> Trace:
    steps = [f"policy {matched.route.policy}", f"route {matched.route.id}"]
    steps.extend(f"guardrail {guardrail.id} ({'deny' if guardrail.deny else 'require'})" for guardrail in guardrails)
    return Trace(
        steps=tuple(steps),
        alternatives=tuple(
            AlternativeTrace(
                conditions=tuple(
                    _condition_trace(condition, outcome, scene)
                    for condition, outcome in zip(one.conditions, one.outcomes, strict=True)
                ),
                distance=one.distance,
                holds=one.holds,
                closest=one is closest,
            )
            for one in weighed
        ),
    )


def _condition_trace(condition: Condition, outcome: Outcome, scene: Scene) -> ConditionTrace:
    met = outcome is Outcome.TRUE
    return ConditionTrace(
        text=condition.text,
        mark=Mark.HIT if met else Mark.MISS if outcome is Outcome.FALSE else Mark.UNKNOWN,
        reason=None if met else _shown_reason(condition, outcome, scene),
        origin=condition.origin,
    )


def _shown_reason(condition: Condition, outcome: Outcome, scene: Scene) -> Reason:
    """What the verdict would say if it were about this condition alone."""
    if outcome.highest == Outcome.TRUE.highest:
        return _hanging((condition,), scene, Undecided).reason
    return _reason(condition, scene)[0]
