"""What would make a request pass: words for every kind of condition."""

from __future__ import annotations

import pytest

from authz.cli.remedy import remedies
from authz.model.decision import AlternativeTrace, ConditionTrace, Denial, Mark, Trace
from authz.model.reason import Reason
from tests.unit.policy.judge import Judge

EVERYTHING = """
all:
  - user:
      issuer: corp
      kind: client
      subjects: {any: ["{path.order_id}"]}
      scopes: {all: [a, b]}
      groups: {any: [g]}
      roles: {all: [r]}
      clients: {any: [c]}
      claims: {a: {equals: 1}, b: {any: [x, y]}, c: {contains: z}, d: {exists: true}, e: {exists: false}}
      acr: {any: [gold]}
      amr: {all: [pwd, otp]}
      auth_age: {max: 15m}
      bound: dpop
  - workload: {spiffe: [spiffe://shop.example/a, spiffe://shop.example/b], trust_domain: shop.example,
               roles: {any: [order-caller]}}
  - workload: {via: forwarded}
  - source: {cidrs: [10.0.0.0/8]}
  - not: {user: {groups: {any: [banned]}}}
"""


def words(allow: str, **asked: object) -> list[str]:
    """The remedies of what the policy decides about nobody."""
    decision = Judge(allow).judge(trace=True, **asked)
    assert isinstance(decision, Denial)
    return list(remedies(decision))


def test_each_kind_of_condition_has_words_of_its_own() -> None:
    """None is shown as the trace writes it."""
    found = words(EVERYTHING)

    assert len(found) == 21
    assert not [one for one in found if one.startswith("that this holds")]
    assert "a token with the scopes a and b" in found
    assert "a call by spiffe://shop.example/a or spiffe://shop.example/b" in found
    assert "a call by a verified workload (by forwarded)" in found
    assert "a login that is at most 900s old" in found


def test_nobody_can_be_let_in_where_it_is_closed() -> None:
    """And the sentence says why."""
    assert words('nobody: "it is closed"') == ["nothing: it is closed to everybody (it is closed)"]


def test_what_was_refused_is_said() -> None:
    """Another token is needed, not another claim."""
    trace = _trace(ConditionTrace(text="user.issuer any [corp]", mark=Mark.MISS, reason=Reason.TOKEN_EXPIRED))

    assert list(remedies(Denial(reason=Reason.TOKEN_EXPIRED, trace=trace))) == [
        "a token of the issuer corp (the one presented was refused: token_expired)"
    ]


def test_what_could_not_be_found_out_comes_first() -> None:
    """The condition may hold already."""
    trace = _trace(ConditionTrace(text="user.issuer any [corp]", mark=Mark.UNKNOWN, reason=Reason.KEYS_UNAVAILABLE))

    assert list(remedies(Denial(reason=Reason.KEYS_UNAVAILABLE, trace=trace))) == [
        "an answer to what could not be found out (keys_unavailable), and then a token of the issuer corp"
    ]


def test_a_condition_of_a_guardrail_names_it() -> None:
    """The team has to ask the platform."""
    trace = _trace(
        ConditionTrace(
            text="user.kind person", mark=Mark.MISS, reason=Reason.SUBJECT_NOT_PERMITTED, origin="guardrail:g"
        )
    )

    assert list(remedies(Denial(reason=Reason.SUBJECT_NOT_PERMITTED, trace=trace))) == [
        "a token that stands for a person, as guardrail:g asks"
    ]


@pytest.mark.parametrize(
    "reason",
    [
        Reason.ROUTE_UNMATCHED,
        Reason.METHOD_UNMATCHED,
        Reason.DESTINATION_UNMATCHED,
        Reason.PATH_NOT_CANONICAL,
        Reason.HOST_INVALID,
        Reason.REQUEST_MALFORMED,
        Reason.POLICY_UNAVAILABLE,
    ],
)
def test_a_request_that_reaches_no_alternative_has_advice_too(reason: Reason) -> None:
    """One line."""
    assert len(list(remedies(Denial(reason=reason)))) == 1


def _trace(*conditions: ConditionTrace) -> Trace:
    return Trace(alternatives=(AlternativeTrace(conditions=conditions, distance=1, holds=False, closest=True),))
