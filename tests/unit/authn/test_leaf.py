"""X.509-SVIDs against trust bundles, one defect at a time (X509-SVID §4, §5; RFC 5280)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz.authn.leaf import VerifiedSvid, named_id, verify_svid
from authz.authn.svid import TrustBundle, import_bundle
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId
from tests.mint.certificates import (
    FRONTEND,
    HOUR,
    TRUST_DOMAIN,
    Issued,
    authority,
    bundle,
    issue,
    key_usage,
    make_authority,
    moment,
    svid,
)
from tests.mint.keys import rsa_key, signing_key
from tests.mint.tokens import NOW


def check(leaf: Issued | str, *, trusted: bytes | None = None, now: float = NOW) -> VerifiedSvid | Reason:
    """Verify against a bundle of shop.example (the usual authority), or say why not."""
    made = import_bundle(bundle(authority()) if trusted is None else trusted, TRUST_DOMAIN)
    bundles: dict[str, TrustBundle] = {TRUST_DOMAIN: made}
    text = leaf if isinstance(leaf, str) else leaf.encoded
    try:
        return verify_svid(text, {TRUST_DOMAIN, "partner.example"}, bundles.get, now=now)
    except Refused as refused:
        return refused.reason


def accepted(outcome: VerifiedSvid | Reason) -> bool:
    return isinstance(outcome, VerifiedSvid)


def critical(value: Any) -> list[tuple[Any, bool]]:
    return [(value, True)]


_UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\5\0")


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("usual", svid),
        ("without basicConstraints", lambda: svid(ca=None)),
        ("without extendedKeyUsage", lambda: svid(purposes=())),
        ("with DNS names beside the URI", lambda: svid(dns=["a.example", "b.example"])),
        ("with an RSA key", lambda: svid(private=rsa_key())),
        ("with a P-384 key", lambda: svid(private=ec.generate_private_key(ec.SECP384R1()))),
        ("with an Ed25519 key", lambda: svid(private=ed25519.Ed25519PrivateKey.generate())),
        ("signed over SHA-384", lambda: svid(digest=hashes.SHA384())),
        ("with an unknown extension that isn't critical", lambda: svid(extra=[(_UNKNOWN, False)])),
    ],
)
def test_a_sound_certificate_is_verified(what: str, make: Callable[[], Issued]) -> None:
    """What the standard allows is accepted, with its ID and the times within which that holds."""
    outcome = check(make())

    assert isinstance(outcome, VerifiedSvid)
    assert outcome.id == SpiffeId.parse(FRONTEND)
    assert (outcome.not_before, outcome.not_after) == (NOW - 1800, NOW + 1800)


@pytest.mark.parametrize(
    ("what", "make"),
    [
        ("no name", lambda: svid(uris=[])),
        ("only a DNS name", lambda: svid(uris=[], dns=["frontend.shop.example"])),
        ("two URIs", lambda: svid(uris=[FRONTEND, "spiffe://shop.example/ns/shop/sa/admin"])),
        ("the same URI twice", lambda: svid(uris=[FRONTEND, FRONTEND])),
        ("a SPIFFE ID and another URI", lambda: svid(uris=[FRONTEND, "https://shop.example/"])),
        ("another kind of URI", lambda: svid("https://shop.example/frontend")),
        ("the trust domain's own ID", lambda: svid("spiffe://shop.example")),
        ("an ID with an empty path", lambda: svid("spiffe://shop.example/")),
        ("an ID with dots", lambda: svid("spiffe://shop.example/a/../b")),
        ("an ID in upper case", lambda: svid("spiffe://SHOP.example/a")),
        ("an ID with NUL", lambda: svid("spiffe://shop.example/a\0b")),
        ("an ID with a percent sign", lambda: svid("spiffe://shop.example/a%2Fb")),
        ("an ID with a port", lambda: svid("spiffe://shop.example:443/a")),
        ("a CA", lambda: svid(ca=True)),
        ("a CA of the trust domain with a path", lambda: make_authority(issuer=authority(), uris=[FRONTEND])),
        ("the authority itself", authority),
        ("no keyUsage", lambda: svid(usage=None)),
        ("no digitalSignature", lambda: svid(usage=key_usage(crl_sign=False))),
        ("keyCertSign", lambda: svid(usage=key_usage(digital_signature=True, key_cert_sign=True))),
        ("cRLSign", lambda: svid(usage=key_usage(digital_signature=True, crl_sign=True))),
        ("only serverAuth", lambda: svid(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])),
        ("only anyExtendedKeyUsage", lambda: svid(purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])),
        ("only codeSigning", lambda: svid(purposes=[ExtendedKeyUsageOID.CODE_SIGNING])),
        ("an unknown critical extension", lambda: svid(extra=critical(_UNKNOWN))),
        ("an RSA key of 1024 bits", lambda: svid(private=rsa_key(1024))),
        ("a key on another curve", lambda: svid(private=ec.generate_private_key(ec.SECP256K1()))),
        ("a DSA key", lambda: svid(private=dsa.generate_private_key(2048))),
        ("a signature over SHA-224", lambda: svid(digest=hashes.SHA224())),
        ("expired", lambda: svid(end=moment(NOW - 1))),
        ("not yet valid", lambda: svid(begin=moment(NOW + 1))),
        (
            "signed by itself",
            lambda: issue(
                subject="root.shop.example", uris=[FRONTEND], extensions=critical(key_usage(digital_signature=True))
            ),
        ),
        ("signed by another authority", lambda: svid(issuer=make_authority(name="other"))),
        ("signed by another key of the authority's name", lambda: svid(issuer=make_authority())),
        (
            "signed by an intermediate that the bundle lacks",
            lambda: svid(issuer=make_authority(name="intermediate", issuer=authority())),
        ),
        ("signed by a leaf", lambda: svid(issuer=svid())),
    ],
)
def test_a_defect_makes_the_workload_invalid(what: str, make: Callable[[], Issued]) -> None:
    """Each rule alone refuses a certificate that is sound otherwise."""
    assert check(make()) is Reason.WORKLOAD_INVALID


def test_validity_includes_both_ends() -> None:
    """RFC 5280 §4.1.2.5: from notBefore through notAfter."""
    leaf = svid()

    assert [accepted(check(leaf, now=NOW + at)) for at in (-1800.5, -1800, 1800, 1800.5)] == [False, True, True, False]


def test_an_unknown_trust_domain_has_its_own_reason() -> None:
    """The domain is looked up before anything else of the certificate counts."""
    assert check(svid("spiffe://elsewhere.example/a")) is Reason.TRUST_DOMAIN_UNKNOWN


def test_a_trust_domain_without_bundle_is_undecided() -> None:
    """A configured domain whose bundle could not be had is a 503, never an allow."""
    assert check(svid("spiffe://partner.example/a")) is Reason.KEYS_UNAVAILABLE


def test_an_authority_speaks_for_its_own_trust_domain_only() -> None:
    """A certificate for one domain that the other domain's authority signed is refused."""
    partner = import_bundle(bundle(authority("partner.example")), "partner.example")
    leaf = svid("spiffe://partner.example/a", issuer=authority())

    with pytest.raises(Refused) as refused:
        verify_svid(leaf.encoded, {TRUST_DOMAIN, "partner.example"}, lambda _: partner, now=NOW)

    assert refused.value.reason is Reason.WORKLOAD_INVALID


