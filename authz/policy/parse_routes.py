"""`kind: RoutePolicy` (policy language §4, §7): the routes of one service and who may call each.

Owns the shape of the document and what of a faulty one can still be told (`salvage`). Hosts and path templates are
kept as written: their grammar is linking's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping as MappingType
from datetime import date
from typing import Final

from authz.policy.document import CandidateDeclaration, Credential, FaultyPolicy, RouteDeclaration, RoutePolicyDocument
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.parse_references import Permitted, read_value
from authz.policy.parse_requirements import read_requirement, read_requirements
from authz.policy.parse_values import Reading
from authz.policy.suggest import closest
from authz.policy.values import Text, Value
from authz.policy.yaml_tree import Mapping, Node, Unread, show

MAX_ROUTES: Final = 50_000
MAX_METHODS: Final = 32

_KEYS: Final = frozenset({"apiVersion", "kind", "metadata", "service", "requirements", "routes"})
_REQUIRED: Final = ("metadata", "service", "routes")
_ROUTE_KEYS: Final = frozenset({"id", "match", "allow", "identity", "candidate", "objects"})
_ROUTE_REQUIRED: Final = ("id", "match", "allow")
_MATCH_KEYS: Final = frozenset({"methods", "path", "upgrade", "grpc"})
_SERVICE_KEYS: Final = frozenset({"hosts", "at", "by_name", "audiences", "preflight"})

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,32}")
"""A method (RFC 9110 §9.1) in upper case."""
_UNMATCHABLE: Final = frozenset({"CONNECT", "TRACE"})
_GRPC: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*/[A-Za-z_][A-Za-z0-9_]*")
"""Service and method of a gRPC call's path (gRPC over HTTP/2, Requests)."""
_HEADER: Final = re.compile(r"x-[a-z0-9-]{1,126}")
_RESERVED_PREFIXES: Final = ("x-authz-", "x-forwarded-", "x-envoy-")
_RESERVED_HEADERS: Final = frozenset(
    {"x-request-id", "x-http-method-override", "x-method-override", "x-http-method", "x-original-url", "x-rewrite-url"}
)
"""Envoy's own, and those that are always removed because upstreams would believe them (§7)."""
_UPGRADES: Final = {"websocket": "websocket"}
_CREDENTIALS: Final = {"remove": Credential.REMOVE, "untouched": Credential.UNTOUCHED}


def read_route_policy(reading: Reading, node: Node) -> RoutePolicyDocument:
    """The whole document; `node` is its root."""
    entries = reading.fields(node, "a RoutePolicy", _KEYS, required=_REQUIRED)
    metadata = read_metadata(reading, entries["metadata"]) if "metadata" in entries else {}
    service = _service(reading, entries["service"]) if "service" in entries else {}
    name = metadata.get("name", "")
    preflight = _preflight(reading, service["preflight"]) if "preflight" in service else None
    return RoutePolicyDocument(
        place=reading.place(node),
        name=name,
        owner=metadata.get("owner", ""),
        runbook=metadata.get("runbook", ""),
        hosts=reading.texts(service["hosts"], "`hosts`") if "hosts" in service else (),
        at=reading.texts(service["at"], "`at`") if "at" in service else (),
        by_name=reading.boolean(service["by_name"], "`by_name`") if "by_name" in service else False,
        audiences=reading.texts(service["audiences"], "`audiences`") if "audiences" in service else (),
        preflight=preflight,
        requirements=read_requirements(reading, entries["requirements"], "`requirements`")
        if "requirements" in entries
        else {},
        routes=_routes(reading, entries["routes"], f"{name}.preflight" if preflight else "")
        if "routes" in entries
        else (),
    )


def read_metadata(reading: Reading, node: Node) -> dict[str, str]:
    """`metadata`: a name, and for people an owner and a runbook."""
    entries = reading.fields(node, "`metadata`", ("name", "owner", "runbook"), required=("name",))
    found = {key: reading.text(value, f"`{key}`") for key, value in entries.items() if key != "name"}
    if "name" in entries:
        found["name"] = reading.name(entries["name"], "`name`")
    return found


def _service(reading: Reading, node: Node) -> MappingType[str, Node]:
    return reading.fields(node, "`service`", _SERVICE_KEYS, required=("hosts",))


