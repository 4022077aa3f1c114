"""Policies written by machine, to be filled in by people: every operation is denied until somebody says otherwise.

From an OpenAPI document or a set of protobuf descriptors to the text of a RoutePolicy. What the description says of
scopes is kept beside the `nobody` that closes the route, so that opening it is the removal of one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

CLOSED: Final = "imported, not reviewed yet"
METHODS: Final = ("get", "put", "post", "delete", "options", "head", "patch")
"""Those of OpenAPI 3.1 §4.8.9 that a route can have (TRACE is never judged)."""

_VARIABLE: Final = re.compile(r"\{([^{}]+)\}")
_PLAIN: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@-]*")
_NOT_IN_NAMES: Final = re.compile(r"[^a-z0-9]+")
_NOT_IN_IDS: Final = re.compile(r"[^A-Za-z0-9._-]+")
_TYPES: Final = {
    ("integer", ""): "int",
    ("integer", "int32"): "int",
    ("integer", "int64"): "int",
    ("string", "uuid"): "uuid",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation: a route to be. `scopes` are those that the description asks for."""

    id: str
    methods: tuple[str, ...] = ()
    path: str = ""
    grpc: str = ""
    scopes: tuple[str, ...] = ()
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Scaffold:
    """The operations, and a sentence for each thing that can't be written as a route."""

    operations: tuple[Operation, ...]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _Names:
    """One variable name and type at each position of all paths (policy language §4)."""

    known: dict[tuple[str, ...], str] = field(default_factory=dict)

    def at(self, position: tuple[str, ...], wanted: str) -> str:
        return self.known.setdefault(position, wanted)


def from_openapi(document: Mapping[str, Any]) -> Scaffold:
    """The operations of an OpenAPI 3 document; a document of another shape has none."""
    operations: list[Operation] = []
    left_out: list[str] = []
    names, taken = _Names(), set[str]()
    paths = document.get("paths")
    for path, item in paths.items() if isinstance(paths, Mapping) else ():
        if not isinstance(item, Mapping):
            continue
        template = _template(str(path), item, names)
        for method in (method for method in METHODS if isinstance(item.get(method), Mapping)):
            if template is None:
                left_out.append(f"{method.upper()} {path}: a segment is part text, part variable")
                continue
            operation = item[method]
            operations.append(
                Operation(
                    id=_unique(str(operation.get("operationId") or f"{method}-{path}"), taken),
                    methods=(method.upper(),),
                    path=template,
                    scopes=_scopes(operation.get("security", document.get("security", []))),
                    summary=_line(operation.get("summary", "")),
                )
            )
    return Scaffold(tuple(operations), tuple(left_out))


def from_services(methods: Iterable[str]) -> Scaffold:
    """The methods of gRPC services, each as `package.Service/Method`."""
    taken: set[str] = set()
    operations = [Operation(id=_unique(name.replace("/", "."), taken), grpc=name) for name in methods]
    return Scaffold(tuple(operations), ())


def policy_text(scaffold: Scaffold, *, name: str, owner: str, hosts: Sequence[str]) -> str:
    """The RoutePolicy: each route closed, with what would open it beside."""
    lines = [
        "apiVersion: authz/v1",
        "kind: RoutePolicy",
        f"metadata: {{name: {_quoted(name)}, owner: {_quoted(owner)}}}",
        "service:",
        f"  hosts: [{', '.join(map(_quoted, hosts))}]",
        "routes:",
    ]
    for operation in scaffold.operations:
        lines.extend(_route(operation))
    return "\n".join(lines) + "\n"


def tests_text(scaffold: Scaffold, *, name: str, host: str) -> str:
    """A RoutePolicyTest that holds every route closed."""
    lines = ["apiVersion: authz/v1", "kind: RoutePolicyTest", f"policy: {_quoted(name)}", "tests:"]
    for operation in scaffold.operations:
        method = "POST" if operation.grpc else operation.methods[0]
        path = f"/{operation.grpc}" if operation.grpc else sample_path(operation.path)
        lines += [
            f"  - name: {_quoted(f'{operation.id} is closed until it is reviewed')}",
            f"    request: {_quoted(f'{method} {host}{path}')}",
            f"    expect: {{deny: {'credential_missing' if operation.scopes else 'nobody'}}}",
        ]
    return "\n".join(lines) + "\n"


