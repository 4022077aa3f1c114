"""What the commands share that look at real sources: settings, the policy directory, exit codes for verdicts."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from authz.cli import serve
from authz.cli.exit_codes import ENVIRONMENT, NO, POLICY_INVALID, YES
from authz.cli.failure import CommandFailed
from authz.cli.output import add_output

if TYPE_CHECKING:
    from authz.config.settings import Settings
    from authz.policy.link import PolicySet
    from authz.sources.probe import Verdict


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """DIR, the form of the report, and the flags of `serve`."""
    parser.add_argument("directory", metavar="DIR", nargs="?", help="policy directory; default: that of the settings")
    add_output(parser, "json")
    serve.add_arguments(parser)


def read(arguments: argparse.Namespace) -> tuple[Settings, PolicySet]:
    """The settings and the policy that the service would have. Raises `CommandFailed`."""
    from authz.cli import policy_directory
    from authz.cli.fault_report import as_text

    settings = serve.load(arguments).settings
    if arguments.directory is not None:
        settings = replace(settings, policy_dir=Path(arguments.directory))
    found = policy_directory.read(str(settings.policy_dir))
    if found.policy is None:
        raise CommandFailed(POLICY_INVALID, *as_text(found.faults, found.files))
    return settings, found.policy


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """1 when something can't be used, else 5 when something doesn't answer."""
    from authz.sources.probe import Verdict

    seen = set(verdicts)
    if Verdict.BAD in seen:
        return NO
    return ENVIRONMENT if Verdict.UNREACHABLE in seen else YES


def shown(text: str) -> str:
    """Text of a certificate or a key set: nothing in it may move the terminal's cursor."""
    return text if text.isprintable() else ascii(text)
