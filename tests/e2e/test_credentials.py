"""Tokens through a real Envoy: what is passed on, what isn't, and who is who."""

from __future__ import annotations

import pytest

from tests.e2e.edge import Edge


def test_a_refused_token_is_not_forwarded(edge: Edge) -> None:
    """Where the login is optional a bad token makes nobody of the caller, and doesn't reach the application."""
    expired = edge.idp.provider.odd_token("alice", changes={"iat": 1_700_000_000, "exp": 1_700_000_100})

    answer = edge.send("GET", "/optional", token=expired)

    assert answer.status == 200
    assert "authorization" not in _seen(answer.document)
    assert "x-authz-subject" not in _seen(answer.document)


def test_a_verified_token_is_forwarded(edge: Edge, alice: str) -> None:
    """What was verified for the alternative that let the request in goes on to the application."""
    answer = edge.send("GET", "/optional", token=alice)

    assert answer.status == 200
    assert _seen(answer.document)["authorization"] == "Bearer …"
    assert _seen(answer.document)["x-authz-subject"] == "alice"


def test_the_same_subject_of_two_issuers_is_two_people(edge: Edge, alice: str) -> None:
    """A subject means nothing without its issuer: the partner's alice has no right to our alice's things."""
    stranger = edge.partner_idp.provider.odd_token("alice")

    ours = edge.send("GET", "/own/alice", token=alice)
    theirs = edge.send("GET", "/own/alice", token=stranger)

    assert (ours.status, theirs.status) == (200, 403)
    assert edge.reason(theirs) == "issuer_not_permitted"


def test_the_application_learns_the_issuer_with_the_subject(edge: Edge, alice: str) -> None:
    """Where both issuers count, the application can tell the two apart."""
    stranger = edge.partner_idp.provider.odd_token("alice")

    seen = [_seen(edge.send("GET", "/both", token=token).document) for token in (alice, stranger)]

    assert [headers["x-authz-subject"] for headers in seen] == ["alice", "alice"]
    assert [headers["x-authz-issuer"] for headers in seen] == [
        edge.idp.provider.issuer,
        edge.partner_idp.provider.issuer,
    ]


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({}, 403),
        ({"blocked": True}, 403),
        ({"blocked": "no"}, 403),
        ({"blocked": None}, 403),
        ({"blocked": False}, 200),
    ],
)
def test_a_claim_left_out_under_not_denies(edge: Edge, claims: dict[str, object], status: int) -> None:
    """`not` needs to know: only a claim that is there and comparable can hold somebody off the list."""
    token = edge.idp.provider.odd_token("alice", changes=claims)

    answer = edge.send("GET", "/unblocked", token=token)

    assert answer.status == status
    assert edge.reason(answer) == ("allowed" if status == 200 else "excluded")


ODDITIES: list[tuple[str, str, dict[str, str]]] = [
    ("GET", "/healthz", {}),
    ("GET", "/healthz", {"X_Authz_Subject": "admin"}),
    ("GET", "/both", {}),
    ("GET", "/both", {"Authorization": "Bearer"}),
    ("GET", "/both", {"Authorization": "Bearer one, Bearer two"}),
    ("GET", "/both", {"Authorization": "Basic YWxpY2U6YWxpY2U="}),
    ("GET", "/own/b%6Fb", {}),
    ("GET", "/own/%2e%2e/healthz", {}),
    ("GET", "//healthz", {}),
    ("GET", "/healthz;x=1", {}),
    ("GET", "/healthz?next=/both", {}),
    ("DELETE", "/both", {}),
    ("GET", "/nowhere", {}),
    ("GET", "/healthz", {"Host": "other.test"}),
    ("GET", "/healthz", {"Host": "SHOP.TEST"}),
    ("GET", "/healthz", {"Host": "shop.test."}),
    ("GET", "/healthz", {"X-Latin": "caf\u00e9"}),
]


@pytest.mark.parametrize(("method", "target", "headers"), ODDITIES)
def test_both_header_modes_give_the_same_decision(
    edge: Edge, method: str, target: str, headers: dict[str, str]
) -> None:
    """`encode_raw_headers` on or off: same status, same reason, same sight of the application."""
    raw, joined = (edge.send(method, target, headers=headers, raw=raw) for raw in (True, False))

    assert raw.status == joined.status
    assert edge.reason(raw) == edge.reason(joined)
    assert _identity(raw.document) == _identity(joined.document)


@pytest.mark.parametrize("raw", [True, False])
def test_a_token_counts_the_same_in_both_header_modes(edge: Edge, alice: str, raw: bool) -> None:
    """The token is found in either form of the headers."""
    answer = edge.send("GET", "/own/alice", token=alice, raw=raw)

    assert answer.status == 200
    assert _seen(answer.document)["x-authz-subject"] == "alice"


def _seen(document: dict[str, object]) -> dict[str, str]:
    headers = document.get("headers")
    return headers if isinstance(headers, dict) else {}


def _identity(document: dict[str, object]) -> dict[str, str]:
    return {
        name: value
        for name, value in _seen(document).items()
        if name.replace("_", "-").startswith("x-authz-") and name != "x-authz-decision-id"
    }
