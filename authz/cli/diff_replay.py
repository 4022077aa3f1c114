"""`authz diff OLD NEW --replay FILE`: the decisions of an audit log, judged again by both sides."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from authz.cli.exit_codes import ENVIRONMENT, NO, UNDECIDED, YES
from authz.cli.failure import CommandFailed

if TYPE_CHECKING:
    from authz.policy.meaning import Side
    from authz.policy.replay import Replayed


def run(arguments: argparse.Namespace, old: Side, new: Side) -> int:
    """Print what changes or may, then counts. With `--forbid gained` only turned denials end with 1."""
    from authz.cli.moment import moment
    from authz.cli.witness import read_user
    from authz.policy.replay import Verdict, replay

    found: list[Replayed] = []
    for line in _decisions(arguments.replay):
        time = line.get("time")
        line["time"] = moment(time) if isinstance(time, str) else time
        found.append(replay(line, old, new, read_user))
    counts = Counter(one.verdict for one in found)
    if arguments.output == "json":
        print(
            json.dumps(
                {
                    "counts": {verdict.value: counts[verdict] for verdict in Verdict},
                    "decisions": [
                        {
                            "id": one.decision_id,
                            "result": one.result,
                            "request": one.request,
                            "route": one.route,
                            "verdict": one.verdict.value,
                            "why": one.why,
                        }
                        for one in found
                        if one.verdict is not Verdict.SAME
                    ],
                },
                indent=2,
            )
        )
    else:
        for text in _lines(found, markdown=arguments.output == "markdown"):
            print(text)
        print(", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict))
    changed = [one for one in found if one.verdict is Verdict.CHANGES]
    if any(one.result == "deny" for one in changed) if arguments.forbid else changed:
        return NO
    return UNDECIDED if counts[Verdict.MAY_CHANGE] or counts[Verdict.UNKNOWN] else YES


def _lines(found: list[Replayed], *, markdown: bool) -> Iterator[str]:
    from authz.policy.replay import Verdict

    for one in found:
        if one.verdict is not Verdict.SAME:
            why = f": {one.why}" if one.why else ""
            turned = {"allow": "denied", "deny": "allowed"}.get(one.result, "")
            change = f", would be {turned}" if one.verdict is Verdict.CHANGES else ""
            text = f"{one.verdict.value}: {one.request} [{one.route}] was {one.result}{change}{why}"
            yield f"- {text} ({one.decision_id})" if markdown else f"{text}  {one.decision_id}"


def _decisions(where: str) -> Iterator[dict[str, object]]:
    """The lines that record a decision; raises `CommandFailed` for a file that can't be read or isn't such a log."""
    try:
        text = sys.stdin.read() if where == "-" else Path(where).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(ENVIRONMENT, f"{where}: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            read = json.loads(line)
        except ValueError as error:
            raise CommandFailed(ENVIRONMENT, f"{where}:{number}: no JSON") from error
        if isinstance(read, dict) and read.get("event") == "decision":
            yield read
