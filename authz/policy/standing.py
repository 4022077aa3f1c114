"""What one side evaluates for a kind of request, and the terms in which questions to both sides are asked.

Plain data between `policy.encode`, which makes formulas of it, and `policy.difference`, `policy.reach` and
`policy.replay`, which ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from authz.model.issuer import ClaimPath
from authz.model.principal import PrincipalKind, Via
from authz.model.request import AuthzRequest
from authz.model.spiffe import SpiffeId
from authz.policy.asks import Around, Source
from authz.policy.compiled import CompiledGuardrail, Matched, Outcome, Usage, Variable, VariableType
from authz.policy.document import Requirement
from authz.policy.evaluate import usage_of
from authz.policy.meaning import Choice, Side
from authz.policy.presented import Peers, Presented
from authz.policy.three_values import Mode


class Bound(Enum):
    """What is asked of an outcome's interval: a test of `(lowest, highest)`, and the same of the negation."""

    HOLDS = "holds"
    NOT_FALSE = "not false"
    FAILS = "fails"
    NOT_TRUE = "not true"

    def met(self, outcome: Outcome) -> bool:
        if self is Bound.HOLDS:
            return outcome.lowest >= 2
        if self is Bound.NOT_FALSE:
            return outcome.lowest >= 1
        return outcome.highest <= 0 if self is Bound.FAILS else outcome.highest <= 1

    @property
    def least(self) -> bool:
        """Whether it asks for at least something: then `all` needs it of each."""
        return self in (Bound.HOLDS, Bound.NOT_FALSE)


NEGATED: Final = {
    Bound.HOLDS: Bound.FAILS,
    Bound.FAILS: Bound.HOLDS,
    Bound.NOT_FALSE: Bound.NOT_TRUE,
    Bound.NOT_TRUE: Bound.NOT_FALSE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What one side evaluates for the question's requests."""

    side: Side
    matched: Matched
    guardrails: tuple[CompiledGuardrail, ...]
    usage: Usage
    host_variable: str

    @property
    def variables(self) -> Mapping[str, tuple[int, VariableType]]:
        return {
            part.name: (index, part.type)
            for index, part in enumerate(self.matched.route.template.segments)
            if isinstance(part, Variable)
        }

    def trees(self) -> Iterator[tuple[Choice | None, Requirement, Mode, bool]]:
        """Each tree that counts: its alternative, the tree, how absence is read, whether it is a guardrail's."""
        if not self.matched.preflight:
            for choice in self.side.route(self.matched.route):
                for leaf in choice.leaves:
                    yield choice, leaf, Mode.PLAIN, False
        for guardrail in self.guardrails:
            if guardrail.deny:
                yield None, self.side.deny(guardrail), Mode.DENY, True
            else:
                for choice in self.side.require(guardrail):
                    for leaf in choice.leaves:
                        yield choice, leaf, Mode.PLAIN, True


def standing_of(side: Side, matched: Matched, request: AuthzRequest) -> Standing:
    """What the side evaluates for a request that it matched."""
    usage, guardrails = usage_of(matched, request)
    reads = not matched.preflight and side.reads_host(matched.route)
    host_variable = next(iter(matched.host_variables), "") if reads else ""
    return Standing(side=side, matched=matched, guardrails=guardrails, usage=usage, host_variable=host_variable)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a leaf stands: which side, how absence is read, and what its alternative says."""

    standing: Standing
    mode: Mode
    accepted: frozenset[str]
    via: Via | None
    guardrail: bool

    @classmethod
    def of(cls, standing: Standing, choice: Choice | None, mode: Mode, *, guardrail: bool) -> Position:
        """Where the leaves of an alternative (or of a `deny`) stand."""
        accepted, via = (frozenset[str](), None) if choice is None else (choice.accepted, choice.via)
        return cls(standing, mode, accepted, via, guardrail)

    def under_not(self) -> Position:
        """The same place below a `not`; in a `deny` absence goes on being read as there."""
        return self if self.mode is Mode.DENY else replace(self, mode=Mode.UNDER_NOT)

    @property
    def around(self) -> Around:
        """What references mean here; a guardrail knows no variables."""
        if self.guardrail:
            return Around({}, "", self.via)
        return Around(self.standing.variables, self.standing.host_variable, self.via)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Values that meet what was asked for: what the caller shows, and what references of the request hold."""

    presented: Presented
    address: str
    references: Mapping[Source, str]
    opaque: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the caller beforehand: the issuer and some claims of their token, one workload. `only`: what
    isn't named isn't shown."""

    issuer_url: str | None = None
    only: bool = False
    claims: Mapping[ClaimPath, object] = field(default_factory=dict)
    kind: PrincipalKind | None = None
    workload: tuple[Via, SpiffeId] | None = None


_PEER: Final = {Via.MTLS: "mtls", Via.FORWARDED: "forwarded", Via.JWT_SVID: "jwt_svid"}


def peer_by(peers: Peers, via: Via) -> object:
    """What the peers show by one way."""
    return getattr(peers, _PEER[via])


def known_peer(via: Via, named: SpiffeId) -> Peers:
    """One workload and no other."""
    return replace(Peers(), **{_PEER[via]: named})
