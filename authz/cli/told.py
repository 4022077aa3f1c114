"""A decision about principals that are only told, without what would verify them: matcher, cast and evaluator.

The same as a test of a policy is judged by; a test holds it to the decision point that `authz.cli.asserted` makes,
which takes several times as long to load.
"""

from __future__ import annotations

from collections.abc import Iterator

from authz.model.decision import Decision, Denial
from authz.model.principal import User, Via
from authz.model.request import AuthzRequest
from authz.model.spiffe import SpiffeId
from authz.policy.casting import cast
from authz.policy.evaluate import evaluate, usage_of
from authz.policy.faults import Place
from authz.policy.link import PolicySet
from authz.policy.suite import Person, UserFixture, WorkloadFixture

_TOLD = Place("told")


def decide(
    policy: PolicySet, request: AuthzRequest, user: User | None, jwt_svid: SpiffeId | None, now: float
) -> Decision:
    """Decide by `policy`; the peer's SPIFFE ID is the request's."""
    matched = policy.match(request)
    if isinstance(matched, Denial):
        return matched
    usage, guardrails = usage_of(matched, request)
    people = tuple(_people(request, user, jwt_svid))
    principals = cast(
        people, usage, matched.route.audiences, policy.issuers, policy.trust, now, lambda *_: _known(user)
    )
    return evaluate(policy.removable, matched, guardrails, request, principals, now, trace=True)


def _people(request: AuthzRequest, user: User | None, jwt_svid: SpiffeId | None) -> Iterator[Person]:
    if user is not None:
        fixture = UserFixture(place=_TOLD, issuer=user.issuer, subject=user.subject)
        yield Person(place=_TOLD, name=user.subject, fixture=fixture)
    if request.source.principal:
        peer = SpiffeId.parse(request.source.principal)
        yield Person(place=_TOLD, name=str(peer), fixture=WorkloadFixture(place=_TOLD, spiffe=peer, via=Via.MTLS))
    if jwt_svid is not None:
        yield Person(
            place=_TOLD, name=str(jwt_svid), fixture=WorkloadFixture(place=_TOLD, spiffe=jwt_svid, via=Via.JWT_SVID)
        )


def _known(user: User | None) -> User:
    assert user is not None
    return user
