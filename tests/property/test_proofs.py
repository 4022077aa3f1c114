"""Invariant: no octets but those that the client's key signed, for this request and token, prove anything.

A proof with one character changed, removed or added is another proof; any text at all ends in a `Refused` of a known
reason, never in another exception. The same holds for JWT-SVIDs.
"""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.authn.dpop import ProofRules, VerifiedProof, verify_proof
from authz.authn.jwt_svid import verify_jwt_svid
from authz.authn.leaf import VerifiedSvid
from authz.authn.nonce import is_fresh, make_nonce
from authz.authn.svid import import_bundle
from authz.model.errors import Refused
from authz.model.issuer import ALGORITHMS
from authz.model.reason import Reason
from tests.mint import jwt_svids, proofs, tokens
from tests.mint.certificates import TRUST_DOMAIN
from tests.mint.requests import request
from tests.mint.tokens import NOW

CHARACTERS = string.ascii_letters + string.digits + "-_.+/=~ \n,é\0"
REQUEST = request()
BUNDLE = import_bundle(jwt_svids.bundle_of(jwt_svids.svid_key()), TRUST_DOMAIN)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def proven(proof: str, rules: ProofRules | None = None) -> VerifiedProof | Reason:
    try:
        return verify_proof(proof, proofs.TOKEN, REQUEST, rules or ProofRules(), now=NOW)
    except Refused as refused:
        return refused.reason


def workload(token: str) -> VerifiedSvid | Reason:
    try:
        return verify_jwt_svid(
            token, {TRUST_DOMAIN}, {TRUST_DOMAIN: BUNDLE}.get, frozenset({"orders"}), limit=8192, now=NOW
        )
    except Refused as refused:
        return refused.reason


def variants(text: str) -> list[tuple[int, str]]:
    """The text with each character in turn replaced by neighbours and strangers, taken out, doubled, cut off at."""
    found = []
    for at, character in enumerate(text):
        others = {chr(ord(character) ^ 1), chr(ord(character) ^ 32), "A", ".", "="} - {character}
        changed = [text[:at] + other + text[at + 1 :] for other in others]
        changed += [text[:at] + text[at + 1 :], text[:at] + character + text[at:], text[:at]]
        found += [(at, one) for one in changed if one != text]
    return found


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_proof_changed_at_any_position_proves_nothing(algorithm: str) -> None:
    """Header, key, claims and signature alike."""
    proof = proofs.mint(key=proofs.proof_key(algorithm))
    assert isinstance(proven(proof), VerifiedProof)

    for at, changed in variants(proof):
        assert proven(changed) is Reason.PROOF_INVALID, at


def test_a_jwt_svid_changed_at_any_position_is_none() -> None:
    """Header, claims and signature alike."""
    token = jwt_svids.mint()
    assert isinstance(workload(token), VerifiedSvid)

    for at, changed in variants(token):
        assert isinstance(workload(changed), Reason), at


@given(st.text(CHARACTERS, max_size=300) | st.text(max_size=100))
def test_any_text_is_refused_in_order(text: str) -> None:
    """No text makes verification fail in another way."""
    assert proven(text) is Reason.PROOF_INVALID
    assert isinstance(workload(text), Reason)


@given(
    st.dictionaries(st.sampled_from(["typ", "alg", "jwk", "kid", "crit"]) | st.text(max_size=5), json_values),
    st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]), json_values),
    st.booleans(),
)
def test_any_signed_json_proves_what_it_says_or_nothing(
    head: dict[str, object], claims: dict[str, object], nonces: bool
) -> None:
    """Whatever values a client signs: a verdict, and a verified proof is for this request, token and moment."""
    key = proofs.proof_key()
    rules = ProofRules(nonce_keys=(b"k" * 32,) if nonces else ())
    signed = json.dumps(proofs.claims() | claims).encode("utf-8", "surrogatepass")
    proof = tokens.sign(json.dumps(proofs.header(key) | head).encode("utf-8", "surrogatepass"), signed, key)

    result = proven(proof, rules)

    if isinstance(result, VerifiedProof):
        assert not nonces
        assert result.thumbprint == proofs.thumbprint()
        assert NOW < result.until <= NOW + 90


@given(
    st.dictionaries(st.sampled_from(["typ", "alg", "kid", "crit"]) | st.text(max_size=5), json_values),
    st.dictionaries(st.sampled_from(["sub", "aud", "exp", "iat", "nbf"]), json_values),
)
def test_any_signed_json_is_a_workload_or_none(head: dict[str, object], claims: dict[str, object]) -> None:
    """Whatever a trust domain signs: a verdict, and a workload is of that trust domain and still valid."""
    key = jwt_svids.svid_key()
    token = tokens.sign(
        json.dumps(tokens.header(key, typ="JWT") | head).encode("utf-8", "surrogatepass"),
        json.dumps(jwt_svids.claims() | claims).encode("utf-8", "surrogatepass"),
        key,
    )

    result = workload(token)

    if isinstance(result, VerifiedSvid):
        assert result.id.trust_domain == TRUST_DOMAIN
        assert result.not_before <= NOW < result.not_after


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda octets: octets.hex()))
def test_no_text_is_a_nonce_but_ours(text: str) -> None:
    """And what we made is one, until it is too old."""
    key = b"k" * 32

    assert not is_fresh(text, (key,), lifetime=300, now=NOW)
    assert is_fresh(make_nonce(key, now=NOW), (b"o" * 32, key), lifetime=300, now=NOW + 300)
