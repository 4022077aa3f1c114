"""`authz why ID`: one decision of the audit log, and the reasoning behind it as far as the log tells."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from authz.cli.exit_codes import NO, POLICY_INVALID, UNDECIDED, YES
from authz.cli.failure import CommandFailed
from authz.cli.output import add_output, show

if TYPE_CHECKING:
    from authz.cli.history import State
    from authz.policy.link import PolicySet
    from authz.policy.recollect import Recorded

NAME: Final = "why"
HELP: Final = "show a decision of the audit log by its id, and why it was made"
DESCRIPTION: Final = (
    "Finds a decision by its id in an audit log. With --policy it is looked at again by the policy of that moment: "
    "the directory if its revision is the recorded one, else the commit of its git repository that has it, else the "
    "directory as it is, which is said. What a token held isn't in the log: such conditions are shown as unknown. Exit "
    "code 0 it was allowed, 1 denied (or no such id), 6 undecided."
)
_FACTS: Final = (
    "id",
    "time",
    "policy",
    "route",
    "guardrail",
    "detail",
    "source",
    "destination",
    "transport",
    "revision",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The decision, the log, the policy."""
    parser.add_argument("id", metavar="ID", help="the decision id, as the client and x-authz-decision-id show it")
    parser.add_argument("--audit", metavar="FILE", required=True, help="the audit log, - for standard input")
    parser.add_argument("--policy", metavar="DIR", help="the policy directory")
    add_output(parser, "json")


def run(arguments: argparse.Namespace) -> int:
    """Find the line, print it, look at it again."""
    entry = _find(arguments.id, arguments.audit)
    state, note = (None, "") if arguments.policy is None else _state(arguments.policy, str(entry.get("revision", "")))
    if arguments.output == "json":
        _print_json(entry, state, note)
    else:
        show(_text(entry, state, note))
    if entry.get("result") == "allow":
        return YES
    return UNDECIDED if entry.get("status") == 503 else NO


# --- the log ---------------------------------------------------------------------------------------------


def _find(decision_id: str, file: str) -> Mapping[str, Any]:
    """The decision of this id; the last one, should a log hold two."""
    import json

    from authz.cli.decisions import entry_of, lines_of

    needle, found = json.dumps(decision_id).encode(), None
    for line in lines_of(file):
        entry = entry_of(line) if needle in line else None
        if entry is not None and entry.get("event") == "decision" and entry.get("id") == decision_id:
            found = entry
    if found is None:
        raise CommandFailed(NO, f"no decision {decision_id} in {file}")
    return found


def _recorded(entry: Mapping[str, Any], policy: PolicySet) -> Recorded:
    from authz.cli.moment import moment
    from authz.model.reason import ALLOWED, BY_CODE, Reason
    from authz.policy.recollect import Recorded

    code = str(entry.get("reason", ""))
    return Recorded(
        reason=None if code == ALLOWED else BY_CODE.get(code, Reason.INTERNAL_ERROR),
        time=moment(str(entry.get("time", ""))),
        grpc=bool(entry.get("grpc")),
        user=_user(entry.get("user"), policy, moment(str(entry.get("time", "")))),
        workload=_workload(entry.get("workload"), policy),
        **{name: str(entry.get(name, "")) for name in ("detail", "method", "host", "path", "source", "destination")},
    )


def _user(said: object, policy: PolicySet, now: float) -> Any:
    from authz.cli.verified import verified_user
    from authz.model.principal import PrincipalKind
    from authz.policy.faults import Place
    from authz.policy.suite import UserFixture

    if not isinstance(said, dict) or said.get("issuer") not in policy.issuers:
        return None
    fixture = UserFixture(
        place=Place("audit"),
        issuer=said["issuer"],
        subject=str(said.get("subject", "")),
        client=said.get("client"),
        kind=PrincipalKind(said["kind"]) if said.get("kind") in ("person", "client") else None,
    )
    return verified_user(fixture, policy.issuers[fixture.issuer], now)


