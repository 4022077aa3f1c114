"""What `authz diff` found, as text for people, markdown for a review comment, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from authz.cli import witness
from authz.model.decision import Decision, Denial
from authz.policy.difference import Difference, Direction, Finding, Unproven
from authz.policy.link import PolicySet

MAX_SHOWN: Final = 3
"""Hosts and destinations of one finding that text shows by name."""

_TITLES: Final = {Direction.GAINED: "gains access", Direction.LOST: "loses access"}


@dataclass(frozen=True, slots=True)
class Context:
    """How the two sides were named on the command line, what they hold, and the time of the comparison."""

    old: str
    new: str
    old_policy: PolicySet
    new_policy: PolicySet
    now: float

    def command(self, finding: Finding) -> str:
        """What to type to see the side that permits."""
        gained = finding.direction is Direction.GAINED
        where, policy = (self.new, self.new_policy) if gained else (self.old, self.old_policy)
        shown = finding.witness
        return witness.command(where, policy, shown.request, shown.presented, self.now)


def as_text(difference: Difference, context: Context) -> Iterator[str]:
    """Grouped by direction and route; the last line counts."""
    for direction in Direction:
        found = [one for one in difference.findings if one.direction is direction]
        for finding in found:
            yield f"{direction.value.upper():6}  {finding.route}"
            yield f"  {_where(finding)}"
            yield f"  {_change(finding)}"
            yield f"  $ {context.command(finding)}"
    for change in difference.settings:
        yield f"CHANGED {change}"
    for one in difference.unproven:
        yield f"NOT PROVEN {_unproven(one)}"
    yield summary(difference)


def as_markdown(difference: Difference, context: Context) -> Iterator[str]:
    """A review comment."""
    yield f"### Access: {summary(difference)}"
    for direction in Direction:
        found = [one for one in difference.findings if one.direction is direction]
        if found:
            yield ""
            yield f"**Somebody {_TITLES[direction]}**"
            yield ""
            yield "| route | requests | what changes |"
            yield "|---|---|---|"
            for finding in found:
                yield f"| `{_cell(finding.route)}` | {_cell(_where(finding))} | {_cell(_change(finding))} |"
            yield ""
            yield "<details><summary>requests that show it</summary>"
            yield ""
            yield "```sh"
            for finding in found:
                yield context.command(finding)
            yield "```"
            yield ""
            yield "</details>"
    for title, lines in (
        ("Verification of credentials changes", difference.settings),
        ("Not proven either way", tuple(map(_unproven, difference.unproven))),
    ):
        if lines:
            yield ""
            yield f"**{title}**"
            yield ""
            yield from (f"- {line}" for line in lines)


def as_json(difference: Difference, context: Context) -> dict[str, object]:
    """The same for programs."""
    return {
        "old": {"where": context.old, "revision": context.old_policy.revision},
        "new": {"where": context.new, "revision": context.new_policy.revision},
        "findings": [_finding(one, context) for one in difference.findings],
        "settings": list(difference.settings),
        "unproven": [
            {"route": one.route, "method": one.method, "path": one.path, "why": one.why} for one in difference.unproven
        ],
    }


def summary(difference: Difference) -> str:
    """`no difference`, or what there is."""
    counts = [
        (sum(one.direction is Direction.GAINED for one in difference.findings), "gained"),
        (sum(one.direction is Direction.LOST for one in difference.findings), "lost"),
        (len(difference.settings), "changed in verification"),
        (len(difference.unproven), "not proven"),
    ]
    return ", ".join(f"{number} {name}" for number, name in counts if number) or "no difference"


def _finding(finding: Finding, context: Context) -> dict[str, object]:
    shown = finding.witness
    return {
        "direction": finding.direction.value,
        "route": finding.route,
        "other_route": finding.other,
        "methods": list(finding.methods),
        "path": finding.path,
        "hosts": sorted({str(site.authority) for site in finding.sites}),
        "at": sorted({site.destination for site in finding.sites} - {""}),
        "services": sorted({site.service for site in finding.sites} - {""}),
        "witness": {
            **witness.as_json(shown.request, shown.presented),
            "old": witness.outcome(shown.old),
            "new": witness.outcome(shown.new),
            "command": context.command(finding),
        },
    }


def _where(finding: Finding) -> str:
    hosts = _listed(sorted({site.authority.host for site in finding.sites}))
    at = _listed(sorted({site.destination for site in finding.sites} - {""}))
    services = {site.service for site in finding.sites}
    named = "" if "" in services else f" by authz.service {_listed(sorted(services))}"
    return f"{' '.join(finding.methods)} {finding.path} on {hosts}{f' at {at}' if at else ''}{named}"


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_SHOWN
    return ", ".join(names[:MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _change(finding: Finding) -> str:
    shown = finding.witness
    return f"was {_verdict(shown.old)}, is {_verdict(shown.new)}"


def _verdict(decision: Decision) -> str:
    if not isinstance(decision, Denial):
        return f"allowed by {decision.policy}/{decision.route.rpartition('/')[2]}"
    by = f" by guardrail {decision.guardrail}" if decision.guardrail else ""
    return f"denied{by} ({decision.reason.code})"


def _unproven(one: Unproven) -> str:
    return f"{one.route} {one.method} {one.path}: {one.why}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
