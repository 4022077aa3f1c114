"""`authz who-can DIR METHOD URL`: who may make this request, alternative by alternative, in words."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import NO, YES
from authz.cli.output import add_output

if TYPE_CHECKING:
    from authz.model.decision import Denial
    from authz.policy.compiled import Matched
    from authz.policy.meaning import Side

NAME: Final = "who-can"
HELP: Final = "say in words who may make a request"
DESCRIPTION: Final = (
    "Finds the route of a request and says who may call it and what its guardrails add. Exit code 0, 1 when the "
    "request has no route or is open to nobody, 3 policy invalid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked about, and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory, or REVISION:PATH")
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("url", metavar="URL", help="http://HOST/PATH or HOST/PATH")
    parser.add_argument("--at", default="", metavar="SPIFFE|dns:NAME", help="the protected workload")
    parser.add_argument("--service", default="", metavar="NAME", help="Envoy's authz.service of the route")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Print the route of the request and who may call it."""
    from authz.cli.revisions import read_side
    from authz.model.decision import Denial

    side = read_side(arguments.directory)
    found = _match(arguments, side)
    if isinstance(found, Denial):
        print(f"nobody: {found.reason.code}: {found.reason.summary}")
        return NO
    _print(side, found, arguments.output)
    return NO if not found.preflight and _is_closed(side, found) else YES


def _match(arguments: argparse.Namespace, side: Side) -> Matched | Denial:
    """The route; without `--at` that of whichever destination serves the host."""
    from authz.cli.reach import asked_request, destinations
    from authz.model.decision import Denial

    places = [arguments.at] if arguments.at else ["", *destinations(side)]
    found = [
        side.policy.match(asked_request(arguments.method, arguments.url, at=at, service=arguments.service))
        for at in places
    ]
    known = [one for one in found if not isinstance(one, Denial)]
    reached = [one for one in found if isinstance(one, Denial) and one.policy]
    return next(iter([*known, *reached, *found]))


def _print(side: Side, found: Matched, output: str) -> None:
    from authz.policy import describe

    route, document = found.route, side.documents[found.route.policy]
    who = (f'anybody ("{document.preflight}")',) if found.preflight else describe.who(side, route)
    guardrails = describe.guardrails(side, document, route)
    name = "preflight" if found.preflight else route.id
    if output == "json":
        import json

        print(json.dumps({"policy": route.policy, "route": name, "who": who, "guardrails": guardrails}, indent=2))
        return
    print(f"{route.policy}/{name}")
    for sentence in (*who, *(f"guardrail {text}" for text in guardrails)):
        print(f"  {sentence}")


def _is_closed(side: Side, found: Matched) -> bool:
    from authz.policy.document import NobodyRequirement

    return all(any(isinstance(leaf, NobodyRequirement) for leaf in choice.leaves) for choice in side.route(found.route))
