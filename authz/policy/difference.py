"""What a change of the policy directory changes: who gains and who loses access, each shown by a request.

For each kind of request (`policy.regions`) both sides' answers are formulas (`policy.encode`); values for which one
permits and the other doesn't make a witness, which counts only after both directories' own matching and evaluation
gave the claimed pair. What can't be settled is said (`Unproven`), never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from authz.model.decision import Decision, Denial, Permit
from authz.model.host import Authority
from authz.model.issuer import IssuerSettings
from authz.model.request import AuthzRequest
from authz.policy.asks import Source
from authz.policy.compiled import CompiledRoute, Variable
from authz.policy.encode import Question
from authz.policy.finite import FALSE, Formula, GaveUp, conjunction, solve
from authz.policy.meaning import Side
from authz.policy.presented import Presented, ReadUser, decide
from authz.policy.regions import Area, Sample, Site, find_areas, request_at, samples
from authz.policy.standing import Answer, Standing, standing_of
from authz.policy.universe import Part


class Direction(Enum):
    """Whether the change gives access or takes it."""

    GAINED = "gained"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A request and who makes it, with what each side really decides."""

    request: AuthzRequest
    presented: Presented
    old: Decision
    new: Decision


@dataclass(slots=True, kw_only=True)
class Finding:
    """Somebody gains or loses access to `route` (POLICY/ROUTE of the side that permits); `other` is where the same
    request goes on the other side, "" for nowhere. One finding holds every kind of request with the same cause."""

    direction: Direction
    route: str
    other: str
    path: str
    witness: Witness
    methods: dict[str, None] = field(default_factory=dict)
    sites: dict[Site, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unproven:
    """A kind of request for which neither a difference nor its absence could be shown, and why."""

    route: str
    method: str
    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`settings` are changes in what it takes to verify a credential, which no asserted principal can show."""

    findings: tuple[Finding, ...]
    unproven: tuple[Unproven, ...]
    settings: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.findings or self.settings)

    @property
    def gains(self) -> bool:
        """Whether anybody gains, or may: changed settings could admit credentials that were refused."""
        return bool(self.settings) or any(one.direction is Direction.GAINED for one in self.findings)


def compare(old: Side, new: Side, read: ReadUser, now: float) -> Difference:
    """Compare two directories that have loaded without errors; `now` is the time at which both decide."""
    comparison = _Comparison(old, new, read, now)
    for area in find_areas(old, new):
        comparison.area(area)
    return Difference(
        findings=tuple(
            sorted(comparison.findings.values(), key=lambda one: (one.direction.value, one.route, one.path, one.other))
        ),
        unproven=tuple(dict.fromkeys(comparison.unproven)),
        settings=tuple(_settings(old, new)),
    )


_Solved = tuple[Direction, Answer | str | None]
"""An answer, why there is none to be had, or None: no difference in this direction."""


class _Comparison:
    def __init__(self, old: Side, new: Side, read: ReadUser, now: float) -> None:
        self._sides = (old, new)
        self._read = read
        self._now = now
        self._same_ground = old.ground_key == new.ground_key
        self._solved: dict[object, tuple[_Solved, ...]] = {}
        self.findings: dict[object, Finding] = {}
        self.unproven: list[Unproven] = []

    def area(self, area: Area) -> None:
        for sample in samples(area, *self._sides):
            found = [side.policy.match(sample.request) for side in self._sides]
            if all(isinstance(one, Denial) for one in found):
                continue
            standings = tuple(
                None if isinstance(matched, Denial) else standing_of(side, matched, sample.request)
                for side, matched in zip(self._sides, found, strict=True)
            )
            keys = tuple(None if one is None else self._key(one, sample.parts) for one in standings)
            if self._same_ground and keys[0] == keys[1]:
                continue
            parts = tuple(part for index, part in enumerate(sample.parts) if _binds(standings, index))
            label = sample.site.label if any(one is not None and one.host_variable for one in standings) else None
            question = (keys, parts, label)
            for direction, answer in self._solve(question, sample, standings):
                self._report(direction, answer, question, sample, standings, area)

    def _key(self, standing: Standing, parts: tuple[Part, ...]) -> object:
        side, matched = standing.side, standing.matched
        asked = None if matched.preflight else side.route_key(matched.route)
        kinds = tuple(parts[index].kind for index, _ in standing.variables.values())
        return (
            asked,
            matched.preflight,
            tuple(side.guardrail_key(one) for one in standing.guardrails),
            kinds,
            standing.usage,
            standing.host_variable,
            tuple(sorted(matched.route.audiences.items(), key=lambda one: one[0])),
        )

    def _solve(self, key: object, sample: Sample, standings: tuple[Standing | None, ...]) -> tuple[_Solved, ...]:
        if key not in self._solved:
            known = tuple(one for one in standings if one is not None)
            question = Question(sample.request, sample.parts, sample.site.label, known, self._read, self._now)
            formulas = [FALSE if one is None else question.permits(one) for one in standings]
            self._solved[key] = (
                (Direction.GAINED, _answer(question, formulas[1], formulas[0])),
                (Direction.LOST, _answer(question, formulas[0], formulas[1])),
            )
        return self._solved[key]

    def _report(
        self,
        direction: Direction,
        answer: Answer | str | None,
        key: object,
        sample: Sample,
        standings: tuple[Standing | None, ...],
        area: Area,
    ) -> None:
        if answer is None:
            return
        permitting, other = (standings[1], standings[0]) if direction is Direction.GAINED else standings
        shown = permitting or other
        assert shown is not None
        name, path = _name(shown), shown.side.declaration(shown.matched.route).path.value
        if isinstance(answer, str):
            self.unproven.append(Unproven(name, sample.request.method, path, answer))
            return
        method = _method(sample.request)
        identity = (direction, name, _name(other), path, key)
        finding = self.findings.get(identity)
        if finding is None:
            witness = self._witness(sample, answer)
            if not _shows(witness, direction):
                why = (
                    "it hangs on what can't be compared: "
                    + "; ".join(text.partition(" with [")[0] for text in answer.opaque)
                    if answer.opaque
                    else ("the request that was found is judged otherwise")
                )
                self.unproven.append(Unproven(name, sample.request.method, path, why))
                return
            finding = self.findings[identity] = Finding(
                direction=direction, route=name, other=_name(other), path=path, witness=witness
            )
        finding.methods[method] = None
        finding.sites.update(dict.fromkeys(area.sites))

    def _witness(self, sample: Sample, answer: Answer) -> Witness:
        request = witness_request(sample, answer)
        old, new = (decide(side.policy, request, answer.presented, self._read, self._now) for side in self._sides)
        return Witness(request=request, presented=answer.presented, old=old, new=new)


def witness_request(sample: Sample, answer: Answer) -> AuthzRequest:
    """The sample's request with what the answer's references hold."""
    parts, site = list(sample.parts), sample.site
    headers = list(sample.request.headers.items())
    for source, text in answer.references.items():
        if source.kind == "segment":
            assert isinstance(source.key, int)
            parts[source.key] = Part(text)
        elif source.kind == "host":
            authority = site.authority
            site = replace(site, authority=Authority(f"{text}.{authority.host.partition('.')[2]}", authority.port))
        elif source.kind == "header":
            headers.append((str(source.key), text))
    return request_at(site, sample.request.method, tuple(parts), tuple(headers), address=answer.address)


def _answer(question: Question, permits: Formula, others: Formula) -> Answer | str | None:
    wanted = conjunction((permits, question.space.negation(others), question.known()))
    try:
        values = solve(question.space, wanted)
    except GaveUp:
        return "too many combinations of conditions"
    if values is not None:
        return question.answer(values)
    return None if question.exact else "not every value that matters could be tried"


def _binds(standings: tuple[Standing | None, ...], index: int) -> bool:
    return any(
        one is not None
        and index < len(one.matched.route.template.segments)
        and isinstance(one.matched.route.template.segments[index], Variable)
        for one in standings
    )


def _name(standing: Standing | None) -> str:
    if standing is None:
        return ""
    route: CompiledRoute = standing.matched.route
    return f"{route.policy}/{'preflight' if standing.matched.preflight else route.id}"


def _method(request: AuthzRequest) -> str:
    return f"{request.method} (upgrade)" if request.upgrade else request.method


def _shows(witness: Witness, direction: Direction) -> bool:
    gained = isinstance(witness.new, Permit) and isinstance(witness.old, Denial)
    lost = isinstance(witness.old, Permit) and isinstance(witness.new, Denial)
    return gained if direction is Direction.GAINED else lost


_VERIFICATION = ("keys", "algorithms", "token_types", "clock_skew", "max_lifetime", "audience_claim", "introspection")


def _settings(old: Side, new: Side) -> Iterator[str]:
    """Changes in what it takes to verify a credential. Which claims mean what is part of the comparison itself."""
    before, after = old.policy.issuers_by_url, new.policy.issuers_by_url
    for url in sorted(before.keys() & after.keys()):
        changed = [name for name in _VERIFICATION if _differs(before[url], after[url], name)]
        if changed:
            yield f"issuer {after[url].name}: {', '.join(changed)} changed"
    one, other = old.policy.trust, new.policy.trust
    if one is None or other is None:
        return
    for name in ("verified_by", "jwt_svid"):
        if getattr(one, name, None) != getattr(other, name, None):
            yield f"trust domains: {name} changed"
    bundles: tuple[Mapping[str, object], Mapping[str, object]] = (one.bundles, other.bundles)
    for domain in sorted(bundles[0].keys() & bundles[1].keys()):
        if bundles[0][domain] != bundles[1][domain]:
            yield f"trust domain {domain}: its bundle comes from elsewhere"


def _differs(one: IssuerSettings, other: IssuerSettings, name: str) -> bool:
    return getattr(one, name, None) != getattr(other, name, None)


__all__ = ["Difference", "Direction", "Finding", "Source", "Unproven", "Witness", "compare", "witness_request"]
