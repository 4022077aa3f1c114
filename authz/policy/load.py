"""Files of a policy directory to the set in force: parse, compile, link (policy language §1).

The one entry for the service and every tool. Owns the order of the steps; never raises for what people wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from authz.policy.compile import PolicyCompiler
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, PathTemplate
from authz.policy.document import ParsedDirectory, RoutePolicyDocument
from authz.policy.faults import Fault, FaultCode, Faults
from authz.policy.guardrails import check_denies, check_exemptions, check_forbids, check_preflight, compile_guardrails
from authz.policy.link import PolicySet, Source, link
from authz.policy.memory import CompiledPolicy, Memory, platform_of
from authz.policy.parse import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`policy` is None when the load is refused: a platform fault, or at start a policy whose hosts can't be
    read. `faults` are sorted by place and hold warnings too."""

    policy: PolicySet | None
    faults: tuple[Fault, ...]
    parsed: ParsedDirectory = field(default_factory=ParsedDirectory)
    """The documents as written, for tools that look at what a policy says."""


def load(files: Mapping[str, bytes], previous: PolicySet | None = None, *, today: date | None = None) -> Loaded:
    """Load a directory: keys are paths relative to it, with `/`. `previous` is the set now in force; with `today`
    dates that have passed are reported."""
    faults = Faults()
    memory = Memory() if previous is None else previous.memory
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    parsed = parse(files, faults, memory.unchanged(digests))
    guardrails = compile_guardrails(parsed, faults)
    check_exemptions(parsed, faults, today)
    _check_candidates(parsed, faults, today)
    platform = platform_of(parsed, digests)
    same = platform == memory.platform
    if same:
        guardrails = memory.guardrails  # Those that remembered routes refer to.
    language = _Language(parsed, guardrails, memory.compiled if same else {})
    policy = link(parsed, language, Source(digests, guardrails), faults, previous)
    if policy is not None:
        left = Memory(
            digests=digests, sound=parsed.sound, platform=platform, guardrails=guardrails, compiled=language.compiled
        )
        policy = replace(policy, memory=left)
    return Loaded(policy=policy, faults=faults.sorted(), parsed=parsed)


def _check_candidates(parsed: ParsedDirectory, faults: Faults, today: date | None) -> None:
    """Warn of candidates whose date has passed."""
    for policy in parsed.policies if today is not None else ():
        for route in policy.routes:
            candidate = route.candidate
            if candidate is not None and today is not None and candidate.until < today:
                message = f"the candidate of {route.id!r} ended on {candidate.until.isoformat()}"
                faults.add(candidate.place, FaultCode.CANDIDATE_EXPIRED, message, policy=policy.name)


class _Language:
    """Compiles routes by the language's own rules (the `Compiler` that linking asks). `known` are texts that were
    compiled before for the same platform; `compiled` are those that this linking asked for."""

    def __init__(
        self, platform: ParsedDirectory, guardrails: tuple[CompiledGuardrail, ...], known: Mapping[int, CompiledPolicy]
    ) -> None:
        self._platform = platform
        self._guardrails = guardrails
        self._known = known
        self.compiled: dict[int, CompiledPolicy] = {}

    def compile(
        self,
        policy: RoutePolicyDocument,
        templates: Mapping[str, PathTemplate],
        host_variables: frozenset[str],
        faults: Faults,
    ) -> Mapping[str, CompiledRoute]:
        found = self._known.get(id(policy))
        if found is None:
            own = Faults()
            found = CompiledPolicy(policy, self._compile(policy, templates, host_variables, own), tuple(own))
        self.compiled[id(policy)] = found
        faults.extend(found.faults)
        return found.routes

    def _compile(
        self,
        policy: RoutePolicyDocument,
        templates: Mapping[str, PathTemplate],
        host_variables: frozenset[str],
        faults: Faults,
    ) -> Mapping[str, CompiledRoute]:
        compiler = PolicyCompiler(
            policy, self._platform, host_variables=host_variables, guardrails=self._guardrails, faults=faults
        )
        found: dict[str, CompiledRoute] = {}
        for declaration in policy.routes:
            template = templates.get(declaration.id)
            route = None if template is None else compiler.route(declaration, template)
            if route is not None and not check_forbids(policy, route, self._platform, faults):
                check_denies(policy, route, self._platform, faults)
                found[route.id] = route
        compiler.finish()
        closed = check_preflight(policy, tuple(templates.values()), self._platform, faults)
        return (
            {
                name: replace(route, preflight_unavailable=True) if route.template in closed else route
                for name, route in found.items()
            }
            if closed
            else found
        )
