"""`authz who-can DIR METHOD URL`: who may make this request, alternative by alternative, in words."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli.exit_codes import NO, YES

NAME: Final = "who-can"
HELP: Final = "say in words who may make a request"
DESCRIPTION: Final = (
    "Finds the route of a request and says who may call it and what its guardrails add. Exit code 0, 1 when the "
    "request has no route or is open to nobody, 3 policy invalid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", metavar="DIR", help="the policy directory, or REVISION:PATH")
    parser.add_argument("method", metavar="METHOD")
    parser.add_argument("url", metavar="URL", help="http://HOST/PATH or HOST/PATH")
    parser.add_argument("--at", default="", metavar="SPIFFE|dns:NAME", help="the protected workload")
    parser.add_argument("--service", default="", metavar="NAME", help="Envoy's authz.service of the route")
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")


def run(arguments: argparse.Namespace) -> int:
    from authz.cli.reach import asked_request, destinations
    from authz.cli.revisions import read_side
    from authz.model.decision import Denial
    from authz.model.reason import Reason
    from authz.policy import describe
    from authz.policy.document import NobodyRequirement

    side = read_side(arguments.directory)
    request = asked_request(arguments.method, arguments.url, at=arguments.at, service=arguments.service)
    found = side.policy.match(request)
    if isinstance(found, Denial) and found.reason is Reason.DESTINATION_UNMATCHED and not arguments.at:
        found = next(
            (
                one
                for at in destinations(side)
                if not isinstance(
                    one := side.policy.match(asked_request(arguments.method, arguments.url, at=at)), Denial
                )
            ),
            found,
        )
    if isinstance(found, Denial):
        print(f"nobody: {found.reason.code}: {found.reason.summary}")
        return NO
    route = found.route
    document = side.documents[route.policy]
    alternatives = side.route(route)
    who = describe.who(side, route)
    guardrails = describe.guardrails(side, document, route)
    if arguments.output == "json":
        import json

        print(
            json.dumps(
                {
                    "policy": route.policy,
                    "route": route.id,
                    "preflight": found.preflight,
                    "who": who,
                    "guardrails": guardrails,
                },
                indent=2,
            )
        )
    else:
        print(f"{route.policy}/{'preflight' if found.preflight else route.id}")
        for sentence in (f'anybody ("{document.preflight}")',) if found.preflight else who:
            print(f"  {sentence}")
        for sentence in guardrails:
            print(f"  guardrail {sentence}")
    closed = all(any(isinstance(leaf, NobodyRequirement) for leaf in choice.leaves) for choice in alternatives)
    return NO if closed and not found.preflight else YES
