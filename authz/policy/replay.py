"""Recorded decisions judged again: which of them a change of the policy would turn round.

An audit line holds the request and who was let in, not their claims. What isn't recorded stays open, except that the
old side must have decided as recorded; so each line either certainly changes, certainly doesn't, or may, depending on
what isn't in the log. What can't be put together again is said with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from authz.model.decision import Denial
from authz.model.errors import Refused
from authz.model.host import Authority
from authz.model.principal import PrincipalKind, Via
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, parse_request
from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.asks import SUBJECT
from authz.policy.encode import Question
from authz.policy.finite import FALSE, Formula, GaveUp, conjunction, solve
from authz.policy.meaning import Side
from authz.policy.presented import ReadUser
from authz.policy.standing import Facts, standing_of
from authz.policy.universe import Part


class Verdict(Enum):
    """What becomes of a recorded decision."""

    SAME = "same"
    CHANGES = "changes"
    MAY_CHANGE = "may change"
    UNKNOWN = "not reconstructed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One recorded decision: `result` is as recorded, `why` says what stands in the way of certainty."""

    decision_id: str
    result: str
    request: str
    route: str
    verdict: Verdict
    why: str = ""


_OPEN: Final = "it depends on claims or headers, which the log doesn't hold"


class Unreadable(Exception):
    """The line can't be put together again; the message says why."""


def replay(line: Mapping[str, object], old: Side, new: Side, read: ReadUser) -> Replayed:
    """Judge one decision of the audit log by both sides."""
    verdict, why = Verdict.UNKNOWN, ""
    try:
        verdict = _verdict(line, old, new, read)
        why = _OPEN if verdict is Verdict.MAY_CHANGE else ""
    except Unreadable as error:
        why = str(error)
    except GaveUp:
        why = "too many combinations of conditions"
    policy, route = _text(line, "policy"), _text(line, "route")
    return Replayed(
        decision_id=_text(line, "id"),
        result=_text(line, "result"),
        request=f"{_text(line, 'method')} {_text(line, 'host')}{_text(line, 'path')}",
        route=f"{policy}/{route}" if policy and route else route or policy,
        verdict=verdict,
        why=why,
    )


def _verdict(line: Mapping[str, object], old: Side, new: Side, read: ReadUser) -> Verdict:
    request = _request(line)
    allowed = _text(line, "result") == "allow"
    sides = (old, new)
    standings = [
        None if isinstance(found := side.policy.match(request), Denial) else standing_of(side, found, request)
        for side in sides
    ]
    known = tuple(one for one in standings if one is not None)
    parts = tuple(map(Part, request.path.segments))
    label = Part(request.authority.host.partition(".")[0])
    facts = _facts(line, allowed, sides)
    if not known:
        if allowed:
            raise Unreadable("neither side has a route for the request")
        return Verdict.SAME
    question = Question(request, parts, label, known, read, _number(line, "time"), facts)
    before, after = (FALSE if one is None else question.permits(one) for one in standings)
    if not allowed:
        before = question.space.negation(before)
    given = conjunction((question.known(), before))
    if _none(question, given):
        raise Unreadable("the old side doesn't decide as recorded (another revision, or a header that isn't recorded)")
    keeps, turns = (after, question.space.negation(after)) if allowed else (question.space.negation(after), after)
    if _none(question, conjunction((given, turns))):
        if not question.exact:
            raise Unreadable("not every value that matters could be tried")
        return Verdict.SAME
    return Verdict.CHANGES if question.exact and _none(question, conjunction((given, keeps))) else Verdict.MAY_CHANGE


def _none(question: Question, formula: Formula) -> bool:
    return solve(question.space, formula) is None


def _request(line: Mapping[str, object]) -> AuthzRequest:
    method, host, path = _text(line, "method"), _text(line, "host"), _text(line, "path")
    if not (method and host and path):
        raise Unreadable("the line doesn't hold a whole request")
    if method == "OPTIONS":
        raise Unreadable("whether an OPTIONS request was a preflight isn't recorded")
    try:
        Authority.parse(host)
        return parse_request(
            RawRequest(
                method=method,
                target=path,
                authority=host,
                source=Peer(address=_text(line, "source")),
                destination=Peer(principal=_text(line, "destination")),
            ),
            Limits(),
        )
    except Refused as refused:
        raise Unreadable(f"the request isn't recorded in full ({refused.reason.code})") from None


def _facts(line: Mapping[str, object], allowed: bool, sides: tuple[Side, Side]) -> Facts:
    """Who it was, as far as recorded. A denial names whom it verified; a permit only whom it used."""
    user, workload = line.get("user"), line.get("workload")
    url, claims, kind = None, {}, None
    if isinstance(user, Mapping):
        name = _text(user, "issuer")
        settings = next((side.issuers[name] for side in sides if name in side.issuers), None)
        if settings is None:
            raise Unreadable(f"neither side has an issuer {name}")
        url, claims = settings.issuer, {SUBJECT: _text(user, "subject")}
        kind = next((one for one in PrincipalKind if one.value == user.get("kind")), None)
        if _text(user, "client"):
            claims[settings.client] = _text(user, "client")
    elif not allowed and line.get("status") == 401:
        raise Unreadable("which credential was refused isn't recorded")
    named = None
    if isinstance(workload, Mapping):
        try:
            named = (Via(_text(workload, "via")), SpiffeId.parse(_text(workload, "id")))
        except (ValueError, SpiffeIdError):
            raise Unreadable("the workload isn't recorded in full") from None
    return Facts(issuer_url=url, claims=claims, kind=kind, workload=named)


def _text(line: Mapping[str, object], name: str) -> str:
    value = line.get(name)
    return value if isinstance(value, str) else ""


def _number(line: Mapping[str, object], name: str) -> float:
    value = line.get(name)
    return float(value) if isinstance(value, int | float) else 0.0
