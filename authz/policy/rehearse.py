"""Runs the tests of policies (policy language §9): the service's matcher and evaluator, people out of fixtures.

Owns how one case is judged and how its outcome is compared with what was expected. Pure: the time is the test's, and
what other rooms know (reading claims, writing challenges) comes in as functions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from authz.model.decision import Decision, Denial, Permit
from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.principal import Via
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, parse_request
from authz.policy.casting import MakeUser, cast
from authz.policy.compiled import CompiledGuardrail, Matched
from authz.policy.document import Bind, ParsedDirectory, RoutePolicyDocument
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.link import PolicySet
from authz.policy.suite import Case, Suite, UserFixture, WorkloadFixture

_LIMITS: Final = Limits()
_PARAMETER: Final = re.compile(r'([a-z_]+)="([^"]*)"')
_DNS: Final = "dns:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What tests are run on: a linked directory and its documents, and what other rooms lend.

    `make_user` reads a fixture's claims, `challenge` writes a denial's `WWW-Authenticate`.
    """

    policy: PolicySet
    documents: ParsedDirectory
    make_user: MakeUser
    challenge: Callable[[Denial], str]

    def document(self, name: str) -> RoutePolicyDocument | None:
        """The policy as written; None when it is faulty."""
        return next((one for one in self.documents.policies if one.name == name), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one case. `mistakes` are sentences; none: it passed. `request` and `matched` are there as far as
    the case got, for coverage and mutants."""

    suite: Suite
    case: Case
    decision: Decision
    mistakes: tuple[str, ...]
    request: AuthzRequest | None = None
    matched: Matched | None = None

    @property
    def passed(self) -> bool:
        return not self.mistakes


def run(stage: Stage, suite: Suite, case: Case) -> Result:
    """Judge one case and compare."""
    request: AuthzRequest | None = None
    matched: Matched | Denial
    try:
        request = parse_request(raw_request(stage, suite, case), _LIMITS)
    except Refused as refused:
        matched = Denial(reason=refused.reason, detail=refused.detail)
    else:
        matched = stage.policy.match(request)
    if request is None or isinstance(matched, Denial):
        assert isinstance(matched, Denial)
        mistakes = tuple(_mistakes(stage, case, request, matched))
        return Result(suite=suite, case=case, decision=matched, mistakes=mistakes, request=request)
    decision = judge(stage, case, request, matched, trace=True)
    return Result(
        suite=suite,
        case=case,
        decision=decision,
        mistakes=tuple(_mistakes(stage, case, request, decision)),
        request=request,
        matched=matched,
    )


def judge(
    stage: Stage,
    case: Case,
    request: AuthzRequest,
    matched: Matched,
    guardrails: tuple[CompiledGuardrail, ...] | None = None,
    *,
    trace: bool = False,
) -> Decision:
    """Decide a matched case, as the service does from here on; `guardrails` stand in for those that cover it."""
    usage, covering = usage_of(matched, request)
    covering = covering if guardrails is None else guardrails
    policy = stage.policy
    principals = cast(
        case.people, usage, matched.route.audiences, policy.issuers, policy.trust, case.now, stage.make_user
    )
    return evaluate(policy.removable, matched, covering, request, principals, case.now, trace=trace)


def meets(stage: Stage, case: Case, request: AuthzRequest, decision: Decision) -> bool:
    """Whether the decision is all that the case expects."""
    return not any(True for _ in _mistakes(stage, case, request, decision))


# --- requests --------------------------------------------------------------------------------------------


def raw_request(stage: Stage, suite: Suite, case: Case) -> RawRequest:
    """The request as Envoy would describe it. A user's token is stood for by a header, so that a test can see what
    becomes of the credential."""
    line = case.request
    headers = list(line.headers)
    users = [person.name for person in case.people if isinstance(person.fixture, UserFixture)]
    if users and all(name.lower() != "authorization" for name, _ in headers):
        headers.append(("authorization", f"Bearer {users[0]}"))
    at, service = _point(stage, suite, case)
    peers = [
        str(person.fixture.spiffe)
        for person in case.people
        if isinstance(person.fixture, WorkloadFixture) and person.fixture.via is Via.MTLS
    ]
    return RawRequest(
        method=line.method,
        target=line.target,
        authority=line.authority,
        scheme=line.scheme,
        headers=Headers(headers),
        protocol="HTTP/1.1",
        source=Peer(address=line.source, principal=peers[0] if peers else ""),
        destination=Peer(principal=at.removeprefix(_DNS)),
        service=service,
        tls=line.tls or line.scheme == "https",
    )


def _point(stage: Stage, suite: Suite, case: Case) -> tuple[str, str]:
    """Destination and `authz.service`: where nothing is written, those that lead to the policy."""
    line, document = case.request, stage.document(suite.policy)
    guardrails = stage.documents.guardrails
    if document is None or line.at is not None or (guardrails is not None and guardrails.bind is Bind.HOST):
        return line.at or "", line.service
    if document.at:
        return document.at[0].value, line.service
    return "", line.service or (document.name if document.by_name else "")


# --- expectations ----------------------------------------------------------------------------------------


def _mistakes(stage: Stage, case: Case, request: AuthzRequest | None, decision: Decision) -> Iterator[str]:
    """What differs from the expectation, a sentence each."""
    expected = case.expected
    if (expected.reason is None) is isinstance(decision, Denial) or (
        isinstance(decision, Denial) and decision.reason is not expected.reason
    ):
        yield f"expected {expected}, got {verdict(decision)}"
        return
    if expected.route and expected.route != decision.route:
        yield f"expected the route {expected.route}, got {decision.route or 'none'}"
    if isinstance(decision, Permit):
        seen = upstream_headers(decision, request)
        yield from _differences("header", expected.headers, seen)
    elif expected.challenge:
        yield from _differences("challenge", expected.challenge, challenge_parameters(stage.challenge(decision)))


def verdict(decision: Decision) -> str:
    """`allow` or `deny REASON`, with the guardrail that denied."""
    if isinstance(decision, Permit):
        return "allow"
    return f"deny {decision.reason.code}" + (f" (guardrail {decision.guardrail})" if decision.guardrail else "")


def upstream_headers(permit: Permit, request: AuthzRequest | None) -> dict[str, str]:
    """The headers as the upstream sees them: the client's without what is taken away, then what is set."""
    sent = {} if request is None else {name: request.headers.get_all(name) for name in request.headers.names()}
    removed = set(permit.remove_headers)
    seen = {name: ",".join(values) for name, values in sent.items() if name not in removed}
    return seen | dict(permit.set_headers)


def challenge_parameters(text: str) -> dict[str, str]:
    """The parameters of a `WWW-Authenticate` value, and its scheme."""
    scheme, _, rest = text.partition(" ")
    return dict(_PARAMETER.findall(rest)) | ({"scheme": scheme} if scheme else {})


def _differences(what: str, expected: Mapping[str, str | None], seen: Mapping[str, str]) -> Iterator[str]:
    for name, wanted in expected.items():
        actual = seen.get(name)
        if actual != wanted:
            yield f"expected {what} {name}: {_shown(wanted)}, got {_shown(actual)}"


def _shown(value: str | None) -> str:
    return "none" if value is None else value
