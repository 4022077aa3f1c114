"""Verification of access tokens, step by step: the vectors of tests/vectors/tokens and what needs keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from authz.authn.extract import PresentedToken, Scheme
from authz.authn.keys import KeySet, import_key_set
from authz.authn.token import UnverifiedToken, VerifiedToken, peek, recheck, verify
from authz.model.errors import Refused
from authz.model.issuer import ALGORITHMS, IssuerSettings
from authz.model.reason import Reason
from tests.mint import tokens
from tests.mint.certificates import svid
from tests.mint.keys import SigningKey, base64url, jwk_set, other_key, public_members, signing_key
from tests.mint.tokens import NOW

VECTORS = Path(__file__).parents[2] / "vectors" / "tokens"


def settings(**fields: Any) -> IssuerSettings:
    listed = {"audience_claim": tuple, "algorithms": tuple, "token_types": frozenset}
    fields = {name: listed.get(name, lambda value: value)(value) for name, value in fields.items()}
    return IssuerSettings(
        **{"name": "corp", "issuer": tokens.ISSUER, "audiences": frozenset({tokens.AUDIENCE})} | fields
    )


def keys(*signing: SigningKey) -> KeySet:
    return import_key_set(jwk_set(*(signing or (signing_key("RS256"),))), ALGORITHMS)[0]


def check(
    token: str,
    *,
    issuer: IssuerSettings | None = None,
    key_set: KeySet | None = None,
    scheme: Scheme = Scheme.BEARER,
    proof: bool = False,
    certificate: str = "",
    now: float = NOW,
) -> VerifiedToken:
    presented = PresentedToken(scheme=scheme, token=token, proof=proof, certificate=certificate)
    find = (key_set or keys()).find
    return verify(peek(presented, limit=8192), issuer or settings(), find, presented, now=now)


def reason_of(token: str, **how: Any) -> str:
    try:
        check(token, **how)
    except Refused as refused:
        return refused.reason.code
    return "verified"


def rows() -> list[Any]:
    found = []
    for file in sorted(VECTORS.glob("*.json")):
        for row in json.loads(file.read_text(encoding="utf-8")):
            found.append(pytest.param(row, id=f"{file.stem}: {row['what']}"))
    return found


def token_of(row: dict[str, Any]) -> str:
    dropped = dict.fromkeys(row.get("drop_header", ()), tokens.ABSENT)
    head = json.dumps(tokens.header(signing_key("RS256"), **dropped, **row.get("header", {})))
    left_out = dict.fromkeys(row.get("drop", ()), tokens.ABSENT)
    payload = json.dumps(tokens.claims(**left_out, **row.get("claims", {})))
    if "claims_text" in row:
        payload = f"{payload[:-1]},{row['claims_text']}}}"
    head, payload = row.get("raw_header", head), row.get("raw_payload", payload)
    return tokens.sign(head.encode("utf-8", "surrogatepass"), payload.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("row", rows())
def test_vector(row: dict[str, Any]) -> None:
    """Each vector is verified, or refused with its reason, though its signature is good."""
    token = token_of(row)

    reason = reason_of(
        token,
        issuer=settings(**row.get("settings", {})),
        scheme=Scheme(row.get("scheme", "bearer")),
        proof=row.get("proof", False),
    )

    assert reason == row["reason"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_verifies(algorithm: str) -> None:
    """A token of each algorithm verifies with its key and yields its claims."""
    key = signing_key(algorithm)

    verified = check(tokens.mint(key=key), key_set=keys(key))

    assert verified.claims["sub"] == "alice"
    assert verified.audiences == {tokens.AUDIENCE}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_signature_by_another_key_is_refused(algorithm: str) -> None:
    """A key that bears the issuer's kid but isn't the issuer's signs nothing."""
    token = tokens.mint(key=other_key(algorithm))

    assert reason_of(token, key_set=keys(signing_key(algorithm))) == "token_signature_invalid"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(
    "change",
    [
        lambda s: b"",
        lambda s: s[:-1],
        lambda s: s + b"\0",
        lambda s: b"\0" + s,
        lambda s: b"\0" * len(s),
        lambda s: b"\xff" * len(s),
    ],
)
def test_a_signature_of_another_length_or_value_is_refused(algorithm: str, change: Any) -> None:
    """Empty, shortened, padded and constant signatures fail, also ECDSA's r = s = 0."""
    key = signing_key(algorithm)
    signed = tokens.mint(key=key).rpartition(".")[0]

    token = f"{signed}.{base64url(change(key.sign(signed.encode())))}"

    assert reason_of(token, key_set=keys(key)) == "token_signature_invalid"


