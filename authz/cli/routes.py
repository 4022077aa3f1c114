"""`authz routes DIR`: every route with who may call it, in words."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli.exit_codes import YES
from authz.cli.output import add_output

NAME: Final = "routes"
HELP: Final = "list every route and who may call it"
DESCRIPTION: Final = (
    "Lists every route of a policy directory: policy, hosts, destinations, methods, path, who may call it, and the "
    "guardrails that narrow it. Exit code 0, 3 policy invalid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked about, and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory, or REVISION:PATH")
    parser.add_argument("--policy", metavar="NAME", help="only this policy's")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Print every route."""
    from dataclasses import asdict

    from authz.cli.revisions import read_side
    from authz.policy.describe import access_of

    found = [
        one
        for one in access_of(read_side(arguments.directory))
        if arguments.policy is None or one.policy == arguments.policy
    ]
    if arguments.output == "json":
        import json

        print(json.dumps([asdict(one) for one in found], indent=2))
        return YES
    for one in found:
        upgrade = f" (upgrade {one.upgrade})" if one.upgrade else ""
        print(f"{one.policy}/{one.route}  {' '.join(one.methods)} {one.path}{upgrade}")
        print(
            f"  on {', '.join(one.hosts)}{f' at {chr(44).join(one.at)}' if one.at else ''}"
            f"{' by name' if one.by_name else ''}"
        )
        for sentence in one.who:
            print(f"  {sentence}")
        for sentence in one.guardrails:
            print(f"  guardrail {sentence}")
    return YES
