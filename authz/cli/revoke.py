"""`authz revoke`: takes a token, a session, a subject's or a client's tokens or a workload out of force, everywhere."""

from __future__ import annotations

import argparse
import json
import re
import time
from typing import Any, Final
from urllib.parse import urlencode

from authz.cli import control_client
from authz.cli.exit_codes import ENVIRONMENT, NO, USAGE, YES
from authz.cli.failure import CommandFailed
from authz.cli.moment import moment
from authz.cli.output import add_output

NAME: Final = "revoke"
HELP: Final = "refuse a token, a session, a subject, a client or a workload from now on"
DESCRIPTION: Final = (
    "Asks a running service to refuse something before it expires; every service that shares its store refuses it "
    "within a second. Each act is recorded with who did it and why. Exit code 0 in force everywhere, 1 refused, "
    "5 nobody answers, or in force in that service only until its store is back."
)
_PATH: Final = "/revocations"
_WHAT: Final = {
    "token": ("JTI", "one token, by its jti"),
    "session": ("SID", "the tokens of one session, by their sid"),
    "subject": ("SUB", "the tokens of a subject that were issued until now, or --issued-before"),
    "client": ("CLIENT", "the tokens that a client was issued until now, or --issued-before"),
    "workload": ("SPIFFE_ID", "a workload, for a day or --for"),
}
_UNTIL: Final = frozenset({"subject", "client"})
_KINDS: Final = (*_WHAT, "sessionless")
_DURATION: Final = re.compile(r"([1-9][0-9]{0,8})([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_ACCEPTED: Final = 202


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command for each kind of thing, and two for the list itself."""
    kinds = parser.add_subparsers(title="what", metavar="WHAT", required=True, dest="what")
    for kind, (value, what) in _WHAT.items():
        own = kinds.add_parser(kind, help=what, description=f"Revokes {what}.")
        own.add_argument("value", metavar=value)
        if kind == "workload":
            own.add_argument("--for", dest="lasting", metavar="TIME", help="how long, such as 12h or 7d; default 1d")
        else:
            own.add_argument("--issuer", required=True, metavar="NAME", help="the issuer's name in the policies")
        if kind in _UNTIL:
            own.add_argument("--issued-before", metavar="TIME", help="RFC 3339; default: now. It may be in the future")
        _add_why(own)
    lift = kinds.add_parser("lift", help="take an entry back", description="Takes an entry of the list back.")
    lift.add_argument("kind", choices=_KINDS)
    lift.add_argument("value")
    lift.add_argument("--issuer", default="", metavar="NAME", help="the issuer's name; none for a workload")
    _add_why(lift)
    listing = kinds.add_parser("list", help="show the newest entries", description="Shows entries, newest first.")
    listing.add_argument("--kind", choices=_KINDS, help="of one kind only")
    listing.add_argument("--value", metavar="TEXT", help="about this value only")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="how many at most; default 100")
    add_output(listing, "json")
    control_client.add_arguments(listing)


def run(arguments: argparse.Namespace) -> int:
    """Ask once and say what became of it."""
    if arguments.what == "list":
        return _list(arguments)
    answer = control_client.ask(arguments, "POST", _PATH, _act(arguments))
    document = answer.document
    if "result" not in document:
        raise CommandFailed(NO, f"refused: {document.get('error', answer.status)}")
    verb = "lifted" if arguments.what == "lift" else "revoked"
    print(f"{verb}: {_line(document)}")
    if answer.status == _ACCEPTED:
        raise CommandFailed(
            ENVIRONMENT,
            "in force in this service only: its store can't be reached "
            f"({document.get('error', '')}); it is handed over when the store is back, unless the service ends before",
        )
    return YES


def _act(arguments: argparse.Namespace) -> dict[str, Any]:
    lifting = arguments.what == "lift"
    fields: dict[str, Any] = {
        "kind": arguments.kind if lifting else arguments.what,
        "value": arguments.value,
        "why": arguments.why,
        "issuer": getattr(arguments, "issuer", ""),
        "lift": lifting,
    }
    if getattr(arguments, "issued_before", None) is not None:
        fields["issued_before"] = int(moment(arguments.issued_before))
    if getattr(arguments, "lasting", None) is not None:
        fields["lasting"] = _seconds(arguments.lasting)
    return fields


def _list(arguments: argparse.Namespace) -> int:
    wanted = {"limit": arguments.limit, "kind": arguments.kind, "value": arguments.value}
    query = urlencode({name: value for name, value in wanted.items() if value is not None})
    answer = control_client.ask(arguments, "GET", f"{_PATH}?{query}")
    if "entries" not in answer.document:
        code = ENVIRONMENT if answer.status >= 500 else USAGE
        raise CommandFailed(code, str(answer.document.get("error", answer.status)))
    if arguments.output == "json":
        print(json.dumps(answer.document))
        return YES
    for entry in answer.document["entries"]:
        print(_line(entry))
    print(f"{len(answer.document['entries'])} of {answer.document['count']} entries")
    return YES


def _line(entry: dict[str, Any]) -> str:
    """One entry for people. Texts were checked to be printable when they were entered, or came with a signature."""
    parts = [f"{entry['kind']} {_shown(entry['value'])}"]
    if entry.get("issuer"):
        parts.append(f"of {_shown(entry['issuer'])}")
    if entry.get("issued_before"):
        parts.append(f"issued until {_time(entry['issued_before'])}")
    parts.append(f"until {_time(entry['until'])}")
    if entry.get("by"):
        parts.append(f"by {_shown(entry['by'])}")
    if entry.get("why"):
        parts.append(f"({_shown(entry['why'])})")
    return " ".join(parts)


def _shown(text: object) -> str:
    return str(text).encode("unicode_escape").decode() if not str(text).isprintable() else str(text)


def _time(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise CommandFailed(USAGE, f"{text}: write a duration such as 30m, 12h or 7d")
    return int(match[1]) * _SECONDS[match[2]]


def _add_why(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--why", required=True, metavar="TEXT", help="one sentence, kept in the audit trail")
    control_client.add_arguments(parser)
