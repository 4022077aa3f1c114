"""Invariant: no octets but those that the issuer signed are ever verified, and whatever comes is refused in order.

A token with one character changed, removed, added or swapped is another token; any text at all ends in a `Refused`
of a known reason, never in another exception.
"""

from __future__ import annotations

import json
import string
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.authn.encoding import EncodingError, decode_base64url, read_json_object
from authz.authn.extract import PresentedToken, Scheme, bearer
from authz.authn.keys import KeySet, KeySetError, import_key_set
from authz.authn.token import VerifiedToken, peek, verify
from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.issuer import ALGORITHMS, IssuerSettings
from authz.model.reason import Reason
from tests.mint import tokens
from tests.mint.keys import base64url, jwk_set, signing_key

SETTINGS = IssuerSettings(
    name="corp", issuer=tokens.ISSUER, audiences=frozenset({tokens.AUDIENCE}), token_types=frozenset({"at+jwt", "jwt"})
)
CHARACTERS = string.ascii_letters + string.digits + "-_.+/=~ \n,é\0"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@cache
def key_set(algorithm: str) -> KeySet:
    return import_key_set(jwk_set(signing_key(algorithm)), ALGORITHMS)[0]


@cache
def good(algorithm: str) -> str:
    return tokens.mint({"jti": "x"}, key=signing_key(algorithm))


def outcome(token: str, algorithm: str = "ES256") -> VerifiedToken | Reason:
    presented = PresentedToken(scheme=Scheme.BEARER, token=token)
    try:
        return verify(peek(presented, limit=8192), SETTINGS, key_set(algorithm).find, presented, now=tokens.NOW)
    except Refused as refused:
        return refused.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_change_at_any_position_is_refused(algorithm: str) -> None:
    """Each character in turn is replaced by its neighbours and by strangers, taken out, doubled and cut off at."""
    token = good(algorithm)
    assert isinstance(outcome(token, algorithm), VerifiedToken)

    for at, character in enumerate(token):
        others = {chr(ord(character) ^ 1), chr(ord(character) ^ 32), "A", ".", "="} - {character}
        variants = [token[:at] + other + token[at + 1 :] for other in others]
        variants += [token[:at] + token[at + 1 :], token[:at] + character + token[at:], token[:at]]
        for variant in variants:
            assert variant == token or isinstance(outcome(variant, algorithm), Reason), at


@given(st.data())
def test_several_changes_at_once_are_refused(data: st.DataObject) -> None:
    """Also changes that keep the length and the form."""
    token = list(good("ES256"))
    for _ in range(data.draw(st.integers(1, 5))):
        token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.sampled_from(CHARACTERS))
    changed = "".join(token)

    assert changed == good("ES256") or isinstance(outcome(changed), Reason)


@given(st.text(CHARACTERS, max_size=300) | st.text(max_size=100))
def test_any_text_is_refused_in_order(text: str) -> None:
    """No text makes verification fail in another way."""
    assert isinstance(outcome(text), Reason)


@given(
    st.dictionaries(st.sampled_from(["alg", "typ", "kid", "cty", "crit", "zip"]) | st.text(max_size=5), json_values),
    st.dictionaries(st.sampled_from(["iss", "aud", "sub", "exp", "nbf", "iat", "cnf", "nonce"]), json_values),
)
def test_any_signed_json_is_verified_or_refused(head: dict[str, object], claims: dict[str, object]) -> None:
    """Whatever values an issuer signs: a verdict, and a verified token has what the rest relies on."""
    key = signing_key("ES256")
    token = tokens.sign(
        json.dumps({"alg": "ES256", "kid": key.kid} | head).encode("utf-8", "surrogatepass"),
        json.dumps(tokens.claims() | claims).encode("utf-8", "surrogatepass"),
        key,
    )

    result = outcome(token)

    if isinstance(result, VerifiedToken):
        assert result.claims["iss"] == tokens.ISSUER
        assert isinstance(result.claims["sub"], str)
        assert result.audiences & SETTINGS.audiences
        assert result.expires_at + SETTINGS.clock_skew > tokens.NOW


@given(st.lists(st.tuples(st.sampled_from(["authorization", "dpop"]), st.text(CHARACTERS, max_size=40)), max_size=3))
def test_any_header_is_a_token_or_none_or_refused(items: list[tuple[str, str]]) -> None:
    """A presented token is always the one word that followed a known scheme."""
    try:
        presented = bearer(Headers(items), limit=30)
    except Refused as refused:
        assert refused.reason in (Reason.TOKEN_MALFORMED, Reason.HEADER_AMBIGUOUS)
        return
    if presented is not None:
        (value,) = (value for name, value in items if name == "authorization")
        assert value.split()[1:] == [presented.token]


@given(st.binary(max_size=80))
def test_base64url_has_one_spelling(octets: bytes) -> None:
    """What is decoded encodes to the same text, and every octet string survives."""
    assert decode_base64url(base64url(octets).encode()) == octets


@given(st.text(string.ascii_letters + string.digits + "-_+/= ", max_size=12))
def test_no_two_texts_decode_alike(text: str) -> None:
    """Only the canonical text of some octets is read at all."""
    try:
        octets = decode_base64url(text.encode())
    except EncodingError:
        return
    assert base64url(octets) == text


@given(st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")))
def test_json_is_read_as_an_object_or_refused(raw: bytes) -> None:
    """Nothing else is raised, and what is read is plain JSON that can be written again."""
    try:
        value = read_json_object(raw)
    except EncodingError:
        return
    assert json.loads(json.dumps(value, allow_nan=False)) == value


@given(st.binary(max_size=60) | st.lists(json_values, max_size=3).map(lambda v: json.dumps({"keys": v}).encode()))
def test_any_document_is_a_key_set_or_none(document: bytes) -> None:
    """Entries of any shape are skipped, documents of any shape are refused."""
    try:
        keys, _ = import_key_set(document, ALGORITHMS)
    except KeySetError:
        return
    assert len(keys) == 0
