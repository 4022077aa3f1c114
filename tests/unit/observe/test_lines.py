"""What a line of the audit trail says."""

from __future__ import annotations

import json

from authz.model.reason import Reason
from authz.observe.lines import encode
from tests.mint.records import denial, permit, record


def test_a_permit_line_says_who_did_what() -> None:
    """Subject in clear, claims not at all, empty fields left out."""
    assert json.loads(encode(record(permit()))) == {
        "event": "decision",
        "id": "d-1",
        "time": "2026-11-21T10:00:00.250Z",
        "result": "allow",
        "reason": "allowed",
        "status": 200,
        "policy": "orders",
        "route": "orders.read",
        "method": "GET",
        "host": "orders.shop.example",
        "path": "/orders/42",
        "grpc": False,
        "transport": "mtls",
        "source": "10.1.2.3",
        "destination": "spiffe://shop.example/ns/shop/sa/orders",
        "user": {"issuer": "corp", "subject": "alice", "subject_hash": "ab12", "kind": "person", "client": "spa"},
        "workload": {"id": "spiffe://shop.example/ns/shop/sa/frontend", "via": "mtls"},
        "revision": "r1",
        "duration_us": 400,
    }


def test_a_denial_line_says_why() -> None:
    """Reason, status and the broken rule."""
    line = json.loads(encode(record(denial(Reason.TOKEN_EXPIRED, detail="exp has passed"))))

    assert (line["result"], line["reason"], line["status"], line["detail"]) == (
        "deny",
        "token_expired",
        401,
        "exp has passed",
    )


def test_a_line_is_one_line_of_ascii_whatever_the_request_held() -> None:
    """No control or separator reaches a terminal or a shipper."""
    line = encode(record(denial(), path='/a\n{"event":"decision"}\u2028\x1b[31mü'))

    assert line.count(b"\n") == 1
    assert line.isascii()
    assert b"\x1b" not in line


def test_a_token_in_a_path_is_not_written() -> None:
    """Password-reset links and the like."""
    token = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl"

    assert token.encode() not in encode(record(denial(), path=f"/reset/{token}"))
