"""The fields of `user` as functions of the scene: total, prepared at load (policy language §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authz.model.principal import Binding, PrincipalKind, Undecided, User
from authz.model.reason import Reason
from authz.policy.claim_conditions import claim_test
from authz.policy.compiled import Condition, Outcome, Scene, Subject, Test
from authz.policy.document import ClaimCondition, Quantified, Quantifier, UserRequirement
from authz.policy.references import Surroundings, describe, text_getter
from authz.policy.three_values import FALSE, TRUE, UNDECIDED, Mode, truth
from authz.policy.values import UserSubject, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class UserContext:
    """What compiling a user's fields needs beside the fields: the accepted issuers (by name, never empty) and the
    skew of each in seconds."""

    issuers: frozenset[str]
    skews: Mapping[str, float]


UserTest = Callable[[User, Scene], Outcome]


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
        shown = ", ".join(describe(value) for value in claim.values)
        test = claim_test(claim, self._around, self._mode.absent)
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
        return choose((absent if text is None else TRUE if text in have else FALSE for text in wanted), key=truth)

    return holds


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
    if user.bound is not None:
        build.add(
            _bound(user.bound, absent), Reason.PROOF_MISSING, f"bound {user.bound.value}", ("bound", user.bound.value)
        )


def _acr(accepted: frozenset[str], absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        if user.acr is None:
            return absent
        return TRUE if user.acr in accepted else FALSE

    return test


def _bound(wanted: Binding, absent: Outcome) -> UserTest:
    """A binding that a token has was checked when it was verified (`authn.binding`)."""
    return lambda user, scene: TRUE if wanted in user.bound else absent


def _auth_age(maximum: float, skews: Mapping[str, float], absent: Outcome) -> UserTest:
    def test(user: User, scene: Scene) -> Outcome:
        at = user.auth_time
        if at is None or at > scene.now + skews.get(user.issuer, 0.0):
            return absent
        return TRUE if scene.now - at <= maximum else FALSE

    return test
