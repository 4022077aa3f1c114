"""What compiling a requirement yields: alternatives of prepared conditions (disjunctive normal form).

Made by `policy.compile`, read only by `policy.evaluate`; opaque to everything else (`CompiledRoute.plan`).
"""

from __future__ import annotations

from dataclasses import dataclass

from authz.model.principal import Via
from authz.policy.compiled import CompiledGuardrail, Condition, Test
from authz.policy.document import Credential
from authz.policy.references import Getter


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One choice for each `any`, in the order written. `tests` are those of `conditions`, flat for the hot path.

    `user` says that it holds a `user` outside `not`; `workload_via` is that of the last written `workload`.
    """

    conditions: tuple[Condition, ...]
    tests: tuple[Test, ...]
    user: bool
    workload_via: Via | None
    vias: frozenset[Via]
    """Those of all its `workload`s outside `not`."""
    public: bool
    """Whether it can hold without a verified principal."""


IdentityHeaders = tuple[tuple[str, Getter], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePlan:
    """A route's requirement. `identity` has the route's own headers once per alternative, since what they refer to
    is the principals of that alternative. `guardrails` are those that can cover the route, by id."""

    alternatives: tuple[Alternative, ...]
    identity: tuple[IdentityHeaders, ...]
    identity_names: tuple[str, ...]
    credential: Credential
    guardrails: tuple[CompiledGuardrail, ...]
    jwt_svid_header: str = ""
    """The header that JWT-SVIDs come in; empty when none are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirePlan:
    """A `require` guardrail: each alternative's conditions bear the guardrail as their origin."""

    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyPlan:
    """A `deny` guardrail: one test for the whole, and its leaves, to tell what an undecided outcome hangs on."""

    test: Test
    leaves: tuple[Condition, ...]
    text: str
