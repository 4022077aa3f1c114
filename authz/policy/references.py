"""Values of the policy, some with one reference, made into functions of the scene (policy language §5).

A reference to something absent yields None and never matches; nothing here raises for what a request holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from authz.model.principal import User, Via, Workload
from authz.policy.compiled import Scene, VariableType
from authz.policy.values import HostVariable, PathVariable, Reference, UserClaim, UserSubject, Value, WorkloadSegment

Getter = Callable[[Scene], object]
"""The typed JSON value, or None when it can't be resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the place of a value offers to references.

    `variables` are the route's path variables; `workload_via` is that of the alternative's last written workload,
    None when it has none; `aliases` maps an issuer's name to the claim aliases that it defines.
    """

    variables: Mapping[str, VariableType]
    host_variables: frozenset[str]
    workload_via: Via | None
    aliases: Mapping[str, frozenset[str]]


def claim_getter(path: str, aliases: Mapping[str, frozenset[str]]) -> Callable[[User], object]:
    """A function from a user to the claim at `path` (an alias, else a dotted path); None when absent or null."""
    keys = tuple(path.split("."))
    aliased = frozenset(issuer for issuer, names in aliases.items() if path in names)

    def get(user: User) -> object:
        if user.issuer in aliased:
            return user.aliases.get(path)
        node: object = user.claims
        for key in keys:
            if not isinstance(node, Mapping):
                return None
            node = node.get(key)
        return node

    return get


def typed_getter(value: Value, around: Surroundings) -> Getter:
    """The value as `equals` compares it: a variable of type `int` alone is a number, everything else keeps its type."""
    if value.reference is None:
        literal = value.literal
        return lambda scene: literal
    plain = _reference_getter(value.reference, around)
    if value.prefix or value.suffix:
        return _surrounded(value, plain)
    if isinstance(value.reference, PathVariable) and around.variables[value.reference.name] is VariableType.INT:
        return _number(plain)
    return plain


def text_getter(value: Value, around: Surroundings) -> Callable[[Scene], str | None]:
    """The value as lists of strings hold it: text, numbers as their digits; None when absent or of another type."""
    if value.reference is None:
        text = scalar_text(value.literal)
        return lambda scene: text
    plain = _reference_getter(value.reference, around)
    if value.prefix or value.suffix:
        return _surrounded(value, plain)
    return lambda scene: scalar_text(plain(scene))


def scalar_text(value: object) -> str | None:
    """A JSON string or integer as text; None for anything else (a boolean is no text, a float has no one spelling)."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None


def describe(value: Value) -> str:
    """The value as the policy shows it in a trace."""
    if value.reference is None:
        return str(value.literal).lower() if isinstance(value.literal, bool) else str(value.literal)
    return f"{value.prefix}{{{_name(value.reference)}}}{value.suffix}"


def _number(plain: Getter) -> Getter:
    """Matching has checked that the segment is `0|[1-9][0-9]*`."""

    def get(scene: Scene) -> object:
        text = plain(scene)
        return int(text) if isinstance(text, str) else None

    return get


def _surrounded(value: Value, plain: Getter) -> Callable[[Scene], str | None]:
    prefix, suffix = value.prefix, value.suffix

    def get(scene: Scene) -> str | None:
        text = scalar_text(plain(scene))
        return None if text is None else f"{prefix}{text}{suffix}"

    return get


def _reference_getter(reference: Reference, around: Surroundings) -> Getter:
    if isinstance(reference, PathVariable):
        name = reference.name
        return lambda scene: scene.path_variables.get(name)
    if isinstance(reference, HostVariable):
        host_name = reference.name
        return lambda scene: scene.host_variables.get(host_name)
    if isinstance(reference, UserSubject):
        return lambda scene: scene.user.subject if isinstance(scene.user, User) else None
    if isinstance(reference, UserClaim):
        claim = claim_getter(reference.path, around.aliases)
        return lambda scene: claim(scene.user) if isinstance(scene.user, User) else None
    if isinstance(reference, WorkloadSegment):
        return _workload_segment(reference.number, around.workload_via)
    return _header(reference.name)


def _workload_segment(number: int, via: Via | None) -> Getter:
    if via is None:
        return lambda scene: None
    select = workload_of(via)

    def get(scene: Scene) -> object:
        workload = select(scene)
        if not isinstance(workload, Workload) or number > len(workload.id.path):
            return None
        return workload.id.path[number - 1]

    return get


def _header(name: str) -> Getter:
    """Exactly one value. A comma counts as several: Envoy's joined form can't tell the two apart, and both forms
    have to give the same decision."""

    def get(scene: Scene) -> object:
        values = scene.request.headers.get_all(name)
        if len(values) != 1 or "," in values[0]:
            return None
        return values[0]

    return get


def workload_of(via: Via) -> Callable[[Scene], object]:
    """The scene's workload that came by `via`."""
    if via is Via.MTLS:
        return lambda scene: scene.mtls
    if via is Via.FORWARDED:
        return lambda scene: scene.forwarded
    return lambda scene: scene.jwt_svid


def _name(reference: Reference) -> str:
    if isinstance(reference, PathVariable):
        return f"path.{reference.name}"
    if isinstance(reference, HostVariable):
        return f"host.{reference.name}"
    if isinstance(reference, UserSubject):
        return "user.sub"
    if isinstance(reference, UserClaim):
        return f"user.claims.{reference.path}"
    if isinstance(reference, WorkloadSegment):
        return f"workload.path.{reference.number}"
    return f"request.header.{reference.name}"
