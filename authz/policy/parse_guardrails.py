"""`kind: Guardrails` (policy language §6): limits on every route, who protects what, who owns which part of a host.

Owns the shape of the document. Whether host entries, shares, paths and policies fit together is linking's business.
"""

from __future__ import annotations

from collections.abc import Mapping as MappingType
from typing import Final

from authz.policy.document import (
    Bind,
    Exemption,
    ForbidPublic,
    GuardrailDeclaration,
    GuardrailsDocument,
    Requirement,
    Scope,
)
from authz.policy.faults import FaultCode, Place
from authz.policy.parse_requirements import read_requirement
from authz.policy.parse_routes import read_methods
from authz.policy.parse_values import MAX_NAME, Reading
from authz.policy.values import Text
from authz.policy.yaml_tree import Node, Unread, show

_KEYS: Final = ("apiVersion", "kind", "bind", "destinations", "hosts", "guardrails")
_GUARDRAIL_KEYS: Final = ("id", "for", "forbid", "require", "deny", "except", "absent")
_EFFECTS: Final = ("forbid", "require", "deny")
_BINDS: Final = {bind.value: bind for bind in Bind}
_ABSENT: Final = {"ignores": False, "denies": True}


def read_guardrails(reading: Reading, node: Node) -> GuardrailsDocument:
    """The whole document; `node` is its root."""
    entries = reading.fields(node, "a Guardrails document", _KEYS)
    destinations, destination_places = None, dict[str, Place]()
    if "destinations" in entries:
        destinations, destination_places = _destinations(reading, entries["destinations"])
    hosts, host_places = dict[str, MappingType[str, Text]](), dict[str, Place]()
    if "hosts" in entries:
        hosts, host_places = _hosts(reading, entries["hosts"])
    return GuardrailsDocument(
        place=reading.place(node),
        bind=reading.choice(entries["bind"], "`bind`", _BINDS) if "bind" in entries else None,
        destinations=destinations,
        destination_places=destination_places,
        hosts=hosts,
        host_places=host_places,
        guardrails=_guardrails(reading, entries["guardrails"]) if "guardrails" in entries else (),
    )


def _destinations(reading: Reading, node: Node) -> tuple[dict[str, tuple[Text, ...]], dict[str, Place]]:
    found: dict[str, tuple[Text, ...]] = {}
    places: dict[str, Place] = {}
    for entry, key, value in reading.pairs(node, "`destinations`"):
        reading.text(key, "a destination")
        found[entry], places[entry] = _policies(reading, value, f"the destination {show(entry)}"), reading.place(key)
    return found, places


def _policies(reading: Reading, node: Node, what: str, *, single: bool = False) -> tuple[Text, ...]:
    for item in reading.one_or_more(node, what) if single else getattr(node, "items", ()):
        reading.name(item, f"each policy of {what}")
    return reading.texts(node, what, single=single)


def _hosts(reading: Reading, node: Node) -> tuple[dict[str, MappingType[str, Text]], dict[str, Place]]:
    found: dict[str, MappingType[str, Text]] = {}
    places: dict[str, Place] = {}
    for host, key, value in reading.pairs(node, "`hosts`"):
        reading.text(key, "a host")
        shares: dict[str, Text] = {}
        for policy, policy_key, share in reading.pairs(value, f"the host {show(host)}"):
            reading.name(policy_key, "the name of a policy")
            shares[policy] = Text(reading.text(share, f"the share of {show(policy)}"), reading.place(share))
        found[host], places[host] = shares, reading.place(key)
    return found, places


def _guardrails(reading: Reading, node: Node) -> tuple[GuardrailDeclaration, ...]:
    found: list[GuardrailDeclaration] = []
    first: dict[str, Place] = {}
    for item in reading.items(node, "`guardrails`"):
        guardrail = _guardrail(reading, item)
        if guardrail.id and first.setdefault(guardrail.id, guardrail.place) is not guardrail.place:
            reading.fault(
                item, FaultCode.NAME_DUPLICATE, f"{first[guardrail.id]} has the id {show(guardrail.id)} already"
            )
        found.append(guardrail)
    return tuple(found)