def _workload(said: object, policy: PolicySet) -> Any:
    from authz.model.principal import Via, Workload
    from authz.model.spiffe import SpiffeId, SpiffeIdError

    if not isinstance(said, dict):
        return None
    try:
        found, via = SpiffeId.parse(str(said.get("id", ""))), Via(said.get("via"))
    except (SpiffeIdError, ValueError):
        return None
    roles = frozenset[str]() if policy.trust is None else policy.trust.roles.get(found, frozenset())
    return Workload(id=found, via=via, roles=roles)


# --- the policy ------------------------------------------------------------------------------------------


def _state(directory: str, revision: str) -> tuple[State, str]:
    """The policy of that moment, or the one there is; and a sentence that says which."""
    from authz.cli import history
    from authz.cli.fault_report import as_text
    from authz.cli.policy_directory import read

    now = read(directory, references=False)
    if now.policy is not None and now.policy.revision == revision:
        return history.State(policy=now.policy), f"{directory} is the policy of that moment"
    then = history.find(directory, revision) if revision else None
    if then is not None:
        return then, f"commit {then.commit[:12]} of {directory} is the policy of that moment"
    if now.policy is None:
        for line in as_text(now.faults, now.files):
            print(line, file=sys.stderr)
        raise CommandFailed(POLICY_INVALID, f"{directory} can't be loaded")
    differs = f"{directory} is another policy ({now.policy.revision}); no commit of it is {revision or 'that one'}"
    return history.State(policy=now.policy), differs


# --- reports ---------------------------------------------------------------------------------------------


def _text(entry: Mapping[str, Any], state: State | None, note: str) -> Iterator[str]:
    from authz.model.reason import BY_CODE

    reason = BY_CODE.get(str(entry.get("reason", "")))
    yield "ALLOW" if reason is None else f"DENY  {reason.code}: {reason.summary}"
    yield f"  {'request':11} {entry.get('method', '')} {entry.get('host', '')}{entry.get('path', '')}"
    for name, value in (*((name, entry.get(name)) for name in _FACTS), *_people(entry)):
        if value:
            yield f"  {name:11} {value}"
    if state is None:
        return
    yield note
    yield from _reasoning(entry, state)


def _people(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    user, workload = entry.get("user"), entry.get("workload")
    if isinstance(user, dict):
        client = f", client {user['client']}" if "client" in user else ""
        yield "user", f"{user.get('issuer', '')}:{user.get('subject', '')} ({user.get('kind', '')}{client})"
    if isinstance(workload, dict):
        yield "workload", f"{workload.get('id', '')} (by {workload.get('via', '')})"


def _reasoning(entry: Mapping[str, Any], state: State) -> Iterator[str]:
    from authz.cli.explain_report import alternative_lines
    from authz.cli.remedy import remedies
    from authz.model.decision import Denial
    from authz.policy.recollect import recollect

    record = _recorded(entry, state.policy)
    found = recollect(state.policy, record)
    if found.elsewhere:
        yield f"  by this policy the request reaches no route: {found.elsewhere}"
    elif found.route != entry.get("route", found.route):
        yield f"  by this policy the request reaches the route {found.route}"
    for number, alternative in enumerate(found.trace.alternatives, 1):
        yield from alternative_lines(number, alternative)
    if record.reason is not None:
        guardrail = str(entry.get("guardrail", ""))
        wanted = list(
            remedies(Denial(reason=record.reason, detail=record.detail, guardrail=guardrail, trace=found.trace))
        )
        if wanted:
            yield "what would have made it pass"
            yield from (f"  {one}" for one in wanted)


def _print_json(entry: Mapping[str, Any], state: State | None, note: str) -> None:
    import json

    from authz.cli.explain_report import alternative_as_json
    from authz.policy.recollect import recollect

    report: dict[str, object] = {"decision": entry}
    if state is not None:
        found = recollect(state.policy, _recorded(entry, state.policy))
        report |= {
            "policy": note,
            "same_revision": state.policy.revision == entry.get("revision"),
            "commit": state.commit,
            "revision": state.policy.revision,
            "route": found.route,
            "elsewhere": found.elsewhere,
            "alternatives": [alternative_as_json(one) for one in found.trace.alternatives],
        }
    print(json.dumps(report, indent=2))
