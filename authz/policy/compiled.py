"""What a request is judged by: immutable, prepared so that a check does no work that loading could do.

Made by `policy.compile` (one route) and `policy.link` (the directory), read by `policy.match` and
`policy.evaluate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from authz.model.light import light_value
from authz.model.principal import UserOutcome, Via, WorkloadOutcome
from authz.model.reason import Reason
from authz.model.request import AuthzRequest


class Outcome(Enum):
    """How a condition turned out, as the interval of truth that it can still take: `(lowest, highest)` over
    false 0, unknown 1, true 2. UNDECIDED hangs on something that could not be found out (§5, three values)."""

    TRUE = (2, 2)
    FALSE = (0, 0)
    UNKNOWN = (1, 1)
    UNDECIDED = (0, 2)
    AT_MOST_UNKNOWN = (0, 1)
    AT_LEAST_UNKNOWN = (1, 2)

    def __init__(self, lowest: int, highest: int) -> None:
        self.lowest = lowest
        self.highest = highest


@light_value
class Scene:
    """Everything that conditions may look at. Variables are decoded text; `now` is seconds since the epoch.

    The principals lie flat here: conditions read them several times per check.
    """

    request: AuthzRequest
    path_variables: Mapping[str, str]
    host_variables: Mapping[str, str]
    user: UserOutcome
    mtls: WorkloadOutcome
    forwarded: WorkloadOutcome
    jwt_svid: WorkloadOutcome
    now: float


Test = Callable[[Scene], Outcome]


class Subject(Enum):
    """What a condition is about: decides how absence is counted and in which class its reason is reported."""

    USER = "user"
    MTLS = "mtls"
    FORWARDED = "forwarded"
    JWT_SVID = "jwt-svid"
    ANY_WORKLOAD = "workload"
    """Under `not` and in `deny`, where `via` unwritten means any."""
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One leaf of an alternative: a field of `user` or `workload`, a claim path, a `not`, `source`, `nobody`.

    `challenge` gives step-up texts: ("acr", "urn:…"), ("max_age", "900"), ("scope", "orders:read").
    """

    test: Test
    reason: Reason
    text: str
    subject: Subject = Subject.NONE
    origin: str = ""
    challenge: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Which credentials a route or guardrail can use: nothing else is examined (§5, last paragraph)."""

    issuers: frozenset[str] = frozenset()
    vias: frozenset[Via] = frozenset()

    def __or__(self, other: Usage) -> Usage:
        return Usage(issuers=self.issuers | other.issuers, vias=self.vias | other.vias)


class VariableType(Enum):
    """What a path variable accepts (policy language §4, Paths)."""

    TEXT = "text"
    INT = "int"
    UUID = "uuid"
    SLUG = "slug"


@dataclass(frozen=True, slots=True)
class Literal:
    """A segment that is compared as it stands."""

    text: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A segment that is bound to a name."""

    name: str
    type: VariableType


@dataclass(frozen=True, slots=True)
class PathTemplate:
    """Whole segments; `rest` says that a `/**` follows. A final `Literal("")` stands for a trailing slash."""

    segments: tuple[Literal | Variable, ...]
    rest: bool

    @property
    def variables(self) -> Mapping[str, VariableType]:
        return {part.name: part.type for part in self.segments if isinstance(part, Variable)}


class RequestPredicate(Protocol):
    """Whether a guardrail covers a request that the named policy owns."""

    def __call__(self, request: AuthzRequest, policy: str, /) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledRoute:
    """One route, ready: `plan` is what `policy.evaluate` made of its requirement (opaque to matching)."""

    id: str
    policy: str
    methods: tuple[str, ...]
    upgrade: str
    template: PathTemplate
    plan: object
    usage: Usage
    unavailable: bool = False
    """Kept from a last good version that no longer fits: answers 503 `policy_unavailable`."""
    preflight_unavailable: bool = False
    """Likewise for its preflights alone: a `forbid` hits them."""
    candidate: CompiledRoute | None = None
    """The shadow rules beside this route: evaluated and reported, never enforced (§4)."""
    audiences: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By issuer name: those of the issuer's audiences that this policy accepts."""
    introspector: str = ""
    """The one issuer that is asked about opaque tokens (by name); empty: none is, and they are refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledGuardrail:
    """A `require` or `deny` guardrail, ready. `covers` tests `for` against a request (generously, §6).

    `plan` is what `policy.evaluate` made of its requirement. `forbid` guardrails are settled at load.
    """

    id: str
    covers: RequestPredicate
    deny: bool
    absent_denies: bool
    exempt: frozenset[tuple[str, str]]
    """(policy, route id) pairs."""
    policies: frozenset[str]
    """The policies that `for` names; empty: every one."""
    usage: Usage
    plan: object


@light_value
class Matched:
    """A route owns the request. With `preflight` the route is the one whose preflight it is: its `allow` isn't
    asked, `deny` guardrails are (§4)."""

    route: CompiledRoute
    path_variables: Mapping[str, str]
    host_variables: Mapping[str, str]
    preflight: bool = False