def test_an_ecdsa_signature_in_der_is_refused() -> None:
    """JWS wants R and S in 64 octets (RFC 7518 §3.4); the DER form that other protocols use is none."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = signing_key("ES256")
    signed = tokens.mint(key=key).rpartition(".")[0]
    assert isinstance(key.private, ec.EllipticCurvePrivateKey)
    der = key.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))

    assert reason_of(f"{signed}.{base64url(der)}", key_set=keys(key)) == "token_signature_invalid"


@pytest.mark.parametrize("secret", ["pem", "pkcs1", "ssh", "der", "jwk", "n"])
@pytest.mark.parametrize("algorithm", ["HS256", "RS256"])
def test_the_public_key_is_no_secret(secret: str, algorithm: str) -> None:
    """An HMAC with any encoding of the public key as its secret is refused: no HMAC code path exists."""
    import hashlib
    import hmac

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = signing_key("RS256")
    public = key.private.public_key()
    forms = {
        "pem": (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "pkcs1": (Encoding.PEM, PublicFormat.PKCS1),
        "ssh": (Encoding.OpenSSH, PublicFormat.OpenSSH),
        "der": (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    }
    octets = (
        public.public_bytes(*forms[secret])
        if secret in forms
        else json.dumps(key.jwk()).encode()
        if secret == "jwk"
        else public_members(public)["n"].encode()
    )
    signed = tokens.mint(head={"alg": algorithm}).rpartition(".")[0]

    token = f"{signed}.{base64url(hmac.digest(octets, signed.encode(), hashlib.sha256))}"

    expected = "token_algorithm_refused" if algorithm == "HS256" else "token_signature_invalid"
    assert reason_of(token) == expected


def test_eddsa_is_another_name_of_ed25519() -> None:
    """A token that says EdDSA verifies with an Ed25519 key (RFC 9864 §2.2)."""
    key = signing_key("Ed25519")

    assert reason_of(tokens.mint(key=key, head={"alg": "EdDSA"}), key_set=keys(key)) == "verified"


def test_without_kid_two_keys_that_fit_are_one_too_many() -> None:
    """Nothing is tried in turn: without a kid exactly one key must fit the algorithm."""
    first, second = signing_key("RS256"), other_key("RS256", "key-2")
    token = tokens.mint(head={"kid": tokens.ABSENT})

    assert reason_of(token, key_set=keys(first, second)) == "token_key_unknown"
    assert reason_of(token, key_set=keys(first, signing_key("PS256", "key-2"))) == "verified"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "{}",
        "eyJhbGciOiJub25lIn0..",
        "a" * 9000,
        "." * 8000,
        '{"payload":"e30","signatures":[]}',
    ],
)
def test_what_is_no_compact_jws_is_malformed(token: str) -> None:
    """Other numbers of parts, JWEs, JSON forms and thousands of dots are refused before anything is decoded."""
    assert reason_of(token) == "token_malformed"


def test_non_canonical_base64url_is_malformed() -> None:
    """Padding, the other alphabet, blanks and unused bits give a second spelling of one token: refused."""
    head, payload, signature = tokens.mint().split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings = [
        f"{head}.{payload}.{signature}==",
        f"{head}.{payload} .{signature}",
        f"{head}.{payload}.{signature}\n",
        f"{head}.{payload}.+{signature[1:]}",
        f"{head}.{payload}.{signature}AAA",
        f"{head}.{payload}.{signature[:-1]}{last[last.index(signature[-1]) + 1]}",
        f"é.{payload}.{signature}",
    ]

    assert {reason_of(token) for token in spellings} == {"token_malformed"}


def test_the_limit_counts_the_whole_token() -> None:
    """8,192 bytes pass, one more doesn't."""
    padding = len(tokens.mint({"pad": ""}))
    fitting = tokens.mint({"pad": "x" * int((8192 - padding) * 3 / 4 - 3)})

    assert len(fitting) <= 8192
    assert reason_of(fitting) == "verified"
    assert reason_of(tokens.mint({"pad": "x" * 6200})) == "token_malformed"


def test_utf_16_is_malformed() -> None:
    """JSON is UTF-8; no other encoding is guessed."""
    head = json.dumps(tokens.header(signing_key("RS256"))).encode()

    token = tokens.sign(head, json.dumps(tokens.claims()).encode("utf-16"))

    assert reason_of(token) == "token_malformed"


def test_a_token_bound_to_the_callers_certificate_is_verified() -> None:
    """With the certificate that it is bound to (RFC 8705 §3) a token verifies, with another one it doesn't."""
    from authz.authn.certificate import thumbprint

    own, other = svid(), svid()
    token = tokens.mint({"cnf": {"x5t#S256": thumbprint(own.certificate)}})

    assert reason_of(token, certificate=own.encoded) == "verified"
    assert reason_of(token, certificate=other.encoded) == "binding_mismatch"
    assert reason_of(token, certificate="%%%") == "binding_mismatch"


def test_a_cached_token_is_rechecked_for_time_and_binding() -> None:
    """What was verified once is asked again for all that time and the presentation can change."""
    presented = PresentedToken(scheme=Scheme.BEARER, token=tokens.mint())
    claims = check(presented.token).claims

    recheck(claims, settings(), presented, now=NOW + 3000)

    for now, how, reason in [
        (NOW + 3570, presented, Reason.TOKEN_EXPIRED),
        (NOW - 91, presented, Reason.TOKEN_NOT_YET_VALID),
        (NOW, PresentedToken(scheme=Scheme.DPOP, token=presented.token), Reason.PROOF_MISSING),
    ]:
        with pytest.raises(Refused) as refused:
            recheck(claims, settings(), how, now=now)
        assert refused.value.reason is reason


def test_an_unverified_token_has_no_claims_to_use() -> None:
    """What `peek` returns can't be taken for verified: it shows the issuer and nothing else."""
    public = {name for name in dir(UnverifiedToken) if not name.startswith("_")}

    assert public == {"issuer"}


def test_errors_never_hold_the_input() -> None:
    """No message of a refusal contains any part of the token or of its claims."""
    secret = "s3cr3t-value"
    for row in rows():
        token = token_of({**row.values[0], "claims": {**row.values[0].get("claims", {}), "private": secret}})
        try:
            check(token, issuer=settings(**row.values[0].get("settings", {})))
        except Refused as refused:
            text = f"{refused!r} {refused.detail} {refused.__cause__!r}"
            assert secret not in text
            assert token.split(".")[1][:20] not in text or token.split(".")[1] == ""
