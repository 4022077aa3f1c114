"""From a decision to bytes: total, and only a Permit becomes an OK response."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict

from authz.model.decision import Decision, Denial, Permit
from authz.model.principal import PrincipalKind, User, Via, Workload
from authz.model.reason import Reason
from authz.model.request import Transport
from authz.model.spiffe import SpiffeId
from authz.wire.encode import DENY_INTERNAL, Answer, answer, denial_bytes, encode
from authz.wire.metadata import NAMES
from authz.wire.pb import check_pb2 as pb
from tests.mint.messages import FRONTEND

ID = "01JD3W8Z5Q"
ALICE = User(
    issuer="corp",
    issuer_url="https://idp.shop.example",
    subject="alice",
    kind=PrincipalKind.PERSON,
    client=None,
    scopes=None,
    groups=None,
    roles=None,
    acr=None,
    amr=None,
    auth_time=None,
    expires_at=0.0,
    audiences=frozenset(),
    claims={},
    aliases={},
    subject_hash="0123456789abcdef",
)
CALLER = Workload(id=SpiffeId.parse(FRONTEND), via=Via.MTLS)


def permit(**fields: Any) -> Permit:
    known: dict[str, Any] = {
        "route": "orders.read",
        "policy": "orders",
        "alternative": 0,
        "set_headers": (),
        "remove_headers": (),
    }
    return Permit(**(known | fields))


def answered(decision: Decision, **fields: Any) -> Answer:
    known: dict[str, Any] = {"decision_id": ID, "revision": "r1", "transport": Transport.MTLS, "grpc": False}
    return answer(decision, **(known | fields))


def read(message: bytes) -> pb.CheckResponse:
    return pb.CheckResponse.FromString(message)


def metadata(message: bytes) -> dict[str, Any]:
    return MessageToDict(read(message).dynamic_metadata)


def test_a_permit_carries_all_its_metadata() -> None:
    """The eight names of policy language §7, with `allowed` as the reason."""
    shown = metadata(answered(permit(user=ALICE, workload=CALLER)).message)

    assert shown == {
        "decision_id": ID,
        "route": "orders.read",
        "policy": "orders",
        "policy_revision": "r1",
        "reason": "allowed",
        "subject_hash": "0123456789abcdef",
        "workload": FRONTEND,
        "transport": "mtls",
    }
    assert set(shown) == set(NAMES)


def test_a_denial_carries_its_reason_in_the_metadata_only() -> None:
    """Operators see it in Envoy's access log; what is absent is left out."""
    shown = metadata(answered(Denial(reason=Reason.SCOPE_MISSING, user=ALICE), transport=Transport.TLS).message)

    assert shown == {
        "decision_id": ID,
        "policy_revision": "r1",
        "reason": "scope_missing",
        "subject_hash": "0123456789abcdef",
        "transport": "tls",
    }


def test_metadata_never_holds_the_subject() -> None:
    """Only its hash."""
    assert "alice" not in str(metadata(answered(permit(user=ALICE)).message))


def test_encode_is_the_message_of_answer() -> None:
    """The two entries make one answer."""
    common: dict[str, Any] = {"decision_id": ID, "revision": "r1", "transport": Transport.PLAIN, "grpc": False}

    assert encode(permit(), **common) == answer(permit(), **common).message


@pytest.mark.parametrize(
    "broken",
    [
        permit(set_headers=(("x-a", "1\r\nx-admin: yes"),)),
        permit(set_headers=(("content-length", "0"),)),
        permit(set_headers=(("", "1"),)),
        permit(set_headers=(("x-a", "1"), ("x-a", "2"))),
        permit(remove_headers=("host",)),
        permit(route="\ud800"),
    ],
    ids=["split value", "framing header", "empty name", "set twice", "host removed", "no text"],
)
@pytest.mark.parametrize("grpc", [False, True])
def test_a_permit_that_cannot_be_sent_becomes_a_503_denial(broken: Permit, grpc: bool) -> None:
    """And the answer says so, so that no allow is recorded which wasn't sent."""
    given = answered(broken, grpc=grpc)

    assert isinstance(given.decision, Denial)
    assert given.decision.reason is Reason.INTERNAL_ERROR and given.decision.detail
    assert given.decision.policy == "orders"
    assert read(given.message).status.code == 14
    assert read(given.message).denied_response.status.code == 503
    assert ("grpc-status" in given.message.decode("utf-8", "replace")) is grpc


def test_a_permit_without_a_usable_decision_id_becomes_a_denial() -> None:
    """The upstream would see whatever the client sent."""
    assert isinstance(answered(permit(), decision_id="").decision, Denial)


def test_a_decision_of_no_known_kind_becomes_a_denial() -> None:
    """Even what the types forbid can't turn into an allow."""
    for nonsense in (None, object(), "allow", True):
        message = _encode_anything(nonsense)

        assert read(message).status.code == 14


def _encode_anything(value: Any) -> bytes:
    return encode(value, decision_id=ID, revision="", transport=Transport.PLAIN, grpc=False)


@pytest.mark.parametrize("reason", Reason, ids=lambda reason: reason.code)
@pytest.mark.parametrize("grpc", [False, True])
def test_a_guard_always_has_a_denial(reason: Reason, grpc: bool) -> None:
    """Never empty, never an allow, with or without a decision id."""
    for decision_id in ("", ID, "\r\n"):
        response = read(denial_bytes(reason, decision_id=decision_id, grpc=grpc))

        assert response.status.code != 0
        assert response.denied_response.status.code == reason.status


def test_the_last_resort_is_a_503_denial() -> None:
    """It exists before the first request."""
    assert read(DENY_INTERNAL).status.code == 14
    assert read(DENY_INTERNAL).denied_response.status.code == 503
