"""Trust bundles and the ID in a peer's principal (SPIFFE Trust Domain and Bundle §4, SPIFFE-ID §2)."""

from __future__ import annotations

from typing import Any

import pytest

from authz.authn.svid import BundleError, import_bundle, workload_id
from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId
from tests.mint.certificates import FRONTEND, TRUST_DOMAIN, authority, bundle, make_authority
from tests.mint.keys import signing_key


@pytest.mark.parametrize(
    "changes",
    [
        {"x5c": None},
        {"x5c": []},
        {"x5c": ["AAAA"]},
        {"x5c": ["!"]},
        {"x5c": "AAAA"},
        {"x5c": [7]},
        {"x": "AAAA"},
        {"kty": "RSA"},
        {"crv": "P-384"},
        {"y": None},
        {"x5c": authority().jwk()["x5c"] * 2},
        {"x5c": make_authority().jwk()["x5c"]},
    ],
)
def test_an_entry_that_is_no_authority_is_skipped_with_a_warning(changes: dict[str, Any]) -> None:
    """Exactly one certificate whose key is the entry's own; the good entry beside it stays."""
    good = make_authority(name="good")

    found = import_bundle(bundle(authority().jwk(**changes), good), TRUST_DOMAIN)

    assert [item.certificate for item in found.authorities] == [good.certificate]
    assert len(found.warnings) == 1


def test_keys_of_another_use_are_ignored() -> None:
    """`jwt-svid`, unknown and missing uses are none of ours (SPIFFE Bundle §4.2.2)."""
    others = [signing_key("ES256").jwk(use="jwt-svid"), authority().jwk(use="other"), authority().jwk(use=None)]

    found = import_bundle(bundle(*others), TRUST_DOMAIN)

    assert (found.authorities, found.warnings) == ((), ())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":null}',
        b'{"keys":{}}',
        b'{"keys":[],"keys":[]}',
        b"\xff",
        b"-----BEGIN CERTIFICATE-----",
        b'{"keys":[' + b"{}," * 64 + b"{}]}",
        b'{"keys":[],"pad":"' + b"x" * 1_100_000 + b'"}',
    ],
)
def test_what_is_no_bundle_raises(document: bytes) -> None:
    """PEM, other JSON, duplicates and what is beyond the bounds."""
    with pytest.raises(BundleError):
        import_bundle(document, TRUST_DOMAIN)


def test_a_bundle_belongs_to_a_trust_domain() -> None:
    """Its name obeys the grammar (SPIFFE-ID §2.1)."""
    with pytest.raises(BundleError):
        import_bundle(bundle(), "Shop.example")


def test_the_revision_follows_domain_and_authorities() -> None:
    """Order doesn't matter; the domain and each authority do."""
    one, two = authority(), make_authority(name="two")
    revision = import_bundle(bundle(one, two), TRUST_DOMAIN).revision

    assert import_bundle(bundle(two, one), TRUST_DOMAIN).revision == revision
    assert import_bundle(bundle(one), TRUST_DOMAIN).revision != revision
    assert import_bundle(bundle(), TRUST_DOMAIN).revision != import_bundle(bundle(), "b.example").revision


@pytest.mark.parametrize(
    "principal", ["", "frontend.shop.example", "CN=frontend", "https://shop.example/a", "SPIFFE://shop.example/a"]
)
def test_a_principal_of_another_kind_is_no_workload(principal: str) -> None:
    """Envoy shows DNS names and subjects too: they say nothing about a workload."""
    assert workload_id(principal, {TRUST_DOMAIN}) is None


@pytest.mark.parametrize(
    "principal",
    [
        "spiffe://",
        "spiffe:///a",
        "spiffe://shop.example",
        "spiffe://shop.example/",
        "spiffe://shop.example/a//b",
        "spiffe://shop.example/a/",
        "spiffe://shop.example/./a",
        "spiffe://shop.example/a\n",
        "spiffe://shop.example/a?b",
        "spiffe://shop.example/a#b",
        "spiffe://user@shop.example/a",
        "spiffe://shop.example/%61",
        "spiffe://shop.example/é",
        "spiffe://shop.example/" + "a" * 2048,
        "spiffe://" + "a" * 256 + "/b",
        "spiffe://shop.example/a\0",
    ],
)
def test_a_broken_id_is_invalid(principal: str) -> None:
    """Nothing is repaired, cut or folded."""
    with pytest.raises(Refused) as refused:
        workload_id(principal, {TRUST_DOMAIN})

    assert refused.value.reason is Reason.WORKLOAD_INVALID


def test_an_unknown_trust_domain_has_its_own_reason() -> None:
    """Domains are compared as a whole."""
    assert workload_id(FRONTEND, {TRUST_DOMAIN}) == SpiffeId.parse(FRONTEND)
    for name in ("evil-shop.example", "shop.example.evil.example", "example"):
        with pytest.raises(Refused) as refused:
            workload_id(f"spiffe://{name}/ns/shop/sa/frontend", {TRUST_DOMAIN})
        assert refused.value.reason is Reason.TRUST_DOMAIN_UNKNOWN
