"""What one caller may reach: for each kind of request whether they always may, never, or only on further conditions.

`Facts` say what is known of the caller; what isn't known stays open. "Always" is proven over everything that is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from authz.model.decision import Denial
from authz.policy.describe import guardrails, sentence
from authz.policy.encode import Question
from authz.policy.finite import Formula, GaveUp, conjunction, solve
from authz.policy.meaning import Side
from authz.policy.presented import ReadUser
from authz.policy.regions import Sample, find_areas, samples
from authz.policy.standing import Facts, Standing, standing_of


class Answer(Enum):
    """Whether the caller gets through."""

    ALWAYS = "always"
    SOMETIMES = "on conditions"
    UNKNOWN = "not proven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A route that the caller can get through; `open` are the alternatives, in words, that may let them in."""

    policy: str
    route: str
    method: str
    path: str
    host: str
    at: str
    answer: Answer
    open: tuple[str, ...]


def reach(side: Side, facts: Facts, read: ReadUser, now: float) -> Iterator[Reached]:
    """Every route and method that the caller may reach, once each."""
    seen: set[tuple[str, str, str]] = set()
    for area in find_areas(side, side, same_too=True):
        for sample in samples(area, side, side):
            found = side.policy.match(sample.request)
            if isinstance(found, Denial):
                continue
            standing = standing_of(side, found, sample.request)
            name = "preflight" if found.preflight else found.route.id
            key = (found.route.policy, name, sample.request.method)
            if key in seen:
                continue
            one = judge(standing, sample, facts, read, now)
            if one is not None:
                seen.add(key)
                yield one


def judge(standing: Standing, sample: Sample, facts: Facts, read: ReadUser, now: float) -> Reached | None:
    """Whether the caller may make the sample's kind of request; None: never."""
    question = Question(sample.request, sample.parts, sample.site.label, (standing,), read, now, facts)
    known = question.known()
    permits = question.permits(standing)
    try:
        if _nothing(question, known, permits):
            return None
        always = _nothing(question, known, question.space.negation(permits))
        answer = Answer.ALWAYS if always and question.exact else Answer.SOMETIMES
    except GaveUp:
        answer = Answer.UNKNOWN
    route, side = standing.matched.route, standing.side
    return Reached(
        policy=route.policy,
        route="preflight" if standing.matched.preflight else route.id,
        method=sample.request.method,
        path=side.declaration(route).path.value,
        host=str(sample.site.authority),
        at=sample.site.destination,
        answer=answer,
        open=()
        if answer is Answer.ALWAYS or standing.matched.preflight
        else (
            *(
                sentence(side, choice)
                for choice, formula in question.alternatives(standing)
                if not _nothing(question, known, formula)
            ),
            *(f"guardrail {text}" for text in guardrails(side, side.documents[route.policy], route)),
        ),
    )


def _nothing(question: Question, known: Formula, formula: Formula) -> bool:
    return solve(question.space, conjunction((known, formula))) is None
