"""`authz issuer check`: fetches every issuer's keys as the service would, and says what came of each step."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from authz.cli import live
from authz.cli.exit_codes import USAGE
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.sources.probe import Probe

NAME: Final = "issuer"
HELP: Final = "fetch the keys of issuers and say what came of it"
DESCRIPTION: Final = (
    "Fetches discovery documents and key sets for real, under the same rules as the service, and prints each step with "
    "its verdict. Exit code 0; 1 when an issuer answers and can't be used; 5 when one doesn't answer, or a file can't "
    "be read."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`check` and its arguments."""
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="fetch each issuer's keys once", description=DESCRIPTION)
    check.add_argument("--issuer", metavar="NAME", action="append", help="only this one; may be given several times")
    live.add_arguments(check)


def run(arguments: argparse.Namespace) -> int:
    """Check one issuer after the other."""
    from authz.app import fetcher_of
    from authz.sources.probe import check_issuer

    settings, policy = live.read(arguments)
    names = arguments.issuer or sorted(policy.issuers)
    for name in names:
        if name not in policy.issuers:
            raise CommandFailed(USAGE, f"--issuer {name}: the policy directory has no such issuer")
    fetch = fetcher_of(settings).get
    probes = [check_issuer(policy.issuers[name], fetch, settings.policy_dir) for name in names]
    if arguments.output == "json":
        print(json.dumps({"issuers": [_as_json(probe) for probe in probes]}, indent=2))
    else:
        for line in _as_text(probes):
            print(line)
    return live.exit_code(probe.verdict for probe in probes)


def _as_text(probes: Iterable[Probe]) -> Iterable[str]:
    for probe in probes:
        yield f"{probe.name}: {probe.verdict.value}"
        for step in probe.steps:
            yield f"  {step.verdict.value:<12}{step.what}{f': {step.detail}' if step.detail else ''}"
        for kid, algorithm in probe.keys:
            yield f"  {'key':<12}{live.shown(kid)} {algorithm}"
        for warning in probe.warnings:
            yield f"  {'warning':<12}{warning}"


def _as_json(probe: Probe) -> dict[str, object]:
    return {
        "name": probe.name,
        "verdict": probe.verdict.value,
        "steps": [{"what": step.what, "verdict": step.verdict.value, "detail": step.detail} for step in probe.steps],
        "keys": [{"kid": kid, "algorithm": algorithm} for kid, algorithm in probe.keys],
        "warnings": list(probe.warnings),
    }
