"""The fields of a `user` as questions to the claims of a token (policy language §5 read together with §2).

Owns which claim each field reads, for one issuer's settings, and how: the same claim may be read as groups by one
field and compared as it is by another. What a reference refers to becomes a `Source`. The functions that answer at
run time are `policy.user_conditions`'; these are their questions as data, for tools that compare policies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Final

from authz.model.issuer import ClaimPath, IssuerSettings
from authz.model.principal import PrincipalKind, Via
from authz.policy.compiled import VariableType
from authz.policy.document import ClaimCondition, ClaimOperator, Quantified, Quantifier, UserRequirement
from authz.policy.references import scalar_text
from authz.policy.user_conditions import uses_subject
from authz.policy.values import (
    HostVariable,
    PathVariable,
    RequestHeader,
    UserClaim,
    UserSubject,
    Value,
    WorkloadSegment,
)

SUBJECT: Final[ClaimPath] = ("sub",)


class Reading(Enum):
    """How a claim is read before it is compared."""

    SUBJECT = "subject"
    TEXT = "text"
    TEXTS = "texts"
    SCOPES = "scopes"
    TIME = "time"
    RAW = "raw"


class Operator(Enum):
    """What is asked of a claim once it is read."""

    HOLDS = "holds"
    """Of the texts asked for, all or any are held."""
    EQUALS = "equals"
    ANY = "any"
    CONTAINS = "contains"
    EXISTS = "exists"
    LACKS = "lacks"
    WITHIN = "within"
    """Not longer ago than so many seconds."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a reference looks: `kind` is segment, host, header, claim or workload; `key` says which."""

    kind: str
    key: object


@dataclass(frozen=True, slots=True)
class Wanted:
    """A literal, or text around what a source holds; None as both: refers to nothing here.

    `number` says that the source is a path variable of type `int` and stands alone.
    """

    literal: object = None
    source: Source | None = None
    prefix: str = ""
    suffix: str = ""
    number: bool = False

    def resolve(self, value: object, *, text: bool) -> object:
        """What is compared when the source holds `value`; None when that can't be resolved."""
        if self.source is None:
            return scalar_text(self.literal) if text else self.literal
        if self.prefix or self.suffix:
            inner = scalar_text(value)
            return None if inner is None else f"{self.prefix}{inner}{self.suffix}"
        if text:
            return scalar_text(value)
        return int(value) if self.number and isinstance(value, str) and value.isdigit() else value

    def unwrap(self, value: object) -> object:
        """What the source has to hold for `value` to be compared; None when nothing would do."""
        text = scalar_text(value)
        if text is None:
            return None
        if not (self.prefix or self.suffix):
            return text
        long = len(text) > len(self.prefix) + len(self.suffix)
        if long and text.startswith(self.prefix) and text.endswith(self.suffix):
            return text[len(self.prefix) : len(text) - len(self.suffix)]
        return None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to one claim. `seconds` and `skew` belong to WITHIN."""

    path: ClaimPath
    reading: Reading
    operator: Operator
    wanted: tuple[Wanted, ...] = ()
    quantifier: Quantifier = Quantifier.ANY
    seconds: float = 0.0
    skew: float = 0.0


@dataclass(frozen=True, slots=True)
class KindAsk:
    """Whether the token stands for a person or a client."""

    kind: PrincipalKind


@dataclass(frozen=True, slots=True)
class BoundAsk:
    """Whether the token is bound in this way."""

    binding: object


@dataclass(frozen=True, slots=True)
class OpaqueAsk:
    """Something that tools can only compare by its text."""

    text: str


UserAsk = Ask | KindAsk | BoundAsk | OpaqueAsk


@dataclass(frozen=True, slots=True)
class Around:
    """What references mean on one route: path variables by name with the segment that they bind and their type, the
    host variable that this host has ("" for none), how the alternative's last workload comes."""

    variables: Mapping[str, tuple[int, VariableType]]
    host_variable: str
    via: Via | None


