"""`authz schema [KIND]`: the JSON Schema of a kind, for editors (yaml-language-server) and other tools."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli.exit_codes import YES

NAME: Final = "schema"
HELP: Final = "print the JSON Schema of a kind of document"
DESCRIPTION: Final = (
    "Prints the JSON Schema (2020-12) of a kind, or of all kinds together. Editors take it from a comment: "
    "# yaml-language-server: $schema=FILE"
)
_KINDS: Final = ("Issuers", "TrustDomains", "Guardrails", "Requirements", "RoutePolicy", "RoutePolicyTest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The kind."""
    parser.add_argument(
        "kind", metavar="KIND", nargs="?", choices=_KINDS, help=f"one of {', '.join(_KINDS)}; default: all"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    import json

    from authz.policy.schema import any_schema, schema_of

    print(json.dumps(schema_of(arguments.kind) if arguments.kind else any_schema(), indent=2))
    return YES