def _preflight(reading: Reading, node: Node) -> str:
    entries = reading.fields(node, "`preflight`", ("public",), required=("public",))
    return reading.sentence(entries["public"], "`public` of `preflight`") if "public" in entries else ""


# --- routes ------------------------------------------------------------------------------------------------


def _routes(reading: Reading, node: Node, taken: str) -> tuple[RouteDeclaration, ...]:
    """`taken` is the id that preflights are reported under; "" when none are granted."""
    found: list[RouteDeclaration] = []
    first: dict[str, Place] = {}
    for item in reading.items(node, "`routes`", limit=MAX_ROUTES):
        route = _route(reading, item)
        found.append(route)
        if route.id and first.setdefault(route.id, route.place) is not route.place:
            reading.fault(item, FaultCode.NAME_DUPLICATE, f"{first[route.id]} has the id {show(route.id)} already")
        if route.id and route.id == taken:
            reading.fault(item, FaultCode.NAME_DUPLICATE, f"preflights are reported as {show(taken)}")
    return tuple(found)


def _route(reading: Reading, node: Node) -> RouteDeclaration:
    entries = reading.fields(node, "a route", _ROUTE_KEYS, required=_ROUTE_REQUIRED)
    place = reading.place(node)
    name = reading.name(entries["id"], "`id`") if "id" in entries else ""
    methods, path, upgrade = _match(reading, entries["match"]) if "match" in entries else ((), Text("", place), "")
    headers, credential, credential_place = _NO_IDENTITY
    if "identity" in entries:
        headers, credential, credential_place = _identity(reading, entries["identity"])
    return RouteDeclaration(
        place=place,
        id=name,
        methods=methods,
        path=path,
        upgrade=upgrade,
        allow=read_requirement(reading, entries.get("allow", _NOTHING), "`allow`"),
        identity_headers=headers,
        credential=credential,
        credential_place=credential_place,
        candidate=_candidate(reading, entries["candidate"]) if "candidate" in entries else None,
        objects=_objects(reading, entries["objects"]) if "objects" in entries else (),
    )


def _objects(reading: Reading, node: Node) -> tuple[tuple[Text, str], ...]:
    """`objects: {order_id: "checked by the service because …"}`."""
    return tuple(
        (Text(name, reading.place(key)), reading.sentence(value, f"the object {show(name)}"))
        for name, key, value in reading.pairs(node, "`objects`")
    )


def _candidate(reading: Reading, node: Node) -> CandidateDeclaration:
    entries = reading.fields(node, "`candidate`", ("allow", "until"), required=("allow", "until"))
    until = reading.date(entries["until"], "`until`") if "until" in entries else None
    return CandidateDeclaration(
        place=reading.place(node),
        allow=read_requirement(reading, entries.get("allow", _NOTHING), "the `allow` of `candidate`"),
        until=until or date.max,
    )


_NOTHING: Final = Unread(1, 1)
"""Stands for a key whose absence is reported already."""


def _match(reading: Reading, node: Node) -> tuple[tuple[str, ...], Text, str]:
    entries = reading.fields(node, "`match`", _MATCH_KEYS)
    nowhere = Text("", reading.place(node))
    if "grpc" in entries:
        return _grpc(reading, node, entries, nowhere)
    methods: tuple[str, ...] = ()
    path = nowhere
    for key in ("methods", "path"):
        if key not in entries:
            reading.fault(node, FaultCode.KEY_MISSING, f"`match` needs the key `{key}`, unless it has `grpc`")
    if "methods" in entries:
        methods = read_methods(reading, entries["methods"])
    if "path" in entries:
        path = Text(reading.text(entries["path"], "`path`"), reading.place(entries["path"]))
    upgrade = reading.choice(entries["upgrade"], "`upgrade`", _UPGRADES) if "upgrade" in entries else ""
    return methods, path, upgrade or ""


def _grpc(
    reading: Reading, node: Node, entries: MappingType[str, Node], nowhere: Text
) -> tuple[tuple[str, ...], Text, str]:
    """`grpc: shop.v1.Orders/Get` is POST on `/shop.v1.Orders/Get`."""
    if len(entries) > 1:
        reading.fault(
            node,
            FaultCode.VALUE_INVALID,
            "`grpc` says methods and path by itself",
            advice="Remove the other keys of `match`.",
        )
    method = reading.text(entries["grpc"], "`grpc`")
    if method and not _GRPC.fullmatch(method):
        reading.fault(
            entries["grpc"], FaultCode.VALUE_INVALID, f"{show(method)} is not SERVICE/METHOD, like shop.v1.Orders/Get"
        )
        return (), nowhere, ""
    return ("POST",), Text("/" + method, reading.place(entries["grpc"])), ""


