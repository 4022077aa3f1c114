"""A recorded decision looked at again, as far as the record goes: which conditions it settles, which stay unknown.

An audit line holds the request, who was verified and the reason, not what a token said. A condition on something that
isn't recorded is unknown here, except for the one that the line itself names. Decides nothing: the verdict is the
record's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from authz.model.decision import AlternativeTrace, ConditionTrace, Denial, Mark, Trace
from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.principal import Principals, Refusal, Undecided, User, UserOutcome, Via, Workload, WorkloadOutcome
from authz.model.reason import Reason
from authz.model.request import Limits, Peer, RawRequest, parse_request
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet

_NOT_RECORDED: Final = "not recorded"
_RECORDED_FIELDS: Final = re.compile(r"user\.(?:issuer|kind|clients|subjects) |workload|source |public |nobody ")
"""Conditions whose subject an audit line holds (references in subjects are to the path, which it holds too)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What an audit line says. `user` has the claims that it names and no others."""

    reason: Reason | None
    """None: allowed."""
    detail: str
    method: str
    host: str
    path: str
    source: str
    destination: str
    grpc: bool
    time: float
    user: User | None
    workload: Workload | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recollection:
    """`route` is the one that the request reaches by this policy, or `elsewhere` says why it reaches none."""

    policy: str = ""
    route: str = ""
    elsewhere: str = ""
    trace: Trace = field(default_factory=Trace)


def recollect(policy: PolicySet, record: Recorded) -> Recollection:
    """Judge the recorded request again by a policy set. An alternative that names the record's condition is the
    closest, and one that misses nothing known holds if the request was allowed."""
    try:
        request = parse_request(_raw(record), Limits())
    except Refused as refused:
        return Recollection(elsewhere=refused.reason.code)
    matched = policy.match(request)
    if isinstance(matched, Denial):
        return Recollection(policy=matched.policy, elsewhere=matched.reason.code)
    _, guardrails = usage_of(matched, request)
    decision = evaluate(policy.removable, matched, guardrails, request, _principals(record), record.time, trace=True)
    trace = decision.trace or Trace()
    alternatives = tuple(_alternative(one, record) for one in trace.alternatives)
    route = f"{matched.route.policy}.preflight" if matched.preflight else matched.route.id
    return Recollection(
        policy=matched.route.policy, route=route, trace=replace(trace, alternatives=_reported(alternatives, record))
    )


def _raw(record: Recorded) -> RawRequest:
    workload = record.workload
    principal = str(workload.id) if workload is not None and workload.via is Via.MTLS else ""
    headers = [("content-type", "application/grpc")] if record.grpc else []
    return RawRequest(
        method=record.method,
        target=record.path,
        authority=record.host,
        headers=Headers(headers),
        source=Peer(address=record.source, principal=principal),
        destination=Peer(principal=record.destination),
    )


def _principals(record: Recorded) -> Principals:
    """Whoever was verified; a credential whose refusal is the reason stands where nobody was."""
    reason, user, workload = record.reason, record.user, record.workload
    shown: UserOutcome = user
    peer: WorkloadOutcome = workload
    if reason is not None and reason.is_undecided:
        shown = user or Undecided(reason=reason)
    elif (
        reason is not None and user is None and reason.status in (400, 401) and reason is not Reason.CREDENTIAL_MISSING
    ):
        shown = Refusal(reason=reason)
    elif workload is None and reason in (Reason.WORKLOAD_INVALID, Reason.WORKLOAD_REVOKED, Reason.TRUST_DOMAIN_UNKNOWN):
        peer = Refusal(reason=reason)
    via = Via.MTLS if workload is None else workload.via
    return Principals(
        user=shown,
        mtls=peer if via is Via.MTLS else None,
        forwarded=peer if via is Via.FORWARDED else None,
        jwt_svid=peer if via is Via.JWT_SVID else None,
    )


def _alternative(alternative: AlternativeTrace, record: Recorded) -> AlternativeTrace:
    conditions = tuple(_condition(one, record) for one in alternative.conditions)
    missed = sum(one.mark is Mark.MISS for one in conditions)
    return AlternativeTrace(
        conditions=conditions,
        distance=missed,
        holds=record.reason is None and not missed,
        closest=record.reason is not None and any(_is_named(one, record) for one in conditions),
    )


def _condition(condition: ConditionTrace, record: Recorded) -> ConditionTrace:
    if _is_named(condition, record):
        return replace(condition, mark=Mark.MISS, reason=record.reason, detail="as recorded")
    if record.user is None and condition.text.startswith("user."):
        return condition
    if _RECORDED_FIELDS.match(condition.text):
        return condition
    return replace(condition, mark=Mark.UNKNOWN, reason=None, detail=_NOT_RECORDED)


def _is_named(condition: ConditionTrace, record: Recorded) -> bool:
    return record.reason is not None and bool(record.detail) and condition.text == record.detail


def _reported(alternatives: tuple[AlternativeTrace, ...], record: Recorded) -> tuple[AlternativeTrace, ...]:
    """At most one is the closest: the first that names the condition, else the one that misses least."""
    if record.reason is None or not alternatives:
        return alternatives
    named = next((index for index, one in enumerate(alternatives) if one.closest), None)
    closest = min(range(len(alternatives)), key=lambda index: alternatives[index].distance) if named is None else named
    return tuple(_marked(alternatives, closest))


def _marked(alternatives: tuple[AlternativeTrace, ...], closest: int) -> Iterator[AlternativeTrace]:
    for index, one in enumerate(alternatives):
        yield replace(one, closest=index == closest)
