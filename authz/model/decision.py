"""What was decided: a `Permit` or a `Denial`, and the trace that explains it.

Only `policy.evaluate` makes a `Permit`, and only a `Permit` can become an OK response (wire.encode).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from authz.model.light import light_value
from authz.model.principal import User, Workload
from authz.model.reason import ALLOWED, Reason


class Mark(Enum):
    """How one condition turned out, as `authz explain` prints it."""

    HIT = "hit"
    MISS = "MISS"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionTrace:
    """One condition: what it asks (`user.scopes all [orders:read]`), how it turned out, the reason if not met.

    `origin` names where it was written: "" for the route, else `guardrail:ID`. Texts hold policy, never claims.
    """

    text: str
    mark: Mark
    reason: Reason | None = None
    origin: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlternativeTrace:
    """One alternative of the route; `closest` marks the one whose reason is reported."""

    conditions: tuple[ConditionTrace, ...]
    distance: int
    holds: bool
    closest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The whole reasoning, made only on request (explain, audit detail): `steps` says in order what was settled
    before the alternatives (host, policy, route, guardrails)."""

    steps: tuple[str, ...] = ()
    alternatives: tuple[AlternativeTrace, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a 401 asks for, in the terms of RFC 6750 §3, RFC 9470 §3 and RFC 9449 §7.1; empty fields aren't sent.

    `nonce` is what the client's next proof has to hold: it goes out as `dpop-nonce` (RFC 9449 §9).
    """

    scheme: str = "Bearer"
    error: str = ""
    scope: str = ""
    acr_values: str = ""
    max_age: int | None = None
    nonce: str = ""


@light_value
class Permit:
    """The request may pass, and what the upstream is told.

    `set_headers` overwrite; `remove_headers` are lower-case names to take away and never hold a name that is set.
    `user` and `workload` are those of the permitting alternative only (None where it used none).
    """

    route: str
    policy: str
    alternative: int
    set_headers: tuple[tuple[str, str], ...]
    remove_headers: tuple[str, ...]
    user: User | None = None
    workload: Workload | None = None
    trace: Trace | None = None


@light_value
class Denial:
    """The request may not pass, for exactly one reason.

    `detail` is for operators: the broken rule, never client text. `guardrail` names the one that denied.
    `user` and `workload` are who was verified, for the audit trail, whether or not they helped.
    """

    reason: Reason
    route: str = ""
    policy: str = ""
    detail: str = ""
    guardrail: str = ""
    challenge: Challenge | None = None
    retry_after: int | None = None
    user: User | None = None
    workload: Workload | None = None
    trace: Trace | None = field(default=None)


Decision = Permit | Denial


@light_value
class Shadow:
    """What a route's candidate would have said: the reason's code, or `allowed`, or `error` for a bug inside it.

    No `Permit`: nothing of a candidate can become an answer.
    """

    verdict: str
    detail: str = ""

    def agrees_with(self, decision: Decision) -> bool:
        """Whether the candidate would have answered the same."""
        return self.verdict == (ALLOWED if isinstance(decision, Permit) else decision.reason.code)
