"""What no test would notice (policy language §9): runs a directory's tests against its mutants.

A mutant that every test still passes is a hole. Owns running them, telling holes from conditions that others imply
(no request could show those to be missing), and the sentence that says which test is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from authz.model.principal import Via, Workload
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits, RawRequest, parse_request
from authz.policy.compiled import CompiledGuardrail, CompiledRoute, Condition, Matched, Outcome, Scene, Subject
from authz.policy.cover import plan_of
from authz.policy.document import GuardrailDeclaration, WorkloadRequirement
from authz.policy.evaluate import usage_of
from authz.policy.faults import Faults, Place
from authz.policy.guardrails import read_cover
from authz.policy.mutants import Change, Drop, guardrail_mutants, route_mutants, workshops_of
from authz.policy.plan import RequirePlan
from authz.policy.rehearse import Result, Stage, judge, meets
from authz.policy.universe import workload_ids

Covering = tuple[CompiledGuardrail, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hole:
    """A condition that no test misses when it is left out. `routes` are `POLICY/ROUTE`, or the guardrail's name."""

    place: Place
    text: str
    routes: tuple[str, ...]
    suggestion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutated:
    """What became of all mutants. `implied` are those that no request can tell from the policy as it is, as
    `place: text`."""

    killed: int
    holes: tuple[Hole, ...]
    implied: tuple[str, ...]

    @property
    def total(self) -> int:
        return self.killed + len(self.holes) + len(self.implied)


def find_holes(stage: Stage, routes: Iterable[CompiledRoute], results: Iterable[Result]) -> Mutated:
    """Run the tests that pass against each mutant of the routes and guardrails."""
    search = _Search(stage, tuple(routes), tuple(results))
    search.routes()
    search.guardrails()
    holes = sorted(search.holes, key=lambda hole: (hole.place, hole.text))
    return Mutated(killed=search.killed, holes=tuple(holes), implied=tuple(sorted(search.implied)))


@dataclass(frozen=True, slots=True)
class _Run:
    """A test that passed and reached a route."""

    result: Result
    request: AuthzRequest
    matched: Matched
    covering: Covering

    @property
    def route(self) -> tuple[str, str]:
        return self.matched.route.policy, self.matched.route.id


