"""Key sets: which keys of a JWK set are usable, and for what (RFC 7517, RFC 7518 §6, RFC 8725 §3.1)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from authz.authn.keys import MAX_KEYS, KeySetError, import_key_set
from authz.authn.material import is_roca
from authz.model.errors import Refused
from authz.model.issuer import ALGORITHMS
from authz.model.reason import Reason
from tests.mint.keys import SigningKey, base64url, base64url_number, jwk_set, other_key, rsa_key, signing_key

RSA = signing_key("RS256")
EC = signing_key("ES256")
ED = signing_key("Ed25519")


def usable(*entries: Any, accepted: tuple[str, ...] = ALGORITHMS) -> list[str]:
    """The algorithms that the set's keys are bound to; each other entry has left a warning."""
    keys, warnings = import_key_set(jwk_set(*entries), accepted)
    assert len(keys) + len(warnings) == len(entries)
    return sorted(name for name in ALGORITHMS if any(finds(keys, kid, name) for kid in kids(*entries)))


def kids(*entries: Any) -> set[Any]:
    return {entry.kid if isinstance(entry, SigningKey) else entry.get("kid") for entry in entries}


def finds(keys: Any, kid: Any, algorithm: str) -> bool:
    try:
        keys.find(kid if isinstance(kid, str) else None, algorithm)
    except Refused as refused:
        assert refused.reason is Reason.TOKEN_KEY_UNKNOWN
        return False
    return True


@pytest.mark.parametrize(
    ("entry", "algorithms"),
    [
        (RSA.jwk(), ["RS256"]),
        (RSA.jwk(alg="PS256"), ["PS256"]),
        (RSA.jwk(alg=None), ["RS256"]),
        (EC.jwk(), ["ES256"]),
        (EC.jwk(alg=None, use=None), ["ES256"]),
        (ED.jwk(), ["Ed25519"]),
        (ED.jwk(alg="EdDSA"), ["Ed25519"]),
        (RSA.jwk(use=None, key_ops=["verify"]), ["RS256"]),
        (RSA.jwk(x5c=["whatever"], x5t="hint"), ["RS256"]),
    ],
)
def test_a_usable_key_is_bound_to_one_algorithm(entry: dict[str, Any], algorithms: list[str]) -> None:
    """A key's own `alg` binds it, else the first algorithm of the issuer's list that fits its type."""
    assert usable(entry) == algorithms


def test_a_key_without_alg_is_bound_by_the_order_of_the_issuers_list() -> None:
    """The issuer's list decides between RS256 and PS256."""
    assert usable(RSA.jwk(alg=None), accepted=("PS256", "RS256")) == ["PS256"]


_SMALL = SigningKey("RS256", rsa_key(1024))
_N = RSA.jwk()["n"]


@pytest.mark.parametrize(
    "entry",
    [
        RSA.jwk(use="enc"),
        RSA.jwk(use=7),
        RSA.jwk(key_ops=["encrypt"]),
        RSA.jwk(key_ops="verify"),
        RSA.jwk(key_ops=[]),
        RSA.jwk(alg="RS512"),
        RSA.jwk(alg="HS256"),
        RSA.jwk(alg="none"),
        RSA.jwk(alg="ES256"),
        RSA.jwk(alg=["RS256"]),
        RSA.jwk(kid=""),
        RSA.jwk(kid=7),
        RSA.jwk(kid="k" * 129),
        RSA.jwk(kty="EC"),
        RSA.jwk(kty="rsa"),
        RSA.jwk(kty=None),
        RSA.jwk(crv="P-256"),
        RSA.jwk(x="AA"),
        RSA.jwk(d="AA"),
        RSA.jwk(p="AA"),
        RSA.jwk(k="AA"),
        RSA.jwk(n=None),
        RSA.jwk(n=7),
        RSA.jwk(n=_N + "=="),
        RSA.jwk(n="+" + _N[1:]),
        RSA.jwk(n=base64url(b"\0" * 1 + b"\xff" * 256)),
        RSA.jwk(e="AA"),
        RSA.jwk(e="AQ"),
        RSA.jwk(e=base64url_number(65536)),
        RSA.jwk(e=base64url_number(2**32 + 1)),
        RSA.jwk(e=""),
        RSA.jwk(n=base64url_number(2**2047)),
        RSA.jwk(n=base64url_number(2**8192 + 1)),
        _SMALL.jwk(),
        EC.jwk(alg=None, crv="P-384"),
        EC.jwk(crv="p-256"),
        EC.jwk(y=None),
        EC.jwk(x=EC.jwk()["y"]),
        EC.jwk(n="AA"),
        EC.jwk(x=base64url(b"\0" + b"\1" * 32)),
        EC.jwk(x=base64url(b"\1" * 31)),
        EC.jwk(x=base64url(b"\xff" * 32)),
        EC.jwk(x=base64url(b"\0" * 32), y=base64url(b"\0" * 32)),
        EC.jwk(d="AA"),
        ED.jwk(x=base64url(b"\1" * 31)),
        ED.jwk(x=base64url(b"\0" * 32)),
        ED.jwk(x=base64url(b"\1" + b"\0" * 31)),
        ED.jwk(x=base64url(b"\xff" * 32)),
        ED.jwk(crv="X25519"),
        ED.jwk(y="AA"),
        ED.jwk(crv=None),
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256", "kid": "s"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "s"},
        {},
    ],
)
def test_a_key_that_cannot_be_used_is_skipped_with_a_warning(entry: dict[str, Any]) -> None:
    """One bad key spoils neither the set nor its good keys."""
    assert usable(entry) == []
    assert usable(entry, signing_key("ES256", "good")) == ["ES256"]