_FIELDS: Final = frozenset(
    {
        "place",
        "issuers",
        "kind",
        "subjects",
        "scopes",
        "groups",
        "roles",
        "clients",
        "claims",
        "acr",
        "amr",
        "auth_age",
        "bound",
    }
)


def asks_of(user: UserRequirement, settings: IssuerSettings, around: Around) -> Iterator[UserAsk]:
    """The questions of every written field but `issuer`, to a token of this issuer."""
    kind = user.kind or (PrincipalKind.PERSON if uses_subject(user) else None)
    if kind is not None:
        yield KindAsk(kind)
    lists = (
        (user.subjects, SUBJECT, Reading.SUBJECT),
        (user.scopes, settings.scopes, Reading.SCOPES),
        (user.groups, settings.groups, Reading.TEXTS),
        (user.roles, settings.roles, Reading.TEXTS),
        (user.clients, settings.client, Reading.TEXT),
    )
    for quantified, path, reading in lists:
        if quantified is not None:
            yield _holds(quantified, path, reading, settings, around)
    for claim in user.claims:
        yield _claim(claim, settings, around)
    if user.acr:
        yield Ask(("acr",), Reading.TEXT, Operator.HOLDS, tuple(map(Wanted, user.acr)))
    if user.amr is not None:
        quantifier, methods = user.amr
        yield Ask(("amr",), Reading.TEXTS, Operator.HOLDS, tuple(map(Wanted, methods)), quantifier)
    if user.auth_age is not None:
        yield Ask(("auth_time",), Reading.TIME, Operator.WITHIN, seconds=user.auth_age, skew=settings.clock_skew)
    if user.bound is not None:
        yield BoundAsk(user.bound)
    for field in fields(user):
        value = getattr(user, field.name)
        if field.name not in _FIELDS and value not in (None, (), ""):
            yield OpaqueAsk(f"user.{field.name} {value!r}")


def _holds(quantified: Quantified, path: ClaimPath, reading: Reading, settings: IssuerSettings, around: Around) -> Ask:
    wanted = tuple(_wanted(value, settings, around) for value in quantified.values)
    return Ask(path, reading, Operator.HOLDS, wanted, quantified.quantifier)


def _claim(claim: ClaimCondition, settings: IssuerSettings, around: Around) -> Ask:
    path = claim_path(claim.path, settings)
    if claim.operator is ClaimOperator.EXISTS:
        there = claim.values[0].literal is True
        return Ask(path, Reading.RAW, Operator.EXISTS if there else Operator.LACKS)
    wanted = tuple(_wanted(value, settings, around) for value in claim.values)
    return Ask(path, Reading.RAW, _OPERATORS[claim.operator], wanted)


_OPERATORS: Final = {
    ClaimOperator.EQUALS: Operator.EQUALS,
    ClaimOperator.ANY: Operator.ANY,
    ClaimOperator.CONTAINS: Operator.CONTAINS,
}


def claim_path(path: str, settings: IssuerSettings) -> ClaimPath:
    """An issuer's alias, else a dotted path."""
    return settings.aliases.get(path) or tuple(path.split("."))


def _wanted(value: Value, settings: IssuerSettings, around: Around) -> Wanted:
    if value.reference is None:
        return Wanted(value.literal)
    source, number = _source(value, settings, around)
    return Wanted(None, source, value.prefix, value.suffix, number and not value.prefix and not value.suffix)


def _source(value: Value, settings: IssuerSettings, around: Around) -> tuple[Source | None, bool]:
    reference = value.reference
    if isinstance(reference, PathVariable):
        index, type_ = around.variables[reference.name]
        return Source("segment", index), type_ is VariableType.INT
    if isinstance(reference, HostVariable):
        return (Source("host", "") if reference.name == around.host_variable else None), False
    if isinstance(reference, UserSubject):
        return Source("claim", SUBJECT), False
    if isinstance(reference, UserClaim):
        return Source("claim", claim_path(reference.path, settings)), False
    if isinstance(reference, RequestHeader):
        return Source("header", reference.name), False
    assert isinstance(reference, WorkloadSegment)
    return (None if around.via is None else Source("workload", (around.via, reference.number))), False
