"""The people of a RoutePolicyTest (policy language §9): verified, refused or undecided principals as values.

Owns the shape of a fixture. What a verified token would make of it is for whoever runs the tests: no rule about
claims stands here.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Mapping as MappingType
from datetime import datetime
from typing import Final

from authz.model.principal import Binding, PrincipalKind, Via
from authz.model.reason import BY_CODE, Reason
from authz.policy.faults import FaultCode
from authz.policy.parse_values import Reading
from authz.policy.suite import Fixture, Person, Rejected, UserFixture, WorkloadFixture
from authz.policy.yaml_tree import Mapping, Node, Scalar, Sequence, Unread, show

_PERSON: Final = {"user": "user", "workload": "workload"}
_REJECTED: Final = ("refused", "undecided")
_USER_KEYS: Final = (
    "issuer",
    "sub",
    "scopes",
    "groups",
    "roles",
    "client",
    "kind",
    "acr",
    "amr",
    "auth_time",
    "auth_age",
    "bound",
    "claims",
    *_REJECTED,
)
_WORKLOAD_KEYS: Final = ("spiffe", "via", *_REJECTED)
_KINDS: Final = {kind.value: kind for kind in PrincipalKind}
_BINDINGS: Final = {binding.value: binding for binding in Binding}
_VIAS: Final = {via.value: via for via in Via}

_USER_REFUSALS: Final = frozenset(
    reason
    for reason in Reason
    if reason.status == 401 and not reason.is_step_up and reason is not Reason.CREDENTIAL_MISSING
) | {Reason.HEADER_AMBIGUOUS, Reason.ISSUER_NOT_PERMITTED}
_WORKLOAD_REFUSALS: Final = frozenset(
    {
        Reason.WORKLOAD_INVALID,
        Reason.WORKLOAD_REVOKED,
        Reason.TRUST_DOMAIN_UNKNOWN,
        Reason.HEADER_AMBIGUOUS,
        Reason.TOKEN_EXPIRED,
        Reason.AUDIENCE_MISMATCH,
    }
)
_UNDECIDED: Final = frozenset({Reason.KEYS_UNAVAILABLE, Reason.INTROSPECTION_UNAVAILABLE, Reason.STORE_UNAVAILABLE})


def read_person(reading: Reading, name: str, node: Node, issuers: Collection[str]) -> Person | None:
    """`{user: {…}}` or `{workload: {…}}`; None after a fault. `issuers` are the directory's."""
    before = len(reading.faults)
    found = reading.exactly_one(node, f"the person {show(name)}", _PERSON)
    if found is None:
        return None
    what, _, value = found
    fixture = _user(reading, name, value, issuers) if what == "user" else _workload(reading, value)
    if fixture is None or len(reading.faults) != before:
        return None
    return Person(name=name, place=reading.place(node), fixture=fixture)


def moment(reading: Reading, node: Node, what: str) -> float:
    """Seconds since the epoch, out of RFC 3339 text with an offset."""
    text = reading.text(node, what)
    try:
        read = datetime.fromisoformat(text) if text else None
    except ValueError:
        read = None
    if read is not None and read.tzinfo is not None:
        return read.timestamp()
    if text:
        reading.fault(node, FaultCode.VALUE_INVALID, f"{what} is a time like 2026-11-21T10:00:00Z")
    return 0.0


def json_of(node: Node) -> object:
    """The JSON value that the node is."""
    if type(node) is Mapping:
        return {key: json_of(value) for key, value in node.entries.items()}
    if type(node) is Sequence:
        return [json_of(item) for item in node.items]
    return node.value if type(node) is Scalar else None


def _user(reading: Reading, name: str, node: Node, issuers: Collection[str]) -> Fixture | None:
    entries = reading.fields(node, "`user`", _USER_KEYS)
    if any(key in entries for key in _REJECTED):
        return _rejected(reading, node, entries, "`user`", _USER_REFUSALS, None)
    if type(node) is not Mapping:
        return None
    if "auth_time" in entries and "auth_age" in entries:
        reading.fault(node, FaultCode.VALUE_INVALID, "`auth_time` and `auth_age` say the same thing: write one")
    return UserFixture(
        place=reading.place(node),
        issuer=_issuer(reading, node, entries, issuers),
        subject=_text(reading, entries, "sub") or name,
        scopes=_texts(reading, entries, "scopes"),
        groups=_texts(reading, entries, "groups"),
        roles=_texts(reading, entries, "roles"),
        client=_text(reading, entries, "client"),
        kind=reading.choice(entries["kind"], "`kind`", _KINDS) if "kind" in entries else None,
        acr=_text(reading, entries, "acr"),
        amr=_texts(reading, entries, "amr"),
        auth_time=moment(reading, entries["auth_time"], "`auth_time`") if "auth_time" in entries else None,
        auth_age=reading.duration(entries["auth_age"], "`auth_age`", zero=True) if "auth_age" in entries else None,
        bound=_bound(reading, entries["bound"]) if "bound" in entries else frozenset(),
        claims=_claims(reading, entries["claims"]) if "claims" in entries else {},
    )


