"""A decision to a CheckResponse's bytes. Total: whatever can't be sent becomes a 503 denial.

Owns the one way from a decision to an answer. Only a `Permit` becomes an OK response; an empty message
would be an allow, so no path returns one. `Answer` says which decision the bytes stand for, so that what is
recorded is what was sent.
"""

from __future__ import annotations

from typing import Final

from authz.model.decision import Decision, Denial, Permit
from authz.model.light import light_value
from authz.model.reason import Reason
from authz.model.request import Transport
from authz.wire.allow import allow
from authz.wire.deny import deny
from authz.wire.grammar import NotSendable
from authz.wire.metadata import metadata


@light_value
class Answer:
    """The bytes, and the decision that they stand for (another than was given when that couldn't be sent)."""

    message: bytes
    decision: Decision


def encode(decision: Decision, *, decision_id: str, revision: str, transport: Transport, grpc: bool) -> bytes:
    """The bytes of `answer`, for callers that record nothing."""
    return answer(decision, decision_id=decision_id, revision=revision, transport=transport, grpc=grpc).message


def answer(decision: Decision, *, decision_id: str, revision: str, transport: Transport, grpc: bool) -> Answer:
    """A serialised CheckResponse for the decision, with its id, challenge and dynamic metadata."""
    try:
        extra = metadata(decision, decision_id=decision_id, revision=revision, transport=transport)
        if isinstance(decision, Permit):
            return Answer(allow(decision, extra, decision_id), decision)
        return Answer(deny(decision, extra, decision_id=decision_id, grpc=grpc), decision)
    except NotSendable as refused:
        rule = str(refused)
    except Exception as error:  # noqa: BLE001 - a bug must end in a denial
        rule = f"the answer could not be made: {type(error).__name__}"
    return _internal_error(decision, rule, decision_id=decision_id, grpc=grpc)


def denial_bytes(reason: Reason, *, decision_id: str = "", grpc: bool = False) -> bytes:
    """A plain denial for guards: no metadata, no exception, never empty."""
    try:
        return deny(Denial(reason=reason), b"", decision_id=decision_id, grpc=grpc)
    except Exception:  # noqa: BLE001 - a guard must not fail
        return DENY_INTERNAL


def _internal_error(decision: Decision, rule: str, *, decision_id: str, grpc: bool) -> Answer:
    known = decision if isinstance(decision, Permit | Denial) else Denial(reason=Reason.INTERNAL_ERROR)
    refused = Denial(
        reason=Reason.INTERNAL_ERROR,
        route=known.route,
        policy=known.policy,
        detail=rule,
        user=known.user,
        workload=known.workload,
    )
    message = denial_bytes(Reason.INTERNAL_ERROR, decision_id=decision_id, grpc=grpc)
    return Answer(message=message, decision=refused)


DENY_INTERNAL: Final = deny(Denial(reason=Reason.INTERNAL_ERROR), b"", decision_id="", grpc=False)
"""Made once at import, for when nothing else can be made."""