def read_methods(reading: Reading, node: Node) -> tuple[str, ...]:
    """Methods in upper case, or `"*"`."""
    found: list[str] = []
    for item in reading.items(node, "`methods`", limit=MAX_METHODS):
        method = reading.text(item, "each item of `methods`")
        if method in found:
            reading.fault(item, FaultCode.NAME_DUPLICATE, f"`methods` lists {show(method)} twice")
        elif method in _UNMATCHABLE:
            reading.fault(item, FaultCode.VALUE_INVALID, f"`{method}` can't be matched: such requests are refused")
        elif method and method != "*" and not _METHOD.fullmatch(method):
            reading.fault(item, FaultCode.VALUE_INVALID, f"{show(method)} is no method: write it in upper case")
        found.append(method)
    return tuple(found)


# --- identity ----------------------------------------------------------------------------------------------

_Identity = tuple[tuple[tuple[Text, Value], ...], Credential, Place | None]
_NO_IDENTITY: Final[_Identity] = ((), Credential.PASS, None)


def _identity(reading: Reading, node: Node) -> _Identity:
    entries = reading.fields(node, "`identity`", ("headers", "credential"))
    headers: list[tuple[Text, Value]] = []
    for name, key, value in reading.pairs(entries["headers"], "`headers`") if "headers" in entries else ():
        check_header(reading, key, name)
        headers.append(
            (
                Text(name, reading.place(key)),
                read_value(reading, value, f"the header {show(name)}", Permitted.REFERENCES),
            )
        )
    if "credential" not in entries:
        return tuple(headers), Credential.PASS, None
    written = entries["credential"]
    credential = reading.choice(written, "`credential`", _CREDENTIALS) or Credential.REMOVE
    return tuple(headers), credential, reading.place(written)


def check_header(reading: Reading, key: Node, name: str) -> None:
    """Whether a header of this name can be ours to set, or to take away."""
    if not _HEADER.fullmatch(name):
        reading.fault(key, FaultCode.IDENTITY_HEADER, f"{show(name)} is no x-[a-z0-9-]+ name")
    elif name in _RESERVED_HEADERS or name.startswith(_RESERVED_PREFIXES):
        reading.fault(key, FaultCode.IDENTITY_HEADER, f"{show(name)} is reserved and can't be set by a route")


# --- what can still be told of a faulty policy ---------------------------------------------------------------


def salvage(file: str, root: Node | None, place: Place, *, certain: bool = True) -> FaultyPolicy:
    """Name, hosts and destinations of a policy that can't be used, as far as they are readable."""
    quiet = Reading(file, Faults())
    top = _entries(root)
    metadata, service = _entries(top.get("metadata")), _entries(top.get("service"))
    name = quiet.name(metadata["name"], "`name`") if "name" in metadata else ""
    read = Reading(file, Faults())
    hosts = read.texts(service["hosts"], "`hosts`") if "hosts" in service else ()
    at = read.texts(service["at"], "`at`") if "at" in service else ()
    by_name = read.boolean(service["by_name"], "`by_name`") if "by_name" in service else False
    return FaultyPolicy(
        place=place,
        name=name,
        hosts=hosts,
        at=at,
        by_name=by_name,
        hosts_known=bool(hosts) and not read.faults and not _misspelt(service) and not _has_unread(service),
        certain=certain,
    )


_PLACED_BY: Final = ("hosts", "at", "by_name")
"""What says which requests are a policy's."""


def _misspelt(service: MappingType[str, Node]) -> bool:
    """Whether a key that the language lacks could be meant as one that says where the policy stands."""
    return any(closest(key, _SERVICE_KEYS) in _PLACED_BY for key in service.keys() - _SERVICE_KEYS)


def _has_unread(service: MappingType[str, Node]) -> bool:
    values = [service[key] for key in _PLACED_BY if key in service]
    return any(type(node) is Unread for value in values for node in (value, *getattr(value, "items", ())))


def _entries(node: Node | None) -> MappingType[str, Node]:
    return node.entries if type(node) is Mapping else {}
