"""A `Denial` to a denied CheckResponse: an OK RPC with a non-zero status, never a gRPC error.

Owns what the denied client sees: status, a short text, the decision id, a challenge; never the reason.
Standards: RFC 9457 (problem details), RFC 9110 §10.2.3 (Retry-After), gRPC status codes. Doesn't write
`error_response`: Envoy lets those pass under `failure_mode_allow`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from authz.model.decision import Challenge, Denial
from authz.model.reason import Reason
from authz.wire.allow import DECISION_ID_HEADER
from authz.wire.challenge import NONCE_HEADER, challenge, proof_nonce
from authz.wire.fields import field, framed, tag
from authz.wire.grammar import check_name, check_value, is_decision_id
from authz.wire.pb import check_pb2 as pb

GRPC_CODES: Final = {400: 3, 401: 16, 403: 7, 503: 14}
"""HTTP status to gRPC code: invalid argument, unauthenticated, permission denied, unavailable. None is 0."""
DEFAULT_RETRY_AFTER: Final = 1
MAX_RETRY_AFTER: Final = 3600
"""Seconds."""

_STATUS_CODES: Final = {
    400: pb.STATUS_CODE_BAD_REQUEST,
    401: pb.STATUS_CODE_UNAUTHORIZED,
    403: pb.STATUS_CODE_FORBIDDEN,
    503: pb.STATUS_CODE_SERVICE_UNAVAILABLE,
}
_DYNAMIC_METADATA: Final = tag(4)
"""Its number in protos/authz/wire/pb/check.proto; a test reads it back."""
_PROBLEM: Final = "application/problem+json"


def deny(denial: Denial, metadata: bytes, *, decision_id: str, grpc: bool) -> bytes:
    """The serialised answer; raises `NotSendable`."""
    shown_id = decision_id if is_decision_id(decision_id) else ""
    asked = denial.challenge
    if asked is not None and asked.nonce:
        message = _message(denial, shown_id, grpc)  # A nonce is new again and again: it would push out the rest.
    else:
        message = _framed(denial.reason, asked, denial.retry_after, grpc)(shown_id)
    return message + field(_DYNAMIC_METADATA, metadata) if metadata else message


@lru_cache(maxsize=1024)
def _framed(reason: Reason, asked: Challenge | None, wait: int | None, grpc: bool) -> Callable[[str], bytes]:
    """What a denied client sees for one reason and challenge, which policies write, whatever the decision's id."""
    denial = Denial(reason=reason, challenge=asked, retry_after=wait)
    return framed(lambda shown_id: _message(denial, shown_id, grpc))


def _message(denial: Denial, shown_id: str, grpc: bool) -> bytes:
    """The answer without metadata."""
    status = denial.reason.status
    # The status comes first: whatever fails later, a message without it is never sent.
    response = pb.CheckResponse(status=pb.Status(code=GRPC_CODES[status]))
    denied = response.denied_response
    denied.status.code = _STATUS_CODES[status]
    for name, value in _headers(denial, shown_id, grpc):
        check_name(name)
        check_value(value)
        # `append` stays unset: Envoy drops a denied header that has it.
        denied.headers.add(header=pb.HeaderValue(key=name, value=value))
    denied.body = denial.reason.public_text if grpc else problem(denial.reason, shown_id)
    return response.SerializeToString()


def problem(reason: Reason, decision_id: str) -> str:
    """The body for HTTP callers; `decision_id` needs no escaping (see `is_decision_id`)."""
    status = reason.status
    member = f',"decision_id":"{decision_id}"' if decision_id else ""
    return (
        f'{{"type":"about:blank","title":"{HTTPStatus(status).phrase}","status":{status},'
        f'"detail":"{reason.public_text}"{member}}}'
    )


def _headers(denial: Denial, decision_id: str, grpc: bool) -> Iterator[tuple[str, str]]:
    """For gRPC callers Envoy writes `content-type` and `grpc-message`; our `grpc-status` beats its own."""
    status = denial.reason.status
    if grpc:
        yield "grpc-status", str(GRPC_CODES[status])
    else:
        yield "content-type", _PROBLEM
        yield "cache-control", "no-store"
    if decision_id:
        yield DECISION_ID_HEADER, decision_id
    if status == 503:
        wait = DEFAULT_RETRY_AFTER if denial.retry_after is None else denial.retry_after
        yield "retry-after", f"{min(max(wait, DEFAULT_RETRY_AFTER), MAX_RETRY_AFTER):d}"
    asked = challenge(denial)
    if asked:
        yield "www-authenticate", asked
    nonce = proof_nonce(denial)
    if nonce:
        yield NONCE_HEADER, nonce
