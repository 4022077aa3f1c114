"""`authz doctor FILE`: what in an Envoy's configuration lets requests past a decision."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from authz.cli.envoy_file import SOURCE_HELP, add_leniency, read_envoy
from authz.cli.exit_codes import NO, YES

if TYPE_CHECKING:
    from authz.envoy.hazard import Expected, Hazard

NAME: Final = "doctor"
HELP: Final = "find hazards in an Envoy's configuration"
DESCRIPTION: Final = (
    "Reads an Envoy's config dump or bootstrap file and lists what lets requests past a decision, or decisions past "
    "their purpose: each with a code, its place, why it matters and what to write. Exit code 0 nothing found, 1 "
    "hazards, 2 no configuration, 3 policy invalid, 5 it can't be read. Needs the extra `envoy`."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is read, and the form of the report."""
    parser.add_argument("file", metavar="FILE", help=SOURCE_HELP)
    parser.add_argument(
        "--policy", metavar="DIR", help="the policy directory: says whether authz itself checks certificates"
    )
    parser.add_argument("--output", choices=("text", "json"), default="text", help="default: text")
    add_leniency(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print every hazard."""
    expected = _expected(arguments.policy)
    configuration = read_envoy(arguments.file, lenient=arguments.ignore_unknown)
    from authz.envoy.doctor import hazards

    found = hazards(configuration, expected)
    unread = [f"listener {one.listener}: {one.unread}" for one in configuration.managers if one.unread]
    if arguments.output == "json":
        listed = [{**asdict(one), "place": {k: v for k, v in asdict(one.place).items() if v}} for one in found]
        print(json.dumps({"hazards": listed, "unread": unread}, indent=2))
    else:
        _print(found, unread)
    return NO if found else YES


def _print(found: tuple[Hazard, ...], unread: list[str]) -> None:
    for one in found:
        print(f"{one.place}: hazard[{one.code}]: {one.why}")
        print(f"  write: {one.write}")
    for sentence in unread:
        print(f"not read: {sentence}")
    print(f"{len(found)} hazard{'' if len(found) == 1 else 's'}")


def _expected(directory: str | None) -> Expected | None:
    if directory is None:
        return None
    from authz.cli.revisions import read_side
    from authz.model.issuer import PeerVerification

    trust = read_side(directory).policy.trust
    try:
        from authz.envoy.hazard import Expected
    except ImportError:
        return None  # Reading the configuration says what is missing.
    return Expected(
        certificate_checked_by_authz=trust is not None and trust.verified_by is PeerVerification.CERTIFICATE
    )
