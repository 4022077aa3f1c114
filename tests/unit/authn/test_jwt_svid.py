"""JWT-SVIDs, step by step: the vectors of tests/vectors/jwt_svids and what needs keys (SPIFFE JWT-SVID §3, §4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from authz.authn.jwt_svid import presented_jwt_svid, verify_jwt_svid
from authz.authn.leaf import VerifiedSvid
from authz.authn.svid import TrustBundle, import_bundle
from authz.model.errors import Refused, Unavailable
from authz.model.headers import Headers
from authz.model.issuer import JwtSvidSettings
from authz.model.spiffe import SpiffeId
from tests.mint import tokens
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN
from tests.mint.jwt_svids import bundle_of, claims, mint, svid_key
from tests.mint.keys import other_key
from tests.mint.tokens import NOW

VECTORS = Path(__file__).parents[2] / "vectors" / "jwt_svids" / "steps.json"
ROWS = json.loads(VECTORS.read_text(encoding="utf-8"))


def check(token: str, *, bundle: TrustBundle | None = None, now: float = NOW) -> VerifiedSvid:
    bundle = bundle or import_bundle(bundle_of(svid_key()), TRUST_DOMAIN)
    return verify_jwt_svid(
        token, {TRUST_DOMAIN}, {TRUST_DOMAIN: bundle}.get, frozenset({"orders"}), limit=8192, now=now
    )


def reason_of(token: str, **how: Any) -> str:
    try:
        check(token, **how)
    except Refused as refused:
        return refused.reason.code
    return "verified"


def token_of(row: dict[str, Any]) -> str:
    if "raw" in row:
        return str(row["raw"])
    dropped = dict.fromkeys(row.get("drop_header", ()), tokens.ABSENT)
    head = json.dumps(tokens.header(svid_key(), **({"typ": "JWT"} | dropped | row.get("header", {}))))
    payload = json.dumps(claims(**dict.fromkeys(row.get("drop", ()), tokens.ABSENT), **row.get("claims", {})))
    if "claims_text" in row:
        payload = f"{payload[:-1]},{row['claims_text']}}}"
    return tokens.sign(head.encode(), payload.encode(), svid_key())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['step']}: {row['what']}")
def test_vector(row: dict[str, Any]) -> None:
    """Each JWT-SVID is verified, or refused with its reason, though its signature is good."""
    assert reason_of(token_of(row)) == row["reason"]


def test_every_step_has_a_vector_that_it_refuses() -> None:
    """The numbers are those of `verify_jwt_svid`; 7, the signature, stands below."""
    assert {row["step"] for row in ROWS if row["reason"] != "verified"} == {1, 2, 3, 4, 5, 6, 8, 9, 10}


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_each_algorithm_verifies(algorithm: str) -> None:
    """A JWT-SVID names its workload, bound to the bundle's revision and its own times (skew included)."""
    key = svid_key(algorithm)
    bundle = import_bundle(bundle_of(key), TRUST_DOMAIN)

    svid = check(mint(key=key), bundle=bundle)

    assert svid == VerifiedSvid(
        id=SpiffeId.parse(FRONTEND), revision=bundle.revision, not_before=NOW - 40, not_after=NOW + 330
    )


def test_a_signature_by_another_key_is_refused() -> None:
    """Step 7: a key that bears the bundle's kid but isn't the bundle's signs nothing."""
    assert reason_of(mint(key=other_key("ES256", svid_key().kid))) == "workload_invalid"


def test_keys_for_certificates_sign_no_tokens() -> None:
    """A key counts for the use that the bundle says, and needs a kid (SPIFFE Bundle §4.2)."""
    key = svid_key()
    for entry in (key.jwk(use="x509-svid"), key.jwk(use=None), key.jwk(use="sig"), key.jwk(use="jwt-svid", kid=None)):
        bundle = import_bundle(json.dumps({"keys": [entry]}).encode(), TRUST_DOMAIN)

        assert reason_of(mint(), bundle=bundle) == "workload_invalid"


def test_without_the_bundle_it_cant_be_told() -> None:
    """A bundle that could not be had is a 503, not a refusal."""
    with pytest.raises(Unavailable):
        verify_jwt_svid(mint(), {TRUST_DOMAIN}, lambda _: None, frozenset({"orders"}), limit=8192, now=NOW)


def test_a_new_jwt_key_changes_the_revision() -> None:
    """What was verified with the bundle before is verified anew."""
    before = import_bundle(bundle_of(svid_key()), TRUST_DOMAIN)
    after = import_bundle(bundle_of(svid_key(), svid_key("RS256")), TRUST_DOMAIN)

    assert len(after.jwt_keys) == 2
    assert before.revision != after.revision


def test_exactly_one_header_counts() -> None:
    """Two values, or a comma that may have joined two, are ambiguous."""
    settings = JwtSvidSettings(header="x-jwt-svid", audiences=frozenset({"orders"}))

    assert presented_jwt_svid(Headers([("x-jwt-svid", "a.b.c")]), settings) == "a.b.c"
    assert presented_jwt_svid(Headers([("x-other", "a.b.c")]), settings) is None
    for items in ([("x-jwt-svid", "a"), ("x-jwt-svid", "a")], [("x-jwt-svid", "a,b")]):
        with pytest.raises(Refused) as refused:
            presented_jwt_svid(Headers(items), settings)
        assert refused.value.reason.code == "header_ambiguous"