def _route(operation: Operation) -> list[str]:
    match = (
        f"{{grpc: {_quoted(operation.grpc)}}}"
        if operation.grpc
        else f"{{methods: [{', '.join(operation.methods)}], path: {_quoted(operation.path)}}}"
    )
    lines = [f"  - id: {_quoted(operation.id)}"]
    if operation.summary:
        lines.insert(0, f"  # {operation.summary}")
    lines.append(f"    match: {match}")
    if not operation.scopes:
        return [*lines, f"    allow: {{nobody: {_quoted(CLOSED)}}}"]
    scopes = ", ".join(map(_quoted, operation.scopes))
    return [
        *lines,
        "    allow:",
        "      all:",
        f"        - nobody: {_quoted(CLOSED)}",
        f"        - user: {{scopes: {{all: [{scopes}]}}}}",
    ]


def _template(path: str, item: Mapping[str, Any], names: _Names) -> str | None:
    """The path as a template of whole segments; None when it can't be one."""
    types = _types(item)
    position: tuple[str, ...] = ()
    parts: list[str] = []
    for segment in path.removeprefix("/").split("/"):
        variable = _VARIABLE.fullmatch(segment)
        if variable is None and not _PLAIN.fullmatch(segment):
            return None
        if variable is None:
            parts.append(segment)
            position = (*position, segment)
            continue
        kind = types.get(variable[1], "")
        wanted = f"{{{_variable_name(variable[1])}{':' + kind if kind else ''}}}"
        parts.append(names.at(position, wanted))
        position = (*position, "{}")
    return "/" + "/".join(parts)


def _types(item: Mapping[str, Any]) -> dict[str, str]:
    """Types of path parameters where every operation of the path agrees."""
    found: dict[str, str] = {}
    operations = [item, *(item[method] for method in METHODS if isinstance(item.get(method), Mapping))]
    for parameter in (one for operation in operations for one in operation.get("parameters") or ()):
        if isinstance(parameter, Mapping) and parameter.get("in") == "path":
            schema = parameter.get("schema") or {}
            kind = _TYPES.get((str(schema.get("type", "")), str(schema.get("format", ""))), "")
            if found.setdefault(str(parameter.get("name")), kind) != kind:
                found[str(parameter.get("name"))] = ""
    return found


def _scopes(security: Any) -> tuple[str, ...]:
    """The scopes of the first requirement that has any; further ones are alternatives for people to write."""
    for requirement in security if isinstance(security, list) else ():
        if isinstance(requirement, Mapping):
            scopes = [str(scope) for listed in requirement.values() if isinstance(listed, list) for scope in listed]
            if scopes:
                return tuple(dict.fromkeys(scopes))
    return ()


def _variable_name(text: str) -> str:
    """`orderId` as `order_id`."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()
    name = _NOT_IN_NAMES.sub("_", spaced).strip("_") or "id"
    return name if name[0].isalpha() else f"v_{name}"


def _unique(text: str, taken: set[str]) -> str:
    base = _NOT_IN_IDS.sub("-", text).strip("-._")[:100] or "operation"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def sample_path(path: str) -> str:
    """A path that the template matches."""
    samples = {"int": "1", "uuid": "00000000-0000-4000-8000-000000000000"}
    return _VARIABLE.sub(lambda found: samples.get(found[1].partition(":")[2], "x"), path)


def _line(text: object) -> str:
    return " ".join(str(text).split())[:100] if isinstance(text, str) and text.isprintable() else ""


def _quoted(text: str) -> str:
    """Plain where YAML reads it as this very text, else in quotes."""
    if re.fullmatch(r"[A-Za-z/][A-Za-z0-9/._-]*", text) and text not in ("true", "false", "null"):
        return text
    return json.dumps(text, ensure_ascii=False)