@pytest.mark.parametrize(
    ("what", "root"),
    [
        ("expired", lambda: make_authority(begin=moment() - 2 * HOUR, end=moment(NOW - 1))),
        ("not yet valid", lambda: make_authority(begin=moment(NOW + 1))),
        ("no CA", lambda: make_authority(ca=False)),
        ("without basicConstraints", lambda: make_authority(ca=None)),
        ("without keyUsage", lambda: make_authority(key_cert_sign=None)),
        ("without keyCertSign", lambda: make_authority(key_cert_sign=False)),
        ("for servers only", lambda: make_authority(purposes=[ExtendedKeyUsageOID.SERVER_AUTH])),
        ("of another trust domain", lambda: make_authority(uris=["spiffe://partner.example"])),
        ("with a path in its ID", lambda: make_authority(uris=[FRONTEND])),
        ("with a critical extension that nobody knows", lambda: make_authority(extra=critical(_UNKNOWN))),
        (
            "with name constraints",
            lambda: make_authority(
                extra=critical(
                    x509.NameConstraints(
                        permitted_subtrees=[x509.UniformResourceIdentifier("shop.example")], excluded_subtrees=None
                    )
                )
            ),
        ),
        ("with a weak key", lambda: make_authority(private=rsa_key(1024))),
    ],
)
def test_an_unsound_authority_signs_nothing(what: str, root: Callable[[], Issued]) -> None:
    """A leaf that is sound otherwise is refused when its authority is not."""
    issuer = root()

    assert check(svid(issuer=issuer), trusted=bundle(issuer)) is Reason.WORKLOAD_INVALID


