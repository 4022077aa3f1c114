"""The fields of `workload` as functions of the scene, and SPIFFE ID patterns (policy language §5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from authz.model.principal import Undecided, Via, Workload
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.compiled import Condition, Outcome, Scene, Subject, Test
from authz.policy.document import WorkloadRequirement
from authz.policy.references import workload_of
from authz.policy.three_values import FALSE, TRUE, UNDECIDED, Mode, interval

WorkloadTest = Callable[[Workload], bool]


def workload_conditions(
    workload: WorkloadRequirement, mode: Mode, via: Via | None, origin: str
) -> tuple[Condition, ...]:
    """One condition per field on the workload that came by `via`; with None (under `not` and in `deny`) a single
    one, which some workload has to meet whole, by whatever way it came."""
    fields = _workload_fields(workload)
    if via is None:
        tests = tuple(test for _, test in fields)
        text = "workload" + ", ".join(text for text, _ in fields)
        whole = _any_workload(lambda actual: all(test(actual) for test in tests), mode)
        return (
            Condition(
                test=whole, reason=Reason.WORKLOAD_NOT_PERMITTED, text=text, subject=Subject.ANY_WORKLOAD, origin=origin
            ),
        )
    label = "workload" if via is Via.MTLS else f"workload({via.value})"
    return tuple(
        Condition(
            test=_one_workload(test, via, mode),
            reason=Reason.WORKLOAD_NOT_PERMITTED,
            text=f"{label}{text}",
            subject=Subject(via.value),
            origin=origin,
        )
        for text, test in fields
    )


def _workload_fields(workload: WorkloadRequirement) -> list[tuple[str, WorkloadTest]]:
    """Text and test of each written field; of none: that there is a verified workload at all."""
    fields: list[tuple[str, WorkloadTest]] = []
    if workload.spiffe:
        patterns = tuple(SpiffePattern.parse(item.value) for item in workload.spiffe)
        fields.append((f".spiffe any [{', '.join(map(str, patterns))}]", _spiffe(patterns)))
    if workload.trust_domains:
        domains = frozenset(item.value for item in workload.trust_domains)
        fields.append(
            (f".trust_domain any [{', '.join(sorted(domains))}]", lambda actual: actual.id.trust_domain in domains)
        )
    if workload.roles:
        roles = frozenset(item.value for item in workload.roles)
        fields.append((f".roles any [{', '.join(sorted(roles))}]", lambda actual: not roles.isdisjoint(actual.roles)))
    return fields or [(" verified", lambda actual: True)]


class SpiffePatternError(ValueError):
    """The pattern breaks the grammar; the message names the rule."""


@dataclass(frozen=True, slots=True)
class SpiffePattern:
    """A SPIFFE ID in which `*` stands for one whole path segment and a trailing `/**` for one or more."""

    trust_domain: str
    segments: tuple[str | None, ...]
    """None is `*`."""
    rest: bool

    @classmethod
    def parse(cls, text: str) -> SpiffePattern:
        """Read a pattern; raises `SpiffePatternError`. The trust domain is always literal."""
        rest = text.endswith("/**")
        body = text[:-3] if rest else text
        scheme_and_domain, segments = body.split("/")[:3], body.split("/")[3:]
        witness = "/".join([*scheme_and_domain, *("x" if segment == "*" else segment for segment in segments)])
        try:
            parsed = SpiffeId.parse(f"{witness}/x" if rest else witness)
        except SpiffeIdError as error:
            raise SpiffePatternError(str(error)) from None
        return cls(parsed.trust_domain, tuple(None if segment == "*" else segment for segment in segments), rest)

    def matches(self, workload: Workload) -> bool:
        actual = workload.id
        if actual.trust_domain != self.trust_domain:
            return False
        own, path = self.segments, actual.path
        if len(path) <= len(own) if self.rest else len(path) != len(own):
            return False
        return all(segment is None or segment == other for segment, other in zip(own, path, strict=False))

    def __str__(self) -> str:
        parts = [f"spiffe://{self.trust_domain}", *("*" if part is None else part for part in self.segments)]
        return "/".join([*parts, "**"] if self.rest else parts)


def _one_workload(test: WorkloadTest, via: Via, mode: Mode) -> Test:
    select = workload_of(via)
    absent, refused = mode.absent, mode.refused

    def on_scene(scene: Scene) -> Outcome:
        workload = select(scene)
        if isinstance(workload, Workload):
            return TRUE if test(workload) else FALSE
        if workload is None:
            return absent
        return UNDECIDED if isinstance(workload, Undecided) else refused

    return on_scene


def _any_workload(test: WorkloadTest, mode: Mode) -> Test:
    """Whichever workloads were presented, by whatever way; absent only when there is none at all."""
    singles = tuple((workload_of(via), _one_workload(test, via, mode)) for via in Via)

    def on_scene(scene: Scene) -> Outcome:
        outcomes = [single(scene) for select, single in singles if select(scene) is not None]
        if not outcomes:
            return mode.absent
        return interval(max(o.lowest for o in outcomes), max(o.highest for o in outcomes))

    return on_scene


def _spiffe(patterns: tuple[SpiffePattern, ...]) -> WorkloadTest:
    exact = frozenset(
        (pattern.trust_domain, pattern.segments)
        for pattern in patterns
        if None not in pattern.segments and not pattern.rest
    )
    loose = tuple(pattern for pattern in patterns if None in pattern.segments or pattern.rest)

    def test(workload: Workload) -> bool:
        if (workload.id.trust_domain, workload.id.path) in exact:
            return True
        return any(pattern.matches(workload) for pattern in loose)

    return test