def _guardrail(reading: Reading, node: Node) -> GuardrailDeclaration:
    entries = reading.fields(node, "a guardrail", _GUARDRAIL_KEYS, required=("id",))
    effects = [effect for effect in _EFFECTS if effect in entries]
    if len(effects) != 1 and type(node) is not Unread and entries:
        here = " and ".join(effects) or "none"
        reading.fault(
            node,
            FaultCode.VALUE_INVALID,
            f"a guardrail has exactly one of `forbid`, `require`, `deny`; here: {here}",
            advice="Write one guardrail for each effect.",
        )
    return GuardrailDeclaration(
        place=reading.place(node),
        id=reading.name(entries["id"], "`id`") if "id" in entries else "",
        scope=_scope(reading, entries["for"]) if "for" in entries else Scope(),
        forbid=_forbid(reading, entries["forbid"]) if "forbid" in entries else None,
        require=_effect(reading, entries, "require"),
        deny=_effect(reading, entries, "deny"),
        absent_denies=_absent(reading, entries),
        exemptions=_exemptions(reading, entries["except"]) if "except" in entries else (),
    )


def _effect(reading: Reading, entries: MappingType[str, Node], effect: str) -> Requirement | None:
    return read_requirement(reading, entries[effect], f"`{effect}`") if effect in entries else None


def _absent(reading: Reading, entries: MappingType[str, Node]) -> bool:
    if "absent" not in entries:
        return False
    if "deny" not in entries:
        reading.fault(
            entries["absent"],
            FaultCode.VALUE_INVALID,
            "`absent` stands only beside `deny`",
            advice="Remove it: under `require` absence denies in any case.",
        )
    return reading.choice(entries["absent"], "`absent`", _ABSENT) is not False


def _scope(reading: Reading, node: Node) -> Scope:
    entries = reading.fields(node, "`for`", ("hosts", "path", "methods", "policies"))
    if not entries and not getattr(node, "entries", True):
        reading.fault(node, FaultCode.LIST_EMPTY, "`for` is empty", advice="Leave `for` out to cover every route.")
    policies = _policies(reading, entries["policies"], "`policies`", single=True) if "policies" in entries else ()
    return Scope(
        hosts=reading.texts(entries["hosts"], "`hosts`", single=True) if "hosts" in entries else (),
        paths=reading.texts(entries["path"], "`path`", single=True) if "path" in entries else (),
        methods=_all_or_some(reading, entries["methods"]) if "methods" in entries else frozenset(),
        policies=frozenset(policy.value for policy in policies),
    )


def _forbid(reading: Reading, node: Node) -> ForbidPublic:
    entries = reading.fields(node, "`forbid`", ("public", "methods"), required=("public",))
    public = entries.get("public")
    if public is not None and not reading.boolean(public, "`public`") and getattr(public, "value", None) is False:
        reading.fault(public, FaultCode.VALUE_INVALID, "`public` is true here: it names what is forbidden")
    return ForbidPublic(methods=_all_or_some(reading, entries["methods"]) if "methods" in entries else frozenset())


def _all_or_some(reading: Reading, node: Node) -> frozenset[str]:
    """Methods; `"*"` covers all, which is what no methods at all stand for."""
    methods = frozenset(read_methods(reading, node))
    return frozenset() if "*" in methods else methods


def _exemptions(reading: Reading, node: Node) -> tuple[Exemption, ...]:
    return tuple(_exemption(reading, item) for item in reading.items(node, "`except`"))


def _exemption(reading: Reading, node: Node) -> Exemption:
    entries = reading.fields(node, "an exception", ("route", "why", "until"), required=("route", "why"))
    route = reading.text(entries["route"], "`route`", limit=2 * MAX_NAME + 1) if "route" in entries else ""
    if route and (route.count("/") != 1 or not all(route.split("/"))):
        reading.fault(
            entries["route"], FaultCode.VALUE_INVALID, f"{show(route)} is not POLICY/ROUTE, like orders/webhook"
        )
    return Exemption(
        place=reading.place(node),
        route=route,
        why=reading.sentence(entries["why"], "`why`") if "why" in entries else "",
        until=reading.date(entries["until"], "`until`") if "until" in entries else None,
    )
