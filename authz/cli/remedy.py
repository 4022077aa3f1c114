"""What would make a denied request pass, in words: one for each condition that the closest alternative misses.

Reads the trace only, so it says what a caller has to show, never what this caller's claims are. It doesn't promise: the
conditions are those of the closest alternative, and a guardrail may come first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from authz.model.decision import ConditionTrace, Denial, Mark
from authz.model.reason import Reason

_BEFORE_ROUTES: Final = {
    Reason.REQUEST_MALFORMED: "a request within HTTP's grammar",
    Reason.HOST_INVALID: "a host within the grammar, equal to the host header",
    Reason.PATH_NOT_CANONICAL: "a path that every parser reads alike (docs/verification.md, Requests)",
    Reason.ROUTE_UNMATCHED: "a route for this path, or a path that has one (case and a trailing slash count)",
    Reason.METHOD_UNMATCHED: "a route for this method on the path",
    Reason.DESTINATION_UNMATCHED: "a policy that has this host at this destination (--at, --service)",
    Reason.POLICY_UNAVAILABLE: "a sound policy for this host: `authz lint` lists the faults",
}
"""What is missing when no alternative was looked at."""
_RULES: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"user\.issuer any \[(.*)\]", lambda found: f"a token of the issuer {_one_of(found[1])}"),
        (r"user\.kind (.*)", lambda found: f"a token that stands for a {found[1]}"),
        (r"user\.subjects any \[(.*)\]", lambda found: f"a token whose subject is {_one_of(found[1])}"),
        (r"user\.(scopes|groups|roles) all \[(.*)\]", lambda found: f"a token with the {_named(found[1], found[2])}"),
        (r"user\.(scopes|groups|roles) any \[(.*)\]", lambda found: f"a token with one of the {found[1]} {found[2]}"),
        (r"user\.clients any \[(.*)\]", lambda found: f"a token that was issued to {_one_of(found[1])}"),
        (r"user\.claims\.(.+) equals (.*)", lambda found: f"a token whose claim {found[1]} equals {found[2]}"),
        (r"user\.claims\.(.+) any (.*)", lambda found: f"a token whose claim {found[1]} has one of: {found[2]}"),
        (r"user\.claims\.(.+) contains (.*)", lambda found: f"a token whose claim {found[1]} contains {found[2]}"),
        (r"user\.claims\.(.+) exists true", lambda found: f"a token with the claim {found[1]}"),
        (r"user\.claims\.(.+) exists false", lambda found: f"a token without the claim {found[1]}"),
        (r"user\.acr any \[(.*)\]", lambda found: f"a login of the context class {_one_of(found[1])}"),
        (r"user\.amr all \[(.*)\]", lambda found: f"a login by each of the methods {found[1]}"),
        (r"user\.amr any \[(.*)\]", lambda found: f"a login by {_one_of(found[1])}"),
        (r"user\.auth_age max (.*)", lambda found: f"a login that is at most {found[1]} old"),
        (r"user\.bound (.*)", lambda found: f"a token that is bound to its sender by {found[1]}"),
        (r"workload(\(.*\))?\.spiffe any \[(.*)\]", lambda found: f"a call by {_one_of(found[2])}{_way(found[1])}"),
        (
            r"workload(\(.*\))?\.trust_domain any \[(.*)\]",
            lambda found: f"a call by a workload of the trust domain {_one_of(found[2])}{_way(found[1])}",
        ),
        (
            r"workload(\(.*\))?\.roles any \[(.*)\]",
            lambda found: f"a call by a workload in the role {_one_of(found[2])}{_way(found[1])}",
        ),
        (r"workload(\(.*\))? verified", lambda found: f"a call by a verified workload{_way(found[1])}"),
        (r"source in \[(.*)\]", lambda found: f"a connection from {_one_of(found[1])}"),
        (r"not \((.*)\)", lambda found: f"a caller who is known not to be: {found[1]}"),
        (r'nobody "(.*)"', lambda found: f"nothing: it is closed to everybody ({found[1]})"),
        (r"when (.*)", lambda found: f"a request for which {found[1]} is true"),
    )
)
"""How conditions print themselves, and what each asks for."""


def remedies(denial: Denial) -> Iterator[str]:
    """What the closest alternative still asks for, in written order."""
    trace = denial.trace
    closest = None if trace is None else next((one for one in trace.alternatives if one.closest), None)
    if closest is not None:
        # A condition without a reason isn't known to be unmet (`authz why`).
        yield from (_remedy(one) for one in closest.conditions if one.mark is not Mark.HIT and one.reason is not None)
    elif denial.guardrail:
        yield f"a caller to whom the guardrail {denial.guardrail} doesn't apply ({denial.detail})"
    elif denial.reason in _BEFORE_ROUTES:
        yield _BEFORE_ROUTES[denial.reason]


def _remedy(condition: ConditionTrace) -> str:
    words = _words(condition.text)
    reason = condition.reason
    if reason is not None and reason.is_undecided:
        words = f"an answer to what could not be found out ({reason.code}), and then {words}"
    elif reason is not None and condition.text.startswith("user.") and reason.status in (400, 401):
        refused = not reason.is_step_up and reason not in (Reason.CREDENTIAL_MISSING, Reason.PROOF_MISSING)
        words += f" (the one presented was refused: {reason.code})" if refused else ""
    return f"{words}, as {condition.origin} asks" if condition.origin else words


def _words(text: str) -> str:
    for pattern, words in _RULES:
        found = pattern.fullmatch(text)
        if found is not None:
            return words(found)
    return f"that this holds: {text}"


def _one_of(listed: str) -> str:
    return " or ".join(listed.split(", "))


def _named(field: str, listed: str) -> str:
    names = listed.split(", ")
    return f"{field.removesuffix('s') if len(names) == 1 else field} {' and '.join(names)}"


def _way(label: str | None) -> str:
    return f" (by {label.strip('()')})" if label else ""
