"""`authz diff OLD NEW`: who gains and who loses access by a change of the policy, with a request that shows each."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import NO, UNDECIDED, YES
from authz.cli.output import add_output, show

if TYPE_CHECKING:
    from authz.policy.difference import Difference

NAME: Final = "diff"
HELP: Final = "say who gains and who loses access between two policy directories"
DESCRIPTION: Final = (
    "Compares what two policy directories decide, not how they are written. Each difference comes with a request that "
    "both sides judge differently. OLD and NEW are directories, or REVISION:PATH of the git repository here. Exit code "
    "0 no difference, 1 differences, 3 policy invalid, 6 not everything could be compared."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked about, and the form of the report."""
    parser.add_argument("old", metavar="OLD", help="the policy before: a directory, or REVISION:PATH")
    parser.add_argument("new", metavar="NEW", help="the policy after")
    parser.add_argument("--git", action="store_true", help="read both as REVISION:PATH, whatever directories there are")
    add_output(parser, "json", "markdown")
    parser.add_argument(
        "--forbid", choices=("gained",), help="exit code 1 only if somebody gains access; who loses it is shown"
    )
    parser.add_argument("--now", metavar="TIME", help="compare as of this time, such as 2026-11-21T10:00:00Z")
    parser.add_argument(
        "--replay", metavar="FILE", help="judge the recorded decisions of an audit log again instead (- for stdin)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print every difference with its witness."""
    import gc

    from authz.cli.moment import moment
    from authz.cli.progress import progress
    from authz.cli.revisions import read_side
    from authz.cli.witness import read_user

    with progress(f"reading {arguments.old} and {arguments.new}"):
        old, new = (read_side(where, git=arguments.git) for where in (arguments.old, arguments.new))
    # Both sides stay until the end: walking them again and again would only cost time.
    gc.freeze()
    if arguments.replay is not None:
        from authz.cli import diff_replay

        return diff_replay.run(arguments, old, new)
    from authz.cli import diff_report
    from authz.policy.difference import compare

    now = float(int(moment(arguments.now)))
    with progress(f"comparing {arguments.old} and {arguments.new}"):
        difference = compare(old, new, read_user, now)
    context = diff_report.Context(arguments.old, arguments.new, old.policy, new.policy, now)
    if arguments.output == "json":
        import json

        print(json.dumps(diff_report.as_json(difference, context), indent=2))
    else:
        show((diff_report.as_markdown if arguments.output == "markdown" else diff_report.as_text)(difference, context))
    if difference.unproven and arguments.output != "json":
        print(f"authz: {len(difference.unproven)} kinds of requests are not proven either way", file=sys.stderr)
    return _exit_code(difference, arguments.forbid)


def _exit_code(difference: Difference, forbid: str | None) -> int:
    """A difference that is there outweighs what isn't proven; "nobody gains" has to be proven."""
    if difference.gains if forbid else difference:
        return NO
    return UNDECIDED if difference.unproven else YES