@pytest.mark.parametrize("entry", [None, 7, "key", ["kty"]])
def test_an_entry_that_is_no_object_is_skipped(entry: Any) -> None:
    """The array may hold anything; only objects are keys."""
    keys, warnings = import_key_set(json.dumps({"keys": [entry]}).encode(), ALGORITHMS)

    assert (len(keys), len(warnings)) == (0, 1)


def test_an_algorithm_outside_the_issuers_list_makes_no_key() -> None:
    """List and key must both agree (RFC 8725 §3.1)."""
    assert usable(RSA, signing_key("ES256", "other"), accepted=("ES256",)) == ["ES256"]


def test_two_keys_with_one_kid_are_both_unusable() -> None:
    """One kid, one key: neither is chosen, also when one of the two could not be used anyway."""
    twin = other_key("RS256").jwk()

    assert usable(RSA, twin) == []
    assert usable(RSA, RSA) == []
    assert usable(RSA, signing_key("ES256", RSA.kid)) == []
    assert usable(RSA, _SMALL) == []


def test_a_key_for_another_purpose_does_not_clash() -> None:
    """An encryption key is as good as absent, so its kid is free for a signing key."""
    assert usable(RSA, RSA.jwk(use="enc")) == ["RS256"]


def test_a_roca_modulus_is_recognised() -> None:
    """A modulus that is a power of 65537 modulo each small prime (CVE-2017-15361) is refused."""
    product = 1
    for prime in (p for p in range(2, 168) if all(p % q for q in range(2, p))):
        product *= prime
    weak = pow(65537, 123457, product) + product * ((1 << 2047) // product + 2)
    weak += 0 if weak % 2 else product

    assert is_roca(weak)
    assert usable(RSA.jwk(n=base64url_number(weak))) == []
    assert not is_roca(_SMALL.private.public_key().public_numbers().n)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":null}',
        b'{"keys":[],"keys":[]}',
        b"<html>",
        b'\xef\xbb\xbf{"keys":[]}',
        b'{"keys":[' + b"{}," * MAX_KEYS + b"{}]}",
        b'{"keys":[],"pad":"' + b"x" * 600_000 + b'"}',
        b'{"keys":' + b"[" * 20 + b"]" * 20 + b"}",
    ],
)
def test_what_is_no_key_set_raises(document: bytes) -> None:
    """Another document, another encoding, a duplicate member, or one beyond the bounds."""
    with pytest.raises(KeySetError):
        import_key_set(document, ALGORITHMS)


def test_an_empty_set_is_a_set() -> None:
    """No key is published: every token's key is unknown."""
    keys, warnings = import_key_set(b'{"keys":[]}', ALGORITHMS)

    assert (len(keys), warnings) == (0, ())
    assert not finds(keys, "key-1", "RS256")
    assert not finds(keys, None, "RS256")


def test_the_revision_follows_the_usable_keys() -> None:
    """Order and skipped keys don't matter; a key more, less or other does."""
    revision = import_key_set(jwk_set(RSA, signing_key("ES256", "b")), ALGORITHMS)[0].revision

    assert import_key_set(jwk_set(signing_key("ES256", "b"), {}, RSA), ALGORITHMS)[0].revision == revision
    assert import_key_set(jwk_set(RSA), ALGORITHMS)[0].revision != revision
    assert import_key_set(jwk_set(other_key("RS256"), signing_key("ES256", "b")), ALGORITHMS)[0].revision != revision


def test_warnings_never_hold_what_was_published() -> None:
    """A warning says which entry and which rule, not what stood there."""
    document = jwk_set({"kty": "secret-word", "kid": "secret-word"}, RSA.jwk(d="secret-word"))

    _, warnings = import_key_set(document, ALGORITHMS)

    assert len(warnings) == 2
    assert not any("secret-word" in warning for warning in warnings)
