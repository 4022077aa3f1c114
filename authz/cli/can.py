"""`authz can DIR --as … --workload … [METHOD URL]`: what a caller may reach, and what it still hangs on."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from authz.cli.exit_codes import NO, UNDECIDED, YES
from authz.cli.output import add_output

if TYPE_CHECKING:
    from authz.policy.meaning import Side
    from authz.policy.reach import Reached
    from authz.policy.standing import Facts

NAME: Final = "can"
HELP: Final = "list what a caller may reach"
DESCRIPTION: Final = (
    "Lists the routes that a caller may reach. What the flags don't say of the caller stays open: a route that hangs "
    "on it is listed with its conditions. With METHOD and URL only that request. Exit code 0 yes, 1 no, 6 on "
    "conditions (with METHOD and URL), 3 policy invalid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is asked about, and the form of the report."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory, or REVISION:PATH")
    parser.add_argument("method", metavar="METHOD", nargs="?")
    parser.add_argument("url", metavar="URL", nargs="?", help="http://HOST/PATH or HOST/PATH")
    parser.add_argument("--as", dest="user", metavar="ISSUER:SUBJECT", help="the user; none: no token")
    for name in ("scope", "group", "role"):
        parser.add_argument(f"--{name}", action="append", default=[], help="all that the user has; may be repeated")
    parser.add_argument("--claim", action="append", default=[], metavar="NAME=VALUE", help="VALUE is JSON or text")
    parser.add_argument("--workload", metavar="SPIFFE", help="the calling workload; none: no certificate")
    parser.add_argument("--at", default="", metavar="SPIFFE|dns:NAME", help="the protected workload, with URL")
    parser.add_argument("--now", metavar="TIME", help="as of this time, such as 2026-11-21T10:00:00Z")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Print what the caller may reach; with METHOD and URL the exit code is the answer."""
    from authz.cli.moment import moment
    from authz.cli.reach import facts_of
    from authz.cli.revisions import read_side
    from authz.cli.witness import read_user
    from authz.policy.reach import Answer, reach

    side = read_side(arguments.directory)
    facts, now = facts_of(arguments, side), float(int(moment(arguments.now)))
    if arguments.method is None:
        found = sorted(reach(side, facts, read_user, now), key=lambda one: (one.policy, one.path, one.method))
        _print(found, arguments.output)
        return YES if found else NO
    one = _one(arguments, side, facts, now)
    _print([] if one is None else [one], arguments.output)
    if one is None:
        return NO
    return YES if one.answer is Answer.ALWAYS else UNDECIDED


def _one(arguments: argparse.Namespace, side: Side, facts: Facts, now: float) -> Reached | None:
    from authz.cli.exit_codes import USAGE
    from authz.cli.failure import CommandFailed
    from authz.cli.reach import asked_request, destinations
    from authz.cli.witness import read_user
    from authz.model.decision import Denial
    from authz.policy.reach import judge
    from authz.policy.regions import Sample, Site
    from authz.policy.standing import standing_of
    from authz.policy.universe import Part

    if arguments.url is None:
        raise CommandFailed(USAGE, "METHOD and URL go together")
    for at in [arguments.at] if arguments.at else ["", *destinations(side)]:
        request = asked_request(arguments.method, arguments.url, at=at)
        matched = side.policy.match(request)
        if isinstance(matched, Denial):
            continue
        label = Part(request.authority.host.partition(".")[0])
        sample = Sample(request, tuple(map(Part, request.path.segments)), Site(at, "", request.authority, label))
        found = judge(standing_of(side, matched, request), sample, facts, read_user, now)
        if found is not None:
            return found
    return None


def _print(found: Iterable[Reached], output: str) -> None:
    if output == "json":
        import json

        print(
            json.dumps(
                [
                    {
                        "policy": one.policy,
                        "route": one.route,
                        "method": one.method,
                        "path": one.path,
                        "host": one.host,
                        "at": one.at,
                        "answer": one.answer.value,
                        "open": one.open,
                    }
                    for one in found
                ],
                indent=2,
            )
        )
        return
    listed = list(found)
    for one in listed:
        print(f"{one.answer.value:13}  {one.method} {one.host}{one.path}  [{one.policy}/{one.route}]")
        for text in one.open:
            print(f"    {text}")
    if not listed:
        print("nothing")
