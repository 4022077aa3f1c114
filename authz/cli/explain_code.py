"""`authz explain-code CODE`: the page of a fault or of a reason, as the documentation has it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from authz.cli.exit_codes import ENVIRONMENT, USAGE, YES
from authz.cli.failure import CommandFailed

NAME: Final = "explain-code"
HELP: Final = "say what a fault code or a reason means, with an example"
DESCRIPTION: Final = "Prints the page of a fault code of `authz lint`, or what a reason of a denial means."
_PACKAGED: Final = Path(__file__).with_name("fault_pages")
_OF_THE_TREE: Final = Path(__file__).parents[2] / "docs" / "faults"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The code."""
    parser.add_argument("code", metavar="CODE", help="such as path-crossing, or a reason such as scope_missing")


def run(arguments: argparse.Namespace) -> int:
    """Print the page."""
    from authz.model.reason import BY_CODE
    from authz.policy.faults import FaultCode
    from authz.policy.suggest import did_you_mean

    code: str = arguments.code
    if code in BY_CODE:
        reason = BY_CODE[code]
        print(f"{code}: {reason.summary} The client sees {reason.status}: {reason.public_text}")
        return YES
    faults = [fault.code for fault in FaultCode]
    if code not in faults:
        raise CommandFailed(
            USAGE, f"no fault and no reason is called {code!r}{did_you_mean(code, [*faults, *BY_CODE])}"
        )
    print(_page(code), end="")
    return YES


def _page(code: str) -> str:
    """The page as it was packaged, else as it stands in a checkout."""
    for folder in (_PACKAGED, _OF_THE_TREE):
        page = folder / f"{code}.md"
        if page.is_file():
            return page.read_text("utf-8")
    raise CommandFailed(ENVIRONMENT, f"the page of {code} is not installed")
