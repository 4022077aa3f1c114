"""`authz config show`: every setting with its value and where that was written."""

from __future__ import annotations

import argparse
from typing import Final

from authz.cli import serve
from authz.cli.exit_codes import YES

NAME: Final = "config"
HELP: Final = "show the settings and where each comes from"
DESCRIPTION: Final = "Shows every setting with its value and its origin. Takes the flags of `authz serve`."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`show` and the flags of `serve`."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="print name, value and origin of each setting")
    serve.add_arguments(show)


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    rows = [("SETTING", "VALUE", "ORIGIN"), *serve.load(arguments).show()]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for name, value, origin in rows:
        print(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}")
    return YES
