"""Proofs of possession, step by step: the vectors of tests/vectors/proofs and what needs keys (RFC 9449 §4.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from authz.authn.dpop import NonceWanted, ProofRules, VerifiedProof, verify_proof
from authz.authn.nonce import make_nonce
from authz.model.errors import Refused
from authz.model.issuer import ALGORITHMS
from tests.mint import proofs, tokens
from tests.mint.keys import base64url, other_key
from tests.mint.requests import request
from tests.mint.tokens import NOW

VECTORS = Path(__file__).parents[2] / "vectors" / "proofs"
KEY = b"k" * 32
OLD_KEY = b"o" * 32


def check(proof: str, *, token: str = proofs.TOKEN, now: float = NOW, **rules: Any) -> VerifiedProof:
    return verify_proof(proof, token, request(), ProofRules(**rules), now=now)


def reason_of(proof: str, **how: Any) -> str:
    try:
        check(proof, **how)
    except Refused as refused:
        return refused.reason.code
    return "verified"


def rows() -> list[Any]:
    found = []
    for file in sorted(VECTORS.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8")):
            found.append(pytest.param(row, id=f"{row['step']}: {row['what']}"))
    return found


def proof_of(row: dict[str, Any]) -> str:
    if "raw" in row:
        return str(row["raw"])
    key = proofs.proof_key()
    head = proofs.header(key, **dict.fromkeys(row.get("drop_header", ()), tokens.ABSENT), **row.get("header", {}))
    if "jwk" in row:
        head["jwk"] |= row["jwk"]
    left_out = dict.fromkeys(row.get("drop", ()), tokens.ABSENT)
    payload = json.dumps(proofs.claims(**left_out, **row.get("claims", {})))
    if "claims_text" in row:
        payload = f"{payload[:-1]},{row['claims_text']}}}"
    return tokens.sign(json.dumps(head).encode(), row.get("raw_payload", payload).encode(), key)


@pytest.mark.parametrize("row", rows())
def test_vector(row: dict[str, Any]) -> None:
    """Each proof is verified, or refused though its signature is good."""
    schemes = frozenset({"http", "https"} if row.get("http") else {"https"})

    assert reason_of(proof_of(row), schemes=schemes) == row["reason"]


def test_every_step_has_a_vector_that_it_refuses() -> None:
    """The numbers are those of RFC 9449 §4.3; 6 and 10 need keys and stand below, 1 is `extract`'s."""
    refused = {row.values[0]["step"] for row in rows() if row.values[0]["reason"] != "verified"}

    assert refused == {2, 3, 4, 5, 7, 8, 9, 11, 12}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_proves_its_key(algorithm: str) -> None:
    """A proof yields its key's thumbprint, its id, and the time until which it must be remembered."""
    key = proofs.proof_key(algorithm)

    proven = check(proofs.mint(key=key))

    assert proven == VerifiedProof(thumbprint=proofs.thumbprint(key), proof_id="a-proof", until=NOW - 2 + 60)


def test_the_thumbprint_is_that_of_the_standard() -> None:
    """The example of RFC 7638 §3.1."""
    from authz.authn.material import jwk_thumbprint

    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o"
        "knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZH"
        "zu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEg"
        "U8awapJzKnqDKgw"
    )

    entry = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}

    assert jwk_thumbprint(entry) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_by_another_key_is_refused(algorithm: str) -> None:
    """Step 6: the key in the header has to have signed it."""
    key = proofs.proof_key(algorithm)
    head = json.dumps(proofs.header(key)).encode()

    proof = tokens.sign(head, json.dumps(proofs.claims()).encode(), other_key(algorithm))

    assert reason_of(proof) == "proof_invalid"


def test_a_proof_for_another_token_is_refused() -> None:
    """Step 12: `ath` ties the proof to the token that it came with."""
    assert reason_of(proofs.mint(token="another"), token=proofs.TOKEN) == "proof_invalid"


# --- nonces (step 10) ---


def test_without_nonces_none_is_asked_for() -> None:
    """A nonce that nobody wanted says nothing."""
    assert reason_of(proofs.mint({"nonce": "any"})) == "verified"


@pytest.mark.parametrize(
    ("made_at", "reason"),
    [
        (NOW, "verified"),
        (NOW - 299, "verified"),
        (NOW - 301, "proof_invalid"),
        (NOW + 4, "verified"),
        (NOW + 60, "proof_invalid"),
    ],
)
def test_a_nonce_is_good_for_its_lifetime(made_at: float, reason: str) -> None:
    """From when it was made (give or take what replicas' clocks differ) until it is too old."""
    proof = proofs.mint({"nonce": make_nonce(KEY, now=made_at)})

    assert reason_of(proof, nonce_keys=(KEY,)) == reason


def test_a_nonce_under_the_key_before_is_still_good() -> None:
    """While the key rotates, replicas take each other's nonces."""
    proof = proofs.mint({"nonce": make_nonce(OLD_KEY, now=NOW)})

    assert reason_of(proof, nonce_keys=(KEY, OLD_KEY)) == "verified"
    assert reason_of(proof, nonce_keys=(KEY,)) == "proof_invalid"


@pytest.mark.parametrize("nonce", ["", "x", "é", 7, None, base64url(b"\0" * 24), base64url(b"\0" * 8)])
def test_what_is_no_nonce_of_ours_is_asked_for_again(nonce: Any) -> None:
    """Anything but our own words: the client may try again with what it is then given."""
    with pytest.raises(NonceWanted):
        check(proofs.mint({"nonce": nonce}), nonce_keys=(KEY,))


def test_a_changed_nonce_is_refused() -> None:
    """Neither its time nor its MAC can be changed."""
    nonce = make_nonce(KEY, now=NOW)
    for at, character in enumerate(nonce):
        changed = nonce[:at] + ("B" if character == "A" else "A") + nonce[at + 1 :]

        assert reason_of(proofs.mint({"nonce": changed}), nonce_keys=(KEY,)) == "proof_invalid"


def test_errors_never_hold_the_input() -> None:
    """No message of a refusal contains any part of the proof."""
    for row in rows():
        proof = proof_of(row.values[0])
        try:
            check(proof)
        except Refused as refused:
            text = f"{refused!r} {refused.detail} {refused.__cause__!r}"
            assert "orders.shop.example" not in text
            assert not proof or proof[:12] not in text