@pytest.mark.parametrize(
    "private", [rsa_key, lambda: ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate]
)
def test_authorities_may_have_any_accepted_key(private: Callable[[], Any]) -> None:
    """RSA, ECDSA and Ed25519 authorities sign; path length zero allows a leaf; no URI is fine."""
    issuer = make_authority(private=private(), path_length=0, uris=[])

    assert accepted(check(svid(issuer=issuer), trusted=bundle(issuer)))


def test_while_keys_rotate_two_authorities_share_a_name() -> None:
    """Each authority of the leaf's issuer name is tried, in any order."""
    old, new = authority(), make_authority()

    assert accepted(check(svid(issuer=new), trusted=bundle(old, new)))
    assert accepted(check(svid(issuer=old), trusted=bundle(old, new)))


def test_validity_ends_with_the_authoritys() -> None:
    """A verified leaf is good until the earlier of its own end and its authority's."""
    issuer = make_authority(end=moment(NOW + 60))

    outcome = check(svid(issuer=issuer), trusted=bundle(issuer))

    assert isinstance(outcome, VerifiedSvid)
    assert outcome.not_after == NOW + 60


def _texts() -> dict[str, str]:
    pem = svid().pem
    body = pem.splitlines()
    return {
        "empty": "",
        "not encoded PEM twice": quote(pem * 2, safe=""),
        "text before": quote("x\n" + pem, safe=""),
        "text after": quote(pem + "x", safe=""),
        "broken percent": quote(pem, safe="").replace("%0A", "%0", 1),
        "no end": quote(pem[:-30], safe=""),
        "another label": quote(pem.replace("CERTIFICATE", "PUBLIC KEY"), safe=""),
        "broken base64": quote(pem.replace(body[1], body[1][:-1]), safe=""),
        "NUL": quote(pem + "\0", safe=""),
        "no DER": quote("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", safe=""),
        "too long": "A" * 70_000,
        "letters": "hello",
        "non-ASCII": "é",
    }


@pytest.mark.parametrize("what", list(_texts()))
def test_text_that_is_no_single_certificate_is_invalid(what: str) -> None:
    """Only one URL-encoded PEM certificate and nothing beside it is read."""
    assert check(_texts()[what]) is Reason.WORKLOAD_INVALID


def test_envoys_own_escaping_is_read() -> None:
    """Envoy leaves letters, digits and most punctuation as they are and escapes the rest."""
    text = svid().pem
    for plain, escaped in (("\n", "%0A"), (" ", "%20"), ("+", "%2B"), ("/", "%2F"), ("=", "%3D")):
        text = text.replace(plain, escaped)

    assert accepted(check(text))


def test_the_one_uri_of_a_certificate_that_envoy_verified() -> None:
    """With several URIs a principal shows only the first: then there is no ID."""
    assert named_id(svid(issuer=make_authority(name="any")).encoded) == FRONTEND
    for broken in (svid(uris=[FRONTEND, "spiffe://shop.example/b"]).encoded, svid(uris=[]).encoded, "x"):
        with pytest.raises(Refused) as refused:
            named_id(broken)
        assert refused.value.reason is Reason.WORKLOAD_INVALID


def test_a_jwt_signing_key_is_no_authority() -> None:
    """The bundle's other keys (`use: jwt-svid`) sign no certificate."""
    trusted = bundle(signing_key("ES256").jwk(use="jwt-svid"))

    assert check(svid(), trusted=trusted) is Reason.WORKLOAD_INVALID
