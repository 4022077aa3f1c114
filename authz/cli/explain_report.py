"""A decision and its reasoning, as text for people and JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator

from authz.cli.remedy import remedies
from authz.model.decision import AlternativeTrace, ConditionTrace, Decision, Denial, Mark, Permit, Trace
from authz.model.reason import ALLOWED
from authz.wire.challenge import challenge


def as_text(decision: Decision, revision: str) -> Iterator[str]:
    """The verdict first, then why, then what the other side sees."""
    if isinstance(decision, Permit):
        yield "ALLOW"
    else:
        yield f"DENY  {decision.reason.code}: {decision.reason.summary}"
    yield from _facts(decision, revision)
    yield from _trace(decision.trace)
    yield from _permit(decision) if isinstance(decision, Permit) else _denial(decision)


def as_json(decision: Decision, revision: str) -> dict[str, object]:
    """The same facts with stable keys."""
    trace = decision.trace or Trace()
    report: dict[str, object] = {
        "verdict": "allow" if isinstance(decision, Permit) else "deny",
        "reason": ALLOWED if isinstance(decision, Permit) else decision.reason.code,
        "policy": decision.policy,
        "route": decision.route,
        "revision": revision,
        "steps": list(trace.steps),
        "alternatives": [alternative_as_json(each) for each in trace.alternatives],
    }
    if isinstance(decision, Permit):
        report["set_headers"] = dict(decision.set_headers)
        report["remove_headers"] = list(decision.remove_headers)
    else:
        report["detail"] = decision.detail
        report["guardrail"] = decision.guardrail
        report["would_pass_with"] = list(remedies(decision))
        report["client"] = {
            "status": decision.reason.status,
            "text": decision.reason.public_text,
            "www_authenticate": challenge(decision),
            "retry_after": decision.retry_after,
        }
    return report


def _facts(decision: Decision, revision: str) -> Iterator[str]:
    facts = [("policy", decision.policy), ("route", decision.route), ("revision", revision)]
    if isinstance(decision, Denial):
        facts += [("guardrail", decision.guardrail), ("detail", decision.detail)]
    for name, value in facts:
        if value:
            yield f"  {name:9} {value}"


def _trace(trace: Trace | None) -> Iterator[str]:
    if trace is None:
        return
    if trace.steps:
        yield "steps"
    for number, step in enumerate(trace.steps, 1):
        yield f"  {number}. {step}"
    for number, alternative in enumerate(trace.alternatives, 1):
        yield from alternative_lines(number, alternative)


def alternative_lines(number: int, alternative: AlternativeTrace) -> Iterator[str]:
    """One alternative and how each of its conditions turned out."""
    yield f"alternative {number}: {_verdict(alternative)}"
    for condition in alternative.conditions:
        yield f"  {condition.mark.value:8}{condition.text}{_because(condition)}"


def _verdict(alternative: AlternativeTrace) -> str:
    if alternative.holds:
        return "holds"
    missing = f"{alternative.distance} missing"
    return f"{missing}, the closest one" if alternative.closest else missing


def _because(condition: ConditionTrace) -> str:
    notes = [condition.origin, condition.detail]
    if condition.mark is not Mark.HIT and condition.reason is not None:
        notes.insert(0, condition.reason.code)
    said = ", ".join(note for note in notes if note)
    return f"  [{said}]" if said else ""


def _permit(permit: Permit) -> Iterator[str]:
    yield "the upstream sees"
    for name, value in permit.set_headers:
        yield f"  set     {name}: {value}"
    for name in permit.remove_headers:
        yield f"  remove  {name}"


def _denial(denial: Denial) -> Iterator[str]:
    wanted = list(remedies(denial))
    if wanted:
        yield "what would make it pass"
        yield from (f"  {one}" for one in wanted)
    yield "the client sees"
    yield f"  {denial.reason.status} {denial.reason.public_text}"
    if asked := challenge(denial):
        yield f"  www-authenticate: {asked}"
    if denial.retry_after is not None:
        yield f"  retry-after: {denial.retry_after}"


def alternative_as_json(alternative: AlternativeTrace) -> dict[str, object]:
    """One alternative with stable keys."""
    return {
        "holds": alternative.holds,
        "distance": alternative.distance,
        "closest": alternative.closest,
        "conditions": [
            {
                "text": each.text,
                "mark": each.mark.value,
                "origin": each.origin,
                "detail": each.detail,
                "reason": None if each.reason is None else each.reason.code,
            }
            for each in alternative.conditions
        ],
    }
