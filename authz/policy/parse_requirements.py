"""Requirements: who may pass (policy language §5), from nodes to values.

Owns the grammar of single requirements. What depends on the place inside the whole (where `source` and `public`
may stand, whether names exist, whether each way needs a principal) is compiled later, when names are resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from collections.abc import Mapping as MappingType
from functools import partial
from typing import Final

from authz.model.principal import Binding, PrincipalKind, Via
from authz.model.spiffe import SpiffeIdError, check_trust_domain
from authz.policy.document import (
    AllOf,
    AnyOf,
    ClaimCondition,
    ClaimOperator,
    NamedRequirement,
    NobodyRequirement,
    NotRequirement,
    PublicRequirement,
    Quantified,
    Quantifier,
    Requirement,
    SourceRequirement,
    UserRequirement,
    WhenRequirement,
    WorkloadRequirement,
)
from authz.policy.faults import FaultCode
from authz.policy.parse_references import Permitted, read_value, refuse_braces
from authz.policy.parse_values import Reading
from authz.policy.values import Text, Value
from authz.policy.yaml_tree import Mapping, Node, Scalar, show

MAX_REQUIREMENTS: Final = 1000
"""Named requirements of one document."""

_QUANTIFIERS: Final = {"all": Quantifier.ALL, "any": Quantifier.ANY}
_ANY: Final = {"any": Quantifier.ANY}
_OPERATORS: Final = {operator.value: operator for operator in ClaimOperator}
_PERSON_KINDS: Final = {"person": PrincipalKind.PERSON, "client": PrincipalKind.CLIENT}
_VIAS: Final = {via.value: via for via in Via}
_BINDINGS: Final = {binding.value: binding for binding in Binding}
_PREFIX: Final = re.compile(r"[0-9A-Fa-f.:]+(?:/[0-9]{1,3})?")


def read_requirement(reading: Reading, node: Node, what: str, *, negated: bool = False) -> Requirement:
    """One requirement. `negated` says that it stands inside a `not`. After a fault: one that never holds."""
    place = reading.place(node)
    if type(node) is Scalar and type(node.value) is str:
        if node.value in _SHAPES:
            reading.fault(
                node, FaultCode.REQUIREMENT_SHAPE, f"{what}: `{node.value}` stands as a key with its value, not alone"
            )
            return NobodyRequirement(place, "")
        return NamedRequirement(place, reading.name(node, what))
    if type(node) is not Mapping:
        reading.wrong_type(node, what, "a name or a mapping with one key")
        return NobodyRequirement(place, "")
    found = reading.exactly_one(node, what, _SHAPES, code=FaultCode.REQUIREMENT_SHAPE)
    if found is not None:
        shape, _, value = found
        return shape(reading, node, value, negated)
    for key in node.entries.keys() & _SHAPES.keys():
        _SHAPES[key](reading, node, node.entries[key], negated)  # for the faults inside
    return NobodyRequirement(place, "")


def read_requirements(reading: Reading, node: Node, what: str) -> MappingType[str, Requirement]:
    """A map of named requirements."""
    found: dict[str, Requirement] = {}
    for name, key, value in reading.pairs(node, what, limit=MAX_REQUIREMENTS):
        if name in _SHAPES:
            reading.fault(key, FaultCode.NAME_INVALID, f"`{name}` is a key of the language and can't be a name")
        else:
            reading.name(key, "the name of a requirement")
        found[name] = read_requirement(reading, value, f"the requirement {show(name)}")
    return found


# --- shapes: (reading, the whole node, the key's value, negated) -------------------------------------------


def _list(reading: Reading, node: Node, what: str, negated: bool) -> tuple[Requirement, ...]:
    return tuple(
        read_requirement(reading, item, f"an item of {what}", negated=negated) for item in reading.items(node, what)
    )


def _any(reading: Reading, node: Node, value: Node, negated: bool) -> Requirement:
    return AnyOf(reading.place(node), _list(reading, value, "`any`", negated))


def _all(reading: Reading, node: Node, value: Node, negated: bool) -> Requirement:
    return AllOf(reading.place(node), _list(reading, value, "`all`", negated))


def _not(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    return NotRequirement(reading.place(node), read_requirement(reading, value, "`not`", negated=True))


def _public(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    return PublicRequirement(reading.place(node), reading.sentence(value, "`public`"))


def _nobody(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    return NobodyRequirement(reading.place(node), reading.sentence(value, "`nobody`"))


def _when(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    """The text goes to CEL as it is, but for the line breaks of a block scalar."""
    text = value.value if type(value) is Scalar else None
    if type(text) is not str:
        reading.wrong_type(value, "`when`", "a CEL expression")
        text = ""
    elif not text.strip() or not text.strip().replace("\n", " ").isprintable():
        reading.fault(value, FaultCode.VALUE_INVALID, "`when` is a CEL expression, not empty, printable")
    return WhenRequirement(reading.place(value), text.strip().replace("\n", " "))


def _source(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    entries = reading.fields(value, "`source`", ("cidrs",), required=("cidrs",))
    cidrs: list[str] = []
    if "cidrs" in entries:
        for item in reading.items(entries["cidrs"], "`cidrs`"):
            cidrs.append(_cidr(reading, item))
    return SourceRequirement(reading.place(node), tuple(cidrs))


def _cidr(reading: Reading, node: Node) -> str:
    text = reading.text(node, "each item of `cidrs`")
    try:
        if text and not _PREFIX.fullmatch(text):
            raise ValueError("not an address with a prefix length")
        if text:
            ipaddress.ip_network(text, strict=True)
    except ValueError:
        reading.fault(
            node,
            FaultCode.VALUE_INVALID,
            f"{show(text)} is no network: write an address, or a network and its prefix length",
        )
    return text


# --- user --------------------------------------------------------------------------------------------------

_USER_KEYS: Final = (
    "issuer",
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
)


def _user(reading: Reading, node: Node, value: Node, negated: bool) -> Requirement:
    entries = reading.fields(value, "`user`", _USER_KEYS)
    quantified = partial(_optional, reading, entries)
    return UserRequirement(
        place=reading.place(node),
        issuers=_names(reading, entries, "issuer"),
        kind=reading.choice(entries["kind"], "`kind`", _PERSON_KINDS) if "kind" in entries else None,
        subjects=quantified("subjects", _ANY),
        scopes=quantified("scopes", _QUANTIFIERS),
        groups=quantified("groups", _QUANTIFIERS),
        roles=quantified("roles", _QUANTIFIERS),
        clients=quantified("clients", _ANY),
        claims=_claims(reading, entries["claims"], negated) if "claims" in entries else (),
        acr=_acr(reading, entries["acr"]) if "acr" in entries else (),
        amr=_amr(reading, entries["amr"]) if "amr" in entries else None,
        auth_age=_auth_age(reading, entries["auth_age"]) if "auth_age" in entries else None,
        bound=reading.choice(entries["bound"], "`bound`", _BINDINGS) if "bound" in entries else None,
    )


def _names(reading: Reading, entries: MappingType[str, Node], key: str) -> tuple[Text, ...]:
    return reading.texts(entries[key], f"`{key}`", single=True) if key in entries else ()


def _optional(
    reading: Reading, entries: MappingType[str, Node], key: str, quantifiers: MappingType[str, Quantifier]
) -> Quantified | None:
    if key not in entries:
        return None
    node, what = entries[key], f"`{key}`"
    found = reading.exactly_one(node, what, quantifiers)
    if found is None:
        return None
    quantifier, _, listed = found
    values = tuple(
        read_value(reading, item, f"each item of {what}", Permitted.REFERENCES) for item in reading.items(listed, what)
    )
    return Quantified(quantifier, values, reading.place(node))


def _plain_texts(reading: Reading, node: Node, what: str) -> tuple[str, ...]:
    texts = reading.texts(node, what)
    for text in texts:
        refuse_braces(reading, node, what, text.value)
    return tuple(text.value for text in texts)


def _acr(reading: Reading, node: Node) -> tuple[str, ...]:
    found = reading.exactly_one(node, "`acr`", _ANY)
    return _plain_texts(reading, found[2], "`acr`") if found is not None else ()


def _amr(reading: Reading, node: Node) -> tuple[Quantifier, tuple[str, ...]] | None:
    found = reading.exactly_one(node, "`amr`", _QUANTIFIERS)
    return (found[0], _plain_texts(reading, found[2], "`amr`")) if found is not None else None


def _auth_age(reading: Reading, node: Node) -> float:
    entries = reading.fields(node, "`auth_age`", ("max",), required=("max",))
    return reading.duration(entries["max"], "`max`") if "max" in entries else 0.0


# --- claims ------------------------------------------------------------------------------------------------


def _claims(reading: Reading, node: Node, negated: bool) -> tuple[ClaimCondition, ...]:
    found: list[ClaimCondition] = []
    for path, key, value in reading.pairs(node, "`claims`"):
        _check_claim_path(reading, key, path)
        condition = _claim(reading, path, key, value, negated)
        if condition is not None:
            found.append(condition)
    return tuple(found)


def _check_claim_path(reading: Reading, key: Node, path: str) -> None:
    reading.text(key, "a claim path")
    refuse_braces(reading, key, "a claim path", path)
    if path and not all(path.split(".")):
        reading.fault(
            key,
            FaultCode.CLAIM_PATH,
            f"the claim path {show(path)} has an empty part",
            advice="Write the keys from the outermost object inwards, with a dot between two.",
        )


def _claim(reading: Reading, path: str, key: Node, node: Node, negated: bool) -> ClaimCondition | None:
    what = f"the claim {show(path)}"
    found = reading.exactly_one(node, what, _OPERATORS)
    if found is None:
        return None
    operator, _, value = found
    return ClaimCondition(path, operator, _OPERANDS[operator](reading, value, what, negated), reading.place(key))


def _equals(reading: Reading, node: Node, what: str, negated: bool) -> tuple[Value, ...]:
    permitted = Permitted.REFERENCES | Permitted.LITERAL_TYPES
    if not negated:
        permitted |= Permitted.REQUEST_HEADER
    return (read_value(reading, node, what, permitted),)


def _any_value(reading: Reading, node: Node, what: str, _negated: bool) -> tuple[Value, ...]:
    permitted = Permitted.REFERENCES | Permitted.LITERAL_TYPES
    return tuple(read_value(reading, item, what, permitted) for item in reading.items(node, what))


def _exists(reading: Reading, node: Node, what: str, negated: bool) -> tuple[Value, ...]:
    wanted = reading.boolean(node, f"`exists` of {what}")
    if negated and not wanted:
        reading.fault(
            node,
            FaultCode.REQUIREMENT_SHAPE,
            "`exists: false` can't stand under `not`",
            advice="Write `exists: true` outside `not`.",
        )
    return (Value(reading.place(node), literal=wanted),)


_OPERANDS: Final[MappingType[ClaimOperator, Callable[[Reading, Node, str, bool], tuple[Value, ...]]]] = {
    ClaimOperator.EQUALS: _equals,
    ClaimOperator.CONTAINS: _equals,
    ClaimOperator.ANY: _any_value,
    ClaimOperator.EXISTS: _exists,
}


# --- workload ----------------------------------------------------------------------------------------------

_WORKLOAD_KEYS: Final = ("spiffe", "trust_domain", "roles", "via")


def _workload(reading: Reading, node: Node, value: Node, _negated: bool) -> Requirement:
    entries = reading.fields(value, "`workload`", _WORKLOAD_KEYS)
    return WorkloadRequirement(
        place=reading.place(node),
        spiffe=_names(reading, entries, "spiffe"),
        trust_domains=_trust_domains(reading, entries),
        roles=_roles(reading, entries["roles"]) if "roles" in entries else (),
        via=reading.choice(entries["via"], "`via`", _VIAS) if "via" in entries else None,
    )


def _trust_domains(reading: Reading, entries: MappingType[str, Node]) -> tuple[Text, ...]:
    names = _names(reading, entries, "trust_domain")
    for name in names:
        try:
            check_trust_domain(name.value)
        except SpiffeIdError as error:
            reading.fault(entries["trust_domain"], FaultCode.VALUE_INVALID, f"`trust_domain`: {error}")
    return names


def _roles(reading: Reading, node: Node) -> tuple[Text, ...]:
    found = reading.exactly_one(node, "`roles`", _ANY)
    return reading.texts(found[2], "`roles`") if found is not None else ()


_SHAPES: Final[MappingType[str, Callable[[Reading, Node, Node, bool], Requirement]]] = {
    "any": _any,
    "all": _all,
    "not": _not,
    "user": _user,
    "workload": _workload,
    "source": _source,
    "public": _public,
    "nobody": _nobody,
    "when": _when,
}