def _issuer(reading: Reading, node: Node, entries: MappingType[str, Node], issuers: Collection[str]) -> str:
    if "issuer" not in entries:
        if len(issuers) == 1:
            return next(iter(issuers))
        words = ", ".join(sorted(issuers)) or "the directory has none"
        reading.fault(node, FaultCode.ISSUER_MISSING, f"`user` doesn't say which issuer: {words}")
        return ""
    name = reading.name(entries["issuer"], "`issuer`")
    if name and name not in issuers:
        hint = reading.suggestion(name, issuers)
        reading.fault(entries["issuer"], FaultCode.ISSUER_UNKNOWN, f"no issuer is called {show(name)}{hint}")
    return name


def _workload(reading: Reading, node: Node) -> Fixture | None:
    entries = reading.fields(node, "`workload`", _WORKLOAD_KEYS)
    via = (reading.choice(entries["via"], "`via`", _VIAS) or Via.MTLS) if "via" in entries else Via.MTLS
    if any(key in entries for key in _REJECTED):
        return _rejected(reading, node, entries, "`workload`", _WORKLOAD_REFUSALS, via)
    if type(node) is Mapping and "spiffe" not in entries:
        reading.fault(node, FaultCode.KEY_MISSING, "`workload` needs the key `spiffe`")
    spiffe = reading.spiffe_id(entries["spiffe"], "`spiffe`") if "spiffe" in entries else None
    return None if spiffe is None else WorkloadFixture(place=reading.place(node), spiffe=spiffe, via=via)


def _rejected(
    reading: Reading,
    node: Node,
    entries: MappingType[str, Node],
    what: str,
    refusals: Collection[Reason],
    via: Via | None,
) -> Fixture | None:
    """`refused: REASON` or `undecided: REASON`, alone: nothing else is known of such a credential but its `via`."""
    key = next(key for key in _REJECTED if key in entries)
    others = [other for other in entries if other not in (key, "via")]
    if others:
        words = ", ".join(f"`{other}`" for other in others)
        reading.fault(node, FaultCode.VALUE_INVALID, f"beside `{key}` stands no {words}")
    reasons = {reason.code: reason for reason in Reason if reason in (refusals if key == "refused" else _UNDECIDED)}
    value = entries[key]
    code = reading.text(value, f"`{key}` of {what}")
    if code and code not in reasons and type(value) is not Unread:
        _wrong_reason(reading, value, f"`{key}` of {what}", code, reasons)
    return Rejected(place=reading.place(node), reason=reasons[code], via=via) if code in reasons else None


def _wrong_reason(reading: Reading, node: Node, what: str, code: str, reasons: Collection[str]) -> None:
    if code in BY_CODE:
        message = f"{what} can't be {show(code)}: one of {', '.join(sorted(reasons))}"
    else:
        message = f"there is no reason {show(code)}{reading.suggestion(code, reasons)}"
    reading.fault(node, FaultCode.TEST_REASON, message)


def _text(reading: Reading, entries: MappingType[str, Node], key: str) -> str | None:
    return reading.text(entries[key], f"`{key}`") if key in entries else None


def _texts(reading: Reading, entries: MappingType[str, Node], key: str) -> tuple[str, ...] | None:
    """A list of texts, which may be empty: a claim that is there and names nothing."""
    if key not in entries:
        return None
    node = entries[key]
    if type(node) is Sequence and not node.items:
        return ()
    return tuple(text.value for text in reading.texts(node, f"`{key}`"))


def _bound(reading: Reading, node: Node) -> frozenset[Binding]:
    found = (reading.choice(item, "`bound`", _BINDINGS) for item in reading.one_or_more(node, "`bound`"))
    return frozenset(binding for binding in found if binding is not None)


def _claims(reading: Reading, node: Node) -> MappingType[str, object]:
    return {name: json_of(value) for name, _, value in reading.pairs(node, "`claims`")}
