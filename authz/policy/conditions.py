"""The leaves of requirements as functions of the scene: three-valued, total, prepared at load (policy language §5).

What is absent (no credential, a refused one, a missing claim, a type that the operator can't compare, null, an
unresolved reference) is false outside `not` and unknown inside it; what could not be found out is undecided
everywhere. `Mode` says which of the readings a leaf is compiled for.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from authz.model.principal import PrincipalKind, Undecided, User, Via, Workload
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.compiled import Condition, Outcome, Scene, Subject, Test, VariableType
from authz.policy.document import (
    ClaimCondition,
    ClaimOperator,
    NobodyRequirement,
    PathVariable,
    PublicRequirement,
    Quantified,
    Quantifier,
    SourceRequirement,
    UserRequirement,
    UserSubject,
    Value,
    WorkloadRequirement,
)
from authz.policy.references import Surroundings, claim_getter, describe, text_getter, typed_getter, workload_of

TRUE, FALSE, UNKNOWN, UNDECIDED = Outcome.TRUE, Outcome.FALSE, Outcome.UNKNOWN, Outcome.UNDECIDED


class Mode(Enum):
    """How absence and refusal are read. In `deny` a refused credential leaves the condition hanging (§6)."""

    PLAIN = (FALSE, FALSE)
    UNDER_NOT = (UNKNOWN, UNKNOWN)
    DENY = (UNKNOWN, UNDECIDED)

    def __init__(self, absent: Outcome, refused: Outcome) -> None:
        self.absent = absent
        self.refused = refused


@dataclass(frozen=True, slots=True, kw_only=True)
class UserContext:
    """What compiling a user's fields needs beside the fields: the accepted issuers (by name, never empty) and the
    skew of each in seconds."""

    issuers: frozenset[str]
    skews: Mapping[str, float]


UserTest = Callable[[User, Scene], Outcome]
WorkloadTest = Callable[[Workload], bool]


def user_conditions(
    user: UserRequirement, mode: Mode, context: UserContext, around: Surroundings, origin: str
) -> tuple[Condition, ...]:
    """One condition per field, in the order of policy language §5; the first says that the issuer is right."""
    build = _UserBuilder(mode, context, around, origin)
    build.add(
        _issuer(context.issuers), Reason.ISSUER_NOT_PERMITTED, f"issuer any [{', '.join(sorted(context.issuers))}]"
    )
    kind = user.kind or (PrincipalKind.PERSON if uses_subject(user) else None)
    if kind is not None:
        build.add(_kind(kind), Reason.SUBJECT_NOT_PERMITTED, f"kind {kind.value}")
    if user.subjects is not None:
        build.quantified(
            "subjects", user.subjects, lambda user: frozenset((user.subject,)), Reason.SUBJECT_NOT_PERMITTED
        )
    if user.scopes is not None:
        build.quantified("scopes", user.scopes, lambda user: user.scopes, Reason.SCOPE_MISSING)
    if user.groups is not None:
        build.quantified("groups", user.groups, lambda user: user.groups, Reason.GROUP_MISSING)
    if user.roles is not None:
        build.quantified("roles", user.roles, lambda user: user.roles, Reason.ROLE_MISSING)
    if user.clients is not None:
        build.quantified("clients", user.clients, _client, Reason.CLIENT_NOT_PERMITTED)
    for claim in user.claims:
        build.claim(claim)
    _add_step_up(build, user, context)
    return tuple(build.conditions)


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


def source_condition(source: SourceRequirement, mode: Mode, origin: str) -> Condition:
    """The direct peer's address is inside one of the networks; an address that can't be read counts as absent."""
    networks = tuple(ipaddress.ip_network(cidr, strict=False) for cidr in source.cidrs)

    def test(scene: Scene) -> Outcome:
        try:
            address = ipaddress.ip_address(scene.request.source.address)
        except ValueError:
            return mode.absent
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return TRUE if any(address in network for network in networks) else FALSE

    return Condition(
        test=test, reason=Reason.SOURCE_NOT_PERMITTED, text=f"source in [{', '.join(source.cidrs)}]", origin=origin
    )


def public_condition(public: PublicRequirement, origin: str) -> Condition:
    return Condition(test=_always, reason=Reason.NOBODY, text=f'public "{public.why}"', origin=origin)


def nobody_condition(nobody: NobodyRequirement, origin: str) -> Condition:
    return Condition(test=_never, reason=Reason.NOBODY, text=f'nobody "{nobody.why}"', origin=origin)


def conjunction(tests: tuple[Test, ...]) -> Test:
    """`all`: the least of its outcomes."""
    return _fold(tests, min, TRUE)


def disjunction(tests: tuple[Test, ...]) -> Test:
    """`any`: the greatest of its outcomes."""
    return _fold(tests, max, FALSE)


def negation(test: Test) -> Test:
    """`not`: unknown stays unknown, what hangs goes on hanging."""

    def negated(scene: Scene) -> Outcome:
        outcome = test(scene)
        return _INTERVALS[2 - outcome.highest, 2 - outcome.lowest]

    return negated


def uses_subject(user: UserRequirement) -> bool:
    """Whether the fields name a subject or refer to `{user.sub}`, which means a person of one issuer (§5)."""
    if user.subjects is not None:
        return True
    return any(isinstance(value.reference, UserSubject) for value in user_values(user))


def user_values(user: UserRequirement) -> tuple[Value, ...]:
    """Every value of a user requirement, in written order."""
    quantified = (user.subjects, user.scopes, user.groups, user.roles, user.clients)
    values = [value for item in quantified if item is not None for value in item.values]
    values.extend(value for claim in user.claims for value in claim.values)
    return tuple(values)


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
        segments = [None if segment == "*" else segment for segment in body.split("/")[3:]]
        witness = "/".join("x" if segment == "*" else segment for segment in body.split("/")) + ("/x" if rest else "")
        try:
            parsed = SpiffeId.parse(witness)
        except SpiffeIdError as error:
            raise SpiffePatternError(str(error)) from None
        return cls(parsed.trust_domain, tuple(segments), rest)

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


# --- users -----------------------------------------------------------------------------------------------


class _UserBuilder:
    """Collects the conditions of one `user`; each is wrapped so that only a verified user reaches its test."""

    def __init__(self, mode: Mode, context: UserContext, around: Surroundings, origin: str) -> None:
        self.conditions: list[Condition] = []
        self._mode = mode
        self._context = context
        self._around = around
        self._origin = origin

    def add(self, test: UserTest, reason: Reason, text: str, challenge: tuple[str, str] | None = None) -> None:
        self.conditions.append(
            Condition(
                test=_for_user(test, self._mode),
                reason=reason,
                text=f"user.{text}",
                subject=Subject.USER,
                origin=self._origin,
                challenge=challenge,
            )
        )

    def quantified(
        self, field: str, wanted: Quantified, actual: Callable[[User], frozenset[str] | None], reason: Reason
    ) -> None:
        literals = _literal_texts(wanted.values)
        challenge = ("scope", " ".join(literals)) if field == "scopes" and literals is not None else None
        if literals is not None:
            test = _holds_literals(wanted.quantifier, frozenset(literals), actual, self._mode.absent)
        else:
            getters = tuple(text_getter(value, self._around) for value in wanted.values)
            test = _holds_resolved(wanted.quantifier, getters, actual, self._mode.absent)
        shown = ", ".join(describe(value) for value in wanted.values)
        self.add(test, reason, f"{field} {wanted.quantifier.value} [{shown}]", challenge)

    def claim(self, claim: ClaimCondition) -> None:
        get = claim_getter(claim.path, self._around.aliases)
        shown = ", ".join(describe(value) for value in claim.values)
        if claim.operator is ClaimOperator.EXISTS:
            test = _exists(get, claim.values[0].literal is True, self._mode.absent)
        else:
            wanted = tuple(_Wanted.of(value, self._around) for value in claim.values)
            test = _CLAIM_TESTS[claim.operator](get, wanted, self._mode.absent)
        self.add(test, Reason.CLAIM_MISMATCH, f"claims.{claim.path} {claim.operator.value} {shown}")


def _for_user(test: UserTest, mode: Mode) -> Test:
    absent, refused = mode.absent, mode.refused

    def on_scene(scene: Scene) -> Outcome:
        user = scene.user
        if isinstance(user, User):
            return test(user, scene)
        if user is None:
            return absent
        return UNDECIDED if isinstance(user, Undecided) else refused

    return on_scene


def _issuer(issuers: frozenset[str]) -> UserTest:
    return lambda user, scene: TRUE if user.issuer in issuers else FALSE


def _kind(kind: PrincipalKind) -> UserTest:
    return lambda user, scene: TRUE if user.kind is kind else FALSE


def _client(user: User) -> frozenset[str] | None:
    return None if user.client is None else frozenset((user.client,))


def _literal_texts(values: tuple[Value, ...]) -> tuple[str, ...] | None:
    """The texts, if none of the values has a reference."""
    if any(value.reference is not None for value in values):
        return None
    return tuple(str(value.literal) for value in values)


def _holds_literals(
    quantifier: Quantifier, wanted: frozenset[str], actual: Callable[[User], frozenset[str] | None], absent: Outcome
) -> UserTest:
    def holds_all(user: User, scene: Scene) -> Outcome:
        have = actual(user)
        if have is None:
            return absent
        return TRUE if wanted <= have else FALSE

    def holds_any(user: User, scene: Scene) -> Outcome:
        have = actual(user)
        if have is None:
            return absent
        return FALSE if wanted.isdisjoint(have) else TRUE

    return holds_all if quantifier is Quantifier.ALL else holds_any


def _holds_resolved(
    quantifier: Quantifier,
    getters: tuple[Callable[[Scene], str | None], ...],
    actual: Callable[[User], frozenset[str] | None],
    absent: Outcome,
) -> UserTest:
    choose = min if quantifier is Quantifier.ALL else max

    def holds(user: User, scene: Scene) -> Outcome:
        have = actual(user)
        if have is None:
            return absent
        wanted = (get(scene) for get in getters)
        return choose((absent if text is None else TRUE if text in have else FALSE for text in wanted), key=_truth)

    return holds


def _truth(outcome: Outcome) -> int:
    return outcome.lowest


# --- claims ----------------------------------------------------------------------------------------------

ClaimGetter = Callable[[User], object]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One value to compare with: typed for a scalar claim; inside an array a variable of type `int` also stands
    for its text (§5: a number in `equals`, its text in lists of strings)."""

    get: Callable[[Scene], object]
    number_or_text: bool

    @classmethod
    def of(cls, value: Value, around: Surroundings) -> _Wanted:
        alone = not value.prefix and not value.suffix
        is_int = (
            alone
            and isinstance(value.reference, PathVariable)
            and around.variables[value.reference.name] is VariableType.INT
        )
        return cls(typed_getter(value, around), is_int)


