"""`authz explain DIR METHOD URL`: what the service would decide, why, and what would make it pass; from the same
matcher and evaluator."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, Final

from authz.cli.exit_codes import NO, POLICY_INVALID, UNDECIDED, YES
from authz.cli.output import add_output, show

if TYPE_CHECKING:
    from authz.model.decision import Decision
    from authz.policy.link import PolicySet

NAME: Final = "explain"
HELP: Final = "say what would be decided about a request, and why"
DESCRIPTION: Final = (
    "Decides one request as the service would and prints the reasoning. The request is METHOD and URL with flags, or "
    "a saved CheckRequest. With --token the token is verified (keys from files only); with --as the user is taken as "
    "verified. Exit code 0 allowed, 1 denied, 6 undecided, 3 policy invalid."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The request, and who makes it."""
    parser.add_argument("directory", metavar="DIR", help="the policy directory")
    parser.add_argument("method", metavar="METHOD", nargs="?")
    parser.add_argument("url", metavar="URL", nargs="?", help="http://HOST/PATH or HOST/PATH")
    parser.add_argument(
        "--check-request", metavar="FILE", help="explain this saved CheckRequest (JSON or binary, - for stdin) instead"
    )
    add_output(parser, "json")
    parser.add_argument("--now", metavar="TIME", help="decide as of this time, such as 2026-11-21T10:00:00Z")
    _add_request(parser.add_argument_group("the request"))
    _add_user(parser.add_argument_group("the user"))


def run(arguments: argparse.Namespace) -> int:
    """Decide and print the reasoning."""
    from authz.cli import explain_report, explain_request
    from authz.cli.fault_report import as_text, count_errors
    from authz.cli.policy_directory import read

    # What nothing is verified with isn't read: neither key files nor the libraries that would.
    directory = read(arguments.directory, references=not explain_request.asserts_all(arguments))
    if directory.policy is None:
        show(as_text(directory.faults, directory.files), sys.stderr)
        return POLICY_INVALID
    if errors := count_errors(directory.faults):
        print(f"authz: the directory has faults ({errors}); `authz lint` lists them", file=sys.stderr)
    decision = _decide(directory.policy, arguments)
    if arguments.output == "json":
        import json

        print(json.dumps(explain_report.as_json(decision, directory.policy.revision), indent=2))
    else:
        show(explain_report.as_text(decision, directory.policy.revision))
    return _exit_code(decision)


def _decide(policy: PolicySet, arguments: argparse.Namespace) -> Decision:
    from pathlib import Path

    from authz.cli import explain_request
    from authz.cli.moment import moment
    from authz.model.decision import Denial
    from authz.model.errors import Refused
    from authz.model.request import Limits, parse_request

    try:
        asked = explain_request.asked(arguments)
        request = parse_request(asked.raw, Limits())
    except Refused as refused:
        return Denial(reason=refused.reason, detail=refused.detail)
    now = moment(arguments.now) if arguments.now is not None or asked.time is None else asked.time
    asserted = explain_request.assertion(arguments)
    user = None if asserted is None else asserted.user(policy.issuers, now)
    jwt_svid = explain_request.jwt_svid(arguments)
    if explain_request.asserts_all(arguments):
        from authz.cli.told import decide

        return decide(policy, request, user, jwt_svid, now)
    from authz.cli.asserted import decision_point
    from authz.cli.offline_keys import OfflineKeys, read_given

    keys = OfflineKeys(Path(arguments.directory), policy.issuers.values(), read_given(arguments.keys))
    return decision_point(policy, keys, user, jwt_svid).decide(request, now=now, trace=True).decision


def _exit_code(decision: Decision) -> int:
    from authz.model.decision import Permit

    if isinstance(decision, Permit):
        return YES
    return UNDECIDED if decision.reason.is_undecided else NO


def _add_request(group: Any) -> None:
    group.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="may be repeated")
    group.add_argument("--workload", default="", metavar="SPIFFE", help="the calling workload, verified by mTLS")
    group.add_argument("--forwarded", metavar="SPIFFE", help="whom the calling proxy acts for")
    group.add_argument("--jwt-svid", metavar="SPIFFE", help="the workload of a JWT-SVID, taken as verified")
    group.add_argument("--at", default="", metavar="SPIFFE|dns:NAME", help="the protected workload")
    group.add_argument("--service", default="", metavar="NAME", help="Envoy's authz.service of the route")
    group.add_argument("--from", dest="source", default="", metavar="IP", help="the direct peer's address")


def _add_user(group: Any) -> None:
    who = group.add_mutually_exclusive_group()
    who.add_argument("--token", metavar="TOKEN|@FILE|-", help="verify this bearer token")
    who.add_argument("--as", dest="user", metavar="ISSUER:SUBJECT", help="take this user as verified")
    group.add_argument(
        "--keys", action="append", default=[], metavar="[ISSUER=]FILE", help="a key set for issuers on the network"
    )
    for name in ("scope", "group", "role", "amr"):
        group.add_argument(f"--{name}", action="append", default=[], help="with --as; may be repeated")
    group.add_argument(
        "--claim", action="append", default=[], metavar="NAME=VALUE", help="with --as; VALUE is JSON or text"
    )
    group.add_argument("--client", help="with --as: the client that the token was issued to")
    group.add_argument("--kind", choices=("person", "client"), help="with --as; default: as the issuer's settings say")
    group.add_argument("--acr", help="with --as")
    group.add_argument("--auth-time", metavar="TIME", help="with --as: when the user logged in")
    group.add_argument(
        "--bound", action="append", default=[], choices=("dpop", "mtls"), help="with --as: how the token is bound"
    )
