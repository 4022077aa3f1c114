"""`authz drift DIR`: what an Envoy or an API's description has that the policies lack, and the other way round."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from authz.cli.envoy_file import SOURCE_HELP, add_leniency, read_envoy
from authz.cli.exit_codes import NO, USAGE, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.envoy.drift import Owned
    from authz.policy.compiled import CompiledRoute
    from authz.policy.meaning import Side

NAME: Final = "drift"
HELP: Final = "compare the policies with what an Envoy serves or an OpenAPI document describes"
DESCRIPTION: Final = (
    "Lists routes that Envoy serves and no policy covers, routes that it serves without a decision, and policies that "
    "no route of Envoy's leads to; or operations without a route and routes without an operation. Exit code 0 no "
    "drift, 1 drift, 2 nothing that can be compared, 3 policy invalid, 5 a file can't be read. --envoy needs the extra "
    "`envoy`."
)


@dataclass(frozen=True, slots=True)
class _Line:
    code: str
    where: str
    why: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The policies, what they are compared with, and which of them."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory, or REVISION:PATH")
    parser.add_argument("--envoy", metavar="FILE", action="append", default=[], help=f"{SOURCE_HELP}; may be repeated")
    parser.add_argument("--openapi", metavar="FILE", help="an OpenAPI 3 document, YAML or JSON")
    parser.add_argument("--base-path", metavar="PATH", default="", help="stands before each path of the document")
    parser.add_argument("--policy", metavar="NAME", action="append", help="only this policy; may be repeated")
    parser.add_argument("--at", metavar="PRINCIPAL", help="only policies that stand at this destination (or anywhere)")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
    add_leniency(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every difference."""
    from authz.cli.revisions import read_side

    if bool(arguments.envoy) == bool(arguments.openapi):
        raise CommandFailed(USAGE, "name what to compare with: --envoy FILE or --openapi FILE")
    side = read_side(arguments.directory)
    chosen = _chosen(side, arguments.policy, arguments.at)
    if arguments.envoy:
        found = list(_with_envoy(side, chosen, arguments.envoy, lenient=arguments.ignore_unknown))
    else:
        found = list(_with_openapi(side, chosen, arguments.openapi, arguments.base_path))
    count = sum(one.code != "undecided" for one in found)
    if arguments.output == "json":
        print(json.dumps({"drift": count, "found": [asdict(one) for one in found]}, indent=2))
    else:
        for one in found:
            print(f"{one.where}: {one.code}: {one.why}")
        print(f"{count} difference{'' if count == 1 else 's'}")
    return NO if count else YES


def _chosen(side: Side, names: list[str] | None, at: str | None) -> frozenset[str]:
    for name in names or ():
        if name not in side.documents:
            raise CommandFailed(USAGE, f"--policy: there is no policy {name}")
    return frozenset(
        name
        for name, document in side.documents.items()
        if (names is None or name in names)
        and (at is None or not document.at or at in {entry.value for entry in document.at})
    )


def _routes(side: Side, chosen: frozenset[str]) -> list[CompiledRoute]:
    return [route for route in side.policy.routes if route.policy in chosen]


def _with_envoy(side: Side, chosen: frozenset[str], files: list[str], *, lenient: bool) -> Iterator[_Line]:
    configurations = [read_envoy(file, lenient=lenient) for file in files]
    from authz.envoy.drift import drift

    for file, configuration in zip(files, configurations, strict=True):
        for manager in configuration.managers:
            if manager.unread:
                yield _Line("undecided", f"{file} / listener {manager.listener}", manager.unread)
    for one in drift(configurations, list(_owned(side, chosen))):
        yield _Line(one.code, one.where, one.why)


def _owned(side: Side, chosen: frozenset[str]) -> Iterator[Owned]:
    from authz.envoy.drift import Owned
    from authz.policy.hosts import parse_host

    hosts = {
        name: tuple((text.value, parse_host(text.value).pattern) for text in side.documents[name].hosts)
        for name in chosen
    }
    for route in _routes(side, chosen):
        yield Owned(policy=route.policy, route=route.id, hosts=hosts[route.policy], template=route.template)


def _with_openapi(side: Side, chosen: frozenset[str], file: str, base: str) -> Iterator[_Line]:
    from dataclasses import replace

    from authz.cli.import_ import read_openapi
    from authz.policy.described import without_operation, without_route

    scaffold = read_openapi(file)
    operations = [replace(one, path=base.rstrip("/") + one.path) for one in scaffold.operations]
    routes = _routes(side, chosen)
    for text in without_route(operations, routes):
        yield _Line("operation-uncovered", file, f"no route takes {text}")
    for text in scaffold.left_out:
        yield _Line("operation-uncovered", file, f"no route can take {text}")
    for text in without_operation(operations, routes):
        yield _Line("route-undescribed", file, f"no operation is behind {text}")