class _Search:
    """Collects what becomes of each mutant."""

    def __init__(self, stage: Stage, routes: tuple[CompiledRoute, ...], results: tuple[Result, ...]) -> None:
        self.killed = 0
        self.holes: list[Hole] = []
        self.implied: list[str] = []
        self._stage = stage
        self._routes = routes
        self._runs: dict[tuple[str, str], list[_Run]] = {}
        for result in results:
            if result.passed and result.request is not None and result.matched is not None:
                run = _Run(result, result.request, result.matched, usage_of(result.matched, result.request)[1])
                self._runs.setdefault(run.route, []).append(run)

    def routes(self) -> None:
        """Mutants of what routes ask."""
        for drop, mutated in route_mutants(self._stage.documents, self._routes).items():
            runs = [run for key in mutated for run in self._runs.get(key, ()) if not run.matched.preflight]
            if any(self._kills(run, run.covering, mutated[run.route].route) for run in runs):
                self.killed += 1
                continue
            changes = [change for one in mutated.values() for change in one.changes]
            self._survived(drop, changes, tuple(f"{policy}/{route}" for policy, route in mutated), runs)

    def guardrails(self) -> None:
        """Mutants of guardrails: each left out, and each `require` with one condition less."""
        guardrails = self._stage.policy.guardrails
        documents = self._stage.documents.guardrails
        declarations = {} if documents is None else {one.id: one for one in documents.guardrails}
        for guardrail in guardrails:
            self._whole(guardrail, declarations[guardrail.id])
        for drop, mutated in guardrail_mutants(self._stage.documents, guardrails):
            name = mutated.guardrail.id
            runs = self._covered(name)
            if any(self._kills(run, _replaced(run.covering, mutated.guardrail)) for run in runs):
                self.killed += 1
            else:
                self._survived(drop, list(mutated.changes), (f"guardrail {name}",), runs)

    def _whole(self, guardrail: CompiledGuardrail, declaration: GuardrailDeclaration) -> None:
        runs = self._covered(guardrail.id)
        text = f"guardrail {guardrail.id}"
        if any(self._kills(run, _without(run.covering, guardrail)) for run in runs):
            self.killed += 1
        elif not guardrail.deny and self._is_implied(guardrail, declaration):
            self.implied.append(f"{declaration.place}: {text}")
        else:
            reason = "guardrail_denied" if guardrail.deny else "the reason of its requirement"
            self.holes.append(
                Hole(
                    place=declaration.place,
                    text=text,
                    routes=(text,),
                    suggestion=f"add a test of a covered route that expects {{deny: {reason}}} because of it alone",
                )
            )

    def _covered(self, guardrail: str) -> list[_Run]:
        return [run for runs in self._runs.values() for run in runs if any(one.id == guardrail for one in run.covering)]

    def _kills(self, run: _Run, covering: Covering, route: CompiledRoute | None = None) -> bool:
        """Whether the test fails against the mutant."""
        matched = run.matched if route is None else replace(run.matched, route=route)
        decision = judge(self._stage, run.result.case, run.request, matched, covering)
        return not meets(self._stage, run.result.case, run.request, decision)

    def _survived(self, drop: Drop, changes: list[Change], routes: tuple[str, ...], runs: list[_Run]) -> None:
        place, lost = drop.place, changes[0].lost[0]
        if drop.field:
            # A field may bring a condition of its own along: `subjects` asks for a person too.
            lost = next((one for one in changes[0].lost if one.text.startswith(f"user.{drop.field} ")), lost)
        text = lost.text
        if all(self._implied(change.lost, change.left.conditions, change.workloads) for change in changes):
            self.implied.append(f"{place}: {text}")
            return
        allowed = next((run.result.case.name for run in runs if run.result.case.expected.reason is None), "")
        expect = f"{{deny: {_reason_without(drop, lost).code}}}"
        if allowed:
            suggestion = f'copy the test "{allowed}", change it so that all but this holds, and expect {expect}'
        else:
            suggestion = f"add a test that is allowed here, and one in which all but this holds that expects {expect}"
        self.holes.append(Hole(place=place, text=text, routes=routes, suggestion=suggestion))

    # --- conditions that others imply ---

    def _is_implied(self, guardrail: CompiledGuardrail, declaration: GuardrailDeclaration) -> bool:
        """Whether each alternative of each covered route asks all that a `require` asks."""
        plan, cover = guardrail.plan, read_cover(declaration.scope, Faults())
        assert isinstance(plan, RequirePlan)
        workshops = workshops_of(self._stage.documents)
        policies = {policy.name: policy for policy in self._stage.documents.policies}
        for route in self._routes:
            covered = guardrail in plan_of(route).guardrails and (
                cover is None or cover.route(policies[route.policy], route.methods, route.template)
            )
            if not covered:
                continue
            every = zip(workshops[route.policy].leaves(route), plan_of(route).alternatives, strict=True)
            for leaves, alternative in every:
                workloads = tuple(leaf for leaf in leaves if isinstance(leaf, WorkloadRequirement))
                if not any(
                    self._implied(one.conditions, alternative.conditions, workloads) for one in plan.alternatives
                ):
                    return False
        return True

    def _implied(
        self, lost: Iterable[Condition], kept: tuple[Condition, ...], workloads: tuple[WorkloadRequirement, ...]
    ) -> bool:
        """Whether the conditions hold wherever the others do: written twice, or true of every workload that is let
        in (with the trust domains and roles as they are)."""
        texts = {condition.text for condition in kept}
        return all(
            condition.text in texts or self._implied_by_workload(condition, kept, workloads) for condition in lost
        )

    def _implied_by_workload(
        self, lost: Condition, kept: tuple[Condition, ...], workloads: tuple[WorkloadRequirement, ...]
    ) -> bool:
        trust, via = self._stage.policy.trust, _VIAS.get(lost.subject)
        same = [condition for condition in kept if condition.subject is lost.subject]
        if trust is None or via is None or not same:
            return False
        ids, complete = workload_ids(workloads, (trust,), {})
        scenes = [
            _scene(Workload(id=one, via=via, roles=trust.roles.get(one, frozenset())))
            for one in ids
            if one.trust_domain in trust.domains
        ]
        return complete and all(
            lost.test(scene) is Outcome.TRUE
            for scene in scenes
            if all(condition.test(scene) is Outcome.TRUE for condition in same)
        )


_VIAS: Mapping[Subject, Via] = {
    Subject.MTLS: Via.MTLS,
    Subject.FORWARDED: Via.FORWARDED,
    Subject.JWT_SVID: Via.JWT_SVID,
}
_ANY_REQUEST = parse_request(RawRequest(method="GET", target="/", authority="any.example"), Limits())


def _reason_without(drop: Drop, lost: Condition) -> Reason:
    """The reason of a denial by the condition alone; where a whole `user` or `workload` goes, that of its absence."""
    if not drop.whole:
        return lost.reason
    if lost.subject is Subject.USER:
        return Reason.CREDENTIAL_MISSING
    return Reason.WORKLOAD_MISSING if lost.subject in _VIAS else lost.reason


def _scene(workload: Workload) -> Scene:
    """One in which the workload has arrived in every way: conditions on workloads look at nothing else."""
    return Scene(_ANY_REQUEST, {}, {}, None, workload, workload, workload, 0.0)


def _without(covering: Covering, guardrail: CompiledGuardrail) -> Covering:
    return tuple(one for one in covering if one.id != guardrail.id)


def _replaced(covering: Covering, guardrail: CompiledGuardrail) -> Covering:
    return tuple(guardrail if one.id == guardrail.id else one for one in covering)
