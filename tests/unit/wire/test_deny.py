"""What a denied client sees, for each reason and for HTTP and gRPC callers."""

from __future__ import annotations

import json

import pytest

from authz.model.decision import Denial
from authz.model.reason import Reason
from authz.wire.deny import MAX_RETRY_AFTER, deny
from authz.wire.pb import check_pb2 as pb

ID = "01JD3W8Z5Q"
GRPC = {400: 3, 401: 16, 403: 7, 503: 14}
every_reason = pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)


def denied(denial: Denial, *, decision_id: str = ID, grpc: bool = False) -> pb.CheckResponse:
    return pb.CheckResponse.FromString(deny(denial, b"", decision_id=decision_id, grpc=grpc))


def headers(response: pb.CheckResponse) -> dict[str, str]:
    options = response.denied_response.headers
    assert len({option.header.key for option in options}) == len(options)
    return {option.header.key: option.header.value for option in options}


@every_reason
@pytest.mark.parametrize("grpc", [False, True])
def test_a_denial_is_a_non_zero_status_and_a_denied_response(reason: Reason, grpc: bool) -> None:
    """Both codes follow from the reason's status; nothing else of the answer could be an allow or an error."""
    response = denied(Denial(reason=reason), grpc=grpc)

    assert response.status.code == GRPC[reason.status] != 0
    assert response.status.message == ""
    assert response.WhichOneof("http_response") == "denied_response"
    assert response.denied_response.status.code == reason.status


@every_reason
def test_an_http_caller_gets_problem_details(reason: Reason) -> None:
    """RFC 9457, never cached, with the decision id in the body and in a header."""
    response = denied(Denial(reason=reason))
    body = json.loads(response.denied_response.body)

    assert headers(response)["content-type"] == "application/problem+json"
    assert headers(response)["cache-control"] == "no-store"
    assert headers(response)["x-authz-decision-id"] == ID
    assert body.keys() == {"type", "title", "status", "detail", "decision_id"}
    assert (body["type"], body["status"], body["detail"]) == ("about:blank", reason.status, reason.public_text)
    assert body["decision_id"] == ID


@every_reason
def test_a_grpc_caller_gets_a_status_and_a_short_text(reason: Reason) -> None:
    """`grpc-status` overrides Envoy's mapping; the content type is Envoy's to write."""
    response = denied(Denial(reason=reason), grpc=True)

    assert headers(response)["grpc-status"] == str(GRPC[reason.status])
    assert headers(response)["x-authz-decision-id"] == ID
    assert "content-type" not in headers(response)
    assert response.denied_response.body == reason.public_text


@every_reason
@pytest.mark.parametrize("grpc", [False, True])
def test_the_client_is_not_told_the_reason(reason: Reason, grpc: bool) -> None:
    """Neither the code, nor the operators' sentence, nor the detail, route or guardrail shows."""
    denial = Denial(reason=reason, detail="the-detail", route="the-route", policy="the-policy", guardrail="the-rule")
    shown = str(denied(denial, grpc=grpc))

    for secret in (reason.code, reason.summary, "the-detail", "the-route", "the-policy", "the-rule"):
        assert secret not in shown


@every_reason
@pytest.mark.parametrize("grpc", [False, True])
def test_denied_headers_leave_append_unset(reason: Reason, grpc: bool) -> None:
    """Envoy drops a denied header whose `append` is true."""
    options = denied(Denial(reason=reason), grpc=grpc).denied_response.headers

    assert not any(option.HasField("append") or option.append_action for option in options)


@pytest.mark.parametrize(("asked", "sent"), [(None, "1"), (0, "1"), (-5, "1"), (7, "7"), (10**9, str(MAX_RETRY_AFTER))])
@pytest.mark.parametrize("grpc", [False, True])
def test_what_could_not_be_decided_may_be_retried(asked: int | None, sent: str, grpc: bool) -> None:
    """Each 503 has a Retry-After between one second and an hour."""
    denial = Denial(reason=Reason.KEYS_UNAVAILABLE, retry_after=asked)

    assert headers(denied(denial, grpc=grpc))["retry-after"] == sent


def test_a_truth_value_is_not_remembered_as_a_text_for_others() -> None:
    """`True` equals 1: whichever came first, both read 1."""
    for wait in (True, 1):
        assert headers(denied(Denial(reason=Reason.OVERLOADED, retry_after=wait)))["retry-after"] == "1"


@every_reason
def test_only_the_undecided_may_be_retried(reason: Reason) -> None:
    """No other status has a Retry-After, even if the denial names one."""
    response = denied(Denial(reason=reason, retry_after=5))

    assert ("retry-after" in headers(response)) is (reason.status == 503)


@every_reason
def test_each_401_challenges(reason: Reason) -> None:
    """RFC 9110 §15.5.2: a 401 has a WWW-Authenticate."""
    response = denied(Denial(reason=reason))

    assert reason.status != 401 or headers(response)["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("decision_id", ["", "a\r\nb", '","x":"', "a" * 65])
def test_a_decision_id_outside_the_grammar_is_left_out(decision_id: str) -> None:
    """A denial is sent all the same."""
    response = denied(Denial(reason=Reason.NOBODY), decision_id=decision_id)

    assert "x-authz-decision-id" not in headers(response)
    assert json.loads(response.denied_response.body).keys() == {"type", "title", "status", "detail"}