def _compare(actual: object, wanted: object, absent: Outcome) -> Outcome:
    """Typed equality of two JSON scalars: `"42"` is not 42, integers equal only integers, booleans are no numbers.
    Values of different JSON types can't be compared, which counts as absent."""
    if wanted is None or actual is None:
        return absent
    if type(actual) is type(wanted):
        return TRUE if actual == wanted else FALSE if isinstance(actual, str | bool | int | float) else absent
    both_numbers = {type(actual), type(wanted)} == {int, float}
    return FALSE if both_numbers else absent


def _compare_element(element: object, wanted: object, number_or_text: bool, absent: Outcome) -> Outcome:
    if number_or_text and isinstance(element, str):
        wanted = None if wanted is None else str(wanted)
    return _compare(element, wanted, absent)


def _equals(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    (only,) = wanted

    def test(user: User, scene: Scene) -> Outcome:
        return _compare(get(user), only.get(scene), absent)

    return test


def _any_of(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    """A scalar claim equals one of the values; of an array claim, one element does."""

    def test(user: User, scene: Scene) -> Outcome:
        actual = get(user)
        elements = actual if isinstance(actual, list) else None
        best = FALSE
        for item in wanted:
            value = item.get(scene)
            if elements is None:
                outcome = _compare(actual, value, absent)
            else:
                outcome = _search(elements, value, item.number_or_text, absent)
            if outcome is TRUE:
                return TRUE
            best = max(best, outcome, key=_truth)
        return best

    return test


def _contains(get: ClaimGetter, wanted: tuple[_Wanted, ...], absent: Outcome) -> UserTest:
    (only,) = wanted

    def test(user: User, scene: Scene) -> Outcome:
        actual = get(user)
        if not isinstance(actual, list):
            return absent
        return _search(actual, only.get(scene), only.number_or_text, absent)

    return test


def _search(elements: list[object], wanted: object, number_or_text: bool, absent: Outcome) -> Outcome:
    """True when one element equals; an element that can't be compared leaves a miss unknown under `not`."""
    if wanted is None:
        return absent
    best = FALSE
    for element in elements:
        outcome = _compare_element(element, wanted, number_or_text, absent)
        if outcome is TRUE:
            return TRUE
        best = max(best, outcome, key=_truth)
    return best


def _exists(get: ClaimGetter, wanted: bool, absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        present = get(user) is not None
        if wanted:
            return TRUE if present else absent
        return FALSE if present else TRUE

    return test


_CLAIM_TESTS = {ClaimOperator.EQUALS: _equals, ClaimOperator.ANY: _any_of, ClaimOperator.CONTAINS: _contains}


# --- step-up (RFC 9470) ----------------------------------------------------------------------------------


def _add_step_up(build: _UserBuilder, user: UserRequirement, context: UserContext) -> None:
    absent = build._mode.absent
    if user.acr:
        build.add(
            _acr(frozenset(user.acr), absent),
            Reason.ACR_INSUFFICIENT,
            f"acr any [{', '.join(user.acr)}]",
            ("acr_values", " ".join(user.acr)),
        )
    if user.amr is not None:
        quantifier, methods = user.amr
        build.add(
            _holds_literals(quantifier, frozenset(methods), lambda user: user.amr, absent),
            Reason.AMR_INSUFFICIENT,
            f"amr {quantifier.value} [{', '.join(methods)}]",
        )
    if user.auth_age is not None:
        build.add(
            _auth_age(user.auth_age, context.skews, absent),
            Reason.AUTH_TOO_OLD,
            f"auth_age max {user.auth_age:g}s",
            ("max_age", f"{user.auth_age:g}"),
        )


def _acr(accepted: frozenset[str], absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        if user.acr is None:
            return absent
        return TRUE if user.acr in accepted else FALSE

    return test


def _auth_age(maximum: float, skews: Mapping[str, float], absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        at = user.auth_time
        if at is None or at > scene.now + skews.get(user.issuer, 0.0):
            return absent
        return TRUE if scene.now - at <= maximum else FALSE

    return test


# --- workloads -------------------------------------------------------------------------------------------


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
        return _INTERVALS[max(o.lowest for o in outcomes), max(o.highest for o in outcomes)]

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


# --- three values ----------------------------------------------------------------------------------------

_INTERVALS: dict[tuple[int, int], Outcome] = {(outcome.lowest, outcome.highest): outcome for outcome in Outcome}


def _fold(tests: tuple[Test, ...], choose: Callable[[int, int], int], start: Outcome) -> Test:
    def test(scene: Scene) -> Outcome:
        lowest, highest = start.lowest, start.highest
        for one in tests:
            outcome = one(scene)
            lowest, highest = choose(lowest, outcome.lowest), choose(highest, outcome.highest)
        return _INTERVALS[lowest, highest]

    return test


def _always(scene: Scene) -> Outcome:
    return TRUE


def _never(scene: Scene) -> Outcome:
    return FALSE
